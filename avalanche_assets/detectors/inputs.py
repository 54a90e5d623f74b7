"""The four channels the VAE sees, scaled to [-1, 1], and the way back to physical units.

VV*, VV*_old, slope and "angle or orientation" after Sinha et al. 2019, section 2. The paper's discussion
calls the last one the orientation of the mountain, so it is the aspect here. The scaling is a choice of
this project: tanh cannot reproduce unbounded dB, so VV* is clipped to ±15 dB. A pixel without a value
becomes 0: no change against the reference, flat, facing south.
"""

import numpy as np
from numpy.typing import NDArray

from avalanche_assets.patches.samples import PatchSamples

CLIP_DB = 15.0
SCALING: dict[str, tuple[float, float]] = {
    "vv_star": (0.0, CLIP_DB),
    "vv_star_old": (0.0, CLIP_DB),
    "slope": (0.0, 90.0),
    "aspect": (180.0, 180.0),
}
"""Per channel, in the network's order: the value that becomes 0, and the distance to it that becomes 1."""
CHANNELS = tuple(SCALING)
UNITS = ("dB", "dB", "deg", "deg")


def _column(position: int) -> NDArray[np.float32]:
    values = [pair[position] for pair in SCALING.values()]
    return np.array(values, np.float32)[None, :, None, None]


def physical_input(samples: PatchSamples, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """The chosen samples (n, 4, 64, 64) in dB and degrees, clipped to the scaled range; NaN stays."""
    images = np.stack([samples.channel(name, rows) for name in CHANNELS], axis=1)
    centre, reach = _column(0), _column(1)
    clipped: NDArray[np.float32] = np.clip(images, centre - reach, centre + reach)
    return clipped


def scale(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Physical channels (n, 4, 64, 64) to [-1, 1]; NaN becomes 0."""
    return np.asarray(np.nan_to_num((images - _column(0)) / _column(1), nan=0.0), np.float32)


def unscale(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scaled channels (n, 4, 64, 64) back to dB and degrees."""
    return images * _column(1) + _column(0)
