"""Thresholds against brute force, metrics against scikit-learn on the same cuts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, fbeta_score

from avalanche_assets.detectors.metrics import count_states, evaluation_table, measure
from avalanche_assets.detectors.thresholds import (
    choose_threshold,
    choose_thresholds,
    labelled_scores,
    thresholds_table,
)
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


@pytest.mark.parametrize("point", sorted(CRITERIA))
@settings(deadline=None)
@given(LABELLED)
def test_criterion_is_the_best_of_all_cuts_and_ties_go_to_the_highest(point, pairs):
    scores, positive = unzip(pairs)
    threshold, value = choose_threshold(scores, positive, point, 0.05)
    by_cut = {cut: CRITERIA[point](positive, scores >= cut) for cut in np.unique(scores)}
    assert value == pytest.approx(max(by_cut.values()), abs=1e-12)
    assert threshold == max(cut for cut, reached in by_cut.items() if reached > value - 1e-12)


@settings(deadline=None)
@given(LABELLED, st.floats(0.01, 0.99))
def test_budget_never_exceeds_the_rate_and_one_more_cut_would(pairs, rate):
    scores, positive = unzip(pairs)
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


def test_constant_scores_allow_only_all_or_nothing():
    scores, positive = np.ones(4), np.array([True, False, False, False])
    assert choose_threshold(scores, positive, "balanced", 0.05) == (1.0, 0.5)
    assert choose_threshold(scores, positive, "budget", 0.05)[0] > 1


def test_missing_classes_and_unknown_points_are_errors():
    none = np.zeros(3, bool)
    with pytest.raises(DetectorError, match="'mapping' needs positive"):
        choose_threshold(np.arange(3.0), none, "mapping", 0.05)
    with pytest.raises(DetectorError, match="'budget' needs negative"):
        choose_threshold(np.arange(3.0), ~none, "budget", 0.05)
    with pytest.raises(DetectorError, match="'best' is none of"):
        choose_threshold(np.arange(3.0), none, "best", 0.05)


def test_without_positives_only_budget_is_defined_and_the_others_say_why():
    states = {"new": np.array(["negative"] * 40), "recent": np.array(["positive"] * 4 + ["negative"] * 36)}
    chosen = choose_thresholds({"vae": np.arange(40.0)}, states, 0.1)
    table = thresholds_table(chosen)
    assert table.schema == THRESHOLDS
    rows = {(row["label_window"], row["operating_point"]): row for row in table.to_pylist()}
    assert rows["new", "budget"]["threshold"] == 36.0
    assert rows["new", "balanced"]["threshold"] is None
    assert rows["recent", "balanced"]["threshold"] is not None
    (reason,) = {
        item.reason for item in chosen if item.label_window == "new" and "bal" in item.operating_point
    }
    assert "positive" in reason


def test_ambiguous_unobserved_and_unscored_samples_are_left_out_and_counted():
    states = np.array(["positive", "ambiguous", "negative", "unobserved", "negative"])
    scores, positive = labelled_scores(np.array([5.0, 9.0, 1.0, 9.0, np.nan]), states)
    assert scores.tolist() == [5.0, 1.0]
    assert positive.tolist() == [True, False]
    assert count_states(states) == {"positive": 1, "ambiguous": 1, "negative": 2, "unobserved": 1}


def test_measures_of_a_case_worked_by_hand():
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    positive = np.array([True, False, True, False, False])
    found = measure(scores, positive, 0.7)
    assert found.balanced_accuracy == pytest.approx((1 + 2 / 3) / 2)
    assert found.f1 == pytest.approx(2 * (2 / 3) / (2 / 3 + 1))
    assert found.average_precision == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert found.roc_auc == pytest.approx(5 / 6)
    assert (found.positives, found.negatives, found.prevalence) == (2, 3, 0.4)


def test_measures_that_cannot_be_made_are_null():
    scores, none = np.arange(3.0), np.zeros(3, bool)
    without_positives = measure(scores, none, 1.0)
    assert without_positives.balanced_accuracy is without_positives.f1 is without_positives.roc_auc is None
    assert without_positives.prevalence == 0
    assert measure(scores, np.array([True, False, True]), None).f1 is None
    assert measure(scores[:0], none[:0], 1.0).prevalence is None


def test_evaluation_has_a_row_per_area_and_threshold():
    rng = np.random.default_rng(4)
    states = {window: rng.choice(["positive", "negative", "ambiguous"], 60) for window in ("new", "recent")}
    scores = {"vae": rng.normal(size=60) + (states["new"] == "positive")}
    massif_ids = np.repeat([11, 3, 11], 20)
    thresholds = thresholds_table(choose_thresholds(scores, states, 0.05))
    table = evaluation_table(scores, states, massif_ids, thresholds)
    assert table.schema == EVALUATION
    assert len(table) == 2 * len(thresholds)
    rows = [row for row in table.to_pylist() if row["label_window"] == "new"]
    inside = massif_ids == 11
    for row in rows:
        chosen = inside if row["area"] == "Haute-Maurienne" else np.ones(60, bool)
        values, positive = labelled_scores(scores["vae"][chosen], states["new"][chosen])
        assert (row["positives"], row["negatives"]) == (positive.sum(), (~positive).sum())
        expected = balanced_accuracy_score(positive, values >= row["threshold"])
        assert row["balanced_accuracy"] == pytest.approx(expected)
