"""Outlines of simulated corridors: the ground around a talweg whose snow runs into it.

A wide release bowl, a narrower track and a runout are drawn around the talweg, then cut back to the cells
that drain into it, so that an outline ends at crests and spurs as a mapped one does.
"""

import numpy as np
import shapely
from numba import njit
from numpy.typing import NDArray
from rasterio.features import rasterize, shapes
from scipy import ndimage
from shapely import LineString, Polygon
from shapely.geometry import shape
from shapely.ops import nearest_points

from avalanche_assets.grid import Grid, Window
from avalanche_assets.simulation.flow import Cells

MEDIAN_AREA_M2 = 26e4
CORE_M = 35.0
"""Half width of the track that belongs to the corridor in any case."""


def corridor_outline(line: LineString, receivers: Cells, grid: Grid, rng: np.random.Generator) -> Polygon:
    """Outline of the corridor of one talweg; log-normal areas around 26 ha, larger for longer ones.

    Args:
        line: Talweg from top to bottom on the grid's coordinate system.
        receivers: Flat index of the cell that each cell of the grid drains to.
        grid: The landscape's grid.
        rng: Varies width and shape.
    """
    reach, runout = _reach(line, rng)
    west, south, east, north = reach.bounds
    top, left = grid.row_col(west, north)
    bottom, right = grid.row_col(east, south)
    top, left = max(top - 1, 0), max(left - 1, 0)
    bottom, right = min(bottom + 2, grid.height), min(right + 2, grid.width)
    window = grid.subgrid(Window(top, left, bottom - top, right - left))

    def cells(polygon: Polygon) -> NDArray[np.bool_]:
        burnt: NDArray[np.uint8] = rasterize(
            [polygon], window.shape, transform=window.transform, all_touched=True
        )
        return burnt > 0

    talweg = cells(line)
    inside = cells(reach) & (_drains_to(talweg, receivers, top, left, grid.width) | cells(runout))
    inside = ndimage.binary_opening(inside, iterations=1) | cells(line.buffer(CORE_M))
    labels, _ = ndimage.label(ndimage.binary_fill_holes(inside))
    kept = labels == labels[talweg][0]
    pieces = [
        shape(piece) for piece, _ in shapes(kept.astype(np.uint8), mask=kept, transform=window.transform)
    ]
    # Rounding the cell corners away, as a drawn line would.
    drawn = shapely.union_all(pieces).buffer(30.0).buffer(-45.0).buffer(15.0).simplify(5.0)
    return Polygon(max(getattr(drawn, "geoms", [drawn]), key=lambda part: part.area).exterior)


def make_neighbours_touch(outlines: list[Polygon]) -> list[Polygon]:
    """Lets the two closest separate corridors share a boundary, as real neighbours do."""
    tree = shapely.STRtree(outlines)
    pairs = tree.query(outlines, "dwithin", 400.0).T
    gaps = [
        (outlines[a].distance(outlines[b]), int(a), int(b))
        for a, b in pairs
        if a < b and not outlines[a].intersects(outlines[b])
    ]
    if not gaps:
        return outlines
    gap, a, b = min(gaps)
    bridge = LineString(nearest_points(outlines[a], outlines[b])).buffer(gap + 40.0, quad_segs=4)
    bridge = bridge.intersection(outlines[a].buffer(gap + 5.0))
    grown = shapely.difference(shapely.union(outlines[a], bridge), outlines[b])
    touching = list(outlines)
    touching[a] = Polygon(max(getattr(grown, "geoms", [grown]), key=lambda part: part.area).exterior)
    return touching


def _reach(line: LineString, rng: np.random.Generator) -> tuple[Polygon, Polygon]:
    """The widest the corridor may be, and the disc at its end."""
    area = 1.05 * MEDIAN_AREA_M2 * (line.length / 1400.0) ** 1.3 * rng.lognormal(0.0, 0.9)
    share = np.linspace(0.0, 1.0, 25)
    wobble = np.interp(share, np.linspace(0.0, 1.0, 7), rng.uniform(0.8, 1.2, 7))
    profile = np.interp(share, [0.0, 0.12, 0.3, 0.6, 0.85, 1.0], [1.2, 1.6, 1.2, 0.7, 0.9, 0.7]) * wobble
    width = np.clip(area / line.length / profile.mean(), 80.0, 900.0)
    points = shapely.line_interpolate_point(line, share, normalized=True)
    discs = shapely.buffer(points, 0.5 * width * profile, quad_segs=6)
    reach = shapely.union_all(shapely.convex_hull(shapely.union(discs[:-1], discs[1:])))
    return reach, shapely.buffer(points[-1], min(0.5 * width * profile[-1], 120.0))


@njit(cache=True)
def _walk_down(
    talweg: NDArray[np.bool_], receivers: Cells, top: int, left: int, width: int
) -> NDArray[np.bool_]:
    rows, cols = talweg.shape
    out = np.zeros((rows, cols), np.bool_)
    for row in range(rows):
        for col in range(cols):
            r, c = row, col
            for _ in range(400):
                if talweg[r, c]:
                    out[row, col] = True
                    break
                at = (r + top) * width + c + left
                after = receivers[at]
                r, c = after // width - top, after % width - left
                if after == at or r < 0 or c < 0 or r >= rows or c >= cols:
                    break
    return out


def _drains_to(
    talweg: NDArray[np.bool_], receivers: Cells, top: int, left: int, width: int
) -> NDArray[np.bool_]:
    """Cells of a window (corner at `top`, `left` of a grid `width` wide) whose water reaches the talweg."""
    found: NDArray[np.bool_] = _walk_down(talweg, receivers, top, left, width)
    return found
