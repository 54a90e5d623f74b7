"""Does taking the level of the scene out help? The threshold detector both ways, on the same pairs.

The threshold detector learns nothing, so what differs is the correction alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from avalanche_assets.catalogue.acquisitions import AcquisitionCatalogue
from avalanche_assets.detectors.change_threshold import ChangeThreshold
from avalanche_assets.detectors.learning import role_mask
from avalanche_assets.detectors.metrics import evaluation_table
from avalanche_assets.detectors.normalisation import Level
from avalanche_assets.detectors.scored import ScoredLabels
from avalanche_assets.detectors.split import dates_of
from avalanche_assets.detectors.thresholds import choose_thresholds, thresholds_table
from avalanche_assets.layout import DataLayout
from avalanche_assets.patches.correction import without_scene_level
from avalanche_assets.patches.loading import load_samples
from avalanche_assets.patches.pairs import paired_dates
from avalanche_assets.settings import DetectionSettings
from avalanche_assets.tables import (
    CORRIDORS,
    EVALUATION,
    LABEL_WINDOWS,
    TRAINING_SPLIT,
    read_geotable,
    read_table,
)


@dataclass(frozen=True)
class CorrectionComparison:
    """The detector with and without the correction.

    Attributes:
        table: `tables.EVALUATION`; the column detector says which of the two. No rows where validation or
            test are left with no date.
        left_out: Dates without patches or scene levels, their own or their previous acquisition's.
    """

    table: pa.Table
    left_out: Sequence[date]


def compare_scene_correction(
    layout: DataLayout, catalogue: AcquisitionCatalogue, detection: DetectionSettings
) -> CorrectionComparison:
    """Thresholds from the validation pairs, metrics on the test pairs, with and without the correction.

    Raises:
        TableError: A table of these dates is damaged.
    """
    split = read_table(layout.training_split, TRAINING_SPLIT)
    scored, left_out = {}, []
    for role in ("validation", "test"):
        wanted = dates_of(split, role)
        days = _levelled_dates(layout, catalogue, wanted)
        left_out += [day for day in wanted if day not in days]
        pairs = _scored(layout, catalogue, detection, split, role, days) if days else None
        if pairs is None or not len(pairs):
            return CorrectionComparison(EVALUATION.empty_table(), left_out)
        scored[role] = pairs
    thresholds = thresholds_table(choose_thresholds(scored["validation"], detection.false_alarm_rate))
    return CorrectionComparison(evaluation_table([scored["test"]], [thresholds]), left_out)


def _levelled_dates(
    layout: DataLayout, catalogue: AcquisitionCatalogue, wanted: Sequence[date]
) -> list[date | str]:
    """Those of the dates whose patches and scene levels, and whose previous acquisition's, are stored."""
    return [
        day
        for day in paired_dates(layout, catalogue, wanted)
        if layout.scene_levels(day).exists()
        and (previous := catalogue.previous(day)) is not None
        and layout.scene_levels(previous.date).exists()
    ]


def _scored(
    layout: DataLayout,
    catalogue: AcquisitionCatalogue,
    detection: DetectionSettings,
    split: pa.Table,
    role: str,
    days: Sequence[date | str],
) -> ScoredLabels:
    loaded = load_samples(layout, catalogue, days, detection=detection)
    loaded = loaded.subset(role_mask(loaded, split, role))
    detector = ChangeThreshold()
    corridors = read_geotable(layout.corridors, CORRIDORS).set_index("corridor_id")
    ids = loaded.samples.corridor_ids
    scores = {
        f"{detector.name}, uncorrected": detector.score(loaded.samples),
        f"{detector.name}, by elevation bands": detector.score(
            without_scene_level(loaded, layout, catalogue).samples
        ),
    }
    pairs = ScoredLabels(
        ids,
        loaded.samples.dates,
        corridors["massif_id"].reindex(ids).fillna(0).to_numpy(np.int64),
        scores,
        {window: loaded.labels(window).astype(str) for window in LABEL_WINDOWS},
        dict.fromkeys(scores, "as configured"),
    )
    return (
        pairs.normalised({name: Level.of(values) for name, values in scores.items()}) if len(ids) else pairs
    )
