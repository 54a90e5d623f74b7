"""The compiled heart of geocoding: grid cells are located in the image and their power is sampled.

Each cell is sampled at 2 x 2 points, so that an image pixel of 10 m is not skipped on a grid of 20 m. For
each point the block's polynomials give azimuth time and slant range, the slice's timing the line, and the
ground-range records the sample. Over a block the records are expanded about the block's middle range to the
third order, which leaves out less than 1e-4 pixel.

Squares of 16 x 16 cells are worked step by step, each step a loop of fixed length without a choice in it,
which the compiler turns into vector instructions; only fetching the pixels is done one by one.
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
Indices = NDArray[np.int32]

EQUIVALENT_LOOKS = {10.0: 6.0, 20.0: 7.6}
"""Resolution of the grid to the equivalent looks of a cell on level ground: mean squared over variance.

Measured with simulated speckle of 4.4 looks at the products' 20 x 22 m; neighbouring pixels are correlated,
so that four of them are not worth 17.6 looks.
"""
CELLS = PART_PX * PART_PX
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
    tile: NDArray[np.int64],
    timing: ImageTiming,
    dem: Float32s,
    wanted: NDArray[np.bool_],
    ring: tuple[Float32s, Float32s],
    held: tuple[int, int, int],
    corners: NDArray[np.int64],
    out: tuple[Float32s, Float32s],
    flags: Flags,
) -> None:
    """Fills the wanted cells of some blocks, which lie on some tiles.

    Args:
        models: Polynomials of all blocks.
        chosen: Indices of the blocks to fill.
        tile: Index of the tile that each of them lies on, shape of `chosen`.
        timing: Of the stacked slices.
        dem: Heights of the whole grid in metres over the ellipsoid, NaN where unknown.
        wanted: Squares of 16 cells of the whole grid that are to be filled.
        ring: Linear power in two polarisations, NaN without data, both of shape (rows, samples). Rows are a
            power of two; line n of the stack is in row n modulo rows.
        held: First and stop line of the stack that the ring holds now, and its first sample.
        corners: Grid row and column at which each tile begins, shape (tiles, 2).
        out: Gets the mean power of each cell's samples, NaN when one of them has none, shape
            (tiles, rows, columns). Both stay as they are where the ring is a single sample wide.
        flags: Gets `Visibility` bits BORDER, OUTSIDE and NOISE_LIMITED of either polarisation.
    """
    if ring[0].shape[1] < 2:
        return  # no two pixels to interpolate between
    pieces = np.empty((MAX_PIECES, 11))
    points = np.empty((4, 4, CELLS))
    height, time, line, sample = points[0], points[1], points[2], points[3]
    indices = np.empty((2, 4, CELLS), np.int32)
    shares, power = np.empty((2, 4, CELLS), np.float32), np.empty((2, CELLS), np.float32)
    missed = np.empty(CELLS, np.float32)
    flat = (ring[0].ravel(), ring[1].ravel())
    for block, own in zip(chosen, tile):  # noqa: B905 (numba knows no strict zip)
        row0, col0 = models.corners[block]
        count = _pieces(timing, models, block, pieces)
        for part in range((TILE_PX // PART_PX) ** 2):
            down = part // (TILE_PX // PART_PX) * PART_PX
            right = part % (TILE_PX // PART_PX) * PART_PX
            row, col = row0 + down, col0 + right
            if not wanted[row // PART_PX, col // PART_PX]:
                continue
            _subcell_heights(dem, row, col, height)
            _place(models, block, down, right, height, time, sample)
            _to_pixels(pieces[:count], time, sample, line)
            _locate(ring[0].shape, held, line, sample, indices, shares, missed)
            _sum_powers(flat, indices, shares, power)
            rows = slice(row - corners[own, 0], row - corners[own, 0] + PART_PX)
            cols = slice(col - corners[own, 1], col - corners[own, 1] + PART_PX)
            _store(power, missed, (out[0][own, rows, cols], out[1][own, rows, cols]), flags[own, rows, cols])


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)
def _subcell_heights(dem: Float32s, row: int, col: int, out: Floats) -> None:
    """Heights a quarter cell off the centres of a square of cells, bilinear, shape (4, cells).

    A neighbour without height counts as the centre.
    """
    around = np.empty((PART_PX + 2, PART_PX + 2), np.float32)
    for i in range(PART_PX + 2):
        for j in range(PART_PX + 2):
            inside = min(max(row + i - 1, 0), dem.shape[0] - 1), min(max(col + j - 1, 0), dem.shape[1] - 1)
            around[i, j] = dem[inside]
    for sub in range(4):
        down, right = sub // 2 * 2, sub % 2 * 2
        for i in range(PART_PX):
            for j in range(PART_PX):
                centre, vertical = around[i + 1, j + 1], around[i + down, j + 1]
                horizontal, diagonal = around[i + 1, j + right], around[i + down, j + right]
                vertical = centre if np.isnan(vertical) else vertical
                horizontal = centre if np.isnan(horizontal) else horizontal
                diagonal = centre if np.isnan(diagonal) else diagonal
                out[sub, i * PART_PX + j] = (
                    0.5625 * centre + 0.1875 * (vertical + horizontal) + 0.0625 * diagonal
                )


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)
def _place(
    models: BlockModels,
    block: int,
    down: int,
    right: int,
    height: Floats,
    time: Floats,
    slant_range: Floats,
) -> None:
    """Azimuth time and slant range of the points of a square, less those of the block's middle.

    Arrays have the shape (4, cells); the square lies `down` and `right` cells from the block's corner.
    """
    middle, scale = models.height_m[block, 0], 1.0 / models.height_m[block, 1]
    time_terms, range_terms = _about_middle(models.time[block]), _about_middle(models.slant_range[block])
    step = 2.0 / TILE_PX
    for sub in range(4):
        north = 1.0 - (down + 0.25 + 0.5 * (sub // 2)) * step
        west = (right + 0.25 + 0.5 * (sub % 2)) * step - 1.0
        for i in range(PART_PX):
            y = north - i * step
            for j in range(PART_PX):
                x, k = west + j * step, i * PART_PX + j
                h = (height[sub, k] - middle) * scale
                time[sub, k] = quadratic(time_terms, x, y, h)
                slant_range[sub, k] = quadratic(range_terms, x, y, h)


@njit(cache=True, nogil=True, inline="always")
def _about_middle(c: Floats) -> tuple[float, ...]:
    """Terms of `quadratic` without the constant one, held in registers."""
    return 0.0, c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8], c[9]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)
def _to_pixels(pieces: Floats, time: Floats, sample: Floats, line: Floats) -> None:
    """Lines and samples of the points of a square; arrays have the shape (4, cells).

    Args:
        pieces: See `_pieces`.
        time: Azimuth time less that of the block's middle.
        sample: Holds the slant range less that of the block's middle and gets the sample.
        line: Gets the line.
    """
    slant_range = sample.copy() if len(pieces) > 1 else sample
    for at in range(len(pieces)):
        begin = pieces[at, 0] if at > 0 else -np.inf
        line0, a_second = pieces[at, 1], pieces[at, 2]
        a, b, c, d = pieces[at, 3], pieces[at, 4], pieces[at, 5], pieces[at, 6]
        a1, b1, c1, d1 = pieces[at, 7], pieces[at, 8], pieces[at, 9], pieces[at, 10]
        for sub in range(4):
            for k in range(CELLS):
                t, r = time[sub, k], slant_range[sub, k]
                cubic = c + t * c1 + r * (d + t * d1)
                placed = a + t * a1 + r * (b + t * b1 + r * cubic)
                if at == 0 or t >= begin:
                    line[sub, k], sample[sub, k] = line0 + t * a_second, placed


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)
def _locate(
    shape: tuple[int, int],
    held: tuple[int, int, int],
    line: Floats,
    sample: Floats,
    indices: Indices,
    shares: Float32s,
    missed: Float32s,
) -> None:
    """Where in the ring the pixels around each point of a square are.

    Args:
        shape: Of the ring.
        held: See `sample_blocks`.
        line: Shape (4, cells).
        sample: Likewise.
        indices: Get the places of the pixel above and left, and of that below, shape (2, 4, cells).
        shares: Get how far down and right of that pixel the point lies, shape (2, 4, cells).
        missed: Gets how many of a cell's points the ring does not hold, shape (cells,).
    """
    mask, width = np.int32(shape[0] - 1), np.int32(shape[1])
    first, last = float(held[0]), float(held[1] - 1)
    left, right = float(held[2]), float(held[2] + shape[1] - 1)
    missed[:] = np.float32(0.0)
    for sub in range(4):
        for k in range(CELLS):
            y, x = line[sub, k], sample[sub, k]
            inside = (y >= first) & (y <= last) & (x >= left) & (x <= right)
            missed[k] += np.float32(0.0) if inside else np.float32(1.0)
            y, x = (y, x) if inside else (first, left)
            top, col = min(np.floor(y), last - 1.0), min(np.floor(x), right - 1.0)
            shares[0, sub, k], shares[1, sub, k] = np.float32(y - top), np.float32(x - col)
            # Each result is narrowed at once: 32 bits hold any place in the ring.
            row, at = np.int32(top), np.int32(col - left)
            below = np.int32(row + np.int32(1))
            indices[0, sub, k] = np.int32(np.int32(np.int32(row & mask) * width) + at)
            indices[1, sub, k] = np.int32(np.int32(np.int32(below & mask) * width) + at)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)
def _sum_powers(flat: tuple[Float32s, Float32s], indices: Indices, shares: Float32s, power: Float32s) -> None:
    """Sum of each cell's four bilinear samples, in either polarisation."""
    power[:] = np.float32(0.0)
    for sub in range(4):
        for k in range(CELLS):
            # Unsigned, so that no index is checked for being counted from the end.
            upper, lower = np.uint64(indices[0, sub, k]), np.uint64(indices[1, sub, k])
            v, u = shares[0, sub, k], shares[1, sub, k]
            power[0, k] += _bilinear(flat[0], upper, lower, v, u)
            power[1, k] += _bilinear(flat[1], upper, lower, v, u)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH, inline="always")
