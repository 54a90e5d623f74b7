"""Slope and aspect of an elevation model by Horn's method, as GDAL's gdaldem computes them.

Sources: Horn, B. K. P. (1981), Hill shading and the reflectance map, Proceedings of the IEEE 69(1), 14-47:
weighted differences over the eight neighbours (weights 1, 2, 1). Abramowitz, M. and Stegun, I. (1964),
Handbook of Mathematical Functions, 4.4.49: the arc tangent as a polynomial, which the compiler turns into
vector instructions.
"""

from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pyproj import CRS

from avalanche_assets.errors import TerrainError
from avalanche_assets.grid import Grid, Window
from avalanche_assets.rasters import STREAM_PX, cog_writer, read_bands, read_grid

Floats = NDArray[np.float32]

UNITS = {"slope": "deg", "aspect": "deg"}
DEGREES = np.float32(180.0 / np.pi)
HALF_TURN, QUARTER_TURN, FULL_TURN = np.float32(180.0), np.float32(90.0), np.float32(360.0)
ONE, TWO, ZERO = np.float32(1.0), np.float32(2.0), np.float32(0.0)
# Coefficients of x^2 to x^16 in atan(x) / x for 0 <= x <= 1; the error is below 2e-8 rad.
A2, A4, A6, A8, A10, A12, A14, A16 = (
    np.float32(value)
    for value in (
        -0.3333314528,
        0.1999355085,
        -0.1420889944,
        0.1065626393,
        -0.0752896400,
        0.0429096138,
        -0.0161657367,
        0.0028662257,
    )
)


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
    slope, aspect = (np.full(dem.shape, np.nan, np.float32) for _ in range(2))
    _horn(np.ascontiguousarray(dem, np.float32), np.float32(1.0 / (8.0 * resolution)), slope, aspect)
    return slope, aspect


def write_slope_aspect(dem: Path, target: Path) -> None:
    """Slope and aspect of a stored elevation model as a raster with bands `UNITS`.

    The elevation model is read once in strips, so that memory grows with its width only.

    Args:
        dem: Raster with the band ``elevation``, metres on a projected grid.
        target: Cloud-Optimized GeoTIFF to write; see `horn_slope_aspect` for its values.

    Raises:
        TerrainError: The elevation model is not on a grid in metres.
        TableError: It is missing or damaged.
    """
    grid = read_grid(dem)
    _require_metres(dem, grid)
    with cog_writer(target, UNITS, grid) as write:
        for row in range(0, grid.height, STREAM_PX):
            strip = Window(row, 0, min(STREAM_PX, grid.height - row), grid.width)
            above, below = int(row > 0), int(row + strip.height < grid.height)
            around = Window(row - above, 0, strip.height + above + below, grid.width)
            heights = read_bands(dem, ["elevation"], around)["elevation"]
            own = slice(above, above + strip.height)
            slope, aspect = horn_slope_aspect(heights, grid.resolution)
            write(strip, {"slope": slope[own], "aspect": aspect[own]})


def _require_metres(path: Path, grid: Grid) -> None:
    """In degrees gdaldem silently answers with slopes of 89.999 degrees."""
    crs = CRS.from_user_input(grid.crs)
    if not crs.is_projected or crs.axis_info[0].unit_name != "metre":
        raise TerrainError(
            f"{path}: its grid is {grid.crs}, not in metres, so heights over it make no slope; materialise "
            "dem with a projected grid.crs, e.g. EPSG:32632"
        )


@njit(cache=True, nogil=True, inline="always")
def _atan(x: np.float32) -> np.float32:  # pragma: no cover - compiled
    """Arc tangent in degrees for 0 <= x <= 1; NaN stays."""
    s = x * x
    series = A2 + s * (A4 + s * (A6 + s * (A8 + s * (A10 + s * (A12 + s * (A14 + s * A16))))))
    return DEGREES * (x + x * s * series)


@njit(cache=True, nogil=True, error_model="numpy")
def _horn(dem: Floats, scale: np.float32, slope: Floats, aspect: Floats) -> None:  # pragma: no cover
    """Fills all but the frame. Without branches, so that eight or more pixels go at once; NaN spreads."""
    rows, cols = dem.shape
    for row in range(1, rows - 1):
        north, here, south = dem[row - 1], dem[row], dem[row + 1]
        slopes, aspects = slope[row], aspect[row]
        for col in range(1, cols - 1):
            nw, n, ne = north[col - 1], north[col], north[col + 1]
            sw, s, se = south[col - 1], south[col], south[col + 1]
            # Differences of neighbours first: they are small and exact, sums of heights are not.
            eastward = ((ne - nw) + TWO * (here[col + 1] - here[col - 1]) + (se - sw)) * scale
            northward = ((nw - sw) + TWO * (n - s) + (ne - se)) * scale
            gradient = np.sqrt(eastward * eastward + northward * northward) + ZERO * here[col]
            steep = gradient > ONE
            angle = _atan(ONE / gradient if steep else gradient)
            slopes[col] = QUARTER_TURN - angle if steep else angle

            across, along = abs(eastward) + ZERO * here[col], abs(northward)
            # On flat ground 0 / 0: no direction.
            turn = _atan(along / across if across > along else across / along)
            turn = QUARTER_TURN - turn if across > along else turn
            turn = HALF_TURN - turn if northward > ZERO else turn
            turn = FULL_TURN - turn if eastward > ZERO else turn
            aspects[col] = ZERO if turn >= FULL_TURN else turn
