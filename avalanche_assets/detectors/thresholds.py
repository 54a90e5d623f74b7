"""Operating points: thresholds chosen on the validation dates, exactly, over every possible cut.

A score at or above a threshold is a detection.

- ``balanced``: largest balanced accuracy, the mean recall of both classes (the paper's criterion).
- ``mapping``: largest F1. ``screening``: largest F2, which weighs recall twice as much as precision.
- ``budget``: the largest false-alarm rate on negatives that does not exceed the one allowed. It needs no
  positive, is the steadiest of the four at one percent of positives, and is the default in operations.

Among cuts that reach the same criterion the highest threshold wins: fewer alarms for the same value.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from avalanche_assets.errors import DetectorError
from avalanche_assets.tables import LABEL_WINDOWS, OPERATING_POINTS, THRESHOLDS

Scores = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Threshold:
    """One operating point of one detector and label window.

    Attributes:
        threshold: A score at or above it is a detection; None if undefined.
        value: The criterion reached on the validation samples; None if undefined.
        positives: Positive validation samples.
        negatives: Negative validation samples.
        reason: Why the threshold is undefined; None when it is defined.
    """

    detector: str
    label_window: str
    operating_point: str
    threshold: float | None
    value: float | None
    positives: int
    negatives: int
    reason: str | None


def choose_threshold(
    scores: Scores, positive: Flags, operating_point: str, false_alarm_rate: float
) -> tuple[float, float]:
    """The threshold of an operating point and the value its criterion reaches.

    Args:
        scores: Finite scores (N,) of labelled samples.
        positive: True for a positive, False for a negative sample (N,).
        operating_point: One of `OPERATING_POINTS`.
        false_alarm_rate: Allowed share of negatives that become detections, for ``budget``.

    Raises:
        DetectorError: The samples lack a class the criterion needs, or the name is unknown.
    """
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if operating_point not in OPERATING_POINTS:
        raise DetectorError(f"operating point {operating_point!r} is none of {', '.join(OPERATING_POINTS)}")
    if negatives == 0:
        raise DetectorError(f"operating point {operating_point!r} needs negative validation samples")
    if operating_point == "budget":
        return _budget(scores[~positive], false_alarm_rate)
    if positives == 0:
        raise DetectorError(f"operating point {operating_point!r} needs positive validation samples")
    cuts, hits, alarms = _detections_per_cut(scores, positive)
    if operating_point == "balanced":
        # One division of whole numbers, so that equal accuracies are equal in floating point too.
        criterion = (hits * negatives + (negatives - alarms) * positives) / (2.0 * positives * negatives)
    else:
        beta_squared = {"mapping": 1.0, "screening": 4.0}[operating_point]
        weighted = (1 + beta_squared) * hits
        criterion = weighted / (beta_squared * positives + hits + alarms)
    best = int(np.argmax(criterion))  # the first maximum: cuts fall, so it is the highest threshold
    return float(cuts[best]), float(criterion[best])


def _detections_per_cut(scores: Scores, positive: Flags) -> tuple[Scores, Scores, Scores]:
    """Every distinct score as a cut, falling, with the hits and false alarms at or above it."""
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    last_of_value = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)
    hits = np.cumsum(positive[order])[last_of_value].astype(np.float64)
    return falling[last_of_value], hits, last_of_value + 1 - hits


def _budget(negatives: Scores, rate: float) -> tuple[float, float]:
    cuts, _, alarms = _detections_per_cut(negatives, np.zeros(len(negatives), bool))
    allowed = np.flatnonzero(alarms / len(negatives) <= rate)
    if len(allowed) == 0:
        # Even the highest negative alone exceeds the rate: the threshold lies just above it.
        return float(np.nextafter(cuts[0], np.inf)), 0.0
    return float(cuts[allowed[-1]]), float(alarms[allowed[-1]] / len(negatives))


def choose_thresholds(
    scores: Mapping[str, Scores], states: Mapping[str, NDArray[np.str_]], false_alarm_rate: float
) -> list[Threshold]:
    """Every operating point of every detector and label window.

    Args:
        scores: Scores (N,) of each detector on the validation samples; samples with NaN are left out.
        states: Label states (N,) of each window; only positive and negative ones count.
        false_alarm_rate: Allowed share of false alarms for ``budget``.
    """
    return [
        _named_threshold(detector, window, point, values, states[window], false_alarm_rate)
        for detector, values in scores.items()
        for window in LABEL_WINDOWS
        for point in OPERATING_POINTS
    ]


def _named_threshold(
    detector: str, window: str, point: str, scores: Scores, states: NDArray[np.str_], rate: float
) -> Threshold:
    labelled, positive = labelled_scores(scores, states)
    threshold: float | None = None
    value: float | None = None
    reason: str | None = None
    try:
        threshold, value = choose_threshold(labelled, positive, point, rate)
    except DetectorError as error:
        reason = str(error)
    counts = int(positive.sum()), int((~positive).sum())
    return Threshold(detector, window, point, threshold, value, *counts, reason)


def labelled_scores(scores: Scores, states: NDArray[np.str_]) -> tuple[Scores, Flags]:
    """Scores and positive flags of the samples that have a score and a positive or negative state."""
    usable = np.isfinite(scores) & np.isin(states, ("positive", "negative"))
    return scores[usable], states[usable] == "positive"


def thresholds_table(thresholds: Iterable[Threshold]) -> pa.Table:
    """Thresholds as table `THRESHOLDS`; undefined ones are null."""
    rows = [{name: getattr(item, name) for name in THRESHOLDS.names} for item in thresholds]
    return pa.Table.from_pylist(rows, schema=THRESHOLDS)
