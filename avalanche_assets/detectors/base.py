"""What every detector can do, and the list of detectors.

A detector scores samples one by one: a score never depends on the other samples of the call, so a date can
be scored alone, in any batch size. One model may give several scores (`VARIANTS`); its network then runs
once for all of them. Modules of detectors are imported on first use: torch costs seconds and is not needed
for the baselines.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray

from avalanche_assets.detectors.description import (
    VERSION_DIGITS,
    Tensors,
    read_model,
    require_equal,
    version_of,
    write_model,
)
from avalanche_assets.errors import DetectorError
from avalanche_assets.patches.batches import PatchBatch, PatchSource
from avalanche_assets.patches.samples import PatchSamples
from avalanche_assets.settings import VARIANTS, LearningSettings
from avalanche_assets.tables import PATCH_SIZE

Progress = Callable[[str], None]
"""Receives one line of text per step of long work."""
Scores = NDArray[np.float64]
SCORING_BATCH = 128


def silent(_line: str) -> None:
    """The progress of those who do not watch."""


@dataclass(frozen=True)
class Epoch:
    """Means over one training epoch.

    Attributes:
        epoch: Counted from 1.
        loss: Training loss per patch.
        parts: What the loss is made of, by name; KL in nats.
        active_units: Latent dimensions whose mean varies over the samples; 0 without a latent code.
        validation_loss: Loss without random draws on the validation negatives; None without them.
        validation_ap: Average precision of the score on the labelled validation samples; None without both.
    """

    epoch: int
    loss: float
    parts: dict[str, float]
    active_units: int
    validation_loss: float | None
    validation_ap: float | None = None


@dataclass(frozen=True)
class TrainingSummary:
    """What a training did; `history` is empty for a detector that does not learn in epochs."""

    detector: str
    version: str
    samples: int
    validation_samples: int
    parameters: int
    best_epoch: int
    seconds: float
    history: tuple[Epoch, ...] = ()


@dataclass(frozen=True)
class Look:
    """What a detector finds in n patches.

    Attributes:
        scores: By variant, each (n,); the model's own score is that of the empty name. Higher is more
            anomalous; NaN for a patch that cannot be scored because it holds no value.
        anomaly: Brightening (n, 64, 64) in dB where an outline is drawn; NaN where no value.
    """

    scores: dict[str, Scores]
    anomaly: NDArray[np.float32]


class Detector(ABC):
    """The contract of all detectors.

    Attributes:
        name: Name in settings and tables: that of the model, or of one of its variants.
    """

    variants: tuple[str, ...] = ("",)

    def __init__(self, name: str) -> None:
        self.name = name
        self._described: dict[str, Any] | None = None

    @property
    def model(self) -> str:
        """The model whose score this is."""
        return model_name(self.name)

    @property
    def variant(self) -> str:
        """Which of the model's scores this is; empty for its own."""
        return self.name.removeprefix(self.model).removeprefix("_")

    @property
    def description(self) -> dict[str, Any]:
        """Configuration, training settings, provenance and history, as stored in ``model.json``.

        Raises:
            DetectorError: The detector has not been trained.
        """
        if self._described is None:
            raise DetectorError(f"{self.name}: not trained; call fit, or load a trained model")
        return self._described

    @property
    def version(self) -> str:
        """First 12 hexadecimal digits of a SHA-256 over configuration and weights.

        Raises:
            DetectorError: The detector has not been trained.
        """
        return self.versions[self.name]

    @property
    def versions(self) -> dict[str, str]:
        """The version of each score that the model gives, by name."""
        model = version_of(self.description)
        own, *others = names_of(self.model)
        derived = {
            name: hashlib.sha256(f"{name} of {model}".encode("ascii")).hexdigest()[:VERSION_DIGITS]
            for name in others
        }
        return {own: model, **derived}

    @property
    @abstractmethod
    def channels(self) -> tuple[str, ...]:
        """What a batch for `look` must hold; VV* of both dates are always among them."""

    @abstractmethod
    def fit(
        self,
        train: PatchSource,
        validation: PatchSource,
        settings: LearningSettings,
        progress: Progress = silent,
        checkpoint: Path | None = None,
    ) -> TrainingSummary:
        """Trains the model.

        Args:
            train: What the detector learns from; the caller has chosen it, see `Recipe`.
            validation: Observable validation samples of any label: they choose the best epoch, or
                parameters.
            settings: Sizes, rates, seed.
            progress: Receives lines of text.
            checkpoint: File that a network's training resumes from, and removes when it is done.

        Raises:
            DetectorError: The samples or settings do not allow a training.
        """

    @abstractmethod
    def look(self, batch: PatchBatch) -> Look:
        """All scores of some patches that hold `channels`."""

    def look_at(self, samples: PatchSamples) -> Look:
        """All scores of all samples."""
        scores = {name: np.full(len(samples), np.nan) for name in self.variants}
        anomaly = np.full((len(samples), PATCH_SIZE, PATCH_SIZE), np.nan, np.float32)
        for batch in samples.stream(self.channels, SCORING_BATCH):
            seen = self.look(batch)
            known = np.isfinite(batch["vv_star"] - batch["vv_star_old"]).any(axis=(1, 2))
            for name, values in seen.scores.items():
                scores[name][batch.rows] = np.where(known, values, np.nan)
            anomaly[batch.rows] = np.where(known[:, None, None], seen.anomaly, np.nan)
        return Look(scores, anomaly)

    def score(self, samples: PatchSamples) -> Scores:
        """Scores (N,) of this name."""
        return self.look_at(samples).scores[self.variant]

    def anomaly_map(self, samples: PatchSamples) -> NDArray[np.float32]:
        """`Look.anomaly` of all samples."""
        return self.look_at(samples).anomaly

    def save(self, folder: Path) -> None:
        """Writes the model's files into `folder`; an older model there is replaced."""
        write_model(folder, self.description, self._tensors())

    @classmethod
    def load(cls, folder: Path, name: str) -> Self:
        """Reads what `save` wrote; loading never executes code.

        Raises:
            DetectorError: Files are missing, altered, or of another detector, format or configuration.
        """
        detector = cls(name)
        description, tensors = read_model(folder, detector.model)
        require_equal(folder, description, detector._configuration(description))
        try:
            detector._restore(description, tensors)
        except (RuntimeError, KeyError) as error:
            raise DetectorError(
                f"{folder}: not the weights of this network ({error}); "
                f"materialise the asset of {detector.model!r} again"
            ) from error
        detector._described = description
        return detector

    def _configuration(self, description: Mapping[str, Any]) -> dict[str, Any]:
        """What a stored model must agree on with this code, or its scores would mean something else."""
        return {}

    def _tensors(self) -> Tensors:
        """The weights by name."""
        return {}

    @abstractmethod
    def _restore(self, description: Mapping[str, Any], tensors: Tensors) -> None:
        """Takes over a stored model."""


