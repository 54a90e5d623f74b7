"""Random forest and gradient boosting on hand-made features, learned from labels.

Source: J. B. Hamar, A. B. Salberg, F. Ardelean, Automatic detection and mapping of avalanches in SAR images,
IGARSS 2016 (random forest); scikit-learn's histogram gradient boosting as the modern rival of it.
"""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avalanche_assets.detectors.base import Detector, Look, Progress, TrainingSummary, silent
from avalanche_assets.detectors.description import Tensors, describe_weights
from avalanche_assets.detectors.features import CHANNELS, LEVEL_PIXELS, feature_table, matrix
from avalanche_assets.detectors.locality import over_median, smooth
from avalanche_assets.detectors.trees import Trees, boosted_trees, forest_trees
from avalanche_assets.errors import DetectorError
from avalanche_assets.patches.batches import PatchBatch, PatchSource
from avalanche_assets.settings import LearningSettings

CONFIGURATION: dict[str, Any] = {"channels": list(CHANNELS), "level_pixels": list(LEVEL_PIXELS)}


class _TreeDetector(Detector):
    channels = CHANNELS

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._trees: Trees | None = None

    @abstractmethod
    def _grow(
        self, features: NDArray[np.float32], positive: NDArray[np.bool_], settings: LearningSettings
    ) -> Trees:
        """Trees whose total rises with the odds of a deposit."""

    def fit(
        self,
        train: PatchSource,
        validation: PatchSource,
        settings: LearningSettings,
        progress: Progress = silent,
        checkpoint: Path | None = None,
    ) -> TrainingSummary:
        """Grows the trees from labelled samples; the sizes are fixed, so validation is not looked at.

        Raises:
            DetectorError: No positive or no negative sample.
        """
        start = perf_counter()
        positive = train.labels("new") == "positive"
        require_both(self.name, positive)
        features = feature_table(train)
        progress(
            f"{self.name}: {features.shape[1]} features of {len(train)} samples, {positive.sum()} positive"
        )
        self._trees = self._grow(features, positive, settings)
        content = {
            **CONFIGURATION,
            "seed": settings.seed,
            "trained_on": trained_on(train),
            "positives": int(positive.sum()),
        }
        self._described = describe_weights(self.model, content, self._trees.tensors())
        return TrainingSummary(
            detector=self.name,
            version=self.version,
            samples=len(train),
            validation_samples=0,
            parameters=len(self._trees.value),
            best_epoch=0,
            seconds=perf_counter() - start,
        )

    def look(self, batch: PatchBatch) -> Look:
        """Odds of a deposit; the smoothed change over its median."""
        if self._trees is None:
            raise DetectorError(f"{self.name}: not trained; call fit, or load a trained model")
        return Look({"": self._trees.total(matrix(batch))}, over_median(smooth(batch["dvv"])))

    def _configuration(self, description: Mapping[str, Any]) -> dict[str, Any]:
        return CONFIGURATION

    def _tensors(self) -> Tensors:
        return self._trees.tensors() if self._trees else {}

    def _restore(self, description: Mapping[str, Any], tensors: Tensors) -> None:
        self._trees = Trees(**tensors)


class RandomForest(_TreeDetector):
    """Score: share of trees that vote for a deposit."""

    def _grow(
        self, features: NDArray[np.float32], positive: NDArray[np.bool_], settings: LearningSettings
    ) -> Trees:
        from sklearn.ensemble import RandomForestClassifier

        forest = RandomForestClassifier(
            300,
            min_samples_leaf=5,
            class_weight="balanced_subsample",
            n_jobs=settings.threads,
            random_state=settings.seed,
        )
        return forest_trees(forest.fit(features, positive))


class GradientBoosting(_TreeDetector):
    """Score: log-odds of a deposit, up to a constant."""

    def _grow(
        self, features: NDArray[np.float32], positive: NDArray[np.bool_], settings: LearningSettings
    ) -> Trees:
        from sklearn.ensemble import HistGradientBoostingClassifier

        model = HistGradientBoostingClassifier(
            learning_rate=0.05,
            max_iter=150,
            max_leaf_nodes=8,
            min_samples_leaf=20,
            l2_regularization=1.0,
            early_stopping=False,
            class_weight="balanced",
            random_state=settings.seed,
        )
        return boosted_trees(model.fit(features, positive))


def require_both(name: str, positive: NDArray[np.bool_]) -> None:
    """Refuses training samples of one kind only.

    Raises:
        DetectorError: No positive or no negative sample.
    """
    if positive.any() and not positive.all():
        return
    missing = "negative" if positive.any() else "positive"
    raise DetectorError(
        f"{name}: no {missing} sample among {len(positive)} of the training dates; it learns from labels: "
        "add dates or corridors, or leave it out of learning.detectors"
    )


def trained_on(samples: PatchSource) -> dict[str, Any]:
    """What a description says of the training samples."""
    return {
        "samples": len(samples),
        "corridors": len(set(samples.corridor_ids)),
        "dates": sorted({day.isoformat() for day in samples.dates}),
    }
