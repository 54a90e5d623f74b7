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
from avalanche_assets.sentinel1.block_model import PART_PX, BlockModels, quadratic
from avalanche_assets.sentinel1.ground_range import invert
from avalanche_assets.sentinel1.visibility import Visibility

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]
Flags = NDArray[np.uint8]

EQUIVALENT_LOOKS = {10.0: 6.0, 20.0: 7.6}
"""Resolution of the grid to the equivalent looks of a cell on level ground: mean squared over variance.

Measured with simulated speckle of 4.4 looks at the products' 20 x 22 m; neighbouring pixels are correlated,
so that four of them are not worth 17.6 looks.
"""
MAX_PIECES = 64
"""Record intervals that a block may meet: 1.3 km are 0.2 s, the records some 0.5 s or more apart."""

FASTMATH = {"contract", "reassoc", "arcp", "nsz"}
"""Sums may be reordered and fused; NaN keeps its meaning."""

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


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)
def sample_blocks(
    models: BlockModels,
    chosen: NDArray[np.int64],
    timing: ImageTiming,
    dem: Float32s,
    wanted: NDArray[np.bool_],
    ring: tuple[Float32s, Float32s],
    held: tuple[int, int, int],
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
        ring: Linear power in two polarisations, NaN without data, both of shape (rows, samples). Rows are a
            power of two; line n of the stack is in row n modulo rows.
        held: First and stop line of the stack that the ring holds now, and its first sample.
        corner: Grid row and column at which `out` and `flags` begin.
        out: Gets the mean power of each cell's samples, NaN when one of them has none.
        flags: Gets `Visibility` bits BORDER, OUTSIDE and NOISE_LIMITED of either polarisation.
    """
    pieces = np.empty((MAX_PIECES, 12))
    height, line, sample = np.empty((4, PART_PX)), np.empty((4, PART_PX)), np.empty((4, PART_PX))
    flat = (ring[0].ravel(), ring[1].ravel())
    for block in chosen:
        row0, col0 = models.corners[block]
        count = _pieces(timing, models.node_time[block], models.slant_range[block, 0], pieces)
        for part in range((TILE_PX // PART_PX) ** 2):
            row1 = row0 + part // (TILE_PX // PART_PX) * PART_PX
            col1 = col0 + part % (TILE_PX // PART_PX) * PART_PX
            if not wanted[row1 // PART_PX, col1 // PART_PX]:
                continue
            for row in range(row1, row1 + PART_PX):
                _subcell_heights(dem, row, col1, height)
                _place(models, block, row, col1, pieces[: count + 1], height, line, sample)
                area = slice(col1 - corner[1], col1 - corner[1] + PART_PX)
                powers = out[0][row - corner[0], area], out[1][row - corner[0], area]
                _mean_power(flat, ring[0].shape, held, line, sample, powers, flags[row - corner[0], area])


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)
def _subcell_heights(dem: Float32s, row: int, col: int, out: Floats) -> None:
    """Heights a quarter cell off the centres of a row of cells, bilinear, shape (4, cells).

    A neighbour without height counts as the centre.
    """
    above, below = dem[max(row - 1, 0)], dem[min(row + 1, dem.shape[0] - 1)]
    for k in range(out.shape[1]):
        here, before, after = col + k, max(col + k - 1, 0), min(col + k + 1, dem.shape[1] - 1)
        centre = dem[row, here]
        for sub in range(4):
            across, beside = below if sub // 2 else above, after if sub % 2 else before
            vertical, horizontal, diagonal = across[here], dem[row, beside], across[beside]
            if np.isnan(vertical + horizontal + diagonal):
                vertical = centre if np.isnan(vertical) else vertical
                horizontal = centre if np.isnan(horizontal) else horizontal
                diagonal = centre if np.isnan(diagonal) else diagonal
            out[sub, k] = 0.5625 * centre + 0.1875 * (vertical + horizontal) + 0.0625 * diagonal


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)
def _place(
    models: BlockModels,
    block: int,
    row: int,
    col: int,
    pieces: Floats,
    height: Floats,
    line: Floats,
    sample: Floats,
) -> None:
    """Line and sample of the four points of a row of cells, each of shape (4, cells)."""
    row0, col0 = models.corners[block]
    middle, scale = models.height_m[block, 0], 1.0 / models.height_m[block, 1]
    time_terms, range_terms = models.time[block], models.slant_range[block]
    middle_range = range_terms[0]
    for sub in range(4):
        down, right = 2 * (sub // 2) - 1, 2 * (sub % 2) - 1
        y = 1.0 - (row - row0 + 0.5 + 0.25 * down) * (2.0 / TILE_PX)
        west = (col - col0 + 0.5 + 0.25 * right) * (2.0 / TILE_PX) - 1.0
        for k in range(height.shape[1]):
            x, h = west + k * (2.0 / TILE_PX), (height[sub, k] - middle) * scale
            line[sub, k] = quadratic(time_terms, x, y, h)
            sample[sub, k] = quadratic(range_terms, x, y, h) - middle_range
    # Most blocks lie in one piece: a loop without a choice in it is worked eight points at a time.
    if pieces.shape[0] == 2:
        for sub in range(4):
            for k in range(height.shape[1]):
                line[sub, k], sample[sub, k] = _line_sample(pieces[0], line[sub, k], sample[sub, k])
    else:
        for sub in range(4):
            for k in range(height.shape[1]):
                at = 0
                while line[sub, k] >= pieces[at + 1, 0]:
                    at += 1
                line[sub, k], sample[sub, k] = _line_sample(pieces[at], line[sub, k], sample[sub, k])


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH, inline="always")
def _line_sample(piece: Floats, time: float, r: float) -> tuple[float, float]:
    """Line and sample at an azimuth time and a slant range less that of the block's middle."""
    later = time - piece[3]
    cubic = piece[6] + later * piece[10] + r * (piece[7] + later * piece[11])
    sample = piece[4] + later * piece[8] + r * (piece[5] + later * piece[9] + r * cubic)
    return piece[1] + later * piece[2], sample


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)
def _mean_power(
    flat: tuple[Float32s, Float32s],
    shape: tuple[int, int],
    held: tuple[int, int, int],
    line: Floats,
    sample: Floats,
    out: tuple[Float32s, Float32s],
    flags: Flags,
) -> None:
    """Mean of each cell's four bilinear samples; the cell has no value when one of them has none."""
    first, stop, left = held
    mask, width = shape[0] - 1, shape[1]
    one = np.uint64(1)
    for k in range(line.shape[1]):
        total_vv = total_vh = 0.0
        outside = False
        for sub in range(4):
            y, x = line[sub, k], sample[sub, k] - left
            if not (first <= y <= stop - 1 and 0.0 <= x <= width - 1):
                outside = True
                break
            top, col = min(int(y), stop - 2), min(int(x), width - 2)
            v, u = np.float32(y - top), np.float32(x - col)
            # Unsigned, so that no index is checked for being counted from the end.
            upper = np.uint64((top & mask) * width + col)
            lower = np.uint64(((top + 1) & mask) * width + col)
            total_vv += _bilinear(flat[0], upper, lower, one, v, u)
            total_vh += _bilinear(flat[1], upper, lower, one, v, u)
        if outside:
            flags[k] = OUTSIDE
            continue
        if np.isnan(total_vv + total_vh):
            flags[k] = BORDER
        elif total_vv > 0.0 and total_vh > 0.0:
            flags[k] = 0
        else:
            # They keep their power: leaving dark cells out would brighten the mean of dark ground.
            flags[k] = NOISE_LIMITED
        out[0][k], out[1][k] = 0.25 * total_vv, 0.25 * total_vh


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH, inline="always")
def _bilinear(image: Float32s, upper: int, lower: int, one: int, v: float, u: float) -> float:
    above = image[upper] + u * (image[upper + one] - image[upper])
    below = image[lower] + u * (image[lower + one] - image[lower])
    power: float = above + v * (below - above)
    return power


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)
def _pieces(timing: ImageTiming, node_time: Floats, middle_range: float, pieces: Floats) -> int:
    """The intervals of time over which line and sample of a block are smooth, in order; returns their number.

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
    return count


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)
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


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)
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
