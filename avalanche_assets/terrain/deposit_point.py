"""Where deposits of a corridor come to rest: the point its patch is centred on.

Most recorded avalanches stop in the lowest tenth of their corridor's drop (62 % of 401 events of the
Belledonne massif in the public inventory), so the point is the centroid of that part on the elevation model.
The lowest pixel alone may lie at the very tip of a runout, or on the far side of a stream.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely.geometry.base import BaseGeometry

from avalanche_assets.grid import Grid, Window

Rule = Literal["lowest_decile", "lowest_pixel"]

LOWEST_SHARE = 0.1
"""Share of the corridor's drop that counts as its deposit part."""


@dataclass(frozen=True)
class DepositPoint:
    """The deposit point of one corridor, always a pixel centre inside the corridor.

    Attributes:
        x: Easting in metres.
        y: Northing in metres.
        elevation_m: Height there.
        top_elevation_m: Greatest height of the corridor.
        known_share: Share of the corridor's pixels that lie on the grid and have a height, above 0 to 1.
    """

    x: float
    y: float
    elevation_m: float
    top_elevation_m: float
    known_share: float


def deposit_point(
    polygon: BaseGeometry, heights: NDArray[np.float32], grid: Grid, rule: Rule = "lowest_decile"
) -> DepositPoint | None:
    """The corridor pixel nearest to the centroid of the corridor's lowest part, or the lowest pixel.

    Args:
        polygon: Corridor in the coordinate system of `grid`.
        heights: Metres, of the grid's shape, NaN in voids.
        grid: Analysis grid.
        rule: ``lowest_decile``, or ``lowest_pixel`` (the first one, from the north-west, of several).

    Returns:
        The deposit point, or None where no pixel of the corridor has a height.
    """
    window = covering_window(polygon, grid)
    inside = rasterize_polygon(polygon, grid.subgrid(window))
    rows, cols = np.nonzero(inside)
    rows, cols = rows + window.row, cols + window.col
    on_grid = (rows >= 0) & (cols >= 0) & (rows < grid.height) & (cols < grid.width)
    z = np.full(rows.size, np.nan, np.float32)
    z[on_grid] = heights[rows[on_grid], cols[on_grid]]
    known = np.isfinite(z)
    if not known.any():
        return None
    rows, cols, z = rows[known], cols[known], z[known]
    top, bottom = z.max(), z.min()
    if rule == "lowest_pixel":
        nearest = int(z.argmin())
    else:
        low = z <= bottom + LOWEST_SHARE * (top - bottom)
        nearest = int(np.hypot(rows - rows[low].mean(), cols - cols[low].mean()).argmin())
    x, y = grid.pixel_centre(float(rows[nearest]), float(cols[nearest]))
    return DepositPoint(x, y, float(z[nearest]), float(top), float(known.mean()))


def covering_window(polygon: BaseGeometry, grid: Grid) -> Window:
    """The smallest window of whole pixels over a polygon; it may reach beyond the grid."""
    west, south, east, north = polygon.bounds
    top, left = grid.row_col(west, north)
    height = max(1, math.ceil((grid.north - south) / grid.resolution) - top)
    width = max(1, math.ceil((east - grid.west) / grid.resolution) - left)
    return Window(top, left, height, width)


def rasterize_polygon(polygon: BaseGeometry, grid: Grid) -> NDArray[np.bool_]:
    """Pixels whose centre the polygon holds; those it touches where it holds no centre at all."""
    mask = np.zeros(grid.shape, np.uint8)
    for all_touched in (False, True):
        rasterize([(polygon, 1)], out=mask, transform=grid.transform, all_touched=all_touched)
        if mask.any():
            break
    return mask.astype(bool)
