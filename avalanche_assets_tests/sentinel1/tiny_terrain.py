"""A grid under the path of `tiny_safe`, with distances along and across its look direction."""

import numpy as np
import tiny_safe
from pyproj import Transformer

from avalanche_assets.grid import Grid
from avalanche_assets.sentinel1.orbit import Orbit

TIMES = np.arange(0.0, 130.0, 10.0)
ORBIT = Orbit(tiny_safe.EPOCH, TIMES, tiny_safe.position(TIMES))
CRS = "EPSG:32632"


def _grid() -> Grid:
    middle = tiny_safe.ground_point(60.0, 902e3)
    x, y, _ = Transformer.from_crs("EPSG:4979", CRS, always_xy=True).transform(*middle)
    return Grid(CRS, 20.0, round(x - 2560), round(y + 2560), 256, 256)


GRID = _grid()
FLAT = np.full(GRID.shape, 800.0, np.float32)
COLS, ROWS = np.meshgrid(np.arange(256) - 127.5, np.arange(256) - 127.5)
INNER = np.hypot(COLS, ROWS) < 90


def outward_direction() -> tuple[float, float]:
    """Easting and northing of a unit step away from the radar, from two points of one azimuth time."""
    transformer = Transformer.from_crs("EPSG:4979", CRS, always_xy=True)
    near = transformer.transform(*tiny_safe.ground_point(60.0, 902.0e3, 800.0))
    far = transformer.transform(*tiny_safe.ground_point(60.0, 903.0e3, 800.0))
    east, north = far[0] - near[0], far[1] - near[1]
    return east / np.hypot(east, north), north / np.hypot(east, north)


EAST, NORTH = outward_direction()
OUTWARD_M = 20.0 * (COLS * EAST - ROWS * NORTH)
"""Metres along the range direction from the middle of the grid, growing away from the radar."""
SIDEWAYS_M = 20.0 * (-COLS * NORTH - ROWS * EAST)
"""Metres across it, a quarter turn to the left."""


def plane(outward_deg: float, sideways_deg: float = 0.0) -> np.ndarray:
    """A plane that rises by these angles in the two directions; positive outward faces the radar."""
    rise = OUTWARD_M * np.tan(np.radians(outward_deg)) + SIDEWAYS_M * np.tan(np.radians(sideways_deg))
    return (800 + rise).astype(np.float32)


def ridge(height_m: float, foot_m: float) -> np.ndarray:
    """A straight ridge across the range direction, falling to both sides."""
    return (800 + height_m * np.clip(1 - np.abs(OUTWARD_M) / foot_m, 0, None)).astype(np.float32)
