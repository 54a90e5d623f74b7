"""Where in a patch a deposit is looked for: smoothing against speckle, and the zone around the centre.

A deposit covers about one percent of a patch, so a score must look locally. The smoothing of one pixel
(20 m) and the centre weight of 14 pixels are those with which a VAE's residual separated simulated
deposits best; both are choices of this project, not of the paper.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from avalanche_assets.tables import PATCH_SIZE

SMOOTHING_SIGMA_PX = 1.0
CENTRE_SIGMA_PX = 14.0
CENTRE_PX = PATCH_SIZE // 2
"""Row and column of the deposit point in its patch."""


def smooth(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gaussian smoothing of (n, 64, 64) images over the pixels that have a value.

    Missing pixels and those beyond the edge carry no weight, so a mask neither dims nor brightens its
    surroundings; missing pixels stay NaN.
    """
    valid = np.isfinite(images)
    sigma = (0.0, SMOOTHING_SIGMA_PX, SMOOTHING_SIGMA_PX)
    total = gaussian_filter(np.where(valid, images, 0).astype(np.float32), sigma, mode="constant")
    weight = gaussian_filter(valid.astype(np.float32), sigma, mode="constant")
    smoothed = np.full(images.shape, np.nan, np.float32)
    np.divide(total, weight, out=smoothed, where=valid)
    return smoothed


def _distance_to_centre() -> NDArray[np.float64]:
    offset = np.arange(PATCH_SIZE) - CENTRE_PX
    return np.hypot(offset[:, None], offset[None, :])


def centre_weight() -> NDArray[np.float32]:
    """Gaussian weight (64, 64) around the deposit point, 1 at its pixel."""
    return np.exp(-0.5 * (_distance_to_centre() / CENTRE_SIGMA_PX) ** 2).astype(np.float32)


def centre_disc(radius_px: float) -> NDArray[np.bool_]:
    """Pixels (64, 64) within `radius_px` of the deposit point's pixel."""
    return _distance_to_centre() <= radius_px
