"""Speckle and the sensor's point spread.

The scatterers of every 10 m cell contribute independent gamma-distributed intensity; the sensor's resolution
of about 20 m mixes neighbouring cells. Mixing narrows the distribution, so the cells are made as much noisier
as it takes for the image to end at the equivalent number of looks of IW GRDH products.

Source: 4.4 looks and 20 x 22 m resolution at 10 m spacing: Sentinel-1 Product Definition (IW GRDH, table of
product characteristics); the gamma law: Ulaby & Dobson, Handbook of Radar Scattering Statistics, chapter 5.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats32 = NDArray[np.float32]

LOOKS = 4.4
"""Equivalent number of looks of the finished image."""
KERNEL = np.array([0.25, 0.5, 0.25])
"""Point spread in each direction, sum 1: two samples wide at half its height."""
HALO = 1
"""Lines beyond a block that its point spread needs."""

CELL_LOOKS = LOOKS * float(np.sum(KERNEL**2)) ** 2


def speckled(intensity: Floats32, key: int, first_line: int) -> Floats32:
    """The image a sensor makes of mean intensities.

    The numbers of a line depend on `key` and the line only, so blocks of lines fit together without a seam.

    Args:
        intensity: Mean power of every cell, `HALO` lines more above and below, (lines + 2, samples).
        key: Distinguishes images: another key gives independent speckle.
        first_line: Line number of row 0 of `intensity`; -1 is the halo above line 0.

    Returns:
        float32 (lines, samples) with the mean of `intensity` and `LOOKS` looks.
    """
    noisy = np.empty(intensity.shape, np.float32)
    for row in range(len(noisy)):
        generator = np.random.Generator(np.random.Philox(key=key, counter=[0, 0, first_line + row + HALO, 0]))
        generator.standard_gamma(CELL_LOOKS, dtype=np.float32, out=noisy[row])
    noisy *= intensity
    noisy *= np.float32(1.0 / CELL_LOOKS)
    return point_spread(noisy)[HALO:-HALO]


def point_spread(intensity: Floats32) -> Floats32:
    """Intensities mixed by the sensor's point spread; same shape, edges repeat the outermost cells."""
    along = ndimage.correlate1d(intensity, KERNEL, axis=0, mode="nearest")
    return np.asarray(ndimage.correlate1d(along, KERNEL, axis=1, mode="nearest"))
