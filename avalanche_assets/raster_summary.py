"""What a report says of a raster band, gathered window by window while the raster is written.

A band of a whole track has some hundred million cells: reading it again for a median and a picture would take
more memory and time than computing it.
"""

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from avalanche_assets.grid import Grid, Window

Floats = NDArray[np.float64]

THUMBNAIL_PX = 900
"""Longer side of the reduced band at most."""
DROPPED_BITS = np.uint64(11)
"""Of a single-precision number's 23 binary digits; values that share the other 12 share a bin of the
histogram, which is then 2.4e-4 of the value wide: 0.001 dB."""
SIGN, ALL_BITS = np.uint32(0x8000_0000), np.uint32(0xFFFF_FFFF)


@dataclass(frozen=True)
class BandSummary:
    """One band in short.

    Attributes:
        filled: Share of the grid's cells with a value.
        median: Of all values, to 2.4e-4 of itself; NaN without any.
        means: Means of square blocks of cells, NaN where none has a value.
        grid: Where the means lie.
    """

    filled: float
    median: float
    means: Floats
    grid: Grid

    @classmethod
    def of(cls, values: NDArray[np.float32], grid: Grid) -> "BandSummary":
        """Summary of a whole band."""
        running = RunningSummary(grid)
        running.add(Window(0, 0, grid.height, grid.width), values)
        return running.summary()


class RunningSummary:
    """Gathers a `BandSummary`; cells of which no window is added count as cells without a value."""

    def __init__(self, grid: Grid) -> None:
        """Of a band on `grid`."""
        step = math.ceil(max(grid.shape) / THUMBNAIL_PX)
        rows, cols = grid.height // step, grid.width // step
        self._cells = grid.height * grid.width
        self._step = step
        self._small = Grid(grid.crs, grid.resolution * step, grid.west, grid.north, rows, cols)
        # Sum and number side by side: one access to memory for both.
        self._blocks = np.zeros((rows, cols, 2))
        self._bins = np.zeros((2 ** (32 - int(DROPPED_BITS)), 2))

    def add(self, window: Window, values: NDArray[np.float32]) -> None:
        """Adds one window's values; every cell must come once."""
        numbers = np.ascontiguousarray(values, np.float32)
        corner = window.row, window.col
        _add(numbers.view(np.uint32), numbers, corner, self._step, self._blocks, self._bins)

    def summary(self) -> BandSummary:
        """Of what was added so far."""
        below = np.cumsum(self._bins[:, 1])
        known = int(below[-1])
        median = math.nan
        if known:
            total, count = self._bins[np.searchsorted(below, (known + 1) // 2)]
            median = float(total / count)
        means = np.full(self._small.shape, np.nan)
        np.divide(self._blocks[..., 0], self._blocks[..., 1], out=means, where=self._blocks[..., 1] > 0)
        return BandSummary(known / self._cells, median, means, self._small)


@njit(cache=True, nogil=True)
def _add(
    bits: NDArray[np.uint32],
    values: NDArray[np.float32],
    corner: tuple[int, int],
    step: int,
    blocks: Floats,
    bins: Floats,
) -> None:
    rows, cols = blocks.shape[:2]
    height, width = values.shape
    for i in range(height):
        row, first = (corner[0] + i) // step, 0
        while first < width:
            col = (corner[1] + first) // step
            stop = min((col + 1) * step - corner[1], width)
            total, count = 0.0, 0.0
            for j in range(first, stop):
                value = values[i, j]
                if math.isfinite(value):
                    # Negative numbers are ordered backwards by their bits.
                    key = bits[i, j] ^ (ALL_BITS if bits[i, j] & SIGN else SIGN)
                    place = np.uint64(key) >> DROPPED_BITS
                    bins[place, 0] += value
                    bins[place, 1] += 1.0
                    total += value
                    count += 1.0
            if row < rows and col < cols:
                blocks[row, col, 0] += total
                blocks[row, col, 1] += count
            first = stop
