"""Stored trees give what scikit-learn's own objects give."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from avalanche_assets.detectors.trees import Trees, boosted_trees, forest_trees


@pytest.fixture(scope="module")
def labelled():
    rng = np.random.default_rng(2)
    features = rng.normal(size=(1500, 6)).astype(np.float32)
    features[:, 5] = np.round(features[:, 5])  # values that equal thresholds
    odds = features[:, 0] - features[:, 1] * features[:, 2] + 0.5 * features[:, 5]
    return features, odds + rng.normal(size=len(odds)) > 1


def test_forest_votes_are_scikit_learn_s(labelled):
    features, positive = labelled
    forest = RandomForestClassifier(
        40, min_samples_leaf=3, class_weight="balanced_subsample", random_state=1
    ).fit(features, positive)
    expected = forest.predict_proba(features)[:, 1]
    np.testing.assert_allclose(forest_trees(forest).total(features), expected, atol=1e-12)


def test_boosted_odds_are_scikit_learn_s_up_to_their_constant(labelled):
    features, positive = labelled
    model = HistGradientBoostingClassifier(max_iter=40, class_weight="balanced", random_state=1)
    model.fit(features, positive)
    difference = model.decision_function(features) - boosted_trees(model).total(features)
    # Sums of 40 doubles; the constant is the starting log-odds.
    np.testing.assert_allclose(difference, difference[0], atol=1e-9)


def test_trees_come_back_from_their_arrays(labelled):
    features, positive = labelled
    trees = forest_trees(RandomForestClassifier(5, random_state=1).fit(features, positive))
    np.testing.assert_array_equal(Trees(**trees.tensors()).total(features), trees.total(features))
