"""Evaluation on the test dates, as in Table 1 of Sinha et al. 2019: balanced accuracy and F1, and more.

F1 and precision depend on the share of positives, so rows of different label windows or areas are not
comparable by F1; the prevalence stands beside them, and the area under the ROC curve does not depend on it.
Ambiguous and unobserved samples are left out and counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score, roc_auc_score

from avalanche_assets.detectors.thresholds import Flags, Scores, labelled_scores
from avalanche_assets.tables import EVALUATION, LABEL_STATES

AREAS: dict[str, int | None] = {"All massifs": None, "Haute-Maurienne": 11}
"""Areas of the paper's Table 1 and the massif number that chooses their samples; None for every one."""


@dataclass(frozen=True)
class Metrics:
    """Measures of one set of test samples; None where a class or the threshold is missing.

    Attributes:
        balanced_accuracy: Mean recall of both classes at the threshold, 0..1.
        f1: F1 of the positive class at the threshold, 0..1.
        average_precision: Area under precision over recall, 0..1.
        roc_auc: Area under the ROC curve, 0..1.
        positives: Positive samples.
        negatives: Negative samples.
        prevalence: Share of positives, 0..1; None without samples.
    """

    balanced_accuracy: float | None
    f1: float | None
    average_precision: float | None
    roc_auc: float | None
    positives: int
    negatives: int
    prevalence: float | None


def measure(scores: Scores, positive: Flags, threshold: float | None) -> Metrics:
    """Measures of finite scores (N,) against labels (N,); a score at the threshold is a detection."""
    positives, negatives = int(positive.sum()), int((~positive).sum())
    both = positives > 0 and negatives > 0
    accuracy = f1 = precision = auc = None
    if threshold is not None and both:
        accuracy = float(balanced_accuracy_score(positive, scores >= threshold))
    if threshold is not None and positives:
        f1 = float(f1_score(positive, scores >= threshold, zero_division=0))
    if both:
        precision = float(average_precision_score(positive, scores))
        auc = float(roc_auc_score(positive, scores))
    prevalence = positives / len(scores) if len(scores) else None
    return Metrics(accuracy, f1, precision, auc, positives, negatives, prevalence)


def evaluation_table(
    scores: Mapping[str, Scores],
    states: Mapping[str, NDArray[np.str_]],
    massif_ids: NDArray[np.integer],
    thresholds: pa.Table,
) -> pa.Table:
    """Table `EVALUATION`: one row per area and row of `thresholds`.

    Args:
        scores: Scores (N,) of each detector on the test samples; samples with NaN are left out.
        states: Label states (N,) of each window.
        massif_ids: Massif number (N,) of every sample's corridor.
        thresholds: Table `THRESHOLDS`, chosen on the validation dates.
    """
    rows = []
    for chosen in thresholds.to_pylist():
        for area, massif_id in AREAS.items():
            inside = np.ones(len(massif_ids), bool) if massif_id is None else massif_ids == massif_id
            labelled = labelled_scores(
                scores[chosen["detector"]][inside], states[chosen["label_window"]][inside]
            )
            result = vars(measure(*labelled, chosen["threshold"]))
            rows.append({**chosen, "area": area, **result})
    keys = EVALUATION.names
    return pa.Table.from_pylist([{key: row[key] for key in keys} for row in rows], schema=EVALUATION)


def count_states(states: NDArray[np.str_]) -> dict[str, int]:
    """Number of samples in every label state, the excluded ones too."""
    return {state: int((states == state).sum()) for state in LABEL_STATES}
