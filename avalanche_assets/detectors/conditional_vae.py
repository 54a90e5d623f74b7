"""Ours: a network that knows the old image and the terrain, and a score that looks where deposits lie.

Loss per patch: `sum w (0.5 (x - m)^2 / v + 0.5 log v) + KL` over VV* and VH* and all pixels, with mean `m`
and variance `v` predicted for each of them; the weight `w` is 0 without a value on either date and where the
radar does not see the ground. Terrain is given, not reconstructed, so nothing is spent on it. The code may
stay empty: what is expected then follows from the old image alone.

Score: the residual in standard deviations, smoothed over one pixel, mean of both polarisations (their
speckle is independent), over its median in the patch, weighted by a Gaussian around the deposit point; its
maximum. Only brightening counts.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from avalanche_assets.detectors.base import Look
from avalanche_assets.detectors.conditional_network import ConditionalVaeNetwork
from avalanche_assets.detectors.inputs import CLIP_DB, network_input
from avalanche_assets.detectors.locality import over_median, smooth, strongest
from avalanche_assets.detectors.network import kl_divergence
from avalanche_assets.detectors.network_detector import NetworkDetector
from avalanche_assets.detectors.training import Losses
from avalanche_assets.patches.batches import PatchBatch
from avalanche_assets.settings import LearningSettings

TARGETS = ("vv_star", "vh_star")
CONDITIONS = ("vv_star_old", "vh_star_old", "slope", "local_incidence")
NETWORK_CHANNELS = (*TARGETS, *CONDITIONS)
LATENT_SIZE = 16


class ConditionalVae(NetworkDetector):
    """Score: the strongest unexpected brightening near the deposit point, in standard deviations."""

    channels = (*NETWORK_CHANNELS, "visible")

    def __init__(self, name: str = "conditional_vae") -> None:
        super().__init__(name)

    def _channels_of(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        return NETWORK_CHANNELS

    def _build(self, settings: Mapping[str, Any]) -> nn.Module:
        width = max(settings["base_channels"] // 2, 4)
        return ConditionalVaeNetwork(len(TARGETS), len(CONDITIONS), width, LATENT_SIZE)

    def _losses(self, batch: PatchBatch, labels: Tensor, settings: LearningSettings) -> Losses:
        images, weight = _inputs(batch)
        targets = images[:, : len(TARGETS)]
        mean, log_variance, code, code_log_variance = self.network(targets, images[:, len(TARGETS) :])
        residual = (targets - mean).square() * torch.exp(-log_variance)
        error = (0.5 * weight * (residual + log_variance)).flatten(1).sum(dim=1)
        divergence = kl_divergence(code, code_log_variance)
        return Losses(error + divergence, error, {"reconstruction": error, "kl": divergence}, code.flatten(1))

    def look(self, batch: PatchBatch) -> Look:
        """Scores; the smoothed VV* residual over its median in dB."""
        standardised, residual_db = self.residuals(batch)
        both = smooth(mean_of_known(standardised))
        return Look({"": strongest(over_median(both))}, over_median(smooth(residual_db[:, 0])))

    def residuals(self, batch: PatchBatch) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Residuals (n, 2, 64, 64) in standard deviations and in dB; NaN where a pixel has no weight."""
        images, weight = _inputs(batch)
        targets = images[:, : len(TARGETS)]
        with torch.inference_mode():
            mean, log_variance, _, _ = self.network(targets, images[:, len(TARGETS) :])
            residual = torch.where(weight > 0, targets - mean, torch.nan)
            standardised = residual * torch.exp(-0.5 * log_variance)
        return standardised.numpy(), np.float32(CLIP_DB) * residual.numpy()


def mean_of_known(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean over the second axis of (n, k, 64, 64) of what has a value; NaN where nothing has."""
    known = np.isfinite(images)
    count = known.sum(axis=1, dtype=np.float32)
    total = np.where(known, images, 0).sum(axis=1, dtype=np.float32)
    return np.where(count > 0, total / np.maximum(count, 1), np.float32(np.nan))


def _inputs(batch: PatchBatch) -> tuple[Tensor, Tensor]:
    """Scaled channels (n, 6, 64, 64), and the weight of each target's pixels (n, 2, 64, 64)."""
    images = network_input(batch.images[:, : len(NETWORK_CHANNELS)], NETWORK_CHANNELS)
    seen = batch["visible"] > 0
    weights = [np.isfinite(batch[f"d{name.removesuffix('_star')}"]) & seen for name in TARGETS]
    return images, torch.from_numpy(np.stack(weights, axis=1).astype(np.float32))
