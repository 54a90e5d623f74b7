"""Does taking the level of the scene out help? The threshold detector both ways, on the same pairs.

The threshold detector learns nothing, so what differs is the correction alone.
"""

import numpy as np
import pyarrow as pa

from avalanche_assets.catalogue.acquisitions import AcquisitionCatalogue
from avalanche_assets.detectors.change_threshold import ChangeThreshold
from avalanche_assets.detectors.learning import role_mask
from avalanche_assets.detectors.metrics import evaluation_table
from avalanche_assets.detectors.split import dates_of
from avalanche_assets.detectors.thresholds import choose_thresholds, thresholds_table
from avalanche_assets.layout import DataLayout
from avalanche_assets.patches.correction import without_scene_level
from avalanche_assets.patches.loading import load_samples
from avalanche_assets.patches.pairs import paired_dates
from avalanche_assets.settings import DetectionSettings
from avalanche_assets.tables import LABEL_WINDOWS, TRAINING_SPLIT, read_table

Scored = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]


def compare_scene_correction(
    layout: DataLayout, catalogue: AcquisitionCatalogue, detection: DetectionSettings
) -> pa.Table:
    """Thresholds from the validation pairs, metrics on the test pairs, with and without the correction.

    Returns:
        `tables.EVALUATION`; the column detector says which of the two.

    Raises:
        TableError: A table of these dates is damaged, or scene levels are missing.
    """
    split = read_table(layout.training_split, TRAINING_SPLIT)
    scores, states = _scored(layout, catalogue, detection, split, "validation")
    thresholds = thresholds_table(choose_thresholds(scores, states, detection.false_alarm_rate))
    scores, states = _scored(layout, catalogue, detection, split, "test")
    massifs = np.full(len(next(iter(states.values()))), -1)
    return evaluation_table(scores, states, massifs, thresholds)


def _scored(
    layout: DataLayout,
    catalogue: AcquisitionCatalogue,
    detection: DetectionSettings,
    split: pa.Table,
    role: str,
) -> Scored:
    days = paired_dates(layout, catalogue, dates_of(split, role))
    loaded = load_samples(layout, catalogue, days, detection=detection)
    loaded = loaded.subset(role_mask(loaded, split, role))
    detector = ChangeThreshold()
    levelled = without_scene_level(loaded, layout, catalogue)
    scores = {
        f"{detector.name}, uncorrected": detector.score(loaded.samples),
        f"{detector.name}, by elevation bands": detector.score(levelled.samples),
    }
    return scores, {window: loaded.labels(window).astype(str) for window in LABEL_WINDOWS}
