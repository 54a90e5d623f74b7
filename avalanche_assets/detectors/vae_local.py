"""A local, signed score from the paper's network: the strongest unexpected brightening near the centre.

A deposit is about one percent of a patch, so the paper's error over the whole patch is mostly speckle and
terrain, and it counts the darkening of wet snow as much as the brightening of debris. Here only the VV*
residual counts, with its sign: smoothed over one pixel, against its median in the patch, weighted by a
Gaussian around the deposit point. The median takes out what moves the whole patch, such as refreezing, which
would otherwise raise an alarm in every corridor of a date. The network is that of `vae`: no second training.
"""

import hashlib
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from avalanche_assets.detectors.base import Progress, TrainingSummary, batches, scorable, silent
from avalanche_assets.detectors.description import VERSION_DIGITS
from avalanche_assets.detectors.locality import CENTRE_SIGMA_PX, SMOOTHING_SIGMA_PX, centre_weight
from avalanche_assets.detectors.vae import Vae
from avalanche_assets.detectors.vae_training import SCORING_BATCH
from avalanche_assets.patches.samples import PatchSamples
from avalanche_assets.settings import LearningSettings


class VaeLocal:
    """Score: maximum over the patch of the residual's contrast times centre weight, in dB."""

    name = "vae_local"

    def __init__(self, vae: Vae | None = None) -> None:
        self.vae = vae or Vae()

    @property
    def version(self) -> str:
        """Hash over the network's version and the constants of the score."""
        text = f"{self.name} contrast {self.vae.version} {SMOOTHING_SIGMA_PX} {CENTRE_SIGMA_PX}"
        return hashlib.sha256(text.encode("ascii")).hexdigest()[:VERSION_DIGITS]

    def fit(
        self,
        samples: PatchSamples,
        settings: LearningSettings,
        progress: Progress = silent,
        validation: PatchSamples | None = None,
    ) -> TrainingSummary:
        """Trains the network exactly as `Vae.fit` does."""
        return self.vae.fit(samples, settings, progress, validation)

    def score(self, samples: PatchSamples) -> NDArray[np.float64]:
        """Weighted residuals (N,) in dB; NaN where the VV* pair holds no value at all."""
        weight = centre_weight()
        scores = np.full(len(samples), np.nan)
        for rows in batches(len(samples), SCORING_BATCH):
            weighted = self.anomaly_map(samples.subset(rows)) * weight
            best = np.nan_to_num(weighted, nan=-np.inf).max(axis=(1, 2))
            scores[rows] = np.where(scorable(samples, rows), best, np.nan)
        return scores

    def anomaly_map(self, samples: PatchSamples) -> NDArray[np.float32]:
        """Smoothed VV* residual over its median in the patch (n, 64, 64) in dB; NaN where no value."""
        residual = self.vae.anomaly_map(samples)
        with_value = np.isfinite(residual).any(axis=(1, 2))
        residual[with_value] -= np.nanmedian(residual[with_value], axis=(1, 2), keepdims=True)
        return residual

    def save(self, folder: Path) -> None:
        """Writes the network as `Vae.save` does."""
        self.vae.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads the model folder of ``vae``.

        Raises:
            DetectorError: As `Vae.load`.
        """
        return cls(Vae.load(folder))
