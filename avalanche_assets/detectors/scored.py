"""Stored scores joined with stored labels: what thresholds and evaluation work on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from avalanche_assets.detectors.normalisation import Level, normalised_per_date
from avalanche_assets.detectors.split import dates_of, sample_roles
from avalanche_assets.errors import DetectorError
from avalanche_assets.layout import DataLayout
from avalanche_assets.tables import (
    ANOMALY_SCORES,
    CORRIDOR_LABELS,
    CORRIDORS,
    LABEL_WINDOWS,
    TRAINING_SPLIT,
    read_geotable,
    read_table,
)

DATE_STEP = 100
"""Massif numbers are below it: date and massif together make the number of a cluster."""


@dataclass(frozen=True)
class ScoredLabels:
    """N observable (corridor, acquisition) pairs with scores and label states.

    Attributes:
        corridor_ids: Corridor of every pair, length N.
        dates: Acquisition date of every pair, length N.
        massif_ids: Massif number of every pair (N,).
        scores: Per detector, (N,).
        states: Per label window, (N,) of `tables.LABEL_STATES`.
        versions: Version of every detector that scored.
        left_out: Dates of the role that failed and have no scores or labels.
    """

    corridor_ids: Sequence[str]
    dates: Sequence[date]
    massif_ids: NDArray[np.int64]
    scores: dict[str, NDArray[np.float64]]
    states: dict[str, NDArray[np.str_]]
    versions: Mapping[str, str]
    left_out: Sequence[date] = ()

    def __len__(self) -> int:
        return len(self.corridor_ids)

    @property
    def clusters(self) -> NDArray[np.int64]:
        """A number (N,) for each pair's date and massif: what the bootstrap draws together."""
        days = np.array([day.toordinal() for day in self.dates], np.int64)
        return days * DATE_STEP + self.massif_ids

    def subset(self, rows: NDArray[np.bool_]) -> "ScoredLabels":
        """The chosen pairs."""
        index = np.flatnonzero(rows).tolist()
        return replace(
            self,
            corridor_ids=[self.corridor_ids[row] for row in index],
            dates=[self.dates[row] for row in index],
            massif_ids=self.massif_ids[index],
            scores={name: values[index] for name, values in self.scores.items()},
            states={name: values[index] for name, values in self.states.items()},
        )

    def inside(self, massif: int | None) -> "ScoredLabels":
        """The pairs of one massif, or all of them."""
        return self if massif is None else self.subset(self.massif_ids == massif)

    def normalised(self, levels: Mapping[str, Level]) -> "ScoredLabels":
        """The same pairs with scores normalised per date, see `normalisation`.

        Raises:
            DetectorError: `levels` lack a detector.
        """
        if missing := sorted(set(self.scores) - set(levels)):
            raise DetectorError(f"score_background: lacks the detectors {missing}; materialise it again")
        scores = {
            name: normalised_per_date(values, self.dates, levels[name])
            for name, values in self.scores.items()
        }
        return replace(self, scores=scores)


def labelled(
    scores: NDArray[np.float64], states: NDArray[np.str_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    """Scores, positive flags and rows of the samples with a score and a positive or negative state."""
    rows = np.flatnonzero(np.isfinite(scores) & np.isin(states, ("positive", "negative")))
    return scores[rows], states[rows] == "positive", rows


def scored_labels(layout: DataLayout, role: str, scored: DataLayout | None = None) -> ScoredLabels:
    """Scores as they are and labels of all pairs that play `role` in the training split.

    Only dates on which some pair plays the role are read; a date that failed is left out.

    Args:
        layout: Where split, labels and corridors lie.
        role: One of `split.ROLES`.
        scored: Where the scores lie, if those of another training.

    Raises:
        TableError: A table of one of these dates is damaged.
        DetectorError: No observable sample on these dates, or two versions of a detector scored them.
    """
    split = read_table(layout.training_split, TRAINING_SPLIT)
    stored = layout if scored is None else scored
    wanted = dates_of(split, role)
    days = [
        day for day in wanted if stored.anomaly_scores(day).exists() and layout.corridor_labels(day).exists()
    ]
    if not days:
        raise DetectorError(
            f"anomaly_scores: none of the {role} dates {[str(day) for day in wanted]} has scores and labels; "
            "materialise anomaly_scores and corridor_labels of one of them"
        )
    tables = [read_table(stored.anomaly_scores(day), ANOMALY_SCORES) for day in days]
    scores = pa.concat_tables(tables).to_pandas()
    versions = _versions(scores)
    labels = pa.concat_tables(read_table(layout.corridor_labels(day), CORRIDOR_LABELS) for day in days)
    key = ["acquisition_date", "corridor_id"]
    wide = scores.pivot_table(index=key, columns="detector", values="score")
    joined = wide.join(labels.to_pandas().set_index(key), how="inner").sort_index()
    days_of, ids = (joined.index.get_level_values(name) for name in key)
    joined = joined[sample_roles(split, days_of, ids) == role]
    if joined.empty:
        raise DetectorError(
            f"anomaly_scores: no observable corridor on the {role} dates {[str(day) for day in days]}; "
            "check detection.min_valid_fraction and the previous acquisitions of these dates"
        )
    days_of, ids = (list(joined.index.get_level_values(name)) for name in key)
    corridors = read_geotable(layout.corridors, CORRIDORS).set_index("corridor_id")
    return ScoredLabels(
        ids,
        days_of,
        corridors["massif_id"].reindex(ids).fillna(0).to_numpy(np.int64),
        {name: joined[name].to_numpy(np.float64) for name in wide.columns},
        {window: joined[window].to_numpy(str) for window in LABEL_WINDOWS},
        versions,
        [day for day in wanted if day not in days],
    )


def _versions(scores: pd.DataFrame) -> dict[str, str]:
    """The version of every detector.

    Raises:
        DetectorError: Two versions of one detector: their scores mean different things.
    """
    known: dict[str, str] = {}
    for (detector, version), rows in scores.groupby(["detector", "detector_version"], sort=True):
        if known.setdefault(detector, version) != version:
            days = sorted({str(day) for day in rows["acquisition_date"]})
            raise DetectorError(
                f"anomaly_scores: {detector} scored {days} as version {version} and other dates as "
                f"{known[detector]}; materialise anomaly_scores of all of them again"
            )
    return known
