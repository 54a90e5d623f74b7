"""Sites as polygons from the lines of the official corridor map.

CODE 1 is the outline of a site as an open polyline whose end gap (about 86 m) has to be closed, CODE 2 to 4
are talweg, observation line and alert line.
"""

import math
from collections import Counter
from itertools import combinations, product

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
WIDE_GAP = 0.2
"""Share of an outline's length; the usual gap is a fiftieth of that."""
WIDELY_CLOSED = "of these over a gap of more than a fifth of their length"

Stroke = list[tuple[float, float]]


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
    closed = {
        name: _closed(shapely.get_parts(lines.to_numpy()))
        for name, lines in outlines.groupby("corridor_id").geometry
    }
    shapes = {name: shape for name, (shape, _) in closed.items()}
    mended["closed outlines"] = len(shapes)
    mended[WIDELY_CLOSED] = sum(wide for _, wide in closed.values())
    mended["lines left out that are no outlines"] = len(others)
    polygons = sites.set_geometry(gpd.GeoSeries(shapes, crs=frame.crs))
    return gpd.GeoDataFrame(
        pd.concat([frame[~is_line], polygons], ignore_index=True), geometry="geometry", crs=frame.crs
    )


def _closed(lines: NDArray[np.object_]) -> tuple[BaseGeometry, bool]:
    """The area inside outlines drawn in one or several strokes, and whether a wide gap had to be closed."""
    merged = shapely.get_parts(shapely.line_merge(shapely.multilinestrings(lines)))
    rings = _joined([line.coords[:] for line in merged])
    wide = any(math.dist(ring[0], ring[-1]) > WIDE_GAP * shapely.LineString(ring).length for ring in rings)
    polygons = [shapely.Polygon(ring) for ring in rings if len(ring) >= 3]
    if len(polygons) == 1:
        return polygons[0], wide  # repaired and counted with all other shapes where it crosses itself
    return shapely.union_all(shapely.make_valid(polygons)) if polygons else shapely.Polygon(), wide


def _joined(strokes: list[Stroke]) -> list[Stroke]:
    """Strokes put end to end where two come closer to each other than either does to its own beginning."""
    strokes = list(strokes)
    while pairs := [
        (gap, first, second)
        for first, second in combinations(range(len(strokes)), 2)
        if (gap := _gap(*_towards(strokes[first], strokes[second])))
        < min(math.dist(stroke[0], stroke[-1]) for stroke in (strokes[first], strokes[second]))
    ]:
        _, first, second = min(pairs)
        later, earlier = strokes.pop(second), strokes.pop(first)
        strokes.append([point for stroke in _towards(earlier, later) for point in stroke])
    return strokes


def _towards(first: Stroke, second: Stroke) -> tuple[Stroke, Stroke]:
    """The two strokes, turned so that the end of one lies closest to the start of the other."""
    turns = product((first, first[::-1]), (second, second[::-1]))
    return min(turns, key=lambda pair: _gap(*pair))


def _gap(first: Stroke, second: Stroke) -> float:
    return math.dist(first[-1], second[0])
