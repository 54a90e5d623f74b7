"""What networks see: channels scaled to about [-1, 1], and the way back to physical units.

The paper's four channels are VV*, VV*_old, slope and "angle or orientation (additional measurements provided
by SAR)" (Sinha et al. 2019, section 2). Which angle it was is open: the paper's discussion calls it the
orientation of the mountain, the aspect; a SAR product provides the incidence. `learning.angle` chooses. The
scaling is a choice of this project: tanh cannot reproduce unbounded dB, so VV* is clipped to ±15 dB. A pixel
without a value becomes 0: no change against the reference, and for the aspect of flat ground the middle of
its range.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CLIP_DB = 15.0
SCALING: dict[str, tuple[float, float]] = {
    "vv_star": (0.0, CLIP_DB),
    "vv_star_old": (0.0, CLIP_DB),
    "vh_star": (0.0, CLIP_DB),
    "vh_star_old": (0.0, CLIP_DB),
    "slope": (0.0, 90.0),
    "aspect": (180.0, 180.0),
    "local_incidence": (0.0, 90.0),
}
"""Per channel, in dB or degrees: the value that becomes 0, and the distance to it that becomes 1."""


def network_channels(angle: str) -> tuple[str, ...]:
    """The channels of the paper's network in their order; `angle` is ``aspect`` or ``local_incidence``."""
    return ("vv_star", "vv_star_old", "slope", angle)


def scaling_of(channels: Sequence[str]) -> dict[str, list[float]]:
    """How channels are scaled, as a description says it."""
    return {name: list(SCALING[name]) for name in channels}


def _column(channels: Sequence[str], position: int) -> NDArray[np.float32]:
    values = [SCALING[name][position] for name in channels]
    return np.array(values, np.float32)[None, :, None, None]


def clipped(images: NDArray[np.float32], channels: Sequence[str]) -> NDArray[np.float32]:
    """Channels (n, channels, 64, 64) in dB and degrees, clipped to the scaled range; NaN stays."""
    centre, reach = _column(channels, 0), _column(channels, 1)
    result: NDArray[np.float32] = np.clip(images, centre - reach, centre + reach)
    return result


def scale(images: NDArray[np.float32], channels: Sequence[str]) -> NDArray[np.float32]:
    """Physical channels (n, channels, 64, 64) to [-1, 1]; NaN becomes 0."""
    scaled = (clipped(images, channels) - _column(channels, 0)) / _column(channels, 1)
    return np.asarray(np.nan_to_num(scaled, copy=False, nan=0.0), np.float32)


def unscale(images: NDArray[np.float32], channels: Sequence[str]) -> NDArray[np.float32]:
    """Scaled channels (n, channels, 64, 64) back to dB and degrees."""
    return images * _column(channels, 1) + _column(channels, 0)


def network_input(images: NDArray[np.float32], channels: Sequence[str]) -> Tensor:
    """Scaled channels (n, channels, 64, 64) as a tensor, channels last in memory."""
    return torch.from_numpy(scale(images, channels)).contiguous(memory_format=torch.channels_last)
