"""Intervals by resampling clusters, without sorting the scores again for every replicate.

Corridors of one massif on one date share weather, snow and the radar's scene, so they are not independent:
whole clusters (massif x date) are drawn with replacement, never single corridors. Every measure depends on
the scores only through counts at or above the positives' scores, so these are counted once per cluster, and a
replicate is a product of how often each cluster was drawn with these counts.

Source: cluster bootstrap, percentile intervals; Efron & Tibshirani, An Introduction to the Bootstrap, 1993.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

REPLICATES = 1000
LEVEL = 0.95
SEED = 139
LEAST_CLUSTERS = 2
LEAST_DEFINED = 0.8
"""Share of replicates in which a measure must be defined for it to have an interval: with one cluster of
positives it is in 63 %, and then varies by nothing."""

Scores = NDArray[np.float64]
Flags = NDArray[np.bool_]
Codes = NDArray[np.int64]
Draws = NDArray[np.float64]
"""How often each cluster counts: (replicates, clusters)."""

Interval = tuple[float | None, float | None]


def cluster_draws(clusters: int, replicates: int = REPLICATES, seed: int = SEED) -> Draws:
    """How often each of some clusters is drawn in each replicate; the same arguments give the same draws.

    With fewer than `LEAST_CLUSTERS` there are no replicates: their spread would be none.
    """
    if clusters < LEAST_CLUSTERS:
        return np.empty((0, clusters))
    random = np.random.default_rng([seed, clusters])
    return random.multinomial(clusters, np.full(clusters, 1 / clusters), replicates).astype(np.float64)


def once(clusters: int) -> Draws:
    """Every cluster counted once, (1, clusters): the measure itself."""
    return np.ones((1, clusters))


def interval(values: Scores) -> Interval:
    """The central `LEVEL` of replicates (B,); both None where too few of them are defined."""
    known = values[np.isfinite(values)]
    if len(known) < max(2, LEAST_DEFINED * len(values)):
        return None, None
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def divide(above: NDArray[np.floating], below: NDArray[np.floating] | float) -> Scores:
    """Quotients, NaN where the divisor is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient = np.asarray(np.true_divide(above, below), np.float64)
    return np.where(np.asarray(below) == 0, np.nan, quotient)


@dataclass(frozen=True)
class ClusterCounts:
    """Labelled scores counted per cluster; all a bootstrap replicate needs.

    Attributes:
        cuts: The positives' distinct scores (K,), falling: no other cut can be the best of one.
        hits: Positives at or above every cut by cluster, (clusters, K).
        alarms: Negatives at or above every cut by cluster, (clusters, K).
        ties: Negatives exactly at every cut by cluster, (clusters, K).
        positives: Positives of every cluster, (clusters,).
        negatives: Negatives of every cluster, (clusters,).
    """

    cuts: Scores
    hits: Scores
    alarms: Scores
    ties: Scores
    positives: Scores
    negatives: Scores

    @classmethod
    def of(cls, scores: Scores, positive: Flags, clusters: Codes, count: int) -> "ClusterCounts":
        """Counts finite scores (N,) with their labels and the number 0 to `count` - 1 of their cluster."""
        rising = np.unique(scores[positive])
        tables = []
        for chosen in (positive, ~positive):
            reached = np.searchsorted(rising, scores[chosen], "right")  # how many cuts each score reaches
            cells = clusters[chosen] * (len(rising) + 1) + reached
            counted = np.bincount(cells, minlength=count * (len(rising) + 1))
            tables.append(counted.reshape(count, len(rising) + 1).astype(np.float64))
        hits, alarms = (table[:, :0:-1].cumsum(axis=1) for table in tables)
        exact = np.isin(scores, rising) & ~positive
        cells = clusters[exact] * len(rising) + np.searchsorted(rising, scores[exact])
        ties = np.bincount(cells, minlength=count * len(rising)).reshape(count, len(rising))[:, ::-1]
        positives, negatives = (table.sum(axis=1) for table in tables)
        return cls(rising[::-1], hits, alarms, ties.astype(np.float64), positives, negatives)

    def roc_auc(self, draws: Draws) -> Scores:
        """Area under the ROC curve of every replicate (B,); a tie counts half."""
        new_hits = np.diff(draws @ self.hits, axis=1, prepend=0)
        alarms, ties = draws @ self.alarms, draws @ self.ties
        positives, negatives = draws @ self.positives, draws @ self.negatives
        won = (new_hits * (negatives[:, None] - alarms + ties / 2)).sum(axis=1)
        return divide(won, positives * negatives)

    def average_precision(self, draws: Draws) -> Scores:
        """Mean precision over the positives of every replicate (B,), without interpolation."""
        hits, alarms = draws @ self.hits, draws @ self.alarms
        precision = np.nan_to_num(divide(hits, hits + alarms))
        won = (np.diff(hits, axis=1, prepend=0) * precision).sum(axis=1)
        both = (draws @ self.positives) * (draws @ self.negatives) > 0
        return np.where(both, divide(won, draws @ self.positives), np.nan)