Examples = Literal["negatives", "labelled", "all"]


@dataclass(frozen=True)
class Recipe:
    """How a model comes about.

    Attributes:
        module: Module of `avalanche_assets.detectors`.
        class_name: Class in it.
        examples: What it trains on: samples labelled negative; negative or positive; all observable ones.
        window: The label window meant by `examples`.
        learns: Whether it needs training at all.
        seeded: Whether a training with another seed gives another model.
    """

    module: str
    class_name: str
    examples: Examples = "labelled"
    window: str = "new"
    learns: bool = True
    seeded: bool = True


RECIPES = {
    "change_threshold": Recipe("change_threshold", "ChangeThreshold", seeded=False),
    "random_forest": Recipe("tree_detectors", "RandomForest"),
    "gradient_boosting": Recipe("tree_detectors", "GradientBoosting"),
    "cnn": Recipe("cnn", "Cnn"),
    "autoencoder": Recipe("vae", "Autoencoder", "negatives"),
    "vae": Recipe("vae", "Vae", "negatives"),
    "vae_all": Recipe("vae", "Vae", "all"),
    "vae_star": Recipe("vae", "Vae", "negatives", "recent"),
    "local_contrast": Recipe("local_contrast", "LocalContrast", learns=False, seeded=False),
    "dual_contrast": Recipe("local_contrast", "DualContrast", learns=False, seeded=False),
    "conditional_vae": Recipe("conditional_vae", "ConditionalVae", "negatives"),
}
"""Every model, in the order of the evaluation table."""
DETECTOR_NAMES = (*RECIPES, *VARIANTS)


def model_name(name: str) -> str:
    """The detector whose trained model `name` uses: ``vae_local`` reads the network of ``vae``."""
    return VARIANTS.get(name, name)


def names_of(model: str) -> tuple[str, ...]:
    """Every score that a model gives: its own name, then its variants."""
    return (model, *(name for name, owner in VARIANTS.items() if owner == model))


def _detector_class(name: str) -> type[Detector]:
    if name not in DETECTOR_NAMES:
        raise DetectorError(f"detector {name!r} is unknown; choose one of {', '.join(DETECTOR_NAMES)}")
    recipe = RECIPES[model_name(name)]
    module = import_module(f"avalanche_assets.detectors.{recipe.module}")
    return cast(type[Detector], getattr(module, recipe.class_name))


def create_detector(name: str) -> Detector:
    """A detector that has not been trained.

    Raises:
        DetectorError: The name is unknown.
    """
    return _detector_class(name)(name)


def load_detector(name: str, folder: Path) -> Detector:
    """A trained detector from the folder of `model_name(name)`.

    Raises:
        DetectorError: The name is unknown, or the files cannot be used.
    """
    return _detector_class(name).load(folder, name)
