"""Trees of scikit-learn in a model file: checked after they are built and before anything is predicted.

Its compiled code follows children and features without looking, so a crafted tree would read memory that is not its
own, or never end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tallystick.ledger.errors import Damaged

TREE = ("sklearn.tree._tree", "Tree")


def check_trees(objects: Iterable[Any]) -> None:
    """Check every tree among the objects that a model holds.

    Raises
    ------
    Damaged
        When a split leads to a node that is not there or not after it, or asks for a feature that is not there.
    """
    for item in objects:
        kind = (type(item).__module__, type(item).__name__)
        if kind == TREE:
            _check_tree(item)
        elif kind == ("sklearn.ensemble._hist_gradient_boosting.predictor", "TreePredictor"):
            _check_predictor(item)
        elif isinstance(getattr(item, "__dict__", None), dict):
            _check_features(vars(item))


def _refuse(sound: object, what: str) -> None:
    if not sound:
        raise Damaged(f"The model file has a tree that is not sound: {what}; it was not used.")


def _check_tree(tree: Any) -> None:
    left, right, feature = tree.children_left, tree.children_right, tree.feature
    _refuse(len(left) == tree.node_count > 0, "it has no nodes")
    _refuse(tree.value.shape[0] == tree.node_count, "its values are not those of its nodes")
    split = left != -1
    places = np.arange(len(left))
    _refuse(((right != -1) == split).all(), "a split has one child")
    for children in (left, right):
        _refuse(((children > places) & (children < len(left)))[split].all(), "a split leads to what is not below it")
    _refuse(((feature >= 0) & (feature < tree.n_features))[split].all(), "a split asks for a feature that is not there")


def _check_predictor(predictor: Any) -> None:
    nodes = vars(predictor).get("nodes")
    _refuse(isinstance(nodes, np.ndarray) and nodes.ndim == 1 and nodes.dtype.names and len(nodes), "it has no nodes")
    assert isinstance(nodes, np.ndarray)
    split, places = nodes["is_leaf"] == 0, np.arange(len(nodes))
    for name in ("left", "right"):
        children = nodes[name].astype(np.int64)
        _refuse(((children > places) & (children < len(nodes)))[split].all(), "a split leads to what is not below it")
    by_category = split & (nodes["is_categorical"] != 0)
    for name in ("binned_left_cat_bitsets", "raw_left_cat_bitsets"):
        sets = vars(predictor).get(name)
        _refuse(isinstance(sets, np.ndarray) and sets.ndim == 2 and sets.shape[1] == 8, "its categories are not there")
        assert isinstance(sets, np.ndarray)
        _refuse((nodes["bitset_idx"][by_category] < len(sets)).all(), "a split by category has no categories")


def _check_features(attributes: dict[str, Any]) -> None:
    """The trees of an estimator ask for no feature beyond those that it says it takes."""
    number = attributes.get("n_features_in_")
    tree = attributes.get("tree_")  # a density has one of another kind under this name
    if (type(tree).__module__, type(tree).__name__) == TREE:
        _refuse(getattr(tree, "n_features", None) == number, "it is of another number of features")
    for stage in attributes.get("_predictors") or ():
        for predictor in stage:
            nodes = vars(predictor).get("nodes")
            _refuse(isinstance(nodes, np.ndarray) and nodes.dtype.names, "it has no nodes")
            asked = nodes["feature_idx"][nodes["is_leaf"] == 0]
            found = isinstance(number, int) and (not len(asked) or (asked.min() >= 0 and asked.max() < number))
            _refuse(found, "a split asks for a feature that is not there")
