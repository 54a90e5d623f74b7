"""Scores per date: robust, label-free, drawn towards the long run where few corridors were seen."""

from datetime import date

import numpy as np
import pytest

from avalanche_assets.detectors.normalisation import ENOUGH, Level, date_level, normalised_per_date
from avalanche_assets.errors import DetectorError

LONG_RUN = Level(2.0, 1.0)
DRY, MELT = date(2018, 1, 3), date(2018, 4, 15)


def test_level_of_a_normal_distribution_is_its_mean_and_standard_deviation():
    scores = np.random.default_rng(1).normal(3.0, 0.5, 40_000)
    level = Level.of(scores)
    assert (level.median, level.spread) == pytest.approx((3.0, 0.5), rel=0.02)


def test_a_tenth_of_avalanches_hardly_moves_the_level():
    rng = np.random.default_rng(2)
    quiet = rng.normal(size=900)
    busy = np.append(quiet, rng.normal(12, 1, 100))
    before, after = Level.of(quiet), Level.of(busy)
    # the median moves to the 55.6th percentile of what is quiet, 0.14 spreads; a mean would move by 1.2
    assert abs(after.median - before.median) < 0.2
    assert after.spread < 1.2 * before.spread


def test_dates_of_different_level_become_comparable():
    rng = np.random.default_rng(3)
    scores = np.concatenate([rng.normal(1, 0.5, 500), rng.normal(4, 2, 500)])
    days = [DRY] * 500 + [MELT] * 500
    found = normalised_per_date(scores, days, LONG_RUN)
    for rows in (slice(0, 500), slice(500, 1000)):
        assert np.median(found[rows]) == pytest.approx(0, abs=1e-12)
        assert Level.of(found[rows]).spread == pytest.approx(1)


def test_few_corridors_are_drawn_towards_the_long_run_in_proportion():
    scores = np.random.default_rng(4).normal(5, 0.2, ENOUGH // 4)
    own, level = Level.of(scores), date_level(scores, LONG_RUN)
    assert level.median == pytest.approx(0.25 * own.median + 0.75 * LONG_RUN.median)
    assert level.spread == pytest.approx(0.25 * own.spread + 0.75 * LONG_RUN.spread)
    assert date_level(np.full(3, np.nan), LONG_RUN) == LONG_RUN
    enough = np.random.default_rng(5).normal(5, 0.2, ENOUGH)
    assert date_level(enough, LONG_RUN) == Level.of(enough)


def test_missing_scores_stay_missing_and_do_not_count():
    scores = np.append(np.random.default_rng(6).normal(size=300), np.nan)
    found = normalised_per_date(scores, [DRY] * 301, LONG_RUN)
    assert np.isnan(found[-1])
    np.testing.assert_array_equal(found[:-1], normalised_per_date(scores[:-1], [DRY] * 300, LONG_RUN))


def test_scores_that_do_not_vary_stay_equal():
    assert set(normalised_per_date(np.ones(300), [DRY] * 300, LONG_RUN)) == {0.0}


def test_scores_most_of_which_are_equal_have_the_spread_of_the_others():
    scores = np.zeros(1000)
    scores[:300] = np.random.default_rng(7).exponential(size=300)
    assert Level.of(scores).median == 0
    # the mean of what stands out, as a normal distribution's standard deviation
    assert Level.of(scores).spread == pytest.approx(1.2533 * scores.mean())


def test_a_level_needs_a_score():
    with pytest.raises(DetectorError, match="none is finite"):
        Level.of(np.array([np.nan]))
