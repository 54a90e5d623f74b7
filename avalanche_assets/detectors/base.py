"""What every detector can do, and the list of detectors.

A detector scores samples one by one: a score never depends on the other samples of the call, so a date can
be scored alone, in any batch size. Modules of detectors are imported on first use: torch costs seconds and
is not needed for the baseline.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, Self, cast

import numpy as np
from numpy.typing import NDArray

from avalanche_assets.errors import DetectorError
from avalanche_assets.patches.samples import PatchSamples
from avalanche_assets.settings import LearningSettings

Progress = Callable[[str], None]
"""Receives one line of text per step of long work."""


def silent(_line: str) -> None:
    """The progress of those who do not watch."""


@dataclass(frozen=True)
class Epoch:
    """Means over one training epoch.

    Attributes:
        epoch: Counted from 1.
        loss: Training loss per patch.
        reconstruction: Half the summed squared error per patch, in scaled units.
        kl: Kullback-Leibler divergence per patch, nats.
        active_units: Latent dimensions whose mean varies over the samples.
        validation_loss: Loss with the mean latent on the validation samples; None without them.
    """

    epoch: int
    loss: float
    reconstruction: float
    kl: float
    active_units: int
    validation_loss: float | None


@dataclass(frozen=True)
class TrainingSummary:
    """What a training did; `history` is empty and `parameters` 0 for a detector that learns nothing."""

    detector: str
    version: str
    samples: int
    validation_samples: int
    parameters: int
    best_epoch: int
    seconds: float
    history: tuple[Epoch, ...] = ()


class Detector(Protocol):
    """The contract of all detectors; a higher score is more anomalous."""

    @property
    def name(self) -> str:
        """Name in settings and tables."""

    @property
    def version(self) -> str:
        """First 12 hexadecimal digits of a SHA-256 over configuration and weights.

        Raises:
            DetectorError: The detector has not been trained.
        """

    def fit(
        self,
        samples: PatchSamples,
        settings: LearningSettings,
        progress: Progress = silent,
        validation: PatchSamples | None = None,
    ) -> TrainingSummary:
        """Trains on `samples`, which the caller has chosen (negatives for the paper's method).

        Raises:
            DetectorError: The samples or settings do not allow a training.
        """

    def score(self, samples: PatchSamples) -> NDArray[np.float64]:
        """Scores (N,); NaN for a patch that cannot be scored because it holds no value."""

    def anomaly_map(self, samples: PatchSamples) -> NDArray[np.float32]:
        """Brightening (n, 64, 64) in dB where an outline is drawn; NaN where no value."""

    def save(self, folder: Path) -> None:
        """Writes the detector's files into `folder`; an older model there is replaced."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote.

        Raises:
            DetectorError: Files are missing, altered, or of another detector or format.
        """


_DETECTORS = {
    "change_threshold": ("change_threshold", "ChangeThreshold"),
    "vae": ("vae", "Vae"),
    "vae_local": ("vae_local", "VaeLocal"),
}
DETECTOR_NAMES = tuple(_DETECTORS)
"""Every detector, in the order of the evaluation table."""


def model_name(name: str) -> str:
    """The detector whose trained model `name` uses: ``vae_local`` reads the network of ``vae``."""
    return "vae" if name == "vae_local" else name


def _detector_class(name: str) -> type[Detector]:
    if name not in _DETECTORS:
        raise DetectorError(f"detector {name!r} is unknown; choose one of {', '.join(DETECTOR_NAMES)}")
    module, class_name = _DETECTORS[name]
    return cast(type[Detector], getattr(import_module(f"avalanche_assets.detectors.{module}"), class_name))


def create_detector(name: str) -> Detector:
    """A detector that has not been trained.

    Raises:
        DetectorError: The name is unknown.
    """
    return _detector_class(name)()


def load_detector(name: str, folder: Path) -> Detector:
    """A trained detector from the folder of `model_name(name)`.

    Raises:
        DetectorError: The name is unknown, or the files cannot be used.
    """
    return _detector_class(name).load(folder)


def scorable(samples: PatchSamples, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the VV* patches of a sample's two dates share at least one pixel with a value (n,)."""
    finite: NDArray[np.bool_] = np.isfinite(samples.channel("dvv", rows))
    return np.asarray(finite.any(axis=(1, 2)))


def batches(count: int, size: int) -> list[NDArray[np.int64]]:
    """Consecutive rows 0 to `count` in batches of at most `size`, so that memory stays bounded."""
    return [np.arange(start, min(start + size, count)) for start in range(0, count, size)]
