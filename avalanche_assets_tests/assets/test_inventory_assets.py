"""The inventory assets say what was read, turned away and where it comes from."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import geopandas as gpd
import pytest
from inventory_world import DEM, GRID, rectangle, write
from loopback.fake_wfs import FakeLayer, FakeWfs

from avalanche_assets.assets.inventory import avalanche_events_asset, corridors_asset
from avalanche_assets.assets.terrain import terrain_assets
from avalanche_assets.catalogue.acquisitions import Acquisition, write_catalogue
from avalanche_assets.layout import DataLayout
from avalanche_assets.rasters import write_cog
from avalanche_assets.resources.pipeline import Pipeline

IDS = ["73040001", "73040002", "73040003"]
EVENTS = """id_evt,Date 1,Date 2,INSEE de la commune,Numéro du site,Site perdu
1, 04/01/2018, 05/01/2018,73040,1,non
2, 04/01/2018, 05/01/2018,73040,2,oui
3, bald, 05/01/2018,73040,1,non
"""


def materialised(folder: Path, inventory: str) -> dict[str, dict[str, object]]:
    settings = folder / "avalanche.toml"
    settings.write_text(
        f'data_root = "data"\n[source]\nfolder = "products"\n[source.transfer]\nattempts = 1\n'
        f'[terrain]\ndem = "dem.tif"\nvertical_datum = "ellipsoidal"\n[inventory]\n{inventory}\n'
    )
    layout = DataLayout(folder / "data")
    write_cog(layout.dem, {"elevation": DEM}, GRID, {"elevation": "m"}, {})
    passes = [datetime(2018, 1, day, 5, 43, tzinfo=UTC) for day in (3, 9)]
    write_catalogue(
        layout.acquisition_catalogue,
        [Acquisition(at.date(), at, "S1A", 20000, "winter", "2017-18", "complete", ()) for at in passes],
    )
    dem = terrain_assets()[0]
    corridors = corridors_asset(dem)
    events = avalanche_events_asset(corridors)
    result = dg.materialize(
        [dem, corridors, events],
        selection=dg.AssetSelection.assets("corridors", "avalanche_events"),
        resources={"pipeline": Pipeline(settings_file=str(settings))},
    )
    return {
        name: {
            key: value.value
            for key, value in result.asset_materializations_for_node(name)[0].metadata.items()
        }
        for name in ("corridors", "avalanche_events")
    }


@pytest.fixture
def files(tmp_path):
    write(tmp_path / "c.gpkg", [rectangle(900.0 + 500 * i) for i in range(3)], corridor_id=IDS)
    (tmp_path / "e.csv").write_text(EVENTS, encoding="utf-8")
    return tmp_path


def test_files_are_reported_and_every_rejected_row_is_stored(files):
    shown = materialised(files, 'corridors = "c.gpkg"\nevents = "e.csv"')
    assert shown["corridors"]["report"] == "3 read, 3 kept"
    assert shown["corridors"]["outside all massifs"] == 3
    assert "| lost | 1 |" in shown["corridors"]["observation"]
    assert shown["corridors"]["not under observation"] == 1
    assert shown["avalanche_events"]["report"] == "3 read, 2 kept, 1 rejected: Date 1 is not a date"
    costs = shown["avalanche_events"]["labels of 2017-18 by interval rule"]
    # at the second pass; the first has no previous one, and the lost site is never observed
    assert "| new | inside the window | 1 | +0 | 0 | 1 | 4 |" in costs
    assert "| new | inside, at most 1 day long | 0 | -1 | 1 | 1 | 4 |" in costs
    assert shown["avalanche_events"]["acquisitions that these labels are of"] == 2
    rejected = Path(shown["avalanche_events"]["rejected, all"])
    assert rejected.read_text() == "record,reason\nline 4,Date 1 'bald' is not a date\n"


def test_layers_of_the_service_are_reported_with_the_date_of_their_retrieval(files):
    shapes = list(gpd.GeoSeries([rectangle(900.0 + 500 * i) for i in range(3)], crs=GRID.crs).to_crs(2154))
    events = [{"insee": "73040", "site": 1, "date1": "2018-01-04", "date2": "2018-01-04"}]
    layers = {
        "epa_sites": FakeLayer([{"corridor_id": name} for name in IDS], shapes),
        "epa_evt": FakeLayer(events),
        "massifs": FakeLayer([{"code": 11, "title": "Haute-Maurienne"}], [shapes[0].buffer(9000.0)]),
    }
    with FakeWfs(layers) as server:
        shown = materialised(files, f'source = "wfs"\nwfs.url = "{server.wfs_url}"')
        asked = len(server.questions("GetFeature"))
    # Both assets read the same files.
    assert asked == 3
    for asset in shown.values():
        assert asset["retrieved"].endswith("UTC")
        assert f"| siavalanches:epa_evt | {server.wfs_url} | 1 |" in asset["layers"]
    assert shown["corridors"]["outside all massifs"] == 0
    assert shown["avalanche_events"]["report"] == "1 read, 1 kept"
