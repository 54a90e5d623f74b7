"""Where in a patch a deposit is looked for: smoothing against speckle, and the zone around the centre.

A deposit covers about one percent of a patch, so a score must look locally. The widths here are those with
which simulated deposits stood out best; they are choices of this project, not of the paper.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from avalanche_assets.tables import PATCH_SIZE

Images = NDArray[np.float32]

SMOOTHING_SIGMA_PX = 1.0
CENTRE_SIGMA_PX = 14.0
CENTRE_PX = PATCH_SIZE // 2
"""Row and column of the deposit point in its patch."""


def smooth(images: Images, sigma_px: float = SMOOTHING_SIGMA_PX) -> Images:
    """Gaussian smoothing of (n, 64, 64) images over the pixels that have a value.

    Missing pixels and those beyond the edge carry no weight, so a mask neither dims nor brightens its
    surroundings; missing pixels stay NaN.
    """
    valid = np.isfinite(images)
    total = _blur(np.where(valid, images, 0), sigma_px)
    weight = _blur(valid, sigma_px)
    smoothed = np.full(images.shape, np.nan, np.float32)
    np.divide(total, weight, out=smoothed, where=valid)
    return smoothed


def _blur(images: NDArray[np.generic], sigma_px: float) -> Images:
    """Two matrix products: twenty times as fast as filtering line by line, with the same values."""
    matrix = _blur_matrix(sigma_px)
    blurred: Images = matrix @ images.astype(np.float32) @ matrix.T
    return blurred


@cache
def _blur_matrix(sigma_px: float) -> Images:
    unit = np.eye(PATCH_SIZE, dtype=np.float64)
    return np.asarray(gaussian_filter1d(unit, sigma_px, axis=0, mode="constant"), np.float32)


def over_median(images: Images) -> Images:
    """Images (n, 64, 64) less their median, so that what moves the whole patch cancels."""
    result = images.copy()
    known = np.isfinite(images).any(axis=(1, 2))
    result[known] -= np.nanmedian(images[known], axis=(1, 2), keepdims=True)
    return result


def strongest(images: Images) -> NDArray[np.float64]:
    """Largest centre-weighted value of each image (n,); -inf where there is none."""
    weighted = np.nan_to_num(images * centre_weight(), nan=-np.inf)
    return np.asarray(weighted.max(axis=(1, 2)), np.float64)


def _distance_to_centre() -> NDArray[np.float64]:
    offset = np.arange(PATCH_SIZE) - CENTRE_PX
    return np.hypot(offset[:, None], offset[None, :])


@cache
def centre_weight() -> Images:
    """Gaussian weight (64, 64) around the deposit point, 1 at its pixel."""
    return np.exp(-0.5 * (_distance_to_centre() / CENTRE_SIGMA_PX) ** 2).astype(np.float32)


def centre_disc(radius_px: float) -> NDArray[np.bool_]:
    """Pixels (64, 64) within `radius_px` of the deposit point's pixel."""
    return _distance_to_centre() <= radius_px
