"""The dB-threshold baseline: how bright a connected patch of change lies in the deposit zone.

In the spirit of the thresholding of Karbou et al. 2018a, which Sinha et al. 2019 compare with. The exact
rule of that work is not in the paper: smoothing and zone below are documented choices of this project. How
many pixels must hang together and in which polarisation is tuned on the validation samples; the threshold
in dB is chosen on them like that of any other detector.
"""

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from avalanche_assets.detectors.base import (
    SCORING_BATCH,
    Detector,
    Look,
    Progress,
    Scores,
    TrainingSummary,
    silent,
)
from avalanche_assets.detectors.description import Tensors, describe
from avalanche_assets.detectors.locality import SMOOTHING_SIGMA_PX, centre_disc, smooth
from avalanche_assets.patches.batches import PatchBatch, PatchSource
from avalanche_assets.settings import LearningSettings

CONNECTED_PIXELS = (5, 3, 8, 12, 20)
"""Pixels that must hang together (8-connected); the first, 2,000 m2 at 20 m, is about the least that
Sentinel-1 shows and counts until something else proves better."""
POLARISATIONS = ("vv", "vh", "both")
"""Whose change counts; of ``both`` the smaller one."""
ZONE_RADIUS_PX = 16
"""The deposit zone: a disc around the deposit point, 320 m at 20 m."""

CONFIGURATION: dict[str, Any] = {"zone_radius_px": ZONE_RADIUS_PX, "smoothing_sigma_px": SMOOTHING_SIGMA_PX}


@njit(cache=True, nogil=True)
def _root(parent: NDArray[np.int64], pixel: int) -> int:
    while parent[pixel] != pixel:
        parent[pixel] = parent[parent[pixel]]
        pixel = parent[pixel]
    return pixel


@njit(cache=True, nogil=True)
def _highest_level(image: NDArray[np.float32], zone: NDArray[np.bool_], pixels: int) -> float:
    rows, cols = image.shape
    values = image.ravel()
    inside = np.flatnonzero(zone.ravel() & ~np.isnan(values))
    parent = np.full(rows * cols, -1, np.int64)
    size = np.ones(rows * cols, np.int64)
    for pixel in inside[np.argsort(-values[inside])]:
        parent[pixel] = pixel
        row, col = pixel // cols, pixel % cols
        for near_row in range(max(row - 1, 0), min(row + 2, rows)):
            for near_col in range(max(col - 1, 0), min(col + 2, cols)):
                near = near_row * cols + near_col
                if parent[near] < 0:
                    continue
                one, other = _root(parent, pixel), _root(parent, near)
                if one != other:
                    parent[other] = one
                    size[one] += size[other]
        if size[_root(parent, pixel)] >= pixels:
            return float(values[pixel])
    return np.nan


def highest_connected_level(
    images: NDArray[np.float32], zone: NDArray[np.bool_], pixels: int
) -> NDArray[np.float64]:
    """The largest level at which at least `pixels` 8-connected pixels of `zone` reach it.

    Exact: pixels join in falling order of their values (union-find) until one component is large enough.

    Args:
        images: (n, rows, cols), NaN where no value.
        zone: (rows, cols), the pixels looked at.
        pixels: Size a component must reach.

    Returns:
        Levels (n,) in the unit of `images`; NaN where no component of valid pixels is ever large enough.
    """
    return np.array([_highest_level(image, zone, pixels) for image in images], np.float64)


def smoothed_change(batch: PatchBatch, polarisation: str) -> NDArray[np.float32]:
    """Smoothed change (n, 64, 64) in dB of one of `POLARISATIONS`."""
    if polarisation == "both":
        return np.minimum(smooth(batch["dvv"]), smooth(batch["dvh"]))
    return smooth(batch[f"d{polarisation}"])


class ChangeThreshold(Detector):
    """Score: the highest dB level of smoothed change that a connected patch of the zone reaches."""

    def __init__(self, name: str = "change_threshold") -> None:
        super().__init__(name)
        self._choose("vv", CONNECTED_PIXELS[0])

    @property
    def channels(self) -> tuple[str, ...]:
        """VV* of both dates, and VH* where its change counts."""
        vh = ("vh_star", "vh_star_old") if self.polarisation != "vv" else ()
        return ("vv_star", "vv_star_old", *vh)

    def _choose(self, polarisation: str, pixels: int, **about: Any) -> None:
        self.polarisation, self.pixels = polarisation, pixels
        chosen = {"polarisation": polarisation, "connected_pixels": pixels}
        self._described = describe(self.model, {**CONFIGURATION, **chosen, **about})

    def fit(
        self,
        train: PatchSource,
        validation: PatchSource,
        settings: LearningSettings,
        progress: Progress = silent,
        checkpoint: Path | None = None,
    ) -> TrainingSummary:
        """Tunes polarisation and size for the best balanced accuracy on the validation samples.

        Without positives or negatives among them, or where nothing is better, the untuned values count.
        """
        start = perf_counter()
        states = validation.labels("new")
        labelled = validation.subset((states == "positive") | (states == "negative"))
        positive = labelled.labels("new") == "positive"
        if positive.any() and not positive.all():
            levels = _levels(labelled)
            reached = {choice: _best_accuracy(scores, positive) for choice, scores in levels.items()}
            polarisation, pixels = max(reached, key=lambda choice: reached[choice])
            self._choose(polarisation, pixels, balanced_accuracy=reached[polarisation, pixels])
        progress(f"{self.name}: {self.pixels} connected pixels of {self.polarisation}")
        return TrainingSummary(
            self.name, self.version, len(train), len(labelled), 0, 0, perf_counter() - start
        )

    def look(self, batch: PatchBatch) -> Look:
        """Levels in dB, NaN where the zone holds too few connected values; the smoothed change."""
        change = smoothed_change(batch, self.polarisation)
        return Look({"": highest_connected_level(change, centre_disc(ZONE_RADIUS_PX), self.pixels)}, change)

    def _configuration(self, description: Mapping[str, Any]) -> dict[str, Any]:
        return CONFIGURATION

    def _restore(self, description: Mapping[str, Any], tensors: Tensors) -> None:
        self.polarisation, self.pixels = description["polarisation"], description["connected_pixels"]


def _levels(samples: PatchSource) -> dict[tuple[str, int], Scores]:
    """Scores (n,) of all samples by polarisation and size."""
    zone = centre_disc(ZONE_RADIUS_PX)
    choices = list(product(POLARISATIONS, CONNECTED_PIXELS))
    levels = {choice: np.full(len(samples), np.nan) for choice in choices}
    for batch in samples.stream(("vv_star", "vv_star_old", "vh_star", "vh_star_old"), SCORING_BATCH):
        for polarisation in POLARISATIONS:
            change = smoothed_change(batch, polarisation)
            for pixels in CONNECTED_PIXELS:
                levels[polarisation, pixels][batch.rows] = highest_connected_level(change, zone, pixels)
    return levels


def _best_accuracy(scores: Scores, positive: NDArray[np.bool_]) -> float:
    """Balanced accuracy at the best threshold, rounded so that equal choices stay in their order."""
    from sklearn.metrics import roc_curve

    known = np.isfinite(scores)
    if not positive[known].any() or positive[known].all():
        return 0.0
    false_alarms, hits, _ = roc_curve(positive[known], scores[known])
    return round(float((hits - false_alarms).max() / 2 + 0.5), 6)
