"""Thresholds against brute force, metrics against scikit-learn on the same cuts."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, fbeta_score

from avalanche_assets.detectors.metrics import RIVAL, count_states, evaluation_table, measure
from avalanche_assets.detectors.scored import ScoredLabels, labelled
from avalanche_assets.detectors.thresholds import choose_threshold, choose_thresholds, thresholds_table
from avalanche_assets.errors import DetectorError
from avalanche_assets.tables import EVALUATION, THRESHOLDS

LABELLED = st.lists(
    st.tuples(st.integers(-4, 4).map(lambda step: step / 2), st.booleans()), min_size=2, max_size=25
).filter(lambda pairs: 0 < sum(flag for _, flag in pairs) < len(pairs))

CRITERIA = {
    "balanced": balanced_accuracy_score,
    "mapping": lambda truth, found: fbeta_score(truth, found, beta=1, zero_division=0),
    "screening": lambda truth, found: fbeta_score(truth, found, beta=2, zero_division=0),
}


def unzip(pairs):
    scores, positive = zip(*pairs, strict=True)
    return np.array(scores), np.array(positive)


def only_chance(scores, positive):
    return max(balanced_accuracy_score(positive, scores >= cut) for cut in np.unique(scores)) <= 0.5


@pytest.mark.parametrize("point", sorted(CRITERIA))
@settings(deadline=None)
@given(LABELLED)
def test_criterion_is_the_best_of_all_cuts_and_ties_go_to_the_highest(point, pairs):
    scores, positive = unzip(pairs)
    if len(set(scores)) == 1 or (point == "balanced" and only_chance(scores, positive)):
        with pytest.raises(DetectorError, match=r"tells nothing apart|better than chance"):
            choose_threshold(scores, positive, point, 0.05)
        return
    threshold, value = choose_threshold(scores, positive, point, 0.05)
    by_cut = {cut: CRITERIA[point](positive, scores >= cut) for cut in np.unique(scores)}
    assert value == pytest.approx(max(by_cut.values()), abs=1e-12)
    assert threshold == max(cut for cut, reached in by_cut.items() if reached > value - 1e-12)


@settings(deadline=None)
@given(LABELLED, st.floats(0.01, 0.99))
def test_budget_never_exceeds_the_rate_and_one_more_cut_would(pairs, rate):
    scores, positive = unzip(pairs)
    assume(len(set(scores)) > 1)
    negatives = scores[~positive]
    threshold, value = choose_threshold(scores, positive, "budget", rate)
    assert value == np.mean(negatives >= threshold) <= rate
    below = negatives[negatives < threshold]
    if len(below):
        assert np.mean(negatives >= below.max()) > rate


def test_budget_needs_no_positives():
    threshold, value = choose_threshold(np.arange(100.0), np.zeros(100, bool), "budget", 0.05)
    assert (threshold, value) == (95.0, 0.05)


def test_budget_smaller_than_one_alarm_lies_just_above_the_highest_negative():
    threshold, value = choose_threshold(np.arange(10.0), np.zeros(10, bool), "budget", 0.05)
    assert value == 0
    assert 9 < threshold < 9.0001


@pytest.mark.parametrize("point", ["balanced", "mapping", "screening", "budget"])
def test_constant_scores_are_an_error_and_no_threshold(point):
    with pytest.raises(DetectorError, match=f"'{point}'.*all 4 validation scores are 1"):
        choose_threshold(np.ones(4), np.array([True, False, False, False]), point, 0.05)


def test_scores_the_wrong_way_round_are_an_error_and_not_the_lowest_score():
    with pytest.raises(DetectorError, match="no threshold does better than chance"):
        choose_threshold(np.arange(4.0), np.array([True, False, False, False]), "balanced", 0.05)


def test_scores_that_are_not_numbers_are_an_error():
    with pytest.raises(DetectorError, match="1 of 4 validation scores are not finite"):
        choose_threshold(np.array([1, 2, np.nan, 4]), np.array([True, False, False, True]), "mapping", 0.05)


def test_missing_classes_and_unknown_points_are_errors():
    none = np.zeros(3, bool)
    with pytest.raises(DetectorError, match="'mapping' needs positive"):
        choose_threshold(np.arange(3.0), none, "mapping", 0.05)
    with pytest.raises(DetectorError, match="'budget' needs negative"):
        choose_threshold(np.arange(3.0), ~none, "budget", 0.05)
    with pytest.raises(DetectorError, match="'best' is none of"):
        choose_threshold(np.arange(3.0), none, "best", 0.05)


def pairs_of(scores, states, massifs=None, dates=None):
    """Scored pairs on 8 dates by default, all of massif 11."""
    count = len(states["new"])
    days = [date(2018, 1, 3) + timedelta(days=6 * (index % 8)) for index in range(count)]
    return ScoredLabels(
        [f"{index:05d}" for index in range(count)],
        days if dates is None else dates,
        np.full(count, 11) if massifs is None else massifs,
        scores,
        states,
        dict.fromkeys(scores, "v1"),
    )


def by_point(chosen, window="new"):
    return {item.operating_point: item for item in chosen if item.label_window == window}


def test_without_positives_only_budget_is_defined_and_the_others_say_why():
    states = {"new": np.array(["negative"] * 40), "recent": np.array(["positive"] * 4 + ["negative"] * 36)}
    chosen = choose_thresholds(pairs_of({"vae": np.arange(40.0)[::-1]}, states), 0.1)
    table = thresholds_table(chosen)
    assert table.schema == THRESHOLDS
    rows = {(row["label_window"], row["operating_point"]): row for row in table.to_pylist()}
    assert rows["new", "budget"]["threshold"] == 36.0
    assert rows["new", "balanced"]["threshold"] is None
    assert rows["recent", "balanced"]["threshold"] is not None
    assert "needs positive" in rows["new", "balanced"]["reason"]


def test_thresholds_have_intervals_and_count_what_is_behind_them():
    rng = np.random.default_rng(8)
    states = {"new": rng.choice(["positive", "negative", "ambiguous"], 400, p=[0.1, 0.8, 0.1])}
    states["recent"] = states["new"]
    scores = rng.normal(size=400) + 2 * (states["new"] == "positive")
    scores[:5] = np.nan
    found = by_point(choose_thresholds(pairs_of({"vae": scores}, states), 0.05))
    for item in found.values():
        assert item.reason is None
        assert item.threshold_low <= item.threshold <= item.threshold_high
        assert item.positives == (states["new"][5:] == "positive").sum()
        assert item.unscored == (states["new"][:5] != "ambiguous").sum()
    widths = {point: item.threshold_high - item.threshold_low for point, item in found.items()}
    # 40 positives place a threshold less surely than 320 negatives
    assert widths["budget"] < widths["mapping"]


def test_budget_may_be_a_number_of_false_alarms_per_date():
    rng = np.random.default_rng(10)
    states = {"new": np.array(["negative"] * 800), "recent": np.array(["negative"] * 800)}
    pairs = pairs_of({"vae": rng.normal(size=800)}, states)  # 8 dates of 100
    item = by_point(choose_thresholds(pairs, 0.05, alarms_per_date=3))["budget"]
    assert (pairs.scores["vae"] >= item.threshold).sum() == 8 * 3


def test_one_validation_date_gives_a_threshold_without_interval_and_says_why():
    rng = np.random.default_rng(9)
    states = {"new": np.repeat(["positive", "negative"], [10, 90])}
    states["recent"] = states["new"]
    scores = rng.normal(size=100) + 2 * (states["new"] == "positive")
    pairs = pairs_of({"vae": scores}, states, rng.integers(1, 5, 100), [date(2018, 1, 3)] * 100)
    for item in choose_thresholds(pairs, 0.05):
        assert item.threshold is not None
        assert item.threshold_low is item.threshold_high is None
        assert "one validation date" in item.reason


def test_ambiguous_unobserved_and_unscored_samples_are_left_out_and_counted():
    states = np.array(["positive", "ambiguous", "negative", "unobserved", "negative"])
    scores, positive, rows = labelled(np.array([5.0, 9.0, 1.0, 9.0, np.nan]), states)
    assert scores.tolist() == [5.0, 1.0]
    assert positive.tolist() == [True, False]
    assert rows.tolist() == [0, 2]
    assert count_states(states) == {"positive": 1, "ambiguous": 1, "negative": 2, "unobserved": 1}


def test_measures_of_a_case_worked_by_hand():
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    positive = np.array([True, False, True, False, False])
    found = measure(scores, positive, 0.7)
    assert found == pytest.approx(
        {
            "balanced_accuracy": (1 + 2 / 3) / 2,
            "f1": 2 * (2 / 3) / (2 / 3 + 1),
            "f2": 5 * (2 / 3) / (4 * 2 / 3 + 1),
            "recall": 1,
            "specificity": 2 / 3,
            "precision": 2 / 3,
            "false_alarms_per_hit": 1 / 2,
            "roc_auc": 5 / 6,
            "average_precision": 0.5 * 1 + 0.5 * 2 / 3,
        }
    )


def test_measures_that_cannot_be_made_are_null():
    scores, none = np.arange(3.0), np.zeros(3, bool)
    without_positives = measure(scores, none, 1.0)
    assert {name for name, value in without_positives.items() if value is not None} == {
        "specificity",
        "precision",
    }
    labels = np.array([True, False, True])
    without_threshold = measure(scores, labels, None)
    assert {name for name, value in without_threshold.items() if value is not None} == {
        "roc_auc",
        "average_precision",
    }
    without_detection = measure(scores, labels, 9.0)
    assert without_detection["f1"] == without_detection["recall"] == 0
    assert without_detection["precision"] is without_detection["false_alarms_per_hit"] is None
    assert set(measure(scores[:0], none[:0], 1.0).values()) == {None}


def test_evaluation_has_a_row_per_area_and_threshold():
    rng = np.random.default_rng(4)
    states = {window: rng.choice(["positive", "negative", "ambiguous"], 60) for window in ("new", "recent")}
    scores = {"vae": rng.normal(size=60) + (states["new"] == "positive")}
    massif_ids = np.repeat([11, 3, 11], 20)
    pairs = pairs_of(scores, states, massif_ids)
    thresholds = thresholds_table(choose_thresholds(pairs, 0.05))
    table = evaluation_table([pairs], [thresholds])
    assert table.schema == EVALUATION
    assert len(table) == 2 * len(thresholds)
    rows = [row for row in table.to_pylist() if row["label_window"] == "new"]
    inside = massif_ids == 11
    for row in rows:
        chosen = inside if row["area"] == "Haute-Maurienne" else np.ones(60, bool)
        values, positive, _ = labelled(scores["vae"][chosen], states["new"][chosen])
        assert (row["positives"], row["negatives"]) == (positive.sum(), (~positive).sum())
        found = values >= row["threshold"]
        assert row["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(positive, found))
        assert row["f2"] == pytest.approx(fbeta_score(positive, found, beta=2))
        everything = np.ones(len(positive), bool)
        assert row["f1_all_positive"] == pytest.approx(fbeta_score(positive, everything, beta=1))
        assert row["average_precision_low"] <= row["average_precision"] <= row["average_precision_high"]
        assert row["gain"] is None
        usable = chosen & np.isin(states["new"], ("positive", "negative"))
        assert row["clusters"] == len(set(pairs.clusters[usable]))


def test_every_detector_is_compared_with_the_rival_pair_by_pair():
    rng = np.random.default_rng(5)
    states = {"new": rng.choice(["positive", "negative"], 800, p=[0.1, 0.9])}
    states["recent"] = states["new"]
    base = rng.normal(size=800) + (states["new"] == "positive")
    better = base + 1.0 * (states["new"] == "positive")
    same = base.copy()
    pairs = pairs_of({"vae": better, RIVAL: base, "twin": same}, states)
    table = evaluation_table([pairs], [thresholds_table(choose_thresholds(pairs, 0.05))])
    rows = {row["detector"]: row for row in table.to_pylist() if row["area"] == "All massifs"}
    aps = {name: row["average_precision"] for name, row in rows.items()}
    assert rows["vae"]["gain"] == pytest.approx(aps["vae"] - aps[RIVAL])
    assert 0 < rows["vae"]["gain_low"] < rows["vae"]["gain"] < rows["vae"]["gain_high"]
    assert rows["twin"]["gain"] == rows["twin"]["gain_low"] == rows["twin"]["gain_high"] == 0
    assert rows[RIVAL]["gain"] is None


def test_trainings_with_several_seeds_are_averaged_and_the_untrained_counts_once():
    rng = np.random.default_rng(6)
    states = {"new": rng.choice(["positive", "negative"], 400, p=[0.1, 0.9])}
    states["recent"] = states["new"]
    first, second = (rng.normal(size=400) + k * (states["new"] == "positive") for k in (1, 2))
    tests = [pairs_of({"vae": first, RIVAL: first}, states), pairs_of({"vae": second}, states)]
    thresholds = [thresholds_table(choose_thresholds(test, 0.05)) for test in tests]
    rows = evaluation_table(tests, thresholds).to_pylist()
    vae, rival = (next(row for row in rows if row["detector"] == name) for name in ("vae", RIVAL))
    assert (vae["trainings"], rival["trainings"]) == (2, 1)
    positive = states["new"] == "positive"
    both = [measure(scores, positive, None)["average_precision"] for scores in (first, second)]
    assert vae["average_precision"] == pytest.approx(np.mean(both))
