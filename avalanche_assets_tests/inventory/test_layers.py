"""The inventory from its public service: a GeoServer on this machine."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import geopandas as gpd
import pyarrow.parquet as pq
import pytest
from inventory_world import DEM, GRID, rectangle
from loopback.fake_wfs import FakeLayer, FakeWfs
from loopback.server import Answer, Fault
from shapely.geometry import box

from avalanche_assets.errors import CatalogueError, InventoryError, RefusedError, TransientError
from avalanche_assets.inventory.corridors import CorridorReading, read_corridors
from avalanche_assets.inventory.events import read_events
from avalanche_assets.inventory.layers import KINDS, stored_layer
from avalanche_assets.inventory.massifs import read_massifs
from avalanche_assets.inventory.site_status import read_site_status
from avalanche_assets.inventory.sources import inventory_files, massifs_file
from avalanche_assets.settings import (
    InventorySettings,
    Settings,
    SourceSettings,
    TransferSettings,
    WfsSettings,
)

CRS = "EPSG:2154"
COUNT = 25
NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)


def in_lambert(shapes: list) -> list:
    return list(gpd.GeoSeries(shapes, crs=GRID.crs).to_crs(CRS))


def layers() -> dict[str, FakeLayer]:
    """25 sites on the slope and one far away, two events a site, one massif, and another layer."""
    shapes = [rectangle(700.0 + 140.0 * i, 1500.0, 120.0, 900.0) for i in range(COUNT)]
    sites = [{"insee": "73040", "num_site": i + 1, "nom_site": f"Couloir {i}"} for i in range(COUNT)]
    events = [
        {
            "id_evt": 100 * site + n,
            "insee": 73040,
            "num_site": site,
            "date_1": f"2018-01-{4 + n:02d}Z",
            "date_2": "2018-01-06Z",
            "alt_arr": 1450.0 if n else None,
            "site_perdu": site == 3,
        }
        for site in range(1, COUNT + 1)
        for n in range(2)
    ]
    far = {"insee": "05001", "num_site": 1, "nom_site": "Loin"}
    return {
        "clpa_zont": FakeLayer([{"source": "tem"}], in_lambert([rectangle()])),
        "epa_site_v": FakeLayer(
            [*sites, far], in_lambert([*shapes, rectangle(300_000.0)]), primary_key=False
        ),
        "epa_evt_v": FakeLayer(events),
        "massifs": FakeLayer(
            [{"code": 11, "title": "Haute-Maurienne"}],
            in_lambert([box(*GRID.bounds)]),
            extra={"code": "xsd:int"},
        ),
    }


@pytest.fixture
def server():
    with FakeWfs(layers()) as running:
        yield running


def settings(server: FakeWfs, folder: Path, **wfs) -> Settings:
    return Settings(
        data_root=folder / "data",
        source=SourceSettings(
            kind="raster_folder",
            folder=folder,
            transfer=TransferSettings(attempts=2, first_wait_s=0, stalled_s=2.0),
        ),
        inventory=InventorySettings(
            source="wfs", wfs=WfsSettings(**{"url": server.wfs_url, "page_size": 10} | wfs)
        ),
    )


def fetched(kind: str, configured: Settings, now: datetime = NOW):
    return stored_layer(KINDS[kind], configured, GRID, lambda sentence: None, now)


def test_inventory_of_the_service_becomes_corridors_events_and_massifs(server, tmp_path):
    files = inventory_files(settings(server, tmp_path), GRID, lambda sentence: None)
    massifs = read_massifs(files.massifs, GRID.crs)
    how = CorridorReading(statuses=(read_site_status(files.events, {}),))
    frame, report = read_corridors(files.corridors, massifs, DEM, GRID, how)
    assert report.kept == report.read == COUNT
    assert frame["corridor_id"].tolist() == [f"73040{i:03d}" for i in range(1, COUNT + 1)]
    # to Lambert-93 and back, and 15 digits in GeoJSON
    assert frame["area_m2"].tolist() == pytest.approx([120.0 * 900.0] * COUNT, rel=1e-6)
    assert set(frame["massif"]) == {"Haute-Maurienne"}
    assert frame["observation"].value_counts().to_dict() == {"watched": COUNT - 1, "lost": 1}
    events, report = read_events(files.events, list(frame["corridor_id"]))
    assert (report.read, report.kept, report.rejected) == (2 * COUNT, 2 * COUNT, ())
    assert events["event_id"][0].as_py() == "100"
    assert events["date_min"][0].as_py() == datetime(2018, 1, 3, 23, tzinfo=UTC)
    assert events["arrival_elevation_m"].null_count == COUNT


def test_pages_are_asked_for_in_a_fixed_order_and_only_on_the_grid(server, tmp_path):
    stored = fetched("corridors", settings(server, tmp_path))
    assert (stored.layer, stored.features) == ("siavalanches:epa_site_v", COUNT)
    pages = server.questions("GetFeature")
    assert [page["startIndex"] for page in pages] == ["0", "10", "20"]
    assert {page["sortBy"] for page in pages} == {"insee,num_site,nom_site"}
    assert {page["count"] for page in pages} == {"10"}
    assert {page["srsName"] for page in pages} == {CRS}
    assert all(page["CQL_FILTER"].startswith("BBOX(geom,") for page in pages)
    assert len(set(gpd.read_parquet(stored.path)["num_site"])) == COUNT


def test_service_that_caps_answers_or_does_not_count_is_read_to_the_end(server, tmp_path):
    server.cap = 4
    assert fetched("events", settings(server, tmp_path / "capped")).features == 2 * COUNT
    server.matched = "unknown"
    assert fetched("events", settings(server, tmp_path / "uncounted")).features == 2 * COUNT


def test_own_filter_is_sent_along(server, tmp_path):
    configured = settings(server, tmp_path, events_filter="num_site = '7'")
    assert fetched("events", configured).features == 2


def test_layer_is_kept_with_the_date_of_its_retrieval_until_it_is_old(server, tmp_path):
    configured = settings(server, tmp_path, keep_days=7)
    first = fetched("massifs", configured)
    note = pq.read_schema(first.path).metadata[b"avalanche_assets.layer"].decode()
    assert '"retrieved": "2026-11-24T10:00:00+00:00"' in note
    assert server.wfs_url in note
    asked = len(server.seen)
    assert fetched("massifs", configured, NOW + timedelta(days=7)) == first
    assert len(server.seen) == asked
    assert fetched("massifs", configured, NOW + timedelta(days=8)).retrieved == NOW + timedelta(days=8)
    changed = settings(server, tmp_path, massifs_filter="code = '11'")
    assert fetched("massifs", changed, NOW + timedelta(days=8)).asked != first.asked
    assert len(server.questions("GetFeature")) == 3
    assert massifs_file(configured) == first.path


def test_service_that_is_down_does_not_take_away_what_is_there(server, tmp_path):
    configured = settings(server, tmp_path)
    first = fetched("massifs", configured)
    down = [Fault("status", status=503)] * 2
    server.faults["/geoserver/siavalanches/wfs"].extend(down)
    later = fetched("massifs", configured, NOW + timedelta(days=30))
    assert later.retrieved == first.retrieved
    assert "answered 503" in later.warning
    assert later.warning.endswith("used is what was retrieved 2026-11-24")
    server.faults["/geoserver/siavalanches/wfs"].extend(down)
    with pytest.raises(TransientError, match="answered 503"):
        fetched("events", configured)


def test_interrupted_page_is_asked_for_again(server, tmp_path):
    server.faults["/geoserver/siavalanches/wfs"].append(Fault("truncate", at=20))
    assert fetched("events", settings(server, tmp_path)).features == 2 * COUNT


def test_damaged_file_is_fetched_again(server, tmp_path):
    configured = settings(server, tmp_path)
    first = fetched("massifs", configured)
    first.path.write_bytes(first.path.read_bytes()[:100])
    assert fetched("massifs", configured) == first


@pytest.mark.parametrize("status", [400, 200])
def test_unknown_layer_lists_what_the_service_offers(status, server, tmp_path):
    server.error_status = status
    with pytest.raises(
        InventoryError,
        match=r"no layer 'epa_sites' of inventory\.wfs\.corridors_layer; it offers "
        r"\['siavalanches:clpa_zont', 'siavalanches:epa_site_v', .*massifs'\]",
    ):
        fetched("corridors", settings(server, tmp_path, corridors_layer="epa_sites"))


@pytest.mark.parametrize("name", ["epa_evt_v", "siavalanches:epa_evt_v"])
def test_layer_can_be_named_with_or_without_its_workspace(name, server, tmp_path):
    assert fetched("events", settings(server, tmp_path, events_layer=name)).layer.endswith("epa_evt_v")


def test_layers_without_known_attributes_are_listed_with_those_they_have(server, tmp_path):
    server.layers["epa_evt_v"] = FakeLayer([{"cle": 1, "debut": "2018-01-04"}])
    with pytest.raises(
        InventoryError,
        match=r"no layer has the attributes of events; set inventory\.wfs\.events_layer, and name attributes "
        r"in inventory\.event_columns; it offers siavalanches:epa_site_v \(insee, num_site, nom_site, geom\)"
        r"; siavalanches:epa_evt_v \(cle, debut\)$",
    ):
        fetched("events", settings(server, tmp_path))
    with pytest.raises(InventoryError, match=r"no column for .*event_columns; found \['cle', 'debut'\]"):
        fetched("events", settings(server, tmp_path, events_layer="epa_evt_v"))


def test_attributes_can_be_named(server, tmp_path):
    rows = [{"couloir": "73040001", "debut": "2018-01-04", "fin": "2018-01-05"}]
    server.layers["epa_evt_v"] = FakeLayer(rows)
    configured = settings(server, tmp_path)
    columns = {"corridor_id": "couloir", "date1": "debut", "date2": "fin"}
    inventory = configured.inventory.model_copy(update={"event_columns": columns})
    stored = fetched("events", configured.model_copy(update={"inventory": inventory}))
    assert read_events(stored.path, ["73040001"], columns)[1].kept == 1


def test_two_layers_that_fit_are_not_guessed_between(server, tmp_path):
    server.layers["epa_evt_old"] = server.layers["epa_evt_v"]
    with pytest.raises(InventoryError, match=r"2 layers have the attributes of events; .*epa_evt_old"):
        fetched("events", settings(server, tmp_path))


def test_layer_that_changes_while_it_is_read_is_to_be_tried_again(server, tmp_path):
    def grow(start: int) -> None:
        if start == 10:
            server.layers["epa_evt_v"].rows.append(server.layers["epa_evt_v"].rows[0])

    server.on_page = grow
    with pytest.raises(TransientError, match="changed from 50 to 51 features while it was read; try again"):
        fetched("events", settings(server, tmp_path))


def test_pages_that_overlap_are_refused(server, tmp_path):
    def shuffle(start: int) -> None:
        rows = server.layers["epa_evt_v"].rows
        for row in rows:
            row["num_site"] = 1000 - row["num_site"]

    server.on_page = shuffle
    with pytest.raises(CatalogueError, match=r"came twice, so others are missing.*page_size above 50"):
        fetched("events", settings(server, tmp_path))


@pytest.mark.parametrize("matched", [None, "unknown"])
def test_service_that_gives_its_first_page_again_and_again_is_refused(matched, server, tmp_path):
    server.pages, server.matched = False, matched
    with pytest.raises(CatalogueError, match=r"two pages of siavalanches:epa_evt_v are the same.*page_size"):
        fetched("events", settings(server, tmp_path))
    assert len(server.questions("GetFeature")) == 2


def test_pages_that_end_early_are_refused(server, tmp_path):
    server.matched = 99
    with pytest.raises(CatalogueError, match="ended after 50 of 99 features"):
        fetched("events", settings(server, tmp_path))


@pytest.mark.parametrize("status", [400, 200])
def test_refused_filter_is_shown_with_the_attributes_there_are(status, server, tmp_path):
    server.error_status = status
    with pytest.raises(
        RefusedError, match=r"siavalanches:epa_evt_v \(id_evt, .*'\(jahr = 1\)': check inventory"
    ):
        fetched("events", settings(server, tmp_path, events_filter="jahr = 1"))


def test_layer_without_features_here_is_an_error(server, tmp_path):
    with pytest.raises(InventoryError, match=r"epa_evt_v has no feature for the filter .*events_filter"):
        fetched("events", settings(server, tmp_path, events_filter="num_site = '999'"))


def test_page_that_is_no_service_is_named(server, tmp_path):
    server.routes["/geoserver/siavalanches/wfs"] = lambda request: Answer(body=b"welcome")
    with pytest.raises(CatalogueError, match=r"gave no JSON; check inventory\.wfs\.url"):
        fetched("events", settings(server, tmp_path))


def test_files_of_the_user_stand_before_the_service(server, tmp_path):
    configured = settings(server, tmp_path)
    own = {"massifs": tmp_path / "m.gpkg", "events": tmp_path / "e.csv"}
    inventory = configured.inventory.model_copy(update=own)
    files = inventory_files(
        configured.model_copy(update={"inventory": inventory}), GRID, lambda sentence: None
    )
    assert (files.massifs, files.events) == (own["massifs"], own["events"])
    assert [layer.layer for layer in files.layers] == ["siavalanches:epa_site_v"]
