"""Which samples a detector trains on, and its training from them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from avalanche_assets.detectors.base import (
    RECIPES,
    Progress,
    Recipe,
    TrainingSummary,
    create_detector,
    silent,
)
from avalanche_assets.detectors.split import sample_roles
from avalanche_assets.errors import DetectorError
from avalanche_assets.patches.batches import PatchSource
from avalanche_assets.settings import LearningSettings

CHECKPOINT = "checkpoint.pt"
"""Lies in the model's folder while its training runs."""


def role_mask(samples: PatchSource, split: pa.Table, role: str) -> NDArray[np.bool_]:
    """Observable samples (N,) that play `role` in the table `TRAINING_SPLIT`."""
    roles = sample_roles(split, samples.dates, samples.corridor_ids)
    return np.asarray((roles == role) & samples.observable, bool)


def train_detector(
    name: str,
    samples: PatchSource,
    split: pa.Table,
    settings: LearningSettings,
    folder: Path,
    progress: Progress = silent,
) -> TrainingSummary:
    """Trains a model on what its recipe says of the training pairs and saves it into `folder`.

    A training that was killed goes on where its last epoch ended.

    Raises:
        DetectorError: No training sample, or the detector cannot be trained on them.
    """
    chosen = role_mask(samples, split, "train") & _examples(samples, RECIPES[name])
    if not chosen.any():
        raise DetectorError(
            f"{name}: no observable sample of the training dates to train on ({RECIPES[name].examples} in "
            f"the window {RECIPES[name].window!r}); materialise corridor_patches and corridor_labels of "
            "these dates, or lower detection.min_valid_fraction and detection.min_visible_fraction"
        )
    validation = samples.subset(role_mask(samples, split, "validation"))
    detector = create_detector(name)
    summary = detector.fit(samples.subset(chosen), validation, settings, progress, folder / CHECKPOINT)
    detector.save(folder)
    return summary


def _examples(samples: PatchSource, recipe: Recipe) -> NDArray[np.bool_]:
    states = samples.labels(recipe.window)
    if recipe.examples == "all":
        return np.ones(len(states), bool)
    wanted = ("negative",) if recipe.examples == "negatives" else ("negative", "positive")
    return np.isin(states.astype(str), wanted)
