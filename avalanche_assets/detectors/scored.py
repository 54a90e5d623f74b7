"""Stored scores joined with stored labels: what thresholds and evaluation work on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from avalanche_assets.detectors.split import dates_of, sample_roles
from avalanche_assets.errors import DetectorError
from avalanche_assets.layout import DataLayout
from avalanche_assets.tables import (
    ANOMALY_SCORES,
    CORRIDOR_LABELS,
    LABEL_WINDOWS,
    TRAINING_SPLIT,
    read_table,
)


@dataclass(frozen=True)
class ScoredLabels:
    """N observable (corridor, acquisition) pairs with scores and label states.

    Attributes:
        corridor_ids: Corridor of every pair, length N.
        scores: Per detector, (N,).
        states: Per label window, (N,) of `tables.LABEL_STATES`.
        left_out: Dates of the role that failed and have no scores or labels.
    """

    corridor_ids: Sequence[str]
    scores: dict[str, NDArray[np.float64]]
    states: dict[str, NDArray[np.str_]]
    left_out: Sequence[date] = ()


def scored_labels(layout: DataLayout, role: str) -> ScoredLabels:
    """Scores and labels of all pairs that play `role` in the training split; a date that failed is left out.

    Raises:
        TableError: A table of one of these dates is damaged.
        DetectorError: No observable sample on these dates.
    """
    split = read_table(layout.training_split, TRAINING_SPLIT)
    wanted = dates_of(split, role)
    days = [
        day for day in wanted if layout.anomaly_scores(day).exists() and layout.corridor_labels(day).exists()
    ]
    if not days:
        raise DetectorError(
            f"anomaly_scores: none of the {role} dates {[str(day) for day in wanted]} has scores and labels; "
            "materialise anomaly_scores and corridor_labels of one of them"
        )
    scores = pa.concat_tables(read_table(layout.anomaly_scores(day), ANOMALY_SCORES) for day in days)
    labels = pa.concat_tables(read_table(layout.corridor_labels(day), CORRIDOR_LABELS) for day in days)
    key = ["acquisition_date", "corridor_id"]
    wide = scores.to_pandas().pivot_table(index=key, columns="detector", values="score")
    joined = wide.join(labels.to_pandas().set_index(key), how="inner").sort_index()
    days_of, ids = (joined.index.get_level_values(name) for name in key)
    joined = joined[sample_roles(split, days_of, ids) == role]
    if joined.empty:
        raise DetectorError(
            f"anomaly_scores: no observable corridor on the {role} dates {[str(day) for day in days]}; "
            "check detection.min_valid_fraction and the previous acquisitions of these dates"
        )
    return ScoredLabels(
        list(joined.index.get_level_values("corridor_id")),
        {name: joined[name].to_numpy(np.float64) for name in wide.columns},
        {window: joined[window].to_numpy(str) for window in LABEL_WINDOWS},
        [day for day in wanted if day not in days],
    )
