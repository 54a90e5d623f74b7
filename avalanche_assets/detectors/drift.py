"""Does a date look like the training season? What is measured of every date, and when it is outside.

A new radar (Sentinel-1C or 1D after 1A and 1B), another processor, or a snow cover that the training never
saw moves the patches, the scores, or both, before anybody sees wrong detections. Each statistic of a date is
held against its range over the training dates, widened by half of its width on both sides: with the 8 to 17
training dates of a season a range is as much as they can tell.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from avalanche_assets.detectors.normalisation import Level
from avalanche_assets.detectors.scored import ScoredLabels
from avalanche_assets.errors import DetectorError
from avalanche_assets.layout import DataLayout
from avalanche_assets.tables import CORRIDOR_PATCHES, SCENE_LEVELS, SCORE_BACKGROUND, read_table

QUANTILES = (0.1, 0.5, 0.9, 0.99)
WIDENED = 0.5
ALARMS = "share of alarms"

Statistics = dict[str, float]
"""Values by name, NaN where a statistic could not be measured."""


@dataclass(frozen=True)
class Range:
    """Lowest and highest value of a statistic over the training dates."""

    lowest: float
    highest: float

    def holds(self, value: float) -> bool:
        """Whether a value lies inside, the range widened; an unknown value is not alarming."""
        margin = WIDENED * (self.highest - self.lowest)
        return bool(np.isnan(value) or self.lowest - margin <= value <= self.highest + margin)


def score_statistics(scores: NDArray[np.float64]) -> Statistics:
    """Level and quantiles of the scores (N,) of one date as the detector gave them; NaN ignored."""
    known = scores[np.isfinite(scores)]
    if not len(known):
        return {}
    level = Level.of(known)
    quantiles = np.quantile(known, QUANTILES)
    return {"score median": level.median, "score spread": level.spread} | {
        f"score quantile {share:g}": float(value)
        for share, value in zip(QUANTILES, quantiles, strict=True)
        if share != 0.5
    }


def patch_statistics(layout: DataLayout, day: date | str) -> Statistics:
    """What the patches of one date tell: shares of pixels, and the level of the scene in dB.

    Raises:
        TableError: A table of this date is missing or damaged.
    """
    shares = ("valid_fraction", "visible_fraction", "wet_snow_fraction")
    patches = read_table(layout.corridor_patches(day), CORRIDOR_PATCHES, list(shares)).to_pandas()
    found = {name.replace("_", " "): float(patches[name].mean()) for name in shares}
    levels = layout.scene_levels(day)
    if levels.exists():
        scene = read_table(levels, SCENE_LEVELS).to_pandas()
        whole = scene[scene["elevation_m"].isna()]
        found |= {
            f"level of {name} (dB)": float(whole[f"{name.lower()}_star"].iloc[0]) for name in ("VV", "VH")
        }
    return found


def background_table(layout: DataLayout, train: ScoredLabels) -> pa.Table:
    """Table `SCORE_BACKGROUND` of the training pairs: of every date, and of all of them together.

    Raises:
        TableError: Patches of a training date are missing or damaged.
        DetectorError: A detector has no finite score.
    """
    rows: list[dict[str, Any]] = []
    days = np.array(train.dates, "datetime64[D]")
    for detector, scores in train.scores.items():
        level = Level.of(scores)
        rows += _rows(None, detector, {"score median": level.median, "score spread": level.spread})
        for day in np.unique(days):
            rows += _rows(day.item(), detector, score_statistics(scores[days == day]))
    for day in np.unique(days):
        rows += _rows(day.item(), None, patch_statistics(layout, day.item()))
    return pa.Table.from_pylist(rows, SCORE_BACKGROUND)


def _rows(day: date | None, detector: str | None, found: Statistics) -> list[dict[str, Any]]:
    key = {"acquisition_date": day, "detector": detector}
    return [
        {**key, "statistic": name, "value": None if np.isnan(value) else value}
        for name, value in found.items()
    ]


def long_run_levels(background: pa.Table) -> dict[str, Level]:
    """The level of every detector over all training dates together."""
    frame = background.to_pandas()
    pooled = frame[frame["acquisition_date"].isna()]
    values = {(row.detector, row.statistic): row.value for row in pooled.itertuples()}
    return {
        name: Level(values[name, "score median"], values[name, "score spread"])
        for name in pooled["detector"].unique()
    }


def training_ranges(background: pa.Table, detector: str) -> dict[str, Range]:
    """Ranges over the training dates of one detector's and the patches' statistics."""
    frame = background.to_pandas()
    dated = frame[
        frame["acquisition_date"].notna() & (frame["detector"].isna() | (frame["detector"] == detector))
    ]
    return ranges(zip(dated["statistic"], dated["value"], strict=True))


def alarm_range(train: ScoredLabels, detector: str, threshold: float) -> Range:
    """Share of alarms on the training dates, from normalised scores; at least from 0 to twice the highest.

    An avalanche cycle may bring more alarms than any training date had.
    """
    scores = pd.Series(train.scores[detector]).dropna()
    shares = (scores >= threshold).groupby(np.array(train.dates, object)[scores.index]).mean()
    return Range(0.0, 2 * float(shares.max()))


def ranges(measured: Iterable[tuple[str, float]]) -> dict[str, Range]:
    """Range of every statistic over its known values."""
    frame = pd.DataFrame(measured, columns=["statistic", "value"]).dropna()
    ends = frame.groupby("statistic", sort=False)["value"].agg(["min", "max"])
    return {name: Range(float(low), float(high)) for name, low, high in ends.itertuples()}


@dataclass(frozen=True)
class Drift:
    """One statistic of a date against the training season."""

    statistic: str
    value: float
    training: Range

    @property
    def outside(self) -> bool:
        """Whether the date lies outside."""
        return not self.training.holds(self.value)


def drift_of(found: Statistics, training: Mapping[str, Range]) -> Sequence[Drift]:
    """Every statistic of a date that the training season knows.

    Raises:
        DetectorError: None is known: the model was registered without a background.
    """
    if not training:
        raise DetectorError("drift: the promoted model has no background; materialise model_registry again")
    return [Drift(name, found[name], known) for name, known in training.items() if name in found]
