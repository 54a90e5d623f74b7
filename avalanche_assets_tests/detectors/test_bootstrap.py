"""Weighted measures against scikit-learn, draws of whole clusters, and what the intervals hold."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from avalanche_assets.detectors.bootstrap import ClusterCounts, cluster_draws, interval, once
from avalanche_assets.detectors.metrics import LabelledScores, over_trainings

CASES = st.lists(
    st.tuples(st.integers(-4, 4).map(lambda step: step / 2), st.booleans(), st.integers(0, 3)),
    min_size=2,
    max_size=40,
).filter(lambda rows: 0 < sum(flag for _, flag, _ in rows) < len(rows))


def columns(rows):
    return (np.array(values) for values in zip(*rows, strict=True))


@settings(deadline=None)
@given(CASES, st.integers(0, 2**31))
def test_replicates_equal_scikit_learn_with_sample_weights(rows, seed):
    scores, positive, clusters = columns(rows)
    draws = np.random.default_rng(seed).integers(0, 4, (5, 4)).astype(float)
    counts = ClusterCounts.of(scores, positive, clusters, 4)
    for draw, auc, precision in zip(
        draws, counts.roc_auc(draws), counts.average_precision(draws), strict=True
    ):
        weight = draw[clusters]
        if not (weight[positive].any() and weight[~positive].any()):
            assert np.isnan([auc, precision]).all()
            continue
        kept = weight > 0
        expected = positive[kept], scores[kept]
        assert auc == pytest.approx(roc_auc_score(*expected, sample_weight=weight[kept]))
        assert precision == pytest.approx(average_precision_score(*expected, sample_weight=weight[kept]))


def test_draws_are_whole_clusters_of_the_same_number_and_repeat():
    draws = cluster_draws(7, 50)
    assert draws.shape == (50, 7)
    assert (draws.sum(axis=1) == 7).all()
    np.testing.assert_array_equal(draws, cluster_draws(7, 50))
    assert len(cluster_draws(1)) == 0


def test_interval_is_none_where_most_replicates_are_undefined():
    assert interval(np.array([1.0, np.nan, np.nan, np.nan])) == (None, None)
    low, high = interval(np.arange(1001.0))
    assert (low, high) == pytest.approx((25.0, 975.0))


def clustered(rng, clusters, shift):
    """40 scores a cluster that share a shift of their cluster; a tenth are positives, 1.5 higher."""
    codes = np.repeat(np.arange(clusters), 40)
    positive = rng.random(len(codes)) < 0.1
    scores = rng.normal(size=len(codes)) + shift * rng.normal(size=clusters)[codes] + 1.5 * positive
    return LabelledScores(scores, positive, codes, 1.0)


def test_intervals_hold_the_true_recall_at_about_their_level():
    # With a shift of 1 per cluster the score of a positive is N(1.5, sqrt 2): recall at 1 is Phi(0.354).
    truth, held = 0.638, 0
    rng = np.random.default_rng(2)
    for _ in range(100):
        tested = clustered(rng, 30, 1.0)
        _, replicates = over_trainings([tested], 30)
        low, high = interval(replicates["recall"])
        held += low <= truth <= high
    # 95 % of 100 with a binomial spread of 2.2; percentile intervals of 30 clusters are a little short.
    assert 86 <= held <= 100


def test_resampling_samples_instead_of_clusters_would_be_too_sure():
    tested = clustered(np.random.default_rng(3), 30, 1.0)
    alone = LabelledScores(tested.scores, tested.positive, np.arange(len(tested.scores)), tested.threshold)
    widths = []
    for one, count in ((tested, 30), (alone, len(alone.scores))):
        low, high = interval(over_trainings([one], count)[1]["specificity"])
        widths.append(high - low)
    # the shared shift makes 40 samples count like a few
    assert widths[0] > 2 * widths[1]


def test_pairs_of_replicates_see_a_small_difference_that_single_intervals_hide():
    tested = clustered(np.random.default_rng(4), 30, 1.0)
    better = LabelledScores(tested.scores + 0.3 * tested.positive, tested.positive, tested.clusters, 1.0)
    first, second = (over_trainings([one], 30) for one in (tested, better))
    (_, high), (low, _) = (interval(one[1]["average_precision"]) for one in (first, second))
    assert low < high
    gain = interval(second[1]["average_precision"] - first[1]["average_precision"])
    assert gain[0] > 0


def test_trainings_share_the_replicates_and_widen_the_interval():
    tested = clustered(np.random.default_rng(5), 30, 0.5)
    worse = LabelledScores(tested.scores - 2.0 * tested.positive, tested.positive, tested.clusters, 1.0)
    exact, replicates = over_trainings([tested, worse], 30)
    alone = [over_trainings([one], 30)[0]["recall"][0] for one in (tested, worse)]
    assert exact["recall"][0] == pytest.approx(np.mean(alone))
    low, high = interval(replicates["recall"])
    assert low < min(alone) < max(alone) < high


def test_a_season_of_test_pairs_takes_a_moment():
    rng = np.random.default_rng(6)
    positive = rng.random(7200) < 0.014
    tested = LabelledScores(rng.normal(size=7200) + positive, positive, rng.integers(0, 57, 7200), 1.0)
    start = time.perf_counter()
    over_trainings([tested], 57)
    one_by_one = time.perf_counter()
    for draw in cluster_draws(57, 20):
        roc_auc_score(positive, tested.scores, sample_weight=draw[tested.clusters] + 1e-9)
    # 1,000 replicates of nine measures cost less than 20 of one measure with scikit-learn
    assert one_by_one - start < time.perf_counter() - one_by_one


def test_measures_of_all_ones_are_those_without_weights():
    tested = clustered(np.random.default_rng(7), 10, 0.5)
    single = LabelledScores(tested.scores, tested.positive, np.zeros(len(tested.scores), int), 1.0)
    for name, values in tested.measures(once(10)).items():
        assert values[0] == pytest.approx(single.measures(once(1))[name][0]), name
