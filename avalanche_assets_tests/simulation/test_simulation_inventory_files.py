"""The inventory and truth files of a simulated season."""

import csv
import re
from datetime import UTC, datetime, timedelta

import geopandas as gpd
import pandas as pd
import pytest

from avalanche_assets.grid import Grid
from avalanche_assets.inventory.events import read_events
from avalanche_assets.simulation.avalanches import simulate_avalanches
from avalanche_assets.simulation.corridors import simulate_corridors
from avalanche_assets.simulation.inventory_files import EPA_COLUMNS, write_inventory, write_truth
from avalanche_assets.simulation.landscape import synthetic_landscape
from avalanche_assets.simulation.weather import simulate_winter

GRID = Grid("EPSG:32632", 20.0, 320000.0, 5040000.0, 512, 512)
OVERPASSES = [datetime(2017, 12, 22, 5, 43, tzinfo=UTC) + timedelta(days=6 * k) for k in range(5)]


@pytest.fixture(scope="module")
def season(tmp_path_factory):
    folder = tmp_path_factory.mktemp("season")
    landscape = synthetic_landscape(GRID, 139)
    corridors = simulate_corridors(landscape, 24, 139)
    winter = simulate_winter(OVERPASSES, 139)
    deposits = simulate_avalanches(landscape, corridors, winter, 139, rate=2.0)
    write_inventory(folder, GRID, corridors, deposits, 139)
    write_truth(folder / "truth", GRID, deposits, winter)
    return folder, corridors, deposits


@pytest.fixture(scope="module")
def rows(season):
    with (season[0] / "epa_events.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_maps_hold_every_corridor_and_massif(season):
    folder, corridors, _ = season
    frame = gpd.read_file(folder / "corridors.gpkg")
    assert list(frame.columns) == [
        "corridor_id", "name", "insee", "site_number", "massif_id", "massif", "observed", "geometry",
    ]  # fmt: skip
    assert list(frame.corridor_id) == [corridor.corridor_id for corridor in corridors]
    assert not frame.observed.all()
    assert frame.crs == GRID.crs
    massifs = gpd.read_file(folder / "massifs.gpkg")
    assert set(frame.massif_id) <= set(massifs.massif_id)
    assert massifs.simulated.all()


def test_events_have_the_official_headers_and_one_row_a_recorded_deposit(season, rows):
    _, _, deposits = season
    assert tuple(rows[0]) == EPA_COLUMNS
    assert len(rows) == sum(deposit.recorded for deposit in deposits)
    assert len({row["id_evt"] for row in rows}) == len(rows)


def test_dates_have_a_leading_blank_and_the_oddities_of_real_extracts_occur(season, rows):
    _, corridors, _ = season
    dates = [row[name] for row in rows for name in ("Date 1", "Date 2")]
    odd = [text for text in dates if not re.fullmatch(r" \d{2}/\d{2}/\d{4}", text)]
    assert len(odd) == 1
    assert re.fullmatch(r" \d{2}/\d{2}/\d{2}", odd[0])
    assert any(row["Altitude d'arrivée 1"] == "" for row in rows)
    sites = {corridor.corridor_id for corridor in corridors}
    off_map = [
        row
        for row in rows
        if f"{int(row['INSEE de la commune']):05d}{int(row['Numéro du site']):03d}" not in sites
    ]
    assert len(off_map) == 1
    reversed_pairs = [
        row for row in rows
        if len(row["Date 1"]) == len(row["Date 2"])
        and datetime.strptime(row["Date 1"], " %d/%m/%Y") > datetime.strptime(row["Date 2"], " %d/%m/%Y")
    ]  # fmt: skip
    assert len(reversed_pairs) == 1


def test_the_project_reads_what_was_written(season, rows):
    """Every row but the one off the map comes back with the interval of its deposit, to the second."""
    folder, corridors, deposits = season
    table, _ = read_events(folder / "epa_events.csv", [corridor.corridor_id for corridor in corridors])
    assert table.num_rows == len(rows) - 1
    truth = {f"{900000 + k}": d for k, d in enumerate((d for d in deposits if d.recorded), start=1)}
    for event in table.to_pylist():
        deposit = truth[event["event_id"]]
        assert event["corridor_id"] == deposit.corridor_id
        assert abs(event["date_min"] - deposit.date_min) <= timedelta(seconds=1)
        assert abs(event["date_max"] - deposit.date_max) <= timedelta(seconds=1)


def test_truth_is_complete_and_says_that_no_asset_reads_it(season):
    folder, _, deposits = season
    frame = gpd.read_parquet(folder / "truth" / "deposits.parquet")
    assert len(frame) == len(deposits)
    assert list(frame.deposit_id) == [deposit.deposit_id for deposit in deposits]
    assert str(frame["instant"].dt.tz) == "UTC"
    assert len(pd.read_csv(folder / "truth" / "weather.csv")) == len(OVERPASSES)
    assert len(pd.read_csv(folder / "truth" / "winter.csv")) > 200
    assert "No asset reads this folder" in (folder / "truth" / "README.txt").read_text()


def test_writing_again_gives_the_same_events(season, tmp_path):
    folder, corridors, deposits = season
    write_inventory(tmp_path, GRID, corridors, deposits, 139)
    assert (tmp_path / "epa_events.csv").read_bytes() == (folder / "epa_events.csv").read_bytes()
