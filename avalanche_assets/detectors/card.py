"""The card of a registered model: what it is, what it is for, and everything its detections need.

A card holds the frozen thresholds, the level its scores are normalised with, and the ranges of the training
season, so that a promoted model depends on nothing that a later training changes. It is JSON and is checked
when read; reading executes nothing.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from avalanche_assets.detectors.description import VERSION_DIGITS, content_hash
from avalanche_assets.detectors.drift import Range
from avalanche_assets.detectors.normalisation import Level
from avalanche_assets.errors import DetectorError
from avalanche_assets.files import write_text
from avalanche_assets.patches.samples import CHANNELS
from avalanche_assets.settings import Settings
from avalanche_assets.tables import PATCH_SIZE

FILE_NAME = "card.json"
SCHEMA_VERSION = 1

INTENDED_USE = (
    "Finding corridors whose deposit zone has probably received an avalanche deposit since the previous "
    "acquisition, for people who check it before they act on it. Not for warnings without a person, and not "
    "for counting avalanches."
)
LIMITS = (
    "Deposits below about 4,000 m2 or 2 dB, and those in layover, shadow or outside a corridor are not seen.",
    "Wet snow hides deposits; its refreezing looks like one.",
    "The inventory misses visible deposits and holds invisible ones, so measured precision is too low.",
    "Valid for the track, pixel spacing and reference below only.",
)


class DataContract(BaseModel):
    """What the data must be like for the scores to mean the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: tuple[str, ...]
    patch_size: int
    pixel_m: int
    relative_orbit: int
    reference: str
    terrain_flattening: bool
    scene_correction: str

    @classmethod
    def of(cls, settings: Settings, channels: tuple[str, ...]) -> "DataContract":
        """What a deployment's patches are like."""
        return cls(
            channels=channels,
            patch_size=PATCH_SIZE,
            pixel_m=settings.grid.resolution_m,
            relative_orbit=settings.track.relative_orbit,
            reference=settings.season.reference,
            terrain_flattening=settings.backscatter.terrain_flattening,
            scene_correction=settings.backscatter.scene_correction,
        )


class FrozenThreshold(BaseModel):
    """One operating point, chosen on validation data; see `thresholds.Threshold`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    label_window: str
    operating_point: str
    threshold: float | None
    threshold_low: float | None
    threshold_high: float | None
    value: float | None
    positives: int
    negatives: int
    reason: str | None


class ModelCard(BaseModel):
    """See the module; `metrics` are rows of `tables.EVALUATION`."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    schema_version: int = SCHEMA_VERSION
    detector: str
    model_version: str
    code_version: str
    simulated: bool
    seed: int
    split_by: str
    data_versions: dict[str, str]
    data: DataContract
    normalisation: Level
    thresholds: tuple[FrozenThreshold, ...]
    background: dict[str, Range]
    metrics: tuple[dict[str, Any], ...]
    intended_use: str = INTENDED_USE
    limits: tuple[str, ...] = LIMITS

    @property
    def version(self) -> str:
        """Name in the registry: the detector and a hash of the whole card, the model's hash within."""
        return f"{self.detector}-{content_hash(self.model_dump(mode='json'))[:VERSION_DIGITS]}"

    def threshold(self, label_window: str, operating_point: str) -> float:
        """A frozen threshold.

        Raises:
            DetectorError: It was undefined on the validation data; the message says why.
        """
        for item in self.thresholds:
            if (item.label_window, item.operating_point) == (label_window, operating_point):
                if item.threshold is not None:
                    return item.threshold
                raise DetectorError(
                    f"model {self.version}: operating point {operating_point!r} for {label_window!r} labels "
                    f"is undefined ({item.reason}); choose another detection.operating_point, or add "
                    "validation dates (learning.validation_dates) and register the model again"
                )
        raise DetectorError(
            f"model {self.version}: no operating point {operating_point!r} for {label_window!r} labels; "
            "materialise thresholds and model_registry again"
        )

    def require_fit(self, settings: Settings) -> None:
        """Refuses data that this model's scores would mean something else on.

        Raises:
            DetectorError: A channel does not exist, or pixel spacing, track or reference differ.
        """
        if unknown := [name for name in self.data.channels if name not in CHANNELS]:
            raise DetectorError(
                f"model {self.version}: needs the channels {unknown}, patches of this version have "
                f"{', '.join(CHANNELS)}; promote a model that was trained on these"
            )
        here = DataContract.of(settings, self.data.channels)
        for name, value in self.data.model_dump().items():
            if value != (found := getattr(here, name)):
                raise DetectorError(
                    f"model {self.version}: was made for {name} = {value!r}, the data here have {found!r}; "
                    "set it back, or train and promote a model for these data"
                )


def write_card(folder: Path, card: ModelCard) -> None:
    """Writes ``card.json``, atomically."""
    write_text(folder / FILE_NAME, card.model_dump_json(indent=2) + "\n")


def read_card(folder: Path) -> ModelCard:
    """Reads and checks a card; its folder is named by its version.

    Raises:
        DetectorError: It is missing, not a card, or was altered.
    """
    path = folder / FILE_NAME
    if not path.exists():
        raise DetectorError(f"{path}: no model card here; materialise model_registry")
    try:
        card = ModelCard.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise DetectorError(
            f"{path}: not a model card ({error}); materialise model_registry again"
        ) from error
    if card.schema_version != SCHEMA_VERSION:
        raise DetectorError(
            f"{path}: schema_version is {card.schema_version}, expected {SCHEMA_VERSION}; "
            "materialise model_registry again"
        )
    if card.version != folder.name:
        raise DetectorError(
            f"{path}: is the card of {card.version}, the file was altered; materialise model_registry again"
        )
    return card


def metrics_of(evaluation: list[Mapping[str, Any]], detector: str) -> tuple[dict[str, Any], ...]:
    """The rows of an evaluation that are about one detector."""
    return tuple(dict(row) for row in evaluation if row["detector"] == detector)
