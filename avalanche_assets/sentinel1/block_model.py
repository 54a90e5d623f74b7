"""Azimuth time and slant range of a grid block as quadratic polynomials in easting, northing and height.

Over a block of 64 pixels both are so smooth that ten coefficients, fitted to 27 exact solutions, reproduce
the exact solution to better than a millimetre, at a tenth of the cost. Samples of the image must not be
fitted this way: the ground-range records have kinks in azimuth.
"""

from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pyproj import Transformer

from avalanche_assets.grid import TILE_PX, Grid
from avalanche_assets.machine import usable_cores
from avalanche_assets.sentinel1.geocoding import geodetic_to_ecef, zero_doppler
from avalanche_assets.sentinel1.orbit import Orbit

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]

NODES = np.stack(np.meshgrid(*[[-1.0, 0.0, 1.0]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
"""Control points of a block in scaled easting, northing and height, shape (27, 3)."""
PART_PX = 16
"""Cells are wanted or not by squares of 16 x 16: a quarter of a block's side."""
MIN_HALF_RELIEF_M = 100.0
BATCH_BLOCKS = 1024
"""Blocks that one thread solves at a time."""


class BlockModels(NamedTuple):
    """The polynomials of n grid blocks, as arrays for the compiled kernels.

    Attributes:
        corners: First grid row and column of each block, shape (n, 2).
        height_m: Height at scaled height 0 and height difference of scaled height 1, shape (n, 2).
        node_time: Azimuth time at the control points, seconds since the orbit's epoch, shape (n, 27).
        node_range: Slant range at the control points, metres, shape (n, 27).
        time: Coefficients of azimuth time, shape (n, 10); `quadratic` evaluates them.
        slant_range: Coefficients of slant range, shape (n, 10).
    """

    corners: NDArray[np.int64]
    height_m: Floats
    node_time: Floats
    node_range: Floats
    time: Floats
    slant_range: Floats


def fit_blocks(orbit: Orbit, dem: Float32s, grid: Grid, blocks: NDArray[np.bool_]) -> BlockModels:
    """Fits the polynomials of the wanted 64-pixel blocks of a grid.

    Blocks without heights are left out.

    Args:
        orbit: Path of the platform.
        dem: Heights on the grid in metres over the ellipsoid.
        grid: The analysis grid; its shape is a multiple of 64.
        blocks: Wanted blocks, shape (rows / 64, columns / 64).
    """
    corners = np.argwhere(blocks) * TILE_PX
    with ThreadPoolExecutor(usable_cores()) as threads:
        batches = threads.map(_fit_batch, repeat(orbit), repeat(dem), repeat(grid), _batches(corners))
        return BlockModels(*(np.concatenate(values) for values in zip(*batches, strict=True)))


def _batches(corners: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Blocks by the number that one thread works at a time: one batch at least, which may be empty."""
    return np.split(corners, range(BATCH_BLOCKS, len(corners), BATCH_BLOCKS))


def _fit_batch(orbit: Orbit, dem: Float32s, grid: Grid, corners: NDArray[np.int64]) -> BlockModels:
    extremes = np.empty((len(corners), 2), np.float32)
    _extremes(dem, corners, extremes)
    known = extremes[:, 0] <= extremes[:, 1]
    corners, (lowest, highest) = corners[known], extremes[known].T.astype(np.float64)
    half_relief = np.maximum((highest - lowest) / 2, MIN_HALF_RELIEF_M)
    height_m = np.stack([(lowest + highest) / 2, half_relief], axis=1)
    time, slant_range = zero_doppler(orbit, control_points(corners, height_m, grid))
    return BlockModels(corners, height_m, time, slant_range, time @ FIT.T, slant_range @ FIT.T)


def control_points(corners: NDArray[np.int64], height_m: Floats, grid: Grid) -> Floats:
    """Earth-fixed coordinates of the control points of n blocks in metres, shape (n, 27, 3).

    Args:
        corners: First grid row and column of each block, shape (n, 2).
        height_m: Height at scaled height 0 and height difference of scaled height 1, shape (n, 2).
        grid: The analysis grid.
    """
    half = TILE_PX / 2
    plan, levels = NODES[::3], NODES[:3, 2]  # heights come one after the other over each place
    easting = grid.west + (corners[:, 1, None] + half * (1 + plan[:, 0])) * grid.resolution
    northing = grid.north - (corners[:, 0, None] + half * (1 - plan[:, 1])) * grid.resolution
    lon, lat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(easting, northing)
    height = height_m[:, :1] + height_m[:, 1:] * levels
    return geodetic_to_ecef(lon[..., None], lat[..., None], height[:, None]).reshape(-1, len(NODES), 3)


def part_corners(
    models: BlockModels, dem: Float32s, wanted: NDArray[np.bool_], size: int
) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Azimuth time and slant range at the corners of the wanted squares, at their lowest and highest point.

    Heights of sub-cells are interpolated between cells, at a square's edge with those beyond it: they count.

    Args:
        models: Polynomials of all blocks.
        dem: Heights on the grid.
        wanted: Squares of `size` cells.
        size: Side of a square, `TILE_PX` or `PART_PX`.

    Returns:
        Index of the block of each square, shape (n,), and times and ranges, shape (n, 8); NaN where it and
        the cells around have no height.
    """

    def evaluate(members: NDArray[np.int64]) -> tuple[NDArray[np.int64], Floats, Floats]:
        most = len(members) * (TILE_PX // size) ** 2
        block, (time, slant_range) = np.empty(most, np.int64), np.full((2, most, 8), np.nan)
        count = _part_corners(models, members, dem, wanted, size, block, time, slant_range)
        return block[:count], time[:count], slant_range[:count]

    with ThreadPoolExecutor(usable_cores()) as threads:
        batches = threads.map(evaluate, _batches(np.arange(len(models.corners))))
        block, time, slant_range = (np.concatenate(values) for values in zip(*batches, strict=True))
    return block, time, slant_range


@njit(cache=True, nogil=True)
def _part_corners(
    models: BlockModels,
    members: NDArray[np.int64],
    dem: Float32s,
    wanted: NDArray[np.bool_],
    size: int,
    block: NDArray[np.int64],
    time: Floats,
    slant_range: Floats,
) -> int:
    count, half = 0, TILE_PX / 2
    for member in members:
        row0, col0 = models.corners[member]
        centre, relief = models.height_m[member]
        for part in range((TILE_PX // size) ** 2):
            down, right = part // (TILE_PX // size) * size, part % (TILE_PX // size) * size
            if not wanted[(row0 + down) // size, (col0 + right) // size]:
                continue
            block[count] = member
            extremes = _range_of(dem, row0 + down, col0 + right, size, 1)
            if extremes[0] <= extremes[1]:
                for corner in range(8):
                    x = (right + (corner & 1) * size) / half - 1.0
                    y = 1.0 - (down + (corner >> 1 & 1) * size) / half
                    h = (extremes[corner >> 2] - centre) / relief
                    time[count, corner] = quadratic(models.time[member], x, y, h)
                    slant_range[count, corner] = quadratic(models.slant_range[member], x, y, h)
            count += 1
    return count


@njit(cache=True, nogil=True)
def _extremes(dem: Float32s, corners: NDArray[np.int64], extremes: Float32s) -> None:
    """Lowest and highest height of every block; infinities without any."""
    for block in range(len(corners)):
        extremes[block] = _range_of(dem, corners[block, 0], corners[block, 1], TILE_PX, 0)


@njit(cache=True, nogil=True)
def _range_of(dem: Float32s, row: int, col: int, size: int, around: int) -> tuple[np.float32, np.float32]:
    """Lowest and highest height of a square of cells and so many cells around; infinities without any."""
    left, right = max(col - around, 0), min(col + size + around, dem.shape[1])
    # By columns first: the compiler works whole rows at once.
    lowest, highest = np.full(right - left, np.inf, np.float32), np.full(right - left, -np.inf, np.float32)
    for i in range(max(row - around, 0), min(row + size + around, dem.shape[0])):
        for j in range(right - left):
            height = dem[i, left + j]
            # A comparison with NaN is false.
            lowest[j] = height if height < lowest[j] else lowest[j]
            highest[j] = height if height > highest[j] else highest[j]
    return lowest.min(), highest.max()


def _terms(scaled: Floats) -> Floats:
    x, y, h = scaled.T
    return np.stack([np.ones_like(x), x, y, h, x * x, y * y, h * h, x * y, x * h, y * h], axis=1)


FIT: Floats = np.asarray(np.linalg.pinv(_terms(NODES)), np.float64)
"""Least-squares solution: coefficients (10,) from values at the control points (27,)."""


@njit(cache=True, nogil=True, inline="always")
def quadratic(c: Floats, x: float, y: float, h: float) -> float:
    """Value of a block's polynomial at scaled easting, northing and height, each -1 to 1 in the block."""
    value: float = c[0] + y * (c[2] + c[5] * y) + x * (c[1] + c[4] * x + c[7] * y)
    value += h * (c[3] + c[6] * h + c[8] * x + c[9] * y)
    return value
