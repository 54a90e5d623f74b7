"""No network: the brightest spot that rises above its surroundings both in VV* and in its change.

Score: difference of two Gaussian blurs (a band-pass for what is as large as a deposit) of VV* - VV*_old and
of VV*, the smaller of the two at each pixel, weighted towards the deposit point; mean of the 30 largest
values. Melt, refreeze and drift move a whole patch and cancel; texture that was there before shows in VV* but
not in the change, a spot that darkened before and recovered shows in the change but not in VV*.

It learns nothing and is the rival that every trained detector has to beat.
"""

from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avalanche_assets.detectors.base import Detector, Look, Progress, TrainingSummary, silent
from avalanche_assets.detectors.description import Tensors, describe
from avalanche_assets.detectors.locality import CENTRE_SIGMA_PX, centre_weight, smooth
from avalanche_assets.patches.batches import PatchBatch, PatchSource
from avalanche_assets.settings import LearningSettings

FINE_PX, COARSE_PX = 1.5, 6.0
TOP_PIXELS = 30
"""0.012 km2 at 20 m: a deposit of middle size."""

CONFIGURATION: dict[str, Any] = {
    "fine_px": FINE_PX,
    "coarse_px": COARSE_PX,
    "top_pixels": TOP_PIXELS,
    "centre_sigma_px": CENTRE_SIGMA_PX,
}


def contrast(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far each spot of (n, 64, 64) rises above its surroundings, in the unit of `images`."""
    return smooth(images, FINE_PX) - smooth(images, COARSE_PX)


def common_contrast(batch: PatchBatch, polarisation: str) -> NDArray[np.float32]:
    """The smaller contrast of a polarisation (``vv`` or ``vh``) and of its change, (n, 64, 64) dB."""
    return np.minimum(contrast(batch[f"d{polarisation}"]), contrast(batch[f"{polarisation}_star"]))


def top_mean(images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean of the `TOP_PIXELS` largest centre-weighted values (n,); a missing pixel counts as 0."""
    weighted = np.nan_to_num(images * centre_weight(), nan=0.0).reshape(len(images), -1)
    top = np.partition(weighted, -TOP_PIXELS, axis=1)[:, -TOP_PIXELS:]
    return np.asarray(top.mean(axis=1, dtype=np.float64))


class LocalContrast(Detector):
    """Score: mean of the highest common contrasts of VV* and its change, in dB."""

    channels = ("vv_star", "vv_star_old")

    def __init__(self, name: str = "local_contrast") -> None:
        super().__init__(name)
        self._described = describe(name, CONFIGURATION)

    def fit(
        self,
        train: PatchSource,
        validation: PatchSource,
        settings: LearningSettings,
        progress: Progress = silent,
        checkpoint: Path | None = None,
    ) -> TrainingSummary:
        """Learns nothing; here so that all detectors can be treated alike."""
        start = perf_counter()
        progress(f"{self.name}: nothing to train")
        return TrainingSummary(
            self.name, self.version, len(train), len(validation), 0, 0, perf_counter() - start
        )

    def look(self, batch: PatchBatch) -> Look:
        """Scores and the contrast they come from."""
        anomaly = common_contrast(batch, "vv")
        return Look({"": top_mean(anomaly)}, anomaly)

    def _configuration(self, description: Mapping[str, Any]) -> dict[str, Any]:
        return CONFIGURATION

    def _restore(self, description: Mapping[str, Any], tensors: Tensors) -> None:
        """Nothing is stored but the configuration."""
