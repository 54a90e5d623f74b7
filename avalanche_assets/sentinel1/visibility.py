"""Why a cell of the analysis grid is not seen, or not seen well, as bits of one flag."""

from enum import IntFlag

import numpy as np
from numpy.typing import NDArray


class Visibility(IntFlag):
    """Why a cell is not seen, or not seen well; 0 is visible."""

    LAYOVER = 1
    SHADOW = 2
    BORDER = 4
    OUTSIDE = 8
    NOISE_LIMITED = 16


OBSTRUCTED = int(Visibility.LAYOVER | Visibility.SHADOW)


def unobstructed(flags: NDArray[np.integer] | NDArray[np.floating]) -> NDArray[np.bool_]:
    """Where `Visibility` bits (as stored in a raster, maybe as float) hold neither layover nor shadow."""
    bits = np.nan_to_num(flags).astype(np.uint8)
    clear: NDArray[np.bool_] = (bits & OBSTRUCTED) == 0
    return clear
