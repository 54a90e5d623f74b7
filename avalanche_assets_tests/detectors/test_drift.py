"""A date is held against the range of the training season, widened by half of its width."""

from datetime import date, timedelta

import numpy as np
import pytest

from avalanche_assets.detectors.drift import (
    Drift,
    Range,
    alarm_range,
    drift_of,
    ranges,
    score_statistics,
)
from avalanche_assets.detectors.scored import ScoredLabels
from avalanche_assets.errors import DetectorError


def test_range_is_widened_by_half_on_both_sides():
    known = Range(1.0, 3.0)
    assert known.holds(0.0)
    assert known.holds(4.0)
    assert not known.holds(-0.01)
    assert not known.holds(4.01)
    assert known.holds(float("nan"))  # unknown is not alarming


def test_statistics_of_a_date_follow_the_scores():
    scores = np.append(np.random.default_rng(1).normal(2, 0.5, 20_000), np.nan)
    found = score_statistics(scores)
    expected = {"score median": 2, "score spread": 0.5, "score quantile 0.9": 2 + 0.5 * 1.2816}
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=0.02)
    assert score_statistics(np.array([np.nan])) == {}


def test_a_radar_three_decibels_brighter_is_outside_and_another_winter_day_is_not():
    rng = np.random.default_rng(2)
    days = [score_statistics(rng.normal(rng.normal(2, 0.2), 0.5, 400)) for _ in range(12)]
    training = ranges((name, value) for day in days for name, value in day.items())
    usual = drift_of(score_statistics(rng.normal(2, 0.5, 400)), training)
    assert not any(item.outside for item in usual)
    brighter = drift_of(score_statistics(rng.normal(5, 0.5, 400)), training)
    outside = {item.statistic for item in brighter if item.outside}
    assert {"score median", "score quantile 0.9"} <= outside
    assert "score spread" not in outside


def test_statistics_unknown_on_either_side_are_left_out():
    training = ranges([("level of VV (dB)", 1.0), ("level of VV (dB)", float("nan")), ("x", float("nan"))])
    assert training == {"level of VV (dB)": Range(1.0, 1.0)}
    assert drift_of({"level of VV (dB)": 1.0, "new": 3.0}, training) == [
        Drift("level of VV (dB)", 1.0, Range(1.0, 1.0))
    ]
    with pytest.raises(DetectorError, match="no background"):
        drift_of({"score median": 1.0}, {})


def test_alarms_may_double_the_busiest_training_date():
    days = [date(2018, 1, 3) + timedelta(days=6 * (index % 2)) for index in range(200)]
    scores = np.where(np.arange(200) < 20, 5.0, 0.0)
    scores[1:20:2] = np.where(np.arange(10) < 2, 5.0, 0.0)
    pairs = ScoredLabels([""] * 200, days, np.full(200, 11), {"vae": scores}, {}, {"vae": "v1"})
    # 10 of 100 on the first date, 2 of 100 on the second
    assert alarm_range(pairs, "vae", 3.0) == Range(0.0, 0.2)
