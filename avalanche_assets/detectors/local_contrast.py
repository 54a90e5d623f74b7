"""No network: the brightest spot that rises above its surroundings both now and against the date before.

Contrast is the difference of two Gaussian blurs, a band-pass for what is as large as a deposit. A pixel
counts with the smallest of several contrasts: melt, refreeze and drift move a whole patch and cancel; texture
that was there before shows in VV* but not in its change; a spot that darkened before and recovered shows in
the change but not in VV*. Score: the mean of the 30 largest values, weighted towards the deposit point.

- `LocalContrast`: of VV* and its change. It learns nothing and is the rival every detector has to beat.
- `DualContrast`: of VV*, VH* and both changes, whose speckle is independent, where the radar sees the
  ground, with a wider weight. It learns nothing either.
"""

from abc import abstractmethod
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

Images = NDArray[np.float32]

FINE_PX, COARSE_PX = 1.5, 6.0
TOP_PIXELS = 30
"""0.012 km2 at 20 m: a deposit of middle size."""
WIDE_SIGMA_PX = 20.0


def contrast(images: Images) -> Images:
    """How far each spot of (n, 64, 64) rises above its surroundings, in the unit of `images`."""
    return smooth(images, FINE_PX) - smooth(images, COARSE_PX)


def top_mean(images: Images, centre_sigma_px: float = CENTRE_SIGMA_PX) -> NDArray[np.float64]:
    """Mean of the `TOP_PIXELS` largest centre-weighted values (n,); a missing pixel counts as 0."""
    weighted = images * centre_weight(centre_sigma_px)
    flat = np.nan_to_num(weighted, copy=False, nan=0.0).reshape(len(images), -1)
    top = np.partition(flat, -TOP_PIXELS, axis=1)[:, -TOP_PIXELS:]
    return np.asarray(top.mean(axis=1, dtype=np.float64))


def where_seen(batch: PatchBatch, channel: str) -> Images:
    """A channel (n, 64, 64), NaN in layover and shadow too."""
    return np.asarray(np.where(batch["visible"] > 0, batch[channel], np.nan), np.float32)


class _Contrast(Detector):
    centre_sigma_px: float

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._described = describe(name, self._configuration({}))

    @abstractmethod
    def _common(self, batch: PatchBatch) -> Images:
        """The smallest of the contrasts at each pixel (n, 64, 64) in dB."""

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
        """Scores and the contrast they come from, in dB."""
        anomaly = self._common(batch)
        return Look({"": top_mean(anomaly, self.centre_sigma_px)}, anomaly)

    def _configuration(self, description: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "channels": list(self.channels),
            "fine_px": FINE_PX,
            "coarse_px": COARSE_PX,
            "top_pixels": TOP_PIXELS,
            "centre_sigma_px": self.centre_sigma_px,
        }

    def _restore(self, description: Mapping[str, Any], tensors: Tensors) -> None:
        """Nothing is stored but the configuration."""


class LocalContrast(_Contrast):
    """Score: mean of the highest contrasts common to VV* and its change, in dB."""

    channels = ("vv_star", "vv_star_old")
    centre_sigma_px = CENTRE_SIGMA_PX

    def __init__(self, name: str = "local_contrast") -> None:
        super().__init__(name)

    def _common(self, batch: PatchBatch) -> Images:
        return np.minimum(contrast(batch["dvv"]), contrast(batch["vv_star"]))


class DualContrast(_Contrast):
    """Score: the same of both polarisations, where the radar sees the ground."""

    channels = ("vv_star", "vv_star_old", "vh_star", "vh_star_old", "visible")
    centre_sigma_px = WIDE_SIGMA_PX

    def __init__(self, name: str = "dual_contrast") -> None:
        super().__init__(name)

    def _common(self, batch: PatchBatch) -> Images:
        contrasts = [contrast(where_seen(batch, name)) for name in ("vv_star", "vh_star", "dvv", "dvh")]
        return np.asarray(np.minimum.reduce(contrasts), np.float32)
