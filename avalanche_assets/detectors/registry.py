"""The registry of models in the data root: a folder a version, one of them promoted.

A version never changes once it is registered: its folder holds the model's own files and the card, and is
named by the hash of both. Detections come from the promoted version only, so that training again changes no
detection until somebody promotes the result.
"""

import json
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from avalanche_assets.detectors.base import load_detector, model_name
from avalanche_assets.detectors.card import (
    FILE_NAME,
    DataContract,
    FrozenThreshold,
    ModelCard,
    metrics_of,
    read_card,
    write_card,
)
from avalanche_assets.detectors.drift import ALARMS, alarm_range, long_run_levels, training_ranges
from avalanche_assets.detectors.scored import scored_labels
from avalanche_assets.errors import DetectorError
from avalanche_assets.files import atomic_path, sha256, write_text
from avalanche_assets.layout import DataLayout
from avalanche_assets.settings import Settings
from avalanche_assets.tables import EVALUATION, SCORE_BACKGROUND, THRESHOLDS, read_table


@dataclass(frozen=True)
class RegisteredModel:
    """A version of the registry: where its files lie, and its card."""

    folder: Path
    card: ModelCard

    @property
    def version(self) -> str:
        """Its name in the registry."""
        return self.card.version


def make_card(settings: Settings) -> ModelCard:
    """The card of the trained detector that the settings choose, from the stored learning tables.

    Raises:
        TableError: One of them is missing or damaged.
        DetectorError: The detector is not trained, or the scores are those of another version.
    """
    layout, name = settings.layout, settings.detection.detector
    folder = layout.model(model_name(name))
    detector = load_detector(name, folder)
    train = scored_labels(layout, "train")
    if train.versions.get(name) != detector.version:
        raise DetectorError(
            f"anomaly_scores: those of {name} come from version {train.versions.get(name)}, trained is "
            f"{detector.version}; materialise anomaly_scores and the assets from score_background on again"
        )
    background = read_table(layout.score_background, SCORE_BACKGROUND)
    levels = long_run_levels(background)
    thresholds = tuple(
        FrozenThreshold.model_validate(row)
        for row in read_table(layout.thresholds, THRESHOLDS).to_pylist()
        if row["detector"] == name
    )
    ranges = training_ranges(background, name)
    chosen = (settings.detection.label_window, settings.detection.operating_point)
    normalised = train.normalised(levels)
    for item in thresholds:
        if (item.label_window, item.operating_point) == chosen and item.threshold is not None:
            ranges[ALARMS] = alarm_range(normalised, name, item.threshold)
    return ModelCard(
        detector=name,
        model_version=detector.version,
        code_version=_code_version(),
        simulated=settings.simulated,
        seed=settings.learning.seed,
        split_by=settings.learning.split_by,
        data_versions={
            path.stem: sha256(path)[:16]
            for path in (layout.corridors, layout.training_split, layout.score_background, layout.thresholds)
        },
        data=DataContract.of(settings, detector.channels),
        normalisation=levels[name],
        thresholds=thresholds,
        background=ranges,
        metrics=metrics_of(read_table(layout.evaluation, EVALUATION).to_pylist(), name),
    )


def _code_version() -> str:
    try:
        return version("avalanche-assets")
    except PackageNotFoundError:
        return "unknown"


def register(layout: DataLayout, card: ModelCard) -> RegisteredModel:
    """Copies the model's files beside its card into a folder of their own; the last one registered is noted.

    The same card again changes nothing.
    """
    folder = layout.model_registry / card.version
    if not (folder / FILE_NAME).exists():
        for file in sorted(layout.model(model_name(card.detector)).iterdir()):
            with atomic_path(folder / file.name) as temporary:
                temporary.write_bytes(file.read_bytes())
        write_card(folder, card)  # last: a folder without a card is no version
    _point(layout.latest_model, card.version)
    return registered(layout, card.version)


def registered(layout: DataLayout, name: str) -> RegisteredModel:
    """One version of the registry.

    Raises:
        DetectorError: There is none of this name, or its card was altered.
    """
    folder = layout.model_registry / name
    if not name or not (folder / FILE_NAME).exists():
        known = sorted(path.parent.name for path in layout.model_registry.glob(f"*/{FILE_NAME}"))
        raise DetectorError(f"{layout.model_registry}: no version {name!r}; registered are {known}")
    return RegisteredModel(folder, read_card(folder))


def latest(layout: DataLayout) -> RegisteredModel:
    """The version registered last.

    Raises:
        DetectorError: There is none.
    """
    return registered(layout, _pointed(layout.latest_model))


def promoted(layout: DataLayout) -> RegisteredModel | None:
    """The version that detections come from; None before the first promotion.

    Raises:
        DetectorError: Its files are missing or were altered.
    """
    name = _pointed(layout.promoted_model)
    return registered(layout, name) if name else None


def require_promoted(layout: DataLayout) -> RegisteredModel:
    """The version that detections come from.

    Raises:
        DetectorError: None has been promoted.
    """
    if (found := promoted(layout)) is None:
        raise DetectorError(f"{layout.promoted_model}: no model is promoted; materialise promoted_model")
    return found


def promote(layout: DataLayout, name: str) -> RegisteredModel:
    """Makes one version the one that detections come from.

    Raises:
        DetectorError: There is none of this name, or its card was altered.
    """
    model = registered(layout, name)
    _point(layout.promoted_model, name)
    return model


def _point(path: Path, name: str) -> None:
    write_text(path, json.dumps({"version": name}) + "\n")


def _pointed(path: Path) -> str:
    if not path.exists():
        return ""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["version"])
    except (ValueError, KeyError, TypeError) as error:
        raise DetectorError(f"{path}: does not name a version ({error}); promote one again") from error
