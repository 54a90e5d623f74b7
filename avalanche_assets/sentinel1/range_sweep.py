"""Layover and shadow by true range ordering, in time linear in the number of cells.

Along a line of constant azimuth, going away from the radar, slant range and look angle both grow on ground
that is seen properly. A cell lies in layover when a cell nearer to the track has a larger slant range, or a
farther one a smaller; it lies in shadow when a nearer cell has a larger look angle. All three are one
question, "has a cell met before a larger value?", so one sweep answers them: with the slant range outward,
with its negative inward and with the look angle outward.

The track of Sentinel-1 runs near north and south, so the lines run near the rows of a grid in UTM. All lines
advance together, column by column, one to a row at the start; each keeps the largest value met so far. Lines
bend with the look direction but never cross, and a cell is compared with the two lines it lies between:
none is missed, and nothing is interpolated twice.

Source: G. Schreier (ed.), SAR Geocoding: Data and Systems, Wichmann, 1993, for layover and shadow by range
and look angle.
"""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit
from numpy.typing import NDArray

from avalanche_assets.errors import TerrainError
from avalanche_assets.grid import TILE_PX
from avalanche_assets.machine import usable_cores
from avalanche_assets.sentinel1.block_model import BlockModels, quadratic
from avalanche_assets.sentinel1.visibility import Visibility

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]
Flags = NDArray[np.uint8]
Indices = NDArray[np.int64]

LAYOVER = int(Visibility.LAYOVER)
SHADOW = int(Visibility.SHADOW)

BAND_LINES = 512
"""Lines that one thread sweeps at a time: what it holds of 64 columns stays in the cache."""
NOTHING_MET = -1e30


