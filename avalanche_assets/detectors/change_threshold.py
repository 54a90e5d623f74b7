"""The dB-threshold baseline: how bright a connected patch of change lies in the deposit zone.

In the spirit of the thresholding of Karbou et al. 2018a, which Sinha et al. 2019 compare with. The exact
rule of that work is not in the paper: smoothing, zone and size below are documented choices of this
project. The threshold in dB is chosen on the validation dates like that of any other detector.
"""

from pathlib import Path
from time import perf_counter
from typing import Any, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from avalanche_assets.detectors.base import Progress, TrainingSummary, batches, silent
from avalanche_assets.detectors.description import (
    describe,
    read_description,
    require_equal,
    version_of,
    write_description,
)
from avalanche_assets.detectors.locality import SMOOTHING_SIGMA_PX, centre_disc, smooth
from avalanche_assets.patches.samples import PatchSamples
from avalanche_assets.settings import LearningSettings

CONNECTED_PIXELS = 5
"""Pixels that must hang together (8-connected): 2,000 m2 at 20 m, about the least Sentinel-1 shows."""
ZONE_RADIUS_PX = 16
"""The deposit zone: a disc around the deposit point, 320 m at 20 m."""
BATCH = 512

CONFIGURATION: dict[str, Any] = {
    "connected_pixels": CONNECTED_PIXELS,
    "zone_radius_px": ZONE_RADIUS_PX,
    "smoothing_sigma_px": SMOOTHING_SIGMA_PX,
}


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


class ChangeThreshold:
    """Score: the highest dB level of smoothed VV* change that a connected patch of the zone reaches."""

    name = "change_threshold"

    @property
    def version(self) -> str:
        """Hash of the configuration; there is nothing to train."""
        return version_of(describe(self.name, CONFIGURATION))

    def fit(
        self,
        samples: PatchSamples,
        settings: LearningSettings,
        progress: Progress = silent,
        validation: PatchSamples | None = None,
    ) -> TrainingSummary:
        """Learns nothing; here so that all detectors can be treated alike."""
        start = perf_counter()
        progress(f"{self.name}: nothing to train")
        checked = 0 if validation is None else len(validation)
        return TrainingSummary(self.name, self.version, len(samples), checked, 0, 0, perf_counter() - start)

    def score(self, samples: PatchSamples) -> NDArray[np.float64]:
        """Levels (N,) in dB; NaN where the deposit zone holds too few connected values."""
        zone = centre_disc(ZONE_RADIUS_PX)
        scores = np.empty(len(samples), np.float64)
        for rows in batches(len(samples), BATCH):
            change = smooth(samples.channel("dvv", rows))
            scores[rows] = highest_connected_level(change, zone, CONNECTED_PIXELS)
        return scores

    def anomaly_map(self, samples: PatchSamples) -> NDArray[np.float32]:
        """Smoothed change of VV* (n, 64, 64) in dB; NaN where no value."""
        return smooth(samples.channel("dvv"))

    def save(self, folder: Path) -> None:
        """Writes the configuration as ``model.json``."""
        write_description(folder, describe(self.name, CONFIGURATION))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Checks that the stored configuration is the one computed with.

        Raises:
            DetectorError: The description is missing, altered or of another configuration.
        """
        require_equal(folder, read_description(folder, cls.name), CONFIGURATION)
        return cls()
