"""Scores normalised per date, so that one threshold means the same on a dry and on a melting day.

A score becomes ``(score - median) / spread`` over the corridors seen on its date, without looking at labels;
the spread is 1.4826 times the median absolute deviation, a normal distribution's standard deviation. Both
are robust: a few avalanches do not move them. Where more than half of the scores are equal, as those of trees
may be, that deviation is zero and 1.2533 times the mean one takes its place. Scores that are all equal stay
equal; no threshold is then defined. Where fewer than `ENOUGH` corridors were seen they are drawn towards the
long-run level, that of the training dates, in proportion to what is missing:
``share * date + (1 - share) * long run`` with ``share = seen / ENOUGH``.

A choice of this project: the paper thresholds the scores as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from avalanche_assets.errors import DetectorError

ENOUGH = 200
"""Corridors from which on a date speaks for itself: its median is then known to a tenth of the spread."""
MAD_TO_SIGMA = 1.4826
MEAN_TO_SIGMA = 1.2533

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Level:
    """Where the scores of a detector lie and how far they spread, in the score's own unit."""

    median: float
    spread: float

    @classmethod
    def of(cls, scores: Scores) -> "Level":
        """The level of scores (N,), NaN ignored.

        Raises:
            DetectorError: No score is finite.
        """
        known = scores[np.isfinite(scores)]
        if not len(known):
            raise DetectorError("scores: none is finite, so they have no level")
        median = float(np.median(known))
        away = np.abs(known - median)
        return cls(median, float(MAD_TO_SIGMA * np.median(away) or MEAN_TO_SIGMA * away.mean()))

    def towards(self, long_run: "Level", seen: int) -> "Level":
        """This level of `seen` corridors, drawn towards the long-run one where they are few."""
        share = min(1.0, seen / ENOUGH)
        return Level(
            share * self.median + (1 - share) * long_run.median,
            share * self.spread + (1 - share) * long_run.spread,
        )

    def normalise(self, scores: Scores) -> Scores:
        """Scores (N,) in spreads above the median, or in their own unit without a spread; NaN stays NaN."""
        return np.asarray((scores - self.median) / (self.spread or 1.0))


def date_level(scores: Scores, long_run: Level) -> Level:
    """The level that normalises the scores (N,) of one date; the long-run one where nothing was seen."""
    seen = int(np.isfinite(scores).sum())
    return Level.of(scores).towards(long_run, seen) if seen else long_run


def normalised_per_date(scores: Scores, dates: Sequence[date], long_run: Level) -> Scores:
    """Scores (N,) normalised among those of their date."""
    result = np.full(len(scores), np.nan)
    days = np.array(dates, "datetime64[D]")
    for day in np.unique(days):
        rows = days == day
        result[rows] = date_level(scores[rows], long_run).normalise(scores[rows])
    return result
