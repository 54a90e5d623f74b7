"""Writes the inventory as a service would receive it, and the truth it must not look at.

The event table follows the official extract of the French avalanche survey (EPA). That extract has 82
columns; the ones written here are those whose names and meaning are documented, in a plausible order. As in
real extracts a few rows carry oddities: an arrival altitude left out, a site that is not on the map, two
dates swapped, a year of two digits.

Source: "Enquête Permanente sur les Avalanches", www.avalanches.fr/epa-presentation.
"""

import csv
import io
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd

from avalanche_assets.catalogue.acquisitions import season_of
from avalanche_assets.files import atomic_path, write_text
from avalanche_assets.grid import Grid
from avalanche_assets.simulation.avalanches import OBSERVERS_TIME, Deposit
from avalanche_assets.simulation.corridors import SimulatedCorridor, corridor_frame
from avalanche_assets.simulation.massifs import massif_frame
from avalanche_assets.simulation.weather import Winter

EPA_COLUMNS = (
    "id_evt", "Campagne", "Date 1", "Date 2",
    "Altitude de départ 1", "Altitude de départ 2", "Altitude de départ 3",
    "Altitude d'arrivée 1", "Altitude d'arrivée 2", "Altitude d'arrivée 3",
    "Longueur", "Largeur", "Hauteur", "Causes", "Visibilité", "Date de constat", "Date de saisie",
    "id_site", "Numéro du site", "Nom du site", "date_fin site", "Site éteint", "Site perdu",
    "Observation difficile", "seuil_observation", "seuil_alert", "Altitude max site", "Altitude min site",
    "id_massif", "Nom du massif", "INSEE de la commune", "Nom de la commune", "Code du departement",
)  # fmt: skip

TRUTH_NOTE = """What really happened in this simulated season: every avalanche, recorded or not, and
the weather. No asset reads this folder; it serves to check the results.

deposits.parquet   all avalanches with outline, instant, brightening, decay, and the record if there is one
weather.csv        one row an acquisition: snow line, wet-snow line, drops, drifts
winter.csv         one row a day: freezing level, new snow, rain limit, wet-snow line, storm
"""


def write_inventory(
    folder: Path,
    grid: Grid,
    corridors: Sequence[SimulatedCorridor],
    deposits: Sequence[Deposit],
    seed: int,
) -> None:
    """Writes ``corridors.gpkg``, ``massifs.gpkg`` and ``epa_events.csv`` into `folder`.

    Only recorded deposits reach the event table; an unobserved corridor is marked by ``observed`` in the map.
    """
    _write_geopackage(folder / "corridors.gpkg", corridor_frame(list(corridors), grid))
    _write_geopackage(folder / "massifs.gpkg", massif_frame(grid))
    write_text(folder / "epa_events.csv", epa_table(corridors, deposits, seed))


def write_truth(folder: Path, grid: Grid, deposits: Sequence[Deposit], winter: Winter) -> None:
    """Writes ``deposits.parquet`` (GeoParquet), ``weather.csv``, ``winter.csv`` and ``README.txt``."""
    with atomic_path(folder / "deposits.parquet") as temporary:
        deposit_frame(deposits, grid).to_parquet(
            temporary, schema_version="1.1.0", compression="zstd", index=False
        )
    weather = pd.DataFrame([vars(item) for item in winter.acquisitions])
    days = pd.DataFrame(
        {
            "date": pd.date_range(winter.first_day, periods=winter.storm.size).date,
            "freezing_level_m": winter.freezing_level_m.round(),
            "new_snow_cm": winter.new_snow_cm.round(1),
            "rain_limit_m": winter.rain_limit_m.round(),
            "wet_snow_line_m": winter.wet_snow_line_m.round(),
            "snow_line_m": winter.snow_line_m.round(),
            "storm": winter.storm,
        }
    )
    write_text(folder / "weather.csv", weather.to_csv(index=False))
    write_text(folder / "winter.csv", days.to_csv(index=False))
    write_text(folder / "README.txt", TRUTH_NOTE)


def deposit_frame(deposits: Sequence[Deposit], grid: Grid) -> gpd.GeoDataFrame:
    """Deposits as a table: every field of `Deposit`, ``area_m2``, ``visible``; geometry the outline."""
    rows = [
        {key: value for key, value in vars(deposit).items() if key != "outline"}
        | {"area_m2": deposit.area_m2, "visible": deposit.visible}
        for deposit in deposits
    ]
    frame = gpd.GeoDataFrame(rows, geometry=[deposit.outline for deposit in deposits], crs=grid.crs)
    for name in ("instant", "melts", "date_min", "date_max"):
        frame[name] = pd.to_datetime(frame[name], utc=True)
    return frame


