"""Corridors from a text table whose shapes are written as WKT."""

import re
from pathlib import Path

import geopandas as gpd
import pandas as pd
import shapely

from avalanche_assets.errors import InventoryError
from avalanche_assets.inventory.columns import find_columns
from avalanche_assets.inventory.csv_text import DelimitedText
from avalanche_assets.inventory.report import Rejection

TEXT_SUFFIXES = {".csv", ".tsv", ".txt"}
WKT_NAMES = {"wkt": ("wkt", "wkt_geom", "geometry", "geometrie", "geom", "the_geom")}
EWKT = re.compile(r"^\s*SRID=(\d+)\s*;", re.IGNORECASE)
SHOWN = 40
"""Characters of an unreadable shape that the report quotes."""


def read_wkt_table(path: Path, setting: str, crs: str | None) -> tuple[gpd.GeoDataFrame, list[Rejection]]:
    """All columns as text and the shapes, indexed by line number; and the rows that could not be read.

    Args:
        path: Text table with a header.
        setting: The setting that names it, for errors.
        crs: Coordinate system of the shapes; not needed where they say it themselves (``SRID=2154;...``).

    Raises:
        InventoryError: The table cannot be read, has no column of shapes or no coordinate system.
    """
    table = DelimitedText.open(path, setting)
    found = find_columns(table.headers, WKT_NAMES)
    if not found:
        raise InventoryError(
            f"{path}: no column of shapes; accepted are {list(WKT_NAMES['wkt'])}, found {table.headers}"
        )
    frame, rejected = table.columns(table.headers)
    written = frame.pop(found["wkt"])
    srids = written.str.extract(EWKT)[0]
    system = _system(set(srids.dropna()), crs, path)
    shapes = shapely.from_wkt(written.str.replace(EWKT, "", regex=True).to_numpy(object), on_invalid="ignore")
    unreadable = pd.isna(shapes) & (written != "").to_numpy()
    rejected += [
        Rejection(f"line {line}", f"shape '{text[:SHOWN]}' is no WKT")
        for line, text in written[unreadable].items()
    ]
    return gpd.GeoDataFrame(frame[~unreadable], geometry=shapes[~unreadable], crs=system), rejected


def _system(srids: set[str], crs: str | None, path: Path) -> str:
    if len(srids) > 1:
        raise InventoryError(f"{path}: shapes of several coordinate systems {sorted(srids)}; give one")
    if srids:
        return f"EPSG:{srids.pop()}"
    if crs is None:
        raise InventoryError(
            f"{path}: unknown coordinate system; set inventory.corridors_crs, such as EPSG:2154"
        )
    return crs
