"""The protocol: levels from the training pairs, thresholds from the validation pairs, one test of them.

Each step reads the pairs of its role and what the step before has frozen, and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from avalanche_assets.detectors.drift import background_table, long_run_levels
from avalanche_assets.detectors.metrics import evaluation_table
from avalanche_assets.detectors.scored import ScoredLabels, scored_labels
from avalanche_assets.detectors.thresholds import choose_thresholds, thresholds_table
from avalanche_assets.layout import DataLayout
from avalanche_assets.settings import DetectionSettings
from avalanche_assets.tables import SCORE_BACKGROUND, THRESHOLDS, read_table, write_table


def store_background(layout: DataLayout, scored: DataLayout | None = None) -> ScoredLabels:
    """Writes `SCORE_BACKGROUND` from the training pairs; gives these, with scores as they are.

    Args:
        layout: Where split, labels and corridors lie.
        scored: Where scores lie and results go, if not there too: those of another training.

    Raises:
        TableError: A table is missing or damaged.
        DetectorError: There are no scores, or none of a detector is finite.
    """
    train = scored_labels(layout, "train", scored)
    write_table((scored or layout).score_background, background_table(layout, train), SCORE_BACKGROUND)
    return train


def store_thresholds(
    layout: DataLayout, detection: DetectionSettings, scored: DataLayout | None = None
) -> ScoredLabels:
    """Writes `THRESHOLDS` from the validation pairs; gives these, with normalised scores.

    Raises:
        TableError: A table is missing or damaged.
        DetectorError: There are no scores.
    """
    validation = normalised_pairs(layout, "validation", scored)
    chosen = choose_thresholds(validation, detection.false_alarm_rate, detection.alarms_per_date)
    table = thresholds_table(chosen)
    write_table((scored or layout).thresholds, table, THRESHOLDS)
    return validation


def normalised_pairs(layout: DataLayout, role: str, scored: DataLayout | None = None) -> ScoredLabels:
    """The pairs of a role with normalised scores, see `scored_labels`."""
    background = read_table((scored or layout).score_background, SCORE_BACKGROUND)
    return scored_labels(layout, role, scored).normalised(long_run_levels(background))


@dataclass(frozen=True)
class Evaluation:
    """What the test pairs say.

    Attributes:
        table: `tables.EVALUATION`.
        thresholds: The frozen `tables.THRESHOLDS` of the first training.
        test: The test pairs with the normalised scores of the first training.
    """

    table: pa.Table
    thresholds: pa.Table
    test: ScoredLabels

    def threshold(self, detector: str, label_window: str, operating_point: str) -> float | None:
        """A frozen threshold; None if it is undefined or the detector was not scored."""
        for row in self.thresholds.to_pylist():
            if (row["detector"], row["label_window"], row["operating_point"]) == (
                detector,
                label_window,
                operating_point,
            ):
                return None if row["threshold"] is None else float(row["threshold"])
        return None


def evaluate(layout: DataLayout, scored: Sequence[DataLayout] = ()) -> Evaluation:
    """Tests the frozen thresholds on the test pairs.

    Args:
        layout: Where split, labels and corridors lie.
        scored: Where scores, levels and thresholds of each training lie; in `layout` by default.

    Raises:
        TableError: A table is missing or damaged.
        DetectorError: There are no scores.
    """
    scored = scored or [layout]
    tests = [normalised_pairs(layout, "test", one) for one in scored]
    thresholds = [read_table(one.thresholds, THRESHOLDS) for one in scored]
    return Evaluation(evaluation_table(tests, thresholds), thresholds[0], tests[0])
