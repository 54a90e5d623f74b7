"""Border noise: pixels at the edges of old images that were never imaged but are not zero either.

Since IPF 2.90 such pixels are 0. Earlier processors left small values at the swath's sides and at the first
and last lines of a data take. A pixel counts as low when its power is below half the annotated noise or,
where none is annotated, below -34 dB, which is under the noise floor of every sub-swath. At the noise floor
itself some 10 % of the pixels are low (gamma distribution, 4.4 looks). So from each side of a line the
border is the run in which low pixels outnumber the others most, if there is a clear majority at all.

Source: I. Ali et al., "Methods to remove the border noise from Sentinel-1 synthetic aperture radar data",
IEEE JSTARS 11(3), 2018, for the artefact and for working inwards from the sides.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float32s = NDArray[np.float32]

FIRST_CLEAN_IPF = (2, 90)
CLEAR_MAJORITY = 6
"""A run must hold so many more low pixels than others; by chance a dark lake does in one line of 10^5."""
MARGIN_SAMPLES = 3
"""Samples beside the border that the processor's filter mixed with it."""
NOISE_SHARE = 0.5
FLOOR = 10.0**-3.4


@njit(cache=True, nogil=True)
def blank_border(dn: NDArray[np.uint16], factor: Float32s, noise: Float32s) -> None:
    """Sets the border noise of one line to 0, in place, from both sides; every array has shape (samples,).

    Args:
        dn: Digital numbers of a whole line.
        factor: Calibration factor A.
        noise: Noise power eta, DN^2; zeros where it is not annotated.
    """
    low = np.empty(dn.size, np.bool_)
    for col in range(dn.size):
        floor = max(NOISE_SHARE * noise[col], FLOOR * factor[col] ** 2)
        low[col] = float(dn[col]) ** 2 < floor
    dn[: _low_run(low)] = 0
    dn[dn.size - _low_run(low[::-1]) :] = 0


@njit(cache=True, nogil=True)
def _low_run(low: NDArray[np.bool_]) -> int:
    """Samples from the start that are border, with the margin; 0 when there is no border."""
    score = best = end = 0
    for col in range(low.size):
        score += 1 if low[col] else -1
        if score > best:
            best, end = score, col + 1
    return min(end + MARGIN_SAMPLES, low.size) if best >= CLEAR_MAJORITY else 0
