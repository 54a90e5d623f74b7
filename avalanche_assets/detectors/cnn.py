"""A supervised CNN on an artificially balanced sample, the paper's rival.

The layers of Sinha et al. 2019 (Climate Informatics) are not public; this one has the encoder of the VAE, a
global mean and one output. As there, it learns from as many negatives as there are positives, drawn anew for
every training by the seed; pictures are mirrored at random, and the network is small, because positives are
few.

Source: S. Sinha et al., Can avalanche deposits be effectively detected by deep learning on Sentinel-1
satellite SAR images?, Climate Informatics 2019.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from avalanche_assets.detectors.base import Look
from avalanche_assets.detectors.inputs import network_input
from avalanche_assets.detectors.locality import over_median, smooth
from avalanche_assets.detectors.network_detector import NetworkDetector
from avalanche_assets.detectors.training import Losses
from avalanche_assets.detectors.tree_detectors import require_both
from avalanche_assets.patches.batches import PatchBatch, PatchSource
from avalanche_assets.settings import LearningSettings

CHANNELS = ("vv_star", "vv_star_old", "vh_star", "vh_star_old", "slope", "local_incidence")


class CnnNetwork(nn.Module):
    """Four strided convolutions, the mean over what is left of the picture, and one log-odds."""

    def __init__(self, channels: int, base_channels: int) -> None:
        super().__init__()
        widths = [channels, *(base_channels * 2**level for level in range(4))]
        layers: list[nn.Module] = []
        for narrow, wide in pairwise(widths):
            layers += [nn.Conv2d(narrow, wide, 4, 2, 1), nn.BatchNorm2d(wide), nn.ReLU()]
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3))
        self.odds = nn.Linear(widths[-1], 1)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Tensor) -> Tensor:
        """Log-odds of a deposit (n,)."""
        if self.training and torch.rand(()) < 0.5:
            images = images.flip(3)
        odds: Tensor = self.odds(self.features(images))
        return odds.flatten()


class Cnn(NetworkDetector):
    """Score: log-odds of a deposit."""

    channels = CHANNELS

    def _channels_of(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        return CHANNELS

    def _build(self, settings: Mapping[str, Any]) -> nn.Module:
        return CnnNetwork(len(CHANNELS), max(settings["base_channels"] // 4, 4))

    def _examples(self, train: PatchSource, settings: LearningSettings) -> PatchSource:
        positive = train.labels("new") == "positive"
        require_both(self.name, positive)
        negatives = np.flatnonzero(~positive)
        count = min(len(negatives), int(positive.sum()))
        drawn = np.random.default_rng(settings.seed).choice(negatives, count, replace=False)
        chosen = positive.copy()
        chosen[drawn] = True
        return train.subset(chosen)

    def _losses(self, batch: PatchBatch, labels: Tensor, settings: LearningSettings) -> Losses:
        odds = self.network(network_input(batch.images, batch.channels))
        loss = nn.functional.binary_cross_entropy_with_logits(odds, labels, reduction="none")
        return Losses(loss, odds)

    def look(self, batch: PatchBatch) -> Look:
        """Log-odds; the smoothed change over its median."""
        with torch.inference_mode():
            odds = self.network(network_input(batch.images, batch.channels)).double().numpy()
        return Look({"": odds}, over_median(smooth(batch["dvv"])))
