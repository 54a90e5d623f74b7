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
KEPT_BITS = 17
"""Of a single-precision number: sign, exponent and 8 binary digits. Values that share them share a bin of the
histogram, which is at most 1/256 of the value wide: 0.02 dB."""
DROPPED_BITS = 32 - KEPT_BITS


@dataclass(frozen=True)
class BandSummary:
    """One band in short.

    Attributes:
        filled: Share of the grid's cells with a value.
        median: Of all values, to 1/256 of itself; NaN without any.
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
        self._blocks = np.zeros((rows, cols, 2))
        self._bins = np.zeros(2**KEPT_BITS, np.int64)

    def add(self, window: Window, values: NDArray[np.float32]) -> None:
        """Adds one window's values; every cell must come once."""
        numbers = np.ascontiguousarray(values, np.float32)
        corner = window.row, window.col
        _add(numbers.view(np.uint32), numbers, corner, self._step, self._blocks, self._bins)

    def summary(self) -> BandSummary:
        """Of what was added so far."""
        edges = (np.arange(2**KEPT_BITS, dtype=np.uint32) << np.uint32(DROPPED_BITS)).view(np.float32)
        # Away from zero the bins of negative numbers go backwards; those of NaN and infinities do not count.
        order = np.flatnonzero(np.isfinite(edges) & (self._bins > 0))
        order = order[np.argsort(edges[order])]
        below = np.cumsum(self._bins[order])
        known = int(below[-1]) if order.size else 0
        median = math.nan
        if known:
            chosen = order[np.searchsorted(below, (known + 1) // 2)]
            middle = np.uint32((int(chosen) << DROPPED_BITS) + (1 << (DROPPED_BITS - 1)))
            median = float(middle.view(np.float32)) if edges[chosen] else 0.0
        means = np.full(self._small.shape, np.nan)
        np.divide(self._blocks[..., 0], self._blocks[..., 1], out=means, where=self._blocks[..., 1] > 0)
        return BandSummary(known / self._cells, median, means, self._small)


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz"})
def _add(
    bits: NDArray[np.uint32],
    values: NDArray[np.float32],
    corner: tuple[int, int],
    step: int,
    blocks: Floats,
    bins: NDArray[np.int64],
) -> None:
    height, width = values.shape
    # Sums of columns first: whole rows are added at once.
    total, count = np.zeros(width), np.zeros(width, np.int32)
    for i in range(height):
        for j in range(width):
            bins[np.uint64(bits[i, j] >> np.uint32(DROPPED_BITS))] += 1
        for j in range(width):
            known = abs(values[i, j]) < np.float32(np.inf)
            total[j] += values[i, j] if known else np.float32(0.0)
            count[j] += np.int32(1) if known else np.int32(0)
        row = (corner[0] + i) // step
        if i == height - 1 or (corner[0] + i + 1) // step > row:
            if row < blocks.shape[0]:
                for j in range(width):
                    col = (corner[1] + j) // step
                    if col < blocks.shape[1]:
                        blocks[row, col, 0] += total[j]
                        blocks[row, col, 1] += count[j]
            total[:], count[:] = 0.0, 0
