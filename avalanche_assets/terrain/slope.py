"""Slope and aspect of an elevation model by Horn's method, as GDAL's gdaldem computes them.

Source: Horn, B. K. P. (1981), Hill shading and the reflectance map, Proceedings of the IEEE 69(1), 14-47:
weighted differences over the eight neighbours (weights 1, 2, 1).
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def horn_slope_aspect(dem: Floats, resolution: float) -> tuple[Floats, Floats]:
    """Slope and downhill direction of every pixel.

    Args:
        dem: Heights in metres (rows, cols), row 0 north, NaN in voids.
        resolution: Pixel size in metres.

    Returns:
        Slope in degrees, 0 to 90, and aspect in degrees clockwise from north, 0 to 360: the direction the
        slope faces (downhill). Both are float32 of the shape of `dem`. Pixels on the frame and those with a
        void among their nine are NaN; flat pixels have slope 0 and aspect NaN.

    Source: Horn (1981); direction and frame as gdaldem's default.
    """
    slope, aspect = _horn(np.ascontiguousarray(dem, np.float32), float(resolution))
    return slope, aspect


@njit(cache=True, nogil=True)
def _horn(dem: Floats, resolution: float) -> tuple[Floats, Floats]:  # pragma: no cover - compiled
    rows, cols = dem.shape
    slope = np.full((rows, cols), np.nan, np.float32)
    aspect = np.full((rows, cols), np.nan, np.float32)
    scale = 1.0 / (8.0 * resolution)
    for row in range(1, rows - 1):
        for col in range(1, cols - 1):
            if math.isnan(dem[row, col]):
                continue
            nw, n, ne = float(dem[row - 1, col - 1]), float(dem[row - 1, col]), float(dem[row - 1, col + 1])
            w, e = float(dem[row, col - 1]), float(dem[row, col + 1])
            sw, s, se = float(dem[row + 1, col - 1]), float(dem[row + 1, col]), float(dem[row + 1, col + 1])
            eastward = ((ne + 2.0 * e + se) - (nw + 2.0 * w + sw)) * scale
            northward = ((nw + 2.0 * n + ne) - (sw + 2.0 * s + se)) * scale
            gradient = math.sqrt(eastward * eastward + northward * northward)
            if math.isnan(gradient):
                continue
            slope[row, col] = math.degrees(math.atan(gradient))
            if gradient > 0.0:
                direction = np.float32(math.degrees(math.atan2(-eastward, -northward)) % 360.0)
                # A direction a hair west of north rounds up to 360 in float32.
                aspect[row, col] = direction if direction < 360.0 else 0.0
    return slope, aspect