def epa_table(corridors: Sequence[SimulatedCorridor], deposits: Sequence[Deposit], seed: int) -> str:
    """The recorded deposits as CSV text in the official layout, oddities included."""
    rng = np.random.default_rng([seed, 5])
    by_id = {corridor.corridor_id: corridor for corridor in corridors}
    recorded = [deposit for deposit in deposits if deposit.recorded]
    rows = [
        _row(number, deposit, by_id[deposit.corridor_id], rng) for number, deposit in enumerate(recorded, 1)
    ]
    _add_oddities(rows, rng)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, EPA_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _row(
    number: int, deposit: Deposit, corridor: SimulatedCorridor, rng: np.random.Generator
) -> dict[str, str]:
    """One event as observers note it: heights to 50 m, sizes often missing."""
    assert deposit.date_min is not None
    assert deposit.date_max is not None
    year = int(season_of(deposit.instant.date())[:4])
    found = deposit.date_max + timedelta(days=int(rng.integers(0, 4)))
    measured = rng.random() < 0.8
    heights = corridor.path.heights
    values = {
        "id_evt": str(900000 + number),
        "Campagne": str(year),
        "Date 1": _date(deposit.date_min),
        "Date 2": _date(deposit.date_max),
        "Altitude de départ 1": _rounded(deposit.departure_elevation_m, 50),
        "Altitude d'arrivée 1": _rounded(deposit.arrival_elevation_m, 50) if rng.random() > 0.05 else "",
        "Longueur": _rounded(deposit.length_m, 10) if measured else "",
        "Largeur": _rounded(deposit.width_m, 5) if measured else "",
        "Hauteur": f"{rng.lognormal(np.log(1.8), 0.5):.1f}" if measured else "",
        "Causes": rng.choice(["naturelle", "artificielle", "accidentelle", ""], p=[0.91, 0.03, 0.01, 0.05]),
        "Visibilité": rng.choice(["bonne", "moyenne", "mauvaise"], p=[0.7, 0.2, 0.1]),
        "Date de constat": _date(found),
        "Date de saisie": _date(found + timedelta(days=int(rng.integers(1, 30)))),
        "id_site": str(50000 + int(corridor.corridor_id[2:])),
        "Numéro du site": str(corridor.site_number),
        "Nom du site": corridor.name,
        "Site éteint": "non",
        "Site perdu": "non",
        "Observation difficile": "non",
        "seuil_observation": _rounded(float(heights[-1]) + 0.3 * corridor.path.drop_m, 50),
        "seuil_alert": _rounded(float(heights[-1]) + 0.1 * corridor.path.drop_m, 50),
        "Altitude max site": _rounded(float(heights.max()), 10),
        "Altitude min site": _rounded(float(heights.min()), 10),
        "id_massif": str(corridor.massif_id),
        "Nom du massif": corridor.massif,
        "INSEE de la commune": str(int(corridor.insee)),
        "Nom de la commune": corridor.commune,
        "Code du departement": str(int(corridor.insee[:2])),
    }
    return {name: str(values.get(name, "")) for name in EPA_COLUMNS}


def _add_oddities(rows: list[dict[str, str]], rng: np.random.Generator) -> None:
    """Spoils four rows, each in its own way, where there are enough rows."""
    wide = [row for row in rows if row["Date 1"] != row["Date 2"]]
    if len(rows) < 8 or len(wide) < 1:
        return
    swapped = wide[int(rng.integers(len(wide)))]
    swapped["Date 1"], swapped["Date 2"] = swapped["Date 2"], swapped["Date 1"]
    others = [row for row in rows if row is not swapped]
    picks = rng.choice(len(others), 3, replace=False)
    short_year, off_map, no_arrival = (others[int(k)] for k in picks)
    short_year["Date 1"] = short_year["Date 1"][:-4] + short_year["Date 1"][-2:]
    off_map["Numéro du site"] = "999"
    off_map["Nom du site"] = "Couloir simulé hors carte"
    no_arrival["Altitude d'arrivée 1"] = ""


def _date(at: datetime) -> str:
    """Local day as the extract writes it, with its leading blank."""
    return at.astimezone(OBSERVERS_TIME).strftime(" %d/%m/%Y")


def _rounded(metres: float, step: int) -> str:
    return str(max(step, round(metres / step) * step))


def _write_geopackage(path: Path, frame: gpd.GeoDataFrame) -> None:
    with atomic_path(path) as temporary:
        frame.to_file(temporary, driver="GPKG", layer=path.stem)
