"""Border noise: pixels at the edges of old images that were never imaged but are not zero either.

Since IPF 2.90 such pixels are 0. Earlier processors left small values at the swath's sides and at the first
and last lines of a data take. No imaged pixel can stay below the noise floor on average; so pixels are
border, from each side inwards, as long as their running mean power lies below half the annotated noise or,
where none is annotated, below -34 dB, which is below the noise floor of every sub-swath.

Source: I. Ali et al., "Methods to remove the border noise from Sentinel-1 synthetic aperture radar data",
IEEE JSTARS 11(3), 2018, for the artefact and for working inwards from the sides.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float32s = NDArray[np.float32]

FIRST_CLEAN_IPF = (2, 90)
RUN_SAMPLES = 64
"""Length of the running mean, and how far the mask may reach into the image."""
NOISE_SHARE = 0.5
FLOOR = 10.0**-3.4


@njit(cache=True, nogil=True)
def blank_border(dn: NDArray[np.uint16], factor: Float32s, noise: Float32s) -> None:
    """Sets border noise to 0, in place, line by line from both sides.

    Args:
        dn: Digital numbers of whole lines, shape (lines, samples).
        factor: Calibration factor A on the same pixels.
        noise: Noise power eta on the same pixels, DN^2; zeros where it is not annotated.
    """
    samples = dn.shape[1]
    run = min(RUN_SAMPLES, samples)
    excess = np.empty(samples)
    for row in range(dn.shape[0]):
        for col in range(samples):
            floor = max(NOISE_SHARE * noise[row, col], FLOOR * factor[row, col] ** 2)
            excess[col] = float(dn[row, col]) ** 2 - floor
        dn[row, : _low_run(excess, run)] = 0
        dn[row, samples - _low_run(excess[::-1], run) :] = 0


@njit(cache=True, nogil=True)
def _low_run(excess: NDArray[np.float64], run: int) -> int:
    """Samples from the start on until the running sum is no longer negative; 0 when it never is."""
    total = 0.0
    for col in range(run):
        total += excess[col]
    end = run
    if total >= 0.0:
        return 0
    while total < 0.0 and end < excess.size:
        total += excess[end] - excess[end - run]
        end += 1
    return end
