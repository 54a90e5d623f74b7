"""Decision trees as plain arrays: what scikit-learn has grown, stored without its objects.

scikit-learn stores models by pickle, which executes code when it is read. A sum of trees is a handful of
arrays, and walking down them is ten lines, so that is what is stored and scored with; a test holds that the
results are scikit-learn's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numba import njit
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from avalanche_assets.detectors.description import Tensors


@dataclass(frozen=True)
class Trees:
    """Nodes of all trees one after the other; a leaf has no children.

    Attributes:
        feature: Feature asked at each node.
        threshold: Up to and with this value one goes left.
        left: Row of the left child, -1 at a leaf.
        right: Row of the right child, -1 at a leaf.
        value: What a leaf adds.
        roots: First node of every tree.
    """

    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    value: NDArray[np.float64]
    roots: NDArray[np.int64]

    def total(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Sum of the leaves that each row of (n, features) reaches (n,)."""
        columns = np.ascontiguousarray(features)
        return np.asarray(
            _walk(columns, self.feature, self.threshold, self.left, self.right, self.value, self.roots)
        )

    def tensors(self) -> Tensors:
        """The arrays by name."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


@njit(cache=True, nogil=True)
def _walk(
    features: NDArray[np.float32],
    feature: NDArray[np.int64],
    threshold: NDArray[np.float64],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    value: NDArray[np.float64],
    roots: NDArray[np.int64],
) -> NDArray[np.float64]:
    totals = np.zeros(len(features))
    for row in range(len(features)):
        for root in roots:
            node = root
            while left[node] >= 0:
                goes_left = features[row, feature[node]] <= threshold[node]
                node = left[node] if goes_left else right[node]
            totals[row] += value[node]
    return totals


def forest_trees(forest: RandomForestClassifier) -> Trees:
    """Trees whose total is the forest's probability of its second class."""
    grown = [estimator.tree_ for estimator in forest.estimators_]
    return _joined(
        [
            (
                tree.feature,
                tree.threshold,
                tree.children_left,
                tree.children_right,
                tree.value[:, 0, 1] / tree.value[:, 0].sum(axis=1) / len(grown),
            )
            for tree in grown
        ]
    )


def boosted_trees(model: HistGradientBoostingClassifier) -> Trees:
    """Trees whose total is the boosting's log-odds of its second class less the constant it starts from."""
    parts = []
    for (predictor,) in model._predictors:
        nodes = predictor.nodes
        leaf = nodes["is_leaf"].astype(bool)
        children = [np.where(leaf, -1, nodes[side].astype(np.int64)) for side in ("left", "right")]
        parts.append((nodes["feature_idx"], nodes["num_threshold"], *children, nodes["value"]))
    return _joined(parts)


def _joined(parts: Sequence[tuple[NDArray[np.generic], ...]]) -> Trees:
    sizes = np.array([len(part[0]) for part in parts], np.int64)
    roots = np.cumsum(sizes) - sizes
    feature, threshold, left, right, value = (
        np.concatenate([np.asarray(part[index]) for part in parts]) for index in range(5)
    )
    offset = np.repeat(roots, sizes)
    children = [
        np.where(side < 0, -1, side.astype(np.int64) + offset).astype(np.int64) for side in (left, right)
    ]
    return Trees(
        feature.astype(np.int64),
        threshold.astype(np.float64),
        children[0],
        children[1],
        value.astype(np.float64),
        roots,
    )
