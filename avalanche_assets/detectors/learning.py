"""Which samples a detector trains on, and its training from them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from avalanche_assets.detectors.base import Progress, TrainingSummary, create_detector, silent
from avalanche_assets.detectors.split import sample_roles
from avalanche_assets.errors import DetectorError
from avalanche_assets.patches.loading import LoadedSamples
from avalanche_assets.settings import LearningSettings


def role_mask(loaded: LoadedSamples, split: pa.Table, role: str) -> NDArray[np.bool_]:
    """Observable samples (N,) that play `role` in the table `TRAINING_SPLIT`."""
    roles = sample_roles(split, loaded.samples.dates, loaded.samples.corridor_ids)
    return np.asarray((roles == role) & loaded.observable, bool)


def train_detector(
    name: str,
    loaded: LoadedSamples,
    split: pa.Table,
    settings: LearningSettings,
    folder: Path,
    progress: Progress = silent,
) -> TrainingSummary:
    """Trains a detector on the training dates and saves it into `folder`.

    With `train_on = "negatives"` it sees only samples labelled negative in the window since the previous
    acquisition, as the paper does; with ``all`` every observable one. Negatives of the validation dates
    choose the best epoch.

    Raises:
        DetectorError: No training sample, or the detector cannot be trained on them.
    """
    negative = loaded.new == "negative"
    chosen = role_mask(loaded, split, "train")
    if settings.train_on == "negatives":
        chosen &= negative
    if not chosen.any():
        raise DetectorError(
            f"{name}: no observable sample of the training dates to train on (learning.train_on = "
            f"{settings.train_on!r}); materialise corridor_patches and corridor_labels of these dates, or "
            "lower detection.min_valid_fraction and detection.min_visible_fraction"
        )
    validation = role_mask(loaded, split, "validation") & negative
    detector = create_detector(name)
    summary = detector.fit(
        loaded.samples.subset(chosen), settings, progress, loaded.samples.subset(validation)
    )
    detector.save(folder)
    return summary