def flag_obstructed(dem: Float32s, models: BlockModels, look_angle: Floats, flags: Flags) -> None:
    """Adds the bits LAYOVER and SHADOW to `flags`.

    Terrain beyond the grid's edge and cells without height are unknown and hide nothing. The lines follow the
    look direction at mean height: 1,000 m of height move a point of constant azimuth by some 4 m.

    Args:
        dem: Heights in metres over the ellipsoid, NaN where unknown; its shape is a multiple of 64.
        models: Azimuth time and slant range of the grid's blocks.
        look_angle: Coefficients of the look angle of the same blocks, shape (n, 10), radians.
        flags: `Visibility` bits of the shape of `dem`, changed in place.

    Raises:
        TerrainError: The look direction does not run along the rows, so the grid does not suit the track.
    """
    blocks = dem.shape[0] // TILE_PX, dem.shape[1] // TILE_PX
    index = np.full(blocks, -1, np.int64)
    index[tuple((models.corners // TILE_PX).T)] = np.arange(len(models.corners))
    slopes, outward = _look_direction(models, blocks)
    with ThreadPoolExecutor(usable_cores()) as threads:
        for terms, direction, bit in (
            (models.slant_range, outward, LAYOVER),
            (-models.slant_range, -outward, LAYOVER),
            (look_angle, outward, SHADOW),
        ):
            downward = slopes * direction
            first = math.floor(min(0.0, -downward.max() * dem.shape[1])) - 1
            last = math.ceil(dem.shape[0] + max(0.0, -downward.min() * dem.shape[1])) + 1

            def sweep(
                start: int,
                terms: Floats = terms,
                direction: int = direction,
                bit: int = bit,
                last: int = last,
                downward: Floats = downward,
            ) -> None:
                stop = min(start + BAND_LINES, last)
                _sweep(dem, index, models.height_m, terms, downward, direction, start, stop, bit, flags)

            list(threads.map(sweep, range(first, last, BAND_LINES)))


def _look_direction(models: BlockModels, blocks: tuple[int, int]) -> tuple[Floats, int]:
    """Rows down per column eastward at constant azimuth (of all blocks), and the sign of outward columns.

    The slope is smooth, so a quadratic surface through the blocks gives it where there are no heights too.
    """
    along_x, along_y = models.time[:, 1], models.time[:, 2]
    outward = np.sign(models.slant_range[:, 1])
    seen = np.isfinite(along_x)
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = along_x / along_y
    if not seen.any():
        raise TerrainError("dem: the radar sees none of its heights; check track and orbit")
    if np.abs(slope[seen]).max() > 1.0 or np.abs(outward[seen].sum()) != seen.sum():
        raise TerrainError("grid.crs: its rows do not run across the track; use the UTM zone of the area")
    row, col = (models.corners[seen] / TILE_PX / max(blocks)).T
    fitted, *_ = np.linalg.lstsq(_surface(row, col), slope[seen], rcond=None)
    rows, cols = np.mgrid[: blocks[0], : blocks[1]] / max(blocks)
    return (_surface(rows.ravel(), cols.ravel()) @ fitted).reshape(blocks), int(outward[seen][0])


def _surface(row: Floats, col: Floats) -> Floats:
    return np.stack([np.ones_like(row), row, col, row * row, row * col, col * col], axis=1)


@njit(cache=True, nogil=True)
def _sweep(
    dem: Float32s,
    index: Indices,
    height_m: Floats,
    terms: Floats,
    downward: Floats,
    direction: int,
    first: int,
    stop: int,
    bit: int,
    flags: Flags,
) -> None:
    """Marks the cells between lines `first` and `stop` that lie behind a larger value."""
    rows, block_cols = dem.shape[0], index.shape[1]
    reach = int(TILE_PX * np.abs(downward).max()) + 3
    position = np.arange(first, stop + 1).astype(np.float64)
    largest = np.full(position.size, NOTHING_MET)
    values = np.empty((TILE_PX, rows))
    for step in range(block_cols):
        block_col = step if direction > 0 else block_cols - 1 - step
        top = max(math.floor(position[0]) - reach, 0)
        bottom = min(math.ceil(position[-1]) + reach, rows)
        if top < bottom:
            _evaluate(dem, index, height_m, terms, block_col, top, bottom, values)
        for offset in range(TILE_PX):
            inner = offset if direction > 0 else TILE_PX - 1 - offset
            if top < bottom:
                _mark(values[inner], position, largest, bit, flags, block_col * TILE_PX + inner)
                _meet(values[inner], position, largest)
            for line in range(position.size):
                block_row = min(max(int(position[line]), 0), rows - 1) // TILE_PX
                position[line] += downward[block_row, block_col]


@njit(cache=True, nogil=True)
def _evaluate(
    dem: Float32s,
    index: Indices,
    height_m: Floats,
    terms: Floats,
    block_col: int,
    top: int,
    bottom: int,
    values: Floats,
) -> None:
    """Values of rows `top` to `bottom` of one column of blocks, by column; NaN where unknown."""
    half = TILE_PX / 2
    for row in range(top, bottom):
        model = index[row // TILE_PX, block_col]
        if model < 0:
            values[:, row] = np.nan
            continue
        centre, relief = height_m[model]
        y = 1.0 - (row % TILE_PX + 0.5) / half
        for inner in range(TILE_PX):
            h = (dem[row, block_col * TILE_PX + inner] - centre) / relief
            values[inner, row] = quadratic(terms[model], (inner + 0.5) / half - 1.0, y, h)


@njit(cache=True, nogil=True)
def _mark(column: Floats, position: Floats, largest: Floats, bit: int, flags: Flags, col: int) -> None:
    for line in range(position.size - 1):
        upper, lower = position[line], position[line + 1]
        for row in range(max(math.ceil(upper), 0), min(math.ceil(lower), column.size)):
            below = (row - upper) / (lower - upper)
            # A comparison with NaN is false: a cell without height is not flagged.
            if column[row] < (1.0 - below) * largest[line] + below * largest[line + 1]:
                flags[row, col] |= bit


@njit(cache=True, nogil=True)
def _meet(column: Floats, position: Floats, largest: Floats) -> None:
    for line in range(position.size):
        if 0.0 <= position[line] <= column.size - 1:
            row = min(int(position[line]), column.size - 2)
            below = position[line] - row
            value = (1.0 - below) * column[row] + below * column[row + 1]
            # A comparison with NaN is false: unknown ground hides nothing.
            if value > largest[line]:
                largest[line] = value
