"""Azimuth time and slant range of a grid block as quadratic polynomials in easting, northing and height.

Over a block of 64 pixels both are so smooth that ten coefficients, fitted to 27 exact solutions, reproduce
the exact solution to better than a millimetre, at a tenth of the cost. Samples of the image must not be
fitted this way: the ground-range records have kinks in azimuth.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pyproj import Transformer

from avalanche_assets.grid import TILE_PX, Grid
from avalanche_assets.sentinel1.geocoding import geodetic_to_ecef, zero_doppler
from avalanche_assets.sentinel1.orbit import Orbit

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]

NODES = np.stack(np.meshgrid(*[[-1.0, 0.0, 1.0]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
"""Control points of a block in scaled easting, northing and height, shape (27, 3)."""
MIN_HALF_RELIEF_M = 100.0
SUBCELLS = 2
"""A cell is sampled at 2 x 2 points, so that an image pixel of 10 m is not skipped on a grid of 20 m."""


@dataclass(frozen=True)
class BlockModel:
    """The polynomials of one grid block.

    Attributes:
        row: First grid row of the block.
        col: First grid column of the block.
        height_centre_m: Height at scaled height 0.
        half_relief_m: Height difference of scaled height 1.
        node_time: Azimuth time at the control points, seconds since the orbit's epoch, shape (27,).
        node_range: Slant range at the control points, metres, shape (27,).
    """

    row: int
    col: int
    height_centre_m: float
    half_relief_m: float
    node_time: Floats
    node_range: Floats

    def locate(self, dem: Float32s) -> tuple[Floats, Floats]:
        """Azimuth time and slant range of the sub-cells of the block's cells.

        Args:
            dem: Heights of the whole grid in metres over the ellipsoid, NaN where unknown.

        Returns:
            Seconds and metres, each of shape (64, 64, 4); NaN where the cell has no height.
        """
        time = np.empty((TILE_PX, TILE_PX, SUBCELLS**2))
        slant_range = np.empty_like(time)
        _evaluate(
            dem,
            self.row,
            self.col,
            self.height_centre_m,
            self.half_relief_m,
            FIT @ self.node_time,
            FIT @ self.node_range,
            time,
            slant_range,
        )
        return time, slant_range


def fit_blocks(orbit: Orbit, dem: Float32s, grid: Grid, blocks: NDArray[np.bool_]) -> list[BlockModel]:
    """Fits the polynomials of the wanted 64-pixel blocks of a grid; blocks without heights are left out.

    Args:
        orbit: Path of the platform.
        dem: Heights on the grid in metres over the ellipsoid.
        grid: The analysis grid; its shape is a multiple of 64.
        blocks: Wanted blocks, shape (rows / 64, columns / 64).
    """
    corners, centres, reliefs = [], [], []
    for block_row, block_col in np.argwhere(blocks):
        row, col = int(block_row) * TILE_PX, int(block_col) * TILE_PX
        heights = dem[row : row + TILE_PX, col : col + TILE_PX]
        if np.isnan(heights).all():
            continue
        low, high = float(np.nanmin(heights)), float(np.nanmax(heights))
        corners.append((row, col))
        centres.append((low + high) / 2)
        reliefs.append(max((high - low) / 2, MIN_HALF_RELIEF_M))
    if not corners:
        return []
    half = TILE_PX / 2
    rows, cols = np.array(corners, np.float64).T
    easting = grid.west + (cols[:, None] + half * (1 + NODES[:, 0])) * grid.resolution
    northing = grid.north - (rows[:, None] + half * (1 - NODES[:, 1])) * grid.resolution
    height = np.array(centres)[:, None] + np.array(reliefs)[:, None] * NODES[:, 2]
    lon, lat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(easting, northing)
    time, slant_range = zero_doppler(orbit, geodetic_to_ecef(lon, lat, height))
    return [
        BlockModel(*corners[index], centres[index], reliefs[index], time[index], slant_range[index])
        for index in range(len(corners))
    ]


def _terms(scaled: Floats) -> Floats:
    x, y, h = scaled.T
    return np.stack([np.ones_like(x), x, y, h, x * x, y * y, h * h, x * y, x * h, y * h], axis=1)


FIT: Floats = np.asarray(np.linalg.pinv(_terms(NODES)), np.float64)
"""Least-squares solution: coefficients (10,) from values at the control points (27,)."""


@njit(cache=True, nogil=True)
def _evaluate(
    dem: Float32s,
    first_row: int,
    first_col: int,
    height_centre: float,
    half_relief: float,
    time_terms: Floats,
    range_terms: Floats,
    time: Floats,
    slant_range: Floats,
) -> None:
    size = time.shape[0]
    for row in range(size):
        for col in range(size):
            for sub in range(4):
                down, right = 2 * (sub // 2) - 1, 2 * (sub % 2) - 1
                height = _subcell_height(dem, first_row + row, first_col + col, down, right)
                x = (col + 0.5 + 0.25 * right) / (0.5 * size) - 1.0
                y = 1.0 - (row + 0.5 + 0.25 * down) / (0.5 * size)
                h = (height - height_centre) / half_relief
                time[row, col, sub] = _quadratic(time_terms, x, y, h)
                slant_range[row, col, sub] = _quadratic(range_terms, x, y, h)


@njit(cache=True, nogil=True)
def _quadratic(c: Floats, x: float, y: float, h: float) -> float:
    value: float = c[0] + c[1] * x + c[2] * y + c[3] * h
    value += c[4] * x * x + c[5] * y * y + c[6] * h * h + c[7] * x * y + c[8] * x * h + c[9] * y * h
    return value


@njit(cache=True, nogil=True)
def _subcell_height(dem: Float32s, row: int, col: int, down: int, right: int) -> float:
    """Height a quarter cell off the centre, bilinear; a neighbour without height counts as the centre."""
    centre = dem[row, col]
    other_row, other_col = row + down, col + right
    if other_row < 0 or other_row >= dem.shape[0]:
        other_row = row
    if other_col < 0 or other_col >= dem.shape[1]:
        other_col = col
    vertical, horizontal = dem[other_row, col], dem[row, other_col]
    diagonal = dem[other_row, other_col]
    vertical = centre if np.isnan(vertical) else vertical
    horizontal = centre if np.isnan(horizontal) else horizontal
    diagonal = centre if np.isnan(diagonal) else diagonal
    return float(9.0 * centre + 3.0 * vertical + 3.0 * horizontal + diagonal) / 16.0
