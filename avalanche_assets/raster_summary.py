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
DROPPED_BITS = 11
"""Of a single-precision number's 23 binary digits; values that share the other 12 share a bin of the
histogram, which is then 2.4e-4 of the value wide: 0.001 dB."""
SIGN = 0x8000_0000
ALL_BITS = 0xFFFF_FFFF


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
        self._block_sums, self._block_counts = np.zeros((rows, cols)), np.zeros((rows, cols), np.int64)
        # Memory that is never touched takes no space: backscatter meets some hundredth of the bins.
        bins = 2 ** (32 - DROPPED_BITS)
        self._bin_sums, self._bin_counts = np.zeros(bins), np.zeros(bins, np.int64)

    def add(self, window: Window, values: NDArray[np.float32]) -> None:
        """Adds one window's values; every cell must come once."""
        _add(
            np.ascontiguousarray(values, np.float32).view(np.uint32),
            np.ascontiguousarray(values, np.float32),
            (window.row, window.col),
            self._step,
            (self._block_sums, self._block_counts),
            (self._bin_sums, self._bin_counts),
        )

    def summary(self) -> BandSummary:
        """Of what was added so far."""
        known = int(self._bin_counts.sum())
        means = np.full(self._small.shape, np.nan)
        np.divide(self._block_sums, self._block_counts, out=means, where=self._block_counts > 0)
        return BandSummary(known / self._cells, self._median(known), means, self._small)

    def _median(self, known: int) -> float:
        if not known:
            return math.nan
        middle = np.searchsorted(np.cumsum(self._bin_counts), (known + 1) // 2)
        return float(self._bin_sums[middle] / self._bin_counts[middle])


@njit(cache=True, nogil=True)
def _add(
    bits: NDArray[np.uint32],
    values: NDArray[np.float32],
    corner: tuple[int, int],
    step: int,
    blocks: tuple[Floats, NDArray[np.int64]],
    bins: tuple[Floats, NDArray[np.int64]],
) -> None:
    rows, cols = blocks[0].shape
    for i in range(values.shape[0]):
        row = (corner[0] + i) // step
        col, inner = corner[1] // step, corner[1] % step
        for j in range(values.shape[1]):
            value = values[i, j]
            if math.isfinite(value):
                # Negative numbers are ordered backwards by their bits.
                key = bits[i, j] ^ (ALL_BITS if bits[i, j] & SIGN else SIGN)
                bins[0][key >> DROPPED_BITS] += value
                bins[1][key >> DROPPED_BITS] += 1
                if row < rows and col < cols:
                    blocks[0][row, col] += value
                    blocks[1][row, col] += 1
            inner += 1
            if inner == step:
                col, inner = col + 1, 0
