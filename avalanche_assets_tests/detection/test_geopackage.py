"""The GeoPackage: layers, status of every corridor, and styles that QGIS applies by itself."""

import sqlite3
from contextlib import closing
from xml.etree import ElementTree

import geopandas as gpd
import pyogrio
import pytest
from detection_world import FIRST, build_world, detections_of

from avalanche_assets.detection.geopackage import write_geopackage

HIDDEN = {2: "layover or shadow", 3: "wet snow"}


@pytest.fixture(scope="module")
def detections():
    return detections_of(build_world(), FIRST, {0: 6.0, 5: 7.0}, HIDDEN)


@pytest.fixture(scope="module")
def package(detections, tmp_path_factory):
    path = tmp_path_factory.mktemp("package") / "detections.gpkg"
    write_geopackage(path, detections)
    return path


def rows(path, query):
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


def test_detections_layer_holds_only_detections(package, detections):
    layer = gpd.read_file(package, layer="detections")
    assert list(layer["corridor_id"]) == ["73040001", "73040006"]
    assert layer.crs == detections.crs
    assert layer.geometry.area.tolist() == pytest.approx(layer["area_m2"].tolist())


def test_corridors_layer_gives_every_corridor_its_status_and_reason(package, detections):
    layer = gpd.read_file(package, layer="corridors").set_index("corridor_id")
    assert len(layer) == len(detections)
    assert layer["status"].value_counts().to_dict() == {
        "no detection": 8,
        "detection": 2,
        "not observable": 2,
    }
    assert layer.loc["73040003", ["status", "reason"]].tolist() == ["not observable", "layover or shadow"]


def test_dates_are_dates_in_the_file(package):
    assert pyogrio.read_info(package, layer="detections")["dtypes"] is not None
    (first_seen,) = {row[0] for row in rows(package, "SELECT first_seen FROM detections")}
    assert first_seen == FIRST.isoformat()


def test_each_layer_has_one_default_style_that_names_every_value(package):
    styles = rows(package, "SELECT f_table_name, f_geometry_column, styleQML, useAsDefault FROM layer_styles")
    columns = dict(rows(package, "SELECT table_name, column_name FROM gpkg_geometry_columns"))
    values = {}
    for layer, column, qml, default in styles:
        assert default == 1
        assert column == columns[layer]
        categories = ElementTree.fromstring(qml.split("\n", 1)[1]).iter("category")
        values[layer] = {category.get("value") for category in categories}
    assert values == {
        "detections": {"A", "B", "C"},
        "corridors": {"detection", "no detection", "not observable"},
    }


def test_date_without_detection_still_has_both_layers(detections, tmp_path):
    path = tmp_path / "quiet.gpkg"
    write_geopackage(path, detections.assign(is_detection=False))
    assert len(gpd.read_file(path, layer="detections")) == 0
    assert len(gpd.read_file(path, layer="corridors")) == len(detections)


def test_equal_detections_give_equal_bytes(package, detections, tmp_path):
    again = tmp_path / "detections.gpkg"
    write_geopackage(again, detections)
    assert again.read_bytes() == package.read_bytes()
