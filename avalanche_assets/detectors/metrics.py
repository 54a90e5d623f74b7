"""Evaluation on the test dates, as in Table 1 of Sinha et al. 2019: balanced accuracy and F1, and more.

F1 and precision depend on the share of positives, so rows of different label windows or areas are not
comparable by F1; the prevalence and the F1 of calling everything positive stand beside them, and the area
under the ROC curve does not depend on it. Ambiguous and unobserved samples are left out and counted.

Where a detector was trained several times, a measure is the mean over its trainings and the replicates are
dealt out among them, so that an interval holds both the chance of the test clusters and that of the training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
    divide,
    interval,
    once,
)
from avalanche_assets.detectors.scored import ScoredLabels, labelled
from avalanche_assets.tables import EVALUATION, LABEL_STATES, MEASURES

AREAS: dict[str, int | None] = {"All massifs": None, "Haute-Maurienne": 11}
"""Areas of the paper's Table 1 and the massif number that chooses their samples; None for every one."""

RIVAL = "local_contrast"
"""The detector without any network that all others are compared with, pair by pair."""

Measured = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class LabelledScores:
    """Labelled scores of one training of one detector, and its threshold.

    Attributes:
        scores: Finite scores (N,).
        positive: Labels (N,).
        clusters: Number of the cluster of every sample (N,).
        threshold: A score at or above it is a detection; None if undefined.
    """

    scores: Scores
    positive: Flags
    clusters: Codes
    threshold: float | None

    def measures(self, draws: Draws) -> Measured:
        """Every one of `MEASURES` in every replicate (B,); NaN where it is undefined."""
        counts = ClusterCounts.of(self.scores, self.positive, self.clusters, draws.shape[1])
        return {
            "roc_auc": counts.roc_auc(draws),
            "average_precision": counts.average_precision(draws),
            **self._at_threshold(draws, counts),
        }

    def _at_threshold(self, draws: Draws, counts: ClusterCounts) -> Measured:
        unknown = np.full(len(draws), np.nan)
        if self.threshold is None:
            return {name: unknown for name in MEASURES if name not in ("roc_auc", "average_precision")}
        found = self.scores >= self.threshold
        hits, alarms = (
            draws @ np.bincount(self.clusters[found & chosen], minlength=draws.shape[1]).astype(np.float64)
            for chosen in (self.positive, ~self.positive)
        )
        positives, negatives = draws @ counts.positives, draws @ counts.negatives
        recall, specificity = divide(hits, positives), divide(negatives - alarms, negatives)
        return {
            "balanced_accuracy": (recall + specificity) / 2,
            "f1": _f(1, hits, alarms, positives),
            "f2": _f(4, hits, alarms, positives),
            "recall": recall,
            "specificity": specificity,
            "precision": divide(hits, hits + alarms),
            "false_alarms_per_hit": divide(alarms, hits),
        }


def _f(beta_squared: float, hits: Scores, alarms: Scores, positives: Scores) -> Scores:
    value = divide((1 + beta_squared) * hits, beta_squared * positives + hits + alarms)
    return np.where(positives > 0, value, np.nan)


def measure(scores: Scores, positive: Flags, threshold: float | None) -> dict[str, float | None]:
    """`MEASURES` of finite scores (N,) against labels (N,), as they are; None where undefined."""
    tested = LabelledScores(scores, positive, np.zeros(len(scores), np.int64), threshold)
    return {name: known(values[0]) for name, values in tested.measures(once(1)).items()}


def known(value: float) -> float | None:
    """The number, or None for NaN."""
    return float(value) if np.isfinite(value) else None


def over_trainings(trainings: Sequence[LabelledScores], clusters: int) -> tuple[Measured, Measured]:
    """Means over the trainings (1,) and replicates (B,) dealt out among them, of every measure."""
    exact = [training.measures(once(clusters)) for training in trainings]
    draws = cluster_draws(clusters)
    replicates = {name: np.full(len(draws), np.nan) for name in MEASURES}
    for number, training in enumerate(trainings):
        for name, values in training.measures(draws[number :: len(trainings)]).items():
            replicates[name][number :: len(trainings)] = values
    return {name: np.mean([one[name] for one in exact], axis=0) for name in MEASURES}, replicates


