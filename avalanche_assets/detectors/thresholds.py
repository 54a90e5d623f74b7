"""Operating points: thresholds chosen on the validation dates, exactly, over every possible cut.

A normalised score at or above a threshold is a detection.

- ``balanced``: largest balanced accuracy, the mean recall of both classes (the paper's criterion).
- ``mapping``: largest F1. ``screening``: largest F2, which weighs recall twice as much as precision.
- ``budget``: the largest false-alarm rate on negatives that does not exceed the one allowed, or the one that
  a number of false alarms per date makes. It needs no positive, is the steadiest of the four at one percent
  of positives, and is the default in operations.

Among cuts that reach the same criterion the highest threshold wins: fewer alarms for the same value. Where
the samples cannot decide, the threshold is undefined and says why; it is never the lowest score by default.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from avalanche_assets.detectors.bootstrap import (
    ClusterCounts,
    Codes,
    Draws,
    Flags,
    Scores,
    cluster_draws,
    interval,
    once,
)
from avalanche_assets.detectors.scored import ScoredLabels, labelled
from avalanche_assets.errors import DetectorError
from avalanche_assets.tables import LABEL_WINDOWS, OPERATING_POINTS, THRESHOLDS

BETA_SQUARED = {"mapping": 1.0, "screening": 4.0}


@dataclass(frozen=True)
class Threshold:
    """One operating point of one detector and label window.

    Attributes:
        threshold: A score at or above it is a detection; None if undefined.
        threshold_low: Lower end of its interval; None without one.
        threshold_high: Upper end of its interval.
        value: The criterion reached on the validation samples; None if undefined.
        positives: Positive validation samples.
        negatives: Negative validation samples.
        unscored: Labelled validation samples without a score, which are left out.
        reason: Why threshold or interval are undefined; None when both are defined.
    """

    detector: str
    label_window: str
    operating_point: str
    threshold: float | None
    threshold_low: float | None
    threshold_high: float | None
    value: float | None
    positives: int
    negatives: int
    unscored: int
    reason: str | None


def choose_threshold(
    scores: Scores, positive: Flags, operating_point: str, false_alarm_rate: float
) -> tuple[float, float]:
    """The threshold of an operating point and the value its criterion reaches.

    Args:
        scores: Scores (N,) of labelled samples.
        positive: True for a positive, False for a negative sample (N,).
        operating_point: One of `OPERATING_POINTS`.
        false_alarm_rate: Allowed share of negatives that become detections, for ``budget``.

    Raises:
        DetectorError: The name is unknown, a score is not finite, all scores are equal, the samples lack a
            class the criterion needs, or no cut is better than chance.
    """
    _require_decidable(scores, positive, operating_point)
    all_one = np.zeros(len(scores), np.int64)
    cuts, values = _chosen(scores, positive, all_one, once(1), operating_point, false_alarm_rate)
    if operating_point == "balanced" and values[0] <= 0.5:
        raise DetectorError(
            "operating point 'balanced': no threshold does better than chance on the validation samples "
            f"({positive.sum()} positives); take detector or labels into question, or use 'budget'"
        )
    return float(cuts[0]), float(values[0])


def _require_decidable(scores: Scores, positive: Flags, operating_point: str) -> None:
    if operating_point not in OPERATING_POINTS:
        raise DetectorError(f"operating point {operating_point!r} is none of {', '.join(OPERATING_POINTS)}")
    said = f"operating point {operating_point!r}"
    if unknown := int((~np.isfinite(scores)).sum()):
        raise DetectorError(f"{said}: {unknown} of {len(scores)} validation scores are not finite")
    if positive.all():
        raise DetectorError(f"{said} needs negative validation samples; there is none")
    if operating_point != "budget" and not positive.any():
        raise DetectorError(
            f"{said} needs positive validation samples; there is none: add validation dates "
            "(learning.validation_dates), or use 'budget'"
        )
    if scores.min() == scores.max():
        raise DetectorError(
            f"{said}: all {len(scores)} validation scores are {scores[0]:g}; the detector tells nothing apart"
        )


def _chosen(
    scores: Scores, positive: Flags, clusters: Codes, draws: Draws, operating_point: str, rate: float
) -> tuple[Scores, Scores]:
    """Threshold and criterion of every replicate (B,); NaN where a replicate lacks a class."""
    if operating_point == "budget":
        return _budget(scores[~positive], draws[:, clusters[~positive]], rate)
    counts = ClusterCounts.of(scores, positive, clusters, draws.shape[1])
    hits, alarms = draws @ counts.hits, draws @ counts.alarms
    positives, negatives = (draws @ counts.positives)[:, None], (draws @ counts.negatives)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        # One division of whole numbers, so that equal values are equal in floating point too.
        if operating_point == "balanced":
            criterion = (hits * negatives + (negatives - alarms) * positives) / (2.0 * positives * negatives)
        else:
            beta_squared = BETA_SQUARED[operating_point]
            criterion = (1 + beta_squared) * hits / (beta_squared * positives + hits + alarms)
    best = np.argmax(criterion, axis=1)  # the first maximum: cuts fall, so it is the highest threshold
    defined = ((positives > 0) & (negatives > 0))[:, 0]
    values = criterion[np.arange(len(best)), best]
    return np.where(defined, counts.cuts[best], np.nan), np.where(defined, values, np.nan)


def _budget(negatives: Scores, weights: Draws, rate: float) -> tuple[Scores, Scores]:
    """As `_chosen`, from negatives (n,) and how often each counts in every replicate (B, n)."""
    order = np.argsort(-negatives, kind="stable")
    falling = negatives[order]
    last_of_value = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)
    alarms = weights[:, order].cumsum(axis=1)[:, last_of_value]
    share = alarms / alarms[:, -1:]
    allowed = (share <= rate).sum(axis=1)  # alarms only grow: the allowed cuts come first
    cut = falling[last_of_value[np.maximum(allowed, 1) - 1]]
    # Even the highest negative alone exceeds the rate: the threshold lies just above it.
    threshold = np.where(allowed > 0, cut, np.nextafter(falling[0], np.inf))
    value = np.where(allowed > 0, share[np.arange(len(share)), np.maximum(allowed, 1) - 1], 0.0)
    return threshold, value


def choose_thresholds(
    validation: ScoredLabels, false_alarm_rate: float, alarms_per_date: float | None = None
) -> list[Threshold]:
    """Every operating point of every detector and label window.

    Args:
        validation: Normalised scores and label states; only positive and negative ones count, and samples
            with NaN are left out.
        false_alarm_rate: Allowed share of false alarms for ``budget``.
        alarms_per_date: Allowed false alarms per date, instead of the rate.
    """
    return [
        _named_threshold(validation, detector, window, point, false_alarm_rate, alarms_per_date)
        for detector in validation.scores
        for window in LABEL_WINDOWS
        for point in OPERATING_POINTS
    ]


def _named_threshold(
    validation: ScoredLabels,
    detector: str,
    window: str,
    point: str,
    rate: float,
    alarms_per_date: float | None,
) -> Threshold:
    scores, positive, rows = labelled(validation.scores[detector], validation.states[window])
    missing = int(np.isin(validation.states[window], ("positive", "negative")).sum()) - len(rows)
    counts = int(positive.sum()), int((~positive).sum()), missing
    if alarms_per_date is not None and counts[1]:
        dates = len({validation.dates[row] for row in rows})
        rate = alarms_per_date * dates / counts[1]
    try:
        threshold, value = choose_threshold(scores, positive, point, rate)
    except DetectorError as error:
        return Threshold(detector, window, point, None, None, None, None, *counts, str(error))
    ends, reason = _interval(validation, rows, scores, positive, point, rate)
    return Threshold(detector, window, point, threshold, *ends, value, *counts, reason)


def _interval(
    validation: ScoredLabels,
    rows: NDArray[np.int64],
    scores: Scores,
    positive: Flags,
    point: str,
    rate: float,
) -> tuple[tuple[float | None, float | None], str | None]:
    """Interval of a threshold, or why there is none."""
    dates = len({validation.dates[row] for row in rows})
    if dates < 2:
        return (None, None), "one validation date: how the threshold varies over dates is unknown"
    clusters = validation.clusters[rows]
    names, codes = np.unique(clusters, return_inverse=True)
    thresholds, _ = _chosen(scores, positive, codes, cluster_draws(len(names)), point, rate)
    ends = interval(thresholds)
    if ends[0] is None:
        return ends, f"{positive.sum()} positives in {len(names)} clusters are too few for an interval"
    return ends, None


def thresholds_table(thresholds: Iterable[Threshold]) -> pa.Table:
    """Thresholds as table `THRESHOLDS`; undefined ones are null."""
    rows = [{name: getattr(item, name) for name in THRESHOLDS.names} for item in thresholds]
    return pa.Table.from_pylist(rows, schema=THRESHOLDS)