def _bilinear(image: Float32s, upper: int, lower: int, v: float, u: float) -> float:
    one = np.uint64(1)
    above = image[upper] + u * (image[upper + one] - image[upper])
    below = image[lower] + u * (image[lower + one] - image[lower])
    power: float = above + v * (below - above)
    return power


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)
def _store(power: Float32s, missed: Float32s, out: tuple[Float32s, Float32s], flags: Flags) -> None:
    """Means and flags of a square of cells; a cell has no value when one of its samples has none."""
    for i in range(PART_PX):
        for j in range(PART_PX):
            k = i * PART_PX + j
            vv, vh = np.float32(0.25) * power[0, k], np.float32(0.25) * power[1, k]
            outside = missed[k] > np.float32(0.0)
            # They keep their power: leaving dark cells out would brighten the mean of dark ground.
            dark = NOISE_LIMITED if (vv <= 0.0) | (vh <= 0.0) else 0
            flags[i, j] = OUTSIDE if outside else BORDER if np.isnan(vv + vh) else dark
            out[0][i, j] = np.float32(np.nan) if outside else vv
            out[1][i, j] = np.float32(np.nan) if outside else vh


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)
def _pieces(timing: ImageTiming, models: BlockModels, block: int, pieces: Floats) -> int:
    """The intervals of time over which line and sample of a block are smooth, in order; returns their number.

    Times are counted from that of the block's middle. A piece holds: its begin; line at the middle, and lines
    a second; four terms of the sample at the middle, and their change a second.
    """
    begin, end = models.node_time[block].min(), models.node_time[block].max()
    middle = models.time[block, 0], models.slant_range[block, 0]
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
            _fill_piece(timing, k, max(lower, first), min(lower + 1, last), middle, pieces[count])
            pieces[count, 0] = piece_begin - middle[0]
            count += 1
    return count


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)
def _fill_piece(
    timing: ImageTiming, k: int, lower: int, upper: int, middle: tuple[float, float], piece: Floats
) -> None:
    piece[2] = 1.0 / timing.line_interval_s[k]
    piece[1] = timing.top[k] + (middle[0] - timing.first_time[k]) * piece[2]
    span = timing.record_time[upper] - timing.record_time[lower]
    later = middle[0] - timing.record_time[lower]
    _expand(timing, k, lower, middle[1], piece[3:7])
    _expand(timing, k, upper, middle[1], piece[7:11])
    for term in range(4):
        piece[7 + term] = (piece[7 + term] - piece[3 + term]) / span if upper > lower else 0.0
        piece[3 + term] += later * piece[7 + term]


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
