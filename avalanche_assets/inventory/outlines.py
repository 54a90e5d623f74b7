"""Sites as polygons from the lines of the official corridor map.

CODE 1 is the outline of a site as an open polyline whose end gap (about 86 m) has to be closed, CODE 2 to 4
are talweg, observation line and alert line.
"""

from collections import Counter

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from avalanche_assets.errors import InventoryError
from avalanche_assets.inventory.report import Rejection

OUTLINE_CODE = 1
LINES = ("LineString", "MultiLineString")


def close_outlines(
    frame: gpd.GeoDataFrame,
    codes: "pd.Series[float]",
    where: str,
    mended: Counter[str],
    rejected: list[Rejection],
) -> gpd.GeoDataFrame:
    """The frame with one polygon a site instead of its lines; features that are no lines stay as they are.

    Args:
        frame: Columns corridor_id and feature.
        codes: CODE of every feature.
        where: The file, for errors.
        mended: Receives how many outlines were closed and how many other lines were left out.
        rejected: Receives lines without id, and sites of which only other lines are there.

    Raises:
        InventoryError: No line is an outline.
    """
    is_line = frame.geom_type.isin(LINES).to_numpy()
    is_outline = is_line & (codes == OUTLINE_CODE).to_numpy()
    if not is_outline.any():
        found = sorted(set(codes[is_line].dropna()))
        raise InventoryError(f"{where}: no line has CODE {OUTLINE_CODE} (site outline); found {found}")
    named = (frame["corridor_id"] != "").to_numpy()
    rejected += [Rejection(feature, "no corridor id") for feature in frame.feature[is_outline & ~named]]
    outlines, others = frame[is_outline & named], frame[is_line & ~is_outline]
    bare = others[~others["corridor_id"].isin(set(frame["corridor_id"][~is_line | is_outline]) | {""})]
    rejected += [
        Rejection(site, f"it has no outline (CODE {OUTLINE_CODE})") for site in bare["corridor_id"].unique()
    ]
    sites = outlines.drop_duplicates("corridor_id").set_index("corridor_id", drop=False)
    shapes = {
        name: _closed(shapely.get_parts(lines.to_numpy()))
        for name, lines in outlines.groupby("corridor_id").geometry
    }
    mended["closed outlines"] = len(shapes)
    mended["lines left out that are no outlines"] = len(others)
    polygons = sites.set_geometry(gpd.GeoSeries(shapes, crs=frame.crs))
    return gpd.GeoDataFrame(
        pd.concat([frame[~is_line], polygons], ignore_index=True), geometry="geometry", crs=frame.crs
    )


def _closed(lines: NDArray[np.object_]) -> BaseGeometry:
    """The area inside outlines drawn in one or several strokes."""
    merged = shapely.get_parts(shapely.line_merge(shapely.multilinestrings(lines)))
    rings = [shapely.Polygon(line) for line in merged if len(line.coords) >= 3]
    return shapely.union_all(shapely.make_valid(rings)) if rings else shapely.Polygon()
