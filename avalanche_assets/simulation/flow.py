"""Where water, and an avalanche, runs on an elevation model: depression filling, D8 receivers, drainage area.

One flood from the lowest rim cells upwards gives all three at once. Cells wait in buckets of 5 cm instead of
a heap, so the time grows with the number of cells only.

Source: Barnes, R., Lehman, C. & Mulla, D. (2014), Priority-flood, Computers & Geosciences 62 (the flood);
O'Callaghan, J. & Mark, D. (1984), The extraction of drainage networks (D8).
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Cells = NDArray[np.int32]

BUCKET_M = 0.05
"""Heights closer than this are flooded in any order."""

ROW_STEPS = np.array([-1, -1, -1, 0, 0, 1, 1, 1], np.int64)
COL_STEPS = np.array([-1, 0, 1, -1, 1, -1, 0, 1], np.int64)


@njit(cache=True)
def drain(elevation: Floats) -> tuple[Floats, Cells, Cells]:
    """Floods the model from its rim and notes for every cell where its water goes.

    Args:
        elevation: float32 (rows, columns) in metres, no NaN.

    Returns:
        filled: float32 (rows, columns), heights without depressions.
        receivers: int32 (rows * columns,), flat index of the cell each one drains to: the steepest
            descent of eight, through the lake where there is none; rim cells drain to themselves.
        order: int32 (rows * columns,), every cell after its receiver.
    """
    rows, cols = elevation.shape
    count = rows * cols
    flat = elevation.ravel()
    lowest = flat.min()
    buckets = int((flat.max() - lowest) / BUCKET_M) + 2
    first = np.full(buckets, -1, np.int32)
    following = np.full(count, -1, np.int32)
    filled = np.empty(count, np.float32)
    receivers = np.full(count, -1, np.int32)
    order = np.empty(count, np.int32)
    done = np.zeros(count, np.bool_)
    for row in range(rows):
        step = 1 if row in (0, rows - 1) else max(cols - 1, 1)
        for col in range(0, cols, step):
            cell = row * cols + col
            receivers[cell] = cell
            filled[cell] = flat[cell]
            bucket = int((flat[cell] - lowest) / BUCKET_M)
            following[cell] = first[bucket]
            first[bucket] = cell
    taken = 0
    bucket = 0
    while bucket < buckets:
        cell = first[bucket]
        if cell < 0:
            bucket += 1
            continue
        first[bucket] = following[cell]
        row, col = cell // cols, cell % cols
        rim = receivers[cell] == cell
        steepest = 0.0
        for k in range(8):
            r, c = row + ROW_STEPS[k], col + COL_STEPS[k]
            if r < 0 or c < 0 or r >= rows or c >= cols:
                continue
            other = r * cols + c
            if done[other]:
                distance = 1.41421356 if ROW_STEPS[k] * COL_STEPS[k] != 0 else 1.0
                slope = (filled[cell] - filled[other]) / distance
                if not rim and slope > steepest:
                    steepest = slope
                    receivers[cell] = other
            elif receivers[other] < 0:
                receivers[other] = cell
                filled[other] = max(flat[other], filled[cell])
                target = max(int((filled[other] - lowest) / BUCKET_M), bucket)
                following[other] = first[target]
                first[target] = other
        done[cell] = True
        order[taken] = cell
        taken += 1
    return filled.reshape((rows, cols)), receivers, order


@njit(cache=True)
def drainage_area(receivers: Cells, order: Cells, cell_area: float) -> Floats:
    """Area in m2 that drains through every cell, itself included; float32 (cells,)."""
    area = np.full(receivers.size, cell_area, np.float32)
    for k in range(order.size - 1, -1, -1):
        cell = order[k]
        if receivers[cell] != cell:
            area[receivers[cell]] += area[cell]
    return area
