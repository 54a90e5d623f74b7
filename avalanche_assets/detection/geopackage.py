"""Detections of one date as a GeoPackage that opens styled in QGIS.

Two layers: `detections` (outlines of the detections only) and `corridors` (every corridor with its status,
so that a corridor that could not be seen is on the map as such). The styles lie in the file's `layer_styles`
table, which QGIS applies by itself; their colours are those of the bulletin.

Source: OGC GeoPackage Encoding Standard 1.3; `layer_styles` is the table QGIS itself writes when a style is
saved to a database.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio

from avalanche_assets.detection.palette import NOT_OBSERVABLE, QUALITY, QUIET
from avalanche_assets.detection.qgis_style import Symbol, style_qml
from avalanche_assets.files import atomic_path

DETECTED_STATUS, QUIET_STATUS, NOT_OBSERVABLE_STATUS = "detection", "no detection", "not observable"

STYLES = {
    "detections": style_qml(
        "quality",
        {
            name: (Symbol(f"Detection, quality {name}", fill=colour, outline="#000000", width_mm=0.4))
            for name, colour in QUALITY.items()
        },
    ),
    "corridors": style_qml(
        "status",
        {
            DETECTED_STATUS: Symbol("Corridor with detection", fill=None, outline=QUALITY["A"], width_mm=0.5),
            QUIET_STATUS: Symbol("Corridor, no detection", fill=None, outline=QUIET, width_mm=0.25),
            NOT_OBSERVABLE_STATUS: Symbol(
                "Corridor, not observable",
                fill=NOT_OBSERVABLE,
                outline=NOT_OBSERVABLE,
                width_mm=0.25,
                hatched=True,
            ),
        },
    ),
}

_CREATE_STYLES = """
CREATE TABLE layer_styles (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    f_table_catalog TEXT(256), f_table_schema TEXT(256), f_table_name TEXT(256), f_geometry_column TEXT(256),
    styleName TEXT(30), styleQML TEXT, styleSLD TEXT, useAsDefault BOOLEAN, description TEXT, owner TEXT(30),
    ui TEXT(30), update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')))
"""


def corridor_status(detections: gpd.GeoDataFrame) -> np.ndarray:
    """Status of every row of a detections table: ``detection``, ``no detection`` or ``not observable``."""
    detected = detections["is_detection"].to_numpy(bool)
    observable = detections["observable"].to_numpy(bool)
    quiet = np.where(observable, QUIET_STATUS, NOT_OBSERVABLE_STATUS)
    return np.where(detected, DETECTED_STATUS, quiet).astype(object)


def write_geopackage(path: Path, detections: gpd.GeoDataFrame) -> None:
    """Writes `path` (``.gpkg``) with the layers `detections` and `corridors` and their styles, atomically.

    Args:
        path: Target file.
        detections: `tables.DETECTIONS` with `geometry` and `corridor_geometry`.
    """
    outlines = detections[detections["is_detection"].to_numpy(bool)].drop(columns="corridor_geometry")
    corridors = detections.assign(status=corridor_status(detections)).drop(columns="geometry")
    corridors = corridors.set_geometry("corridor_geometry").rename_geometry("geometry")
    with atomic_path(path) as temporary:
        for layer, frame in (("detections", outlines), ("corridors", corridors)):
            pyogrio.write_dataframe(
                frame,
                temporary,
                layer=layer,
                driver="GPKG",
                geometry_type="MultiPolygon",
                promote_to_multi=True,
                append=temporary.exists(),
                use_arrow=True,
            )
        add_styles(temporary, STYLES, f"{detections['window_end'].iloc[0]:%Y-%m-%dT%H:%M:%S.000Z}")


def add_styles(path: Path, styles: Mapping[str, str], stamp: str) -> None:
    """Adds the QML default style of each layer of a GeoPackage.

    `stamp` replaces the time of writing, so that equal inputs give equal files.
    """
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(_CREATE_STYLES)
        for layer, qml in styles.items():
            database.execute(
                "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, "
                "styleName, styleQML, useAsDefault, description, update_time) "
                "VALUES ('', '', ?, ?, ?, ?, 1, ?, ?)",
                (layer, _geometry_column(database, layer), layer, qml, f"Default style of {layer}", stamp),
            )
        database.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, description, srs_id) "
            "VALUES ('layer_styles', 'attributes', 'layer_styles', 'QGIS styles', 0)"
        )
        database.execute("UPDATE gpkg_contents SET last_change = ?", (stamp,))


def _geometry_column(database: sqlite3.Connection, layer: str) -> str:
    query = "SELECT column_name FROM gpkg_geometry_columns WHERE table_name = ?"
    return str(database.execute(query, (layer,)).fetchone()[0])