def evaluation_table(tests: Sequence[ScoredLabels], thresholds: Sequence[pa.Table]) -> pa.Table:
    """Table `EVALUATION`: one row per row of `thresholds` and area.

    Args:
        tests: Normalised scores of the test samples, one of each training; a detector that is in the first
            one only was not trained again.
        thresholds: Table `THRESHOLDS` of each training, chosen on the validation dates.
    """
    chosen = [{_key(row): row["threshold"] for row in table.to_pylist()} for table in thresholds]
    rows = [
        row
        for window in tests[0].states
        for area, massif in AREAS.items()
        for row in _rows([test.inside(massif) for test in tests], chosen, window, area)
    ]
    position = {key: number for number, key in enumerate(chosen[0])}
    rows.sort(key=lambda row: position[_key(row)])
    return pa.Table.from_pylist(rows, schema=EVALUATION)


def _key(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return row["detector"], row["label_window"], row["operating_point"]


def _rows(
    tests: Sequence[ScoredLabels],
    thresholds: Sequence[Mapping[tuple[str, str, str], float | None]],
    window: str,
    area: str,
) -> list[dict[str, Any]]:
    """Rows of one label window and area; all detectors share the draws, so their replicates are pairs."""
    clusters = np.unique(tests[0].clusters[np.isin(tests[0].states[window], ("positive", "negative"))])
    trainings: dict[tuple[str, str, str], list[LabelledScores]] = {}
    for test, chosen in zip(tests, thresholds, strict=True):
        for key, threshold in chosen.items():
            if key[1] == window and key[0] in test.scores:
                scores, positive, rows = labelled(test.scores[key[0]], test.states[window])
                codes = np.searchsorted(clusters, test.clusters[rows])
                trainings.setdefault(key, []).append(LabelledScores(scores, positive, codes, threshold))
    measured = {key: over_trainings(of, max(1, len(clusters))) for key, of in trainings.items()}
    rival = next((values for key, values in measured.items() if key[0] == RIVAL), None)
    return [
        {
            **dict(zip(("detector", "label_window", "operating_point"), key, strict=True)),
            "area": area,
            "threshold": trainings[key][0].threshold,
            **_numbers(*values, None if key[0] == RIVAL else rival),
            **_sizes(trainings[key][0].positive),
            "clusters": len(clusters),
            "trainings": len(trainings[key]),
        }
        for key, values in measured.items()
    ]


def _numbers(
    exact: Measured, replicates: Measured, rival: tuple[Measured, Measured] | None
) -> dict[str, float | None]:
    """Every measure and the gain over the rival, with their intervals."""
    numbers: dict[str, float | None] = {}
    for name in MEASURES:
        numbers |= _with_ends(name, exact[name][0], replicates[name])
    if rival is not None:
        gains = [mine["average_precision"] - its["average_precision"] for mine, its in zip(
            (exact, replicates), rival, strict=True
        )]  # fmt: skip
        numbers |= _with_ends("gain", gains[0][0], gains[1])
    return numbers


def _with_ends(name: str, value: float, replicates: Scores) -> dict[str, float | None]:
    low, high = interval(replicates) if np.isfinite(value) else (None, None)
    return {name: known(value), f"{name}_low": low, f"{name}_high": high}


def _sizes(positive: Flags) -> dict[str, float | int | None]:
    prevalence = float(positive.mean()) if len(positive) else None
    return {
        "positives": int(positive.sum()),
        "negatives": int((~positive).sum()),
        "prevalence": prevalence,
        "f1_all_positive": None if prevalence is None else 2 * prevalence / (1 + prevalence),
    }


def count_states(states: NDArray[np.str_]) -> dict[str, int]:
    """Number of samples in every label state, the excluded ones too."""
    return {state: int((states == state).sum()) for state in LABEL_STATES}
