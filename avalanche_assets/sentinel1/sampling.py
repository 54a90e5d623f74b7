"""The compiled heart of geocoding: grid cells are located in the image and their power is sampled.

Each cell is sampled at 2 x 2 points, so that an image pixel of 10 m is not skipped on a grid of 20 m. For
each point the block's polynomials give azimuth time and slant range, the slice's timing the line, and the
ground-range records the sample. Over a block the records are expanded about the block's middle range to the
third order, which leaves out less than 1e-4 pixel.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from avalanche_assets.grid import TILE_PX
from avalanche_assets.sentinel1.block_model import BlockModels, quadratic
from avalanche_assets.sentinel1.ground_range import invert
from avalanche_assets.sentinel1.visibility import Visibility

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]
Flags = NDArray[np.uint8]

PART_PX = 16
"""Cells are wanted or not by squares of 16 x 16: a quarter of a block's side."""
MAX_PIECES = 64
"""Record intervals that a block may meet: 1.3 km are 0.2 s, the records some 0.5 s or more apart."""

BORDER = int(Visibility.BORDER)
OUTSIDE = int(Visibility.OUTSIDE)
NOISE_LIMITED = int(Visibility.NOISE_LIMITED)


class ImageTiming(NamedTuple):
    """Timing and ground-range records of the stacked slices, as arrays for the compiled kernels.

    Attributes:
        first_time: Time of each slice's first line, seconds since the orbit's epoch, shape (k,).
        line_interval_s: Shape (k,).
        top: Line of the stack at which each slice begins, shape (k,).
        sample_spacing_m: Shape (k,).
        solve: Whether `to_slant` is inverted instead of using `to_ground`, shape (k,).
        record_start: Where each slice's records start, and the end, shape (k + 1,).
        record_time: Seconds since the orbit's epoch, increasing in each slice, shape (n,).
        slant_origin_m: Shape (n,).
        to_ground: See `GroundRange`; shape (n, terms).
        ground_origin_m: Shape (n,).
        to_slant: See `GroundRange`; shape (n, terms).
    """

    first_time: Floats
    line_interval_s: Floats
    top: Floats
    sample_spacing_m: Floats
    solve: NDArray[np.bool_]
    record_start: NDArray[np.int64]
    record_time: Floats
    slant_origin_m: Floats
    to_ground: Floats
    ground_origin_m: Floats
    to_slant: Floats


