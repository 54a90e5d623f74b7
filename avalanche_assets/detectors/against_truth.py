"""Detectors against mapped deposits instead of against the inventory: only the command knows such a map.

A simulation knows every deposit; a survey with optical images knows many. The inventory does not: it misses
deposits that the radar sees and holds others that it cannot see. So a measure against its labels has a
ceiling below 1, which is what a perfect detector of the visible deposits reaches against the same labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from avalanche_assets.catalogue.acquisitions import AcquisitionCatalogue
from avalanche_assets.detectors.bootstrap import Interval, interval
from avalanche_assets.detectors.evaluation import Evaluation
from avalanche_assets.detectors.metrics import RIVAL, LabelledScores, Measured, known, measure, over_trainings
from avalanche_assets.detectors.scored import ScoredLabels, labelled
from avalanche_assets.detectors.thresholds import choose_threshold
from avalanche_assets.errors import DetectorError
from avalanche_assets.layout import DataLayout
from avalanche_assets.rasters import read_bands, read_grid

COLUMNS = ("corridor_id", "instant", "size", "wet", "visible")
FALSE_ALARM_RATES = (0.05, 0.01)
STRATA: Mapping[str, tuple[str, Sequence[float] | None]] = {
    "size": ("size", None),
    "local incidence (degrees)": ("local_incidence", (0, 30, 45, 60, 90)),
    "snow": ("snow", None),
    "age (days)": ("age_days", (0, 2, 4, 6, 12, 24)),
}
"""How deposits are divided: name, column, and edges of the classes where it is a number."""


@dataclass(frozen=True)
class Value:
    """A measure with its 95 % interval; None where undefined."""

    value: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, value: float, replicates: NDArray[np.float64]) -> "Value":
        """From the measure itself and its replicates (B,)."""
        ends: Interval = interval(replicates) if np.isfinite(value) else (None, None)
        return cls(known(value), *ends)


@dataclass(frozen=True)
class VisibleDeposits:
    """One detector against the visible deposits.

    Attributes:
        roc_auc: Area under the ROC curve.
        average_precision: Area under precision over recall.
        gain: Average precision less that of the rival, pair by pair; None for the rival or without it.
        recall: By nominal false-alarm rate, whose threshold the validation labels gave.
        false_alarms: The rate really reached, by the nominal one.
        precision: Share of the alarms with a visible deposit.
    """

    roc_auc: Value
    average_precision: Value
    gain: Value | None
    recall: dict[float, Value]
    false_alarms: dict[float, Value]
    precision: dict[float, Value]


@dataclass(frozen=True)
class AgainstTruth:
    """What mapped deposits say of the detectors on the test pairs.

    Attributes:
        pairs: Test pairs.
        visible: Pairs with a visible deposit new in them.
        detectors: By name.
        ceiling: Measures of a perfect detector of visible deposits against the labels.
        strata: Per division and class: number of deposits, and recall of each detector at its frozen
            operating point.
        operating_point: Which one.
    """

    pairs: int
    visible: int
    detectors: dict[str, VisibleDeposits]
    ceiling: dict[str, float | None]
    strata: dict[str, dict[str, tuple[int, dict[str, Value]]]]
    operating_point: str


def read_deposits(path: Path) -> gpd.GeoDataFrame:
    """Deposits from a GeoParquet file, or from ``deposits.parquet`` in a folder.

    Raises:
        DetectorError: The file is missing, not GeoParquet, or lacks a column.
    """
    file = path / "deposits.parquet" if path.is_dir() else path
    try:
        frame = gpd.read_parquet(file)
    except (OSError, ValueError, pa.ArrowInvalid) as error:
        raise DetectorError(f"{file}: not a readable GeoParquet file of deposits ({error})") from error
    if missing := [name for name in COLUMNS if name not in frame]:
        raise DetectorError(
            f"{file}: lacks the columns {missing}; it needs {', '.join(COLUMNS)} and geometry"
        )
    return frame


def truth_of_pairs(
    deposits: gpd.GeoDataFrame, layout: DataLayout, catalogue: AcquisitionCatalogue, pairs: ScoredLabels
) -> pd.DataFrame:
    """The deposits that fell in each pair's corridor between its two overpasses.

    A deposit is visible where it is said to be and its middle lies neither in layover nor in shadow.

    Returns:
        One row a deposit and pair that it is new in: `row` of the pair and what `STRATA` divide by.
    """
    geometry = read_bands(layout.track_geometry, ["local_incidence", "visibility"])
    grid = read_grid(layout.track_geometry)
    pixels = [grid.row_col(point.x, point.y) for point in deposits.geometry.centroid]
    at = tuple(np.array(pixels, int).reshape(-1, 2).T)
    known_deposits = pd.DataFrame(deposits.drop(columns="geometry")).assign(
        local_incidence=geometry["local_incidence"][at],
        visible=deposits["visible"].to_numpy(bool) & (geometry["visibility"][at] == 0),
        snow=np.where(deposits["wet"], "wet", "dry"),
    )
    keys = pd.DataFrame({"corridor_id": list(pairs.corridor_ids), "row": range(len(pairs))})
    keys["end"] = [catalogue.get(day).overpass for day in pairs.dates]
    before = [catalogue.previous(str(day)) for day in pairs.dates]
    keys["begin"] = [one.overpass if one else None for one in before]
    joined = keys.merge(known_deposits, on="corridor_id")
    inside = (joined["instant"] > joined["begin"]) & (joined["instant"] <= joined["end"])
    age = (joined["end"] - joined["instant"]).dt.total_seconds() / 86400
    found: pd.DataFrame = joined.assign(age_days=age)[inside].reset_index(drop=True)
    return found


def against_truth(
    truth: pd.DataFrame, evaluation: Evaluation, validation: ScoredLabels, window: str, operating_point: str
) -> AgainstTruth:
    """Measures every detector on the test pairs against mapped deposits.

    Args:
        truth: Of the test pairs, see `truth_of_pairs`.
        evaluation: The frozen thresholds and the test pairs.
        validation: Normalised scores of the validation pairs: their labels give the thresholds of the
            nominal false-alarm rates.
        window: Label window that the thresholds are for.
        operating_point: The one that recall by class is given at.
    """
    test = evaluation.test
    visible, any_deposit = np.zeros(len(test), bool), np.zeros(len(test), bool)
    visible[truth.loc[truth["visible"], "row"]] = True
    any_deposit[truth["row"]] = True
    # Where only invisible deposits fell an alarm is neither right nor wrong.
    states = np.where(visible, "positive", np.where(any_deposit, "outside", "negative"))
    names, codes = np.unique(test.clusters, return_inverse=True)
    measured: dict[str, dict[float | None, tuple[Measured, Measured]]] = {}
    for detector in test.scores:
        scores, positive, rows = labelled(test.scores[detector], states)
        cuts = [None, *(_budget(validation, detector, window, rate) for rate in FALSE_ALARM_RATES)]
        measured[detector] = {
            rate: over_trainings([LabelledScores(scores, positive, codes[rows], cut)], max(1, len(names)))
            for rate, cut in zip((None, *FALSE_ALARM_RATES), cuts, strict=True)
        }
    rival = measured[RIVAL][None] if RIVAL in measured else None
    in_labels, positive, _ = labelled(visible.astype(np.float64), test.states[window])
    return AgainstTruth(
        len(test),
        int(visible.sum()),
        {name: _against_visible(of, None if name == RIVAL else rival) for name, of in measured.items()},
        measure(in_labels, positive, 0.5),
        _strata(truth, evaluation, codes, len(names), window, operating_point),
        operating_point,
    )


def _budget(validation: ScoredLabels, detector: str, window: str, rate: float) -> float | None:
    scores, positive, _ = labelled(validation.scores[detector], validation.states[window])
    try:
        return choose_threshold(scores, positive, "budget", rate)[0]
    except DetectorError:
        return None


def _against_visible(
    measured: Mapping[float | None, tuple[Measured, Measured]], rival: tuple[Measured, Measured] | None
) -> VisibleDeposits:
    def value(rate: float | None, name: str) -> Value:
        exact, replicates = measured[rate]
        return Value.of(float(exact[name][0]), replicates[name])

    def false_alarms(rate: float) -> Value:
        exact, replicates = measured[rate]
        return Value.of(1 - float(exact["specificity"][0]), 1 - replicates["specificity"])

    gain = None
    if rival is not None:
        mine, its = measured[None], rival
        name = "average_precision"
        gain = Value.of(float((mine[0][name] - its[0][name])[0]), mine[1][name] - its[1][name])
    return VisibleDeposits(
        value(None, "roc_auc"),
        value(None, "average_precision"),
        gain,
        {rate: value(rate, "recall") for rate in FALSE_ALARM_RATES},
        {rate: false_alarms(rate) for rate in FALSE_ALARM_RATES},
        {rate: value(rate, "precision") for rate in FALSE_ALARM_RATES},
    )


def _strata(
    truth: pd.DataFrame,
    evaluation: Evaluation,
    codes: NDArray[np.int64],
    clusters: int,
    window: str,
    operating_point: str,
) -> dict[str, dict[str, tuple[int, dict[str, Value]]]]:
    result: dict[str, dict[str, tuple[int, dict[str, Value]]]] = {}
    for division, (column, edges) in STRATA.items():
        # Of deposits too small or too faint to be seen only the size tells anything.
        of = truth if division == "size" else truth[truth["visible"]]
        classes = of[column] if edges is None else _classes(of[column], edges)
        result[division] = {}
        for name, members in of.groupby(classes.astype(str), sort=True):
            rows = members["row"].to_numpy(np.int64)
            recalls: dict[str, Value] = {}
            for detector, scores in evaluation.test.scores.items():
                cut = evaluation.threshold(detector, window, operating_point)
                scored = rows[np.isfinite(scores[rows])]
                alone = LabelledScores(scores[scored], np.ones(len(scored), bool), codes[scored], cut)
                exact, replicates = over_trainings([alone], max(1, clusters))
                recalls[detector] = Value.of(float(exact["recall"][0]), replicates["recall"])
            result[division][str(name)] = (len(members), recalls)
    return result


def _classes(values: pd.Series, edges: Sequence[float]) -> pd.Series:
    """The class of every value as text, such as ``30 to 45``; classes sort as their edges do."""
    names = [f"{low:>2g} to {high:g}" for low, high in pairwise(edges)]
    return pd.cut(values, edges, labels=names, include_lowest=True)
