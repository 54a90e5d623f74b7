"""Pixels of a patch that are darkened as by wet snow, judged with their surroundings: speckle is no snow.

Source: Nagler and Rott (2000), Retrieval of wet snow by means of multitemporal SAR data, IEEE TGRS 38(2): wet
snow lies 3 dB below a reference of the same track. The mean over a square is a choice of this project.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

REACH_PX = 2
"""VV* is averaged over as many pixels on each side: 100 m at 20 m pixels."""


def wet_pixels(vv_star: NDArray[np.float32], limit_db: float) -> NDArray[np.int64]:
    """How many pixels of every patch (n, rows, cols) have a value, and a mean around them below the limit.

    Pixels without value are left out of means, and so is what lies beyond the patch. Counts have shape (n,).
    """
    counts = np.zeros(len(vv_star), np.int64)
    _count(np.ascontiguousarray(vv_star), limit_db, counts)
    return counts


@njit(cache=True, nogil=True)
def _count(patches: NDArray[np.float32], limit: float, counts: NDArray[np.int64]) -> None:  # pragma: no cover
    rows, cols = patches.shape[1:]
    # A column's sum and number of values over the rows around; a frame of zeros spares questions.
    total, known = np.zeros(cols + 2 * REACH_PX), np.zeros(cols + 2 * REACH_PX)
    for number in range(len(patches)):
        patch = patches[number]
        for row in range(rows):
            total[:], known[:] = 0.0, 0.0
            for near in range(max(row - REACH_PX, 0), min(row + REACH_PX + 1, rows)):
                for col in range(cols):
                    value = patch[near, col]
                    missing = math.isnan(value)
                    total[col + REACH_PX] += 0.0 if missing else value
                    known[col + REACH_PX] += 0.0 if missing else 1.0
            for col in range(cols):
                sums, number_known = 0.0, 0.0
                for near in range(col, col + 2 * REACH_PX + 1):
                    sums += total[near]
                    number_known += known[near]
                if not math.isnan(patch[row, col]) and sums < limit * number_known:
                    counts[number] += 1