@njit(cache=True, nogil=True, error_model="numpy")
def sample_blocks(
    models: BlockModels,
    chosen: NDArray[np.int64],
    timing: ImageTiming,
    dem: Float32s,
    wanted: NDArray[np.bool_],
    images: tuple[Float32s, Float32s],
    first_line: int,
    corner: tuple[int, int],
    out: tuple[Float32s, Float32s],
    flags: Flags,
) -> None:
    """Fills the wanted cells of some blocks.

    Args:
        models: Polynomials of all blocks.
        chosen: Indices of the blocks to fill.
        timing: Of the stacked slices.
        dem: Heights of the whole grid in metres over the ellipsoid, NaN where unknown.
        wanted: Squares of 16 cells of the whole grid that are to be filled.
        images: Linear power in two polarisations, NaN without data, both of shape (lines, samples).
        first_line: Line of the stack at which `images` begin.
        corner: Grid row and column at which `out` and `flags` begin.
        out: Gets the mean power of each cell's samples, NaN when one of them has none.
        flags: Gets `Visibility` bits BORDER, OUTSIDE and NOISE_LIMITED of either polarisation.
    """
    pieces = np.empty((MAX_PIECES, 12))
    for block in chosen:
        row0, col0 = models.corners[block]
        middle_range = models.slant_range[block, 0]
        _pieces(timing, models.node_time[block], middle_range, pieces)
        for part in range((TILE_PX // PART_PX) ** 2):
            row1 = row0 + part // (TILE_PX // PART_PX) * PART_PX
            col1 = col0 + part % (TILE_PX // PART_PX) * PART_PX
            if not wanted[row1 // PART_PX, col1 // PART_PX]:
                continue
            for row in range(row1, row1 + PART_PX):
                for col in range(col1, col1 + PART_PX):
                    _sample_cell(
                        row,
                        col,
                        row0,
                        col0,
                        models.height_m[block],
                        models.time[block],
                        models.slant_range[block],
                        middle_range,
                        pieces,
                        dem,
                        images,
                        first_line,
                        corner,
                        out,
                        flags,
                    )


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _sample_cell(
    row: int,
    col: int,
    row0: int,
    col0: int,
    height_m: Floats,
    time_terms: Floats,
    range_terms: Floats,
    middle_range: float,
    pieces: Floats,
    dem: Float32s,
    images: tuple[Float32s, Float32s],
    first_line: int,
    corner: tuple[int, int],
    out: tuple[Float32s, Float32s],
    flags: Flags,
) -> None:
    """Mean of a cell's four bilinear samples; the cell has no value when one of them has none."""
    vv, vh = images
    lines, samples = vv.shape
    to_row, to_col = row - corner[0], col - corner[1]
    centre = dem[row, col]
    total_vv = total_vh = 0.0
    for sub in range(4):
        down, right = 2 * (sub // 2) - 1, 2 * (sub % 2) - 1
        h = (_subcell_height(dem, centre, row, col, down, right) - height_m[0]) / height_m[1]
        x = (col - col0 + 0.5 + 0.25 * right) / (0.5 * TILE_PX) - 1.0
        y = 1.0 - (row - row0 + 0.5 + 0.25 * down) / (0.5 * TILE_PX)
        time = quadratic(time_terms, x, y, h)
        r = quadratic(range_terms, x, y, h) - middle_range
        at = 0
        while time >= pieces[at + 1, 0]:
            at += 1
        piece = pieces[at]
        later = time - piece[3]
        line = piece[1] + later * piece[2] - first_line
        sample = (piece[4] + later * piece[8]) + r * (
            (piece[5] + later * piece[9])
            + r * ((piece[6] + later * piece[10]) + r * (piece[7] + later * piece[11]))
        )
        if not (0.0 <= line <= lines - 1 and 0.0 <= sample <= samples - 1):
            flags[to_row, to_col] = OUTSIDE
            return
        top, left = min(int(line), lines - 2), min(int(sample), samples - 2)
        v, u = np.float32(line - top), np.float32(sample - left)
        total_vv += _bilinear(vv, top, left, v, u)
        total_vh += _bilinear(vh, top, left, v, u)
    if np.isnan(total_vv + total_vh):
        flags[to_row, to_col] = BORDER
    elif not (total_vv > 0.0 and total_vh > 0.0):
        # They keep their power: leaving dark cells out would brighten the mean of dark ground.
        flags[to_row, to_col] = NOISE_LIMITED
    else:
        flags[to_row, to_col] = 0
    out[0][to_row, to_col] = 0.25 * total_vv
    out[1][to_row, to_col] = 0.25 * total_vh


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _bilinear(image: Float32s, top: int, left: int, v: float, u: float) -> float:
    upper = image[top, left] + u * (image[top, left + 1] - image[top, left])
    lower = image[top + 1, left] + u * (image[top + 1, left + 1] - image[top + 1, left])
    return float(upper + v * (lower - upper))


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _subcell_height(dem: Float32s, centre: float, row: int, col: int, down: int, right: int) -> float:
    """Height a quarter cell off the centre, bilinear; a neighbour without height counts as the centre."""
    other_row = min(max(row + down, 0), dem.shape[0] - 1)
    other_col = min(max(col + right, 0), dem.shape[1] - 1)
    vertical, horizontal = dem[other_row, col], dem[row, other_col]
    diagonal = dem[other_row, other_col]
    vertical = centre if np.isnan(vertical) else vertical
    horizontal = centre if np.isnan(horizontal) else horizontal
    diagonal = centre if np.isnan(diagonal) else diagonal
    return float(9.0 * centre + 3.0 * vertical + 3.0 * horizontal + diagonal) / 16.0


@njit(cache=True, nogil=True, error_model="numpy")
def _pieces(timing: ImageTiming, node_time: Floats, middle_range: float, pieces: Floats) -> None:
    """The intervals of time over which line and sample of a block are smooth, in order, and a sentinel.

    A piece holds: its begin; line at the reference time, and lines a second; reference time; four terms of
    the sample at the reference time, and their change a second.
    """
    begin, end = node_time.min(), node_time.max()
    slices, count = timing.first_time.size, 0
    for k in range(slices):
        slice_begin = timing.first_time[k] if k > 0 else -np.inf
        slice_end = timing.first_time[k + 1] if k + 1 < slices else np.inf
        if slice_end <= begin or (slice_begin > end and count > 0):
            continue
        first, last = timing.record_start[k], timing.record_start[k + 1] - 1
        for lower in range(first - 1, last + 1):
            piece_begin = max(timing.record_time[lower] if lower >= first else -np.inf, slice_begin)
            piece_end = min(timing.record_time[lower + 1] if lower < last else np.inf, slice_end)
            if piece_end <= max(begin, slice_begin) or (piece_begin > end and count > 0):
                continue
            if piece_end <= piece_begin or count >= MAX_PIECES - 1:
                continue
            _fill_piece(timing, k, max(lower, first), min(lower + 1, last), middle_range, pieces[count])
            pieces[count, 0] = piece_begin
            count += 1
    pieces[count, 0] = np.inf


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_piece(
    timing: ImageTiming, k: int, lower: int, upper: int, middle_range: float, piece: Floats
) -> None:
    piece[3] = timing.record_time[lower]
    piece[2] = 1.0 / timing.line_interval_s[k]
    piece[1] = timing.top[k] + (piece[3] - timing.first_time[k]) * piece[2]
    span = timing.record_time[upper] - timing.record_time[lower]
    _expand(timing, k, lower, middle_range, piece[4:8])
    _expand(timing, k, upper, middle_range, piece[8:12])
    for term in range(4):
        piece[8 + term] = (piece[8 + term] - piece[4 + term]) / span if upper > lower else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _expand(timing: ImageTiming, k: int, record: int, middle_range: float, out: Floats) -> None:
    """Sample as a cubic in slant range less `middle_range`: the Taylor expansion of one record."""
    spacing = timing.sample_spacing_m[k]
    x = middle_range - timing.slant_origin_m[record]
    value, first, second, third = _derivatives(timing.to_ground[record], x)
    if timing.solve[k]:
        # Derivatives of the inverse function of the forward polynomial.
        ground = invert(timing.to_slant[record], middle_range, value)
        _, s1, s2, s3 = _derivatives(timing.to_slant[record], ground)
        value, first = ground + timing.ground_origin_m[record], 1.0 / s1
        second, third = -s2 / s1**3, (3.0 * s2 * s2 - s1 * s3) / s1**5
    out[0], out[1] = value / spacing, first / spacing
    out[2], out[3] = second / (2.0 * spacing), third / (6.0 * spacing)


@njit(cache=True, nogil=True)
def _derivatives(coefficients: Floats, x: float) -> tuple[float, float, float, float]:
    """A polynomial and its first three derivatives at `x`, by Horner's scheme."""
    value = first = second = third = 0.0
    for power in range(coefficients.size - 1, -1, -1):
        third = third * x + second
        second = second * x + first
        first = first * x + value
        value = value * x + coefficients[power]
    return value, first, 2.0 * second, 6.0 * third
