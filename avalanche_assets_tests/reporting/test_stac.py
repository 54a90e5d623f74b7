"""The bulletins' STAC item and collection: valid without a network, and complete in any order of dates."""

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pystac
import pytest
from detection_world import FIRST, SECOND, acquisition, example_settings
from stac_validator.stac_validator import StacValidate

from avalanche_assets.grid import Grid
from avalanche_assets.reporting.stac import SATELLITE_EXTENSION, write_item
from avalanche_assets.reporting.summary import Counts

GRID = Grid("EPSG:32632", 20.0, 311_040.0, 5_038_080.0, 320, 320)
COUNTS = Counts(total=12, new=2, persisting=1, a=1, b=1, c=1, quiet=7, hidden=2)
PACKAGED = Path(pystac.__file__).parent / "validation" / "jsonschemas"

SATELLITE_RULES = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "properties": {
        "properties": {
            "required": ["sat:relative_orbit"],
            "properties": {
                "sat:relative_orbit": {"type": "integer", "minimum": 1},
                "sat:absolute_orbit": {"type": "integer", "minimum": 1},
                "sat:orbit_state": {"enum": ["ascending", "descending", "geostationary"]},
            },
        }
    },
}
"""What the satellite extension's specification says of its fields; its own schema is on the network only."""


@pytest.fixture(scope="module")
def schemas(tmp_path_factory):
    """Where the validator finds each schema on this machine."""
    satellite = tmp_path_factory.mktemp("schemas") / "satellite.json"
    satellite.write_text(json.dumps(SATELLITE_RULES))
    found = {SATELLITE_EXTENSION: str(satellite)}
    for path in (PACKAGED / "stac-spec" / "v1.1.0").glob("*.json"):
        kind = path.stem if path.stem in ("catalog", "collection") else "item"
        # By file name: the identifier inside common.json has a typing error.
        found[f"https://schemas.stacspec.org/v1.1.0/{kind}-spec/json-schema/{path.name}"] = str(path)
    for path in (PACKAGED / "geojson").glob("*.json"):
        found[f"https://geojson.org/schema/{path.name}"] = str(path)
    return found


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a test asked for the network")

    monkeypatch.setattr("socket.socket.connect", refuse)


def publish(root, day, previous, **more):
    folder = root / f"acquisition_date={day}"
    folder.mkdir(parents=True, exist_ok=True)
    before = acquisition(previous) if previous else None
    settings = example_settings(root, **more)
    current = replace(acquisition(day), platform="S1B")
    return write_item(folder, GRID, current, before, COUNTS, 22.22, "../detections.parquet", settings)


def problems(path, schemas):
    stac = StacValidate(str(path), schema_map=schemas, verbose=True)
    stac.run()
    return [] if stac.valid else [str(stac.message)]


def test_item_and_collection_are_valid(tmp_path, schemas):
    item = publish(tmp_path, SECOND, FIRST)
    assert problems(item, schemas) == []
    assert problems(tmp_path / "collection.json", schemas) == []


def test_first_date_of_a_season_has_no_window_and_is_valid(tmp_path, schemas):
    item = publish(tmp_path, FIRST, None)
    assert problems(item, schemas) == []
    assert "start_datetime" not in json.loads(item.read_text())["properties"]


@pytest.mark.parametrize(
    ("field", "value"), [("sat:orbit_state", "down"), ("sat:relative_orbit", None), ("datetime", "yesterday")]
)
def test_validator_would_notice_a_wrong_field(tmp_path, schemas, field, value):
    item = publish(tmp_path, SECOND, FIRST)
    content = json.loads(item.read_text())
    content["properties"][field] = value
    item.write_text(json.dumps(content))
    assert problems(item, schemas)


def test_item_says_window_orbit_counts_and_where_the_files_are(tmp_path):
    content = json.loads(publish(tmp_path, SECOND, FIRST).read_text())
    properties = content["properties"]
    assert (properties["start_datetime"], properties["datetime"]) == (
        "2017-12-28T05:43:17Z",
        "2018-01-03T05:43:17Z",
    )
    assert (properties["platform"], properties["sat:relative_orbit"]) == ("sentinel-1b", 139)
    assert [properties[f"avalanche:{name}"] for name in ("new", "persisting", "not_observable")] == [2, 1, 2]
    addresses = {asset["href"] for asset in content["assets"].values()}
    assert {"detections.gpkg", "../detections.parquet", "bulletin.html", "bulletin.fr.html"} <= addresses
    west, south, east, north = content["bbox"]
    assert 6.5 < west < east < 6.8
    assert 45.3 < south < north < 45.5


def test_collection_lists_every_date_whatever_the_order(tmp_path):
    days = [FIRST + timedelta(6 * n) for n in range(4)]
    for day in (days[2], days[0], days[3], days[1], days[0]):
        publish(tmp_path, day, None)
    collection = json.loads((tmp_path / "collection.json").read_text())
    items = [link["href"] for link in collection["links"] if link["rel"] == "item"]
    assert items == [f"./acquisition_date={day}/item.json" for day in days]
    assert all((tmp_path / address).exists() for address in items)
    (interval,) = collection["extent"]["temporal"]["interval"]
    assert [text[:10] for text in interval] == [str(FIRST), str(date(2018, 1, 15))]


def test_collection_can_be_walked_by_a_reader(tmp_path):
    for day in (FIRST, SECOND):
        publish(tmp_path, day, None)
    collection = pystac.Collection.from_file(str(tmp_path / "collection.json"))
    assert [item.datetime.date() for item in collection.get_items()] == [FIRST, SECOND]


def test_same_inputs_give_the_same_bytes(tmp_path):
    first = publish(tmp_path / "a", SECOND, FIRST).read_bytes()
    assert publish(tmp_path / "b", SECOND, FIRST).read_bytes() == first


def test_simulated_data_is_marked(tmp_path):
    simulated = json.loads(publish(tmp_path / "a", SECOND, FIRST).read_text())
    real = json.loads(publish(tmp_path / "b", SECOND, FIRST, simulated=False).read_text())
    assert simulated["properties"]["avalanche:simulated"]
    assert not real["properties"]["avalanche:simulated"]
    assert "Simulated" in (tmp_path / "a" / "collection.json").read_text()
    assert "Simulated" not in (tmp_path / "b" / "collection.json").read_text()
