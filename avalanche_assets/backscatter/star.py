"""VV* and VH*: backscatter in dB over a snow-free reference of the same orbit.

Source: working definition after Karbou's group ("differences after and before, combined with a reference
image of snow-free ground"); the exact formula of Sinha et al. 2019 was not available, so it is a documented
choice. The reference cancels in the change dVV = VV*(t) - VV*(previous); it only removes what is static.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def reference_median(acquisitions: Sequence[Floats]) -> Floats:
    """Per-pixel median of linear sigma0 over acquisitions; NaN where none has a value.

    Args:
        acquisitions: Arrays of one shape, linear power, NaN where there is no value.
    """
    stack = np.stack(acquisitions)
    empty = np.isnan(stack).all(axis=0)
    stack[:, empty] = 0.0
    median = np.nanmedian(stack, axis=0).astype(np.float32)
    median[empty] = np.nan
    return median


def ratio_db(sigma0: Floats, reference: Floats) -> Floats:
    """10 log10(sigma0 / reference) in dB; NaN where either is missing or not positive."""
    valid = (sigma0 > 0) & (reference > 0)
    ratio = np.divide(sigma0, reference, out=np.ones_like(sigma0), where=valid)
    return np.where(valid, 10 * np.log10(ratio), np.nan).astype(np.float32)


def scene_change_db(star_db: Floats, previous_star_db: Floats) -> float:
    """Scene-wide change in dB since the previous acquisition: the median over all common pixels.

    NaN when no pixel is common. An avalanche covers far less than half of a scene, so the median sees only
    what moves everything: melt, refreeze, or a calibration step.
    """
    change = star_db - previous_star_db
    return float(np.nanmedian(change)) if np.isfinite(change).any() else float("nan")
