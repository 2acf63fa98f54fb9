"""XGBoost's JSON model, checked before XGBoost reads it: its own reader follows indices without looking.

What is given to the library is the checked content written anew, so that there is nothing in the file that this
reader and XGBoost's could understand differently.

Source: ``doc/model.schema`` and ``src/tree/io_utils.h`` of XGBoost 3.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from tallystick.ledger.errors import Damaged

MOST_CLASSES = 10_000
DEEPEST_TREE = 4_096
MOST_TEXT = 1_000
NO_PARENT = 2**31 - 1
PER_NODE = ("base_weights", "default_left", "left_children", "loss_changes", "parents", "right_children",
            "split_conditions", "split_indices", "split_type", "sum_hessian")  # fmt: skip

Ints = npt.NDArray[np.int64]


def checked(data: bytes) -> bytes:
    """The model, checked and written anew.

    Raises
    ------
    Damaged
        When it is no model, or its trees have children, features or categories that do not exist.
    """
    try:
        model = json.loads(data, object_pairs_hook=_object, parse_constant=_constant)
    except (ValueError, RecursionError, UnicodeDecodeError) as error:
        raise _wrong("it is not JSON") from error
    try:
        learner = model["learner"]
        _check_learner(model["version"], learner)
        booster = learner["gradient_booster"]
        features = _count(learner["learner_model_param"]["num_feature"], 1, 1 << 24)
        if booster["name"] == "dart":
            _check_weights(booster["weight_drop"], booster["gbtree"]["model"])
            booster = booster["gbtree"]
        groups = _groups(learner["learner_model_param"])
        if booster["name"] == "gblinear":
            _numbers(booster["model"]["weights"], (features + 1) * groups)
        elif booster["name"] == "gbtree":
            _check_trees(booster["model"], features, groups)
        else:
            raise _wrong("its booster is unknown")
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError, ValueError) as error:
        raise _wrong(
            f"it has no {error}" if isinstance(error, KeyError) else "its parts are of another kind"
        ) from error
    return json.dumps(model, separators=(",", ":"), ensure_ascii=False).encode()


def _wrong(what: str) -> Damaged:
    return Damaged(f"The XGBoost model in the file is not sound: {what}.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _constant(text: str) -> float:
    return {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}[text]


def _count(text: object, least: int, most: int) -> int:
    """A number that XGBoost writes as a text."""
    if not isinstance(text, str) or not text.isdecimal() or len(text) > 10 or not least <= int(text) <= most:
        raise _wrong("a count is not a whole number in range")
    return int(text)


def _numbers(values: object, length: int) -> npt.NDArray[np.float64]:
    if not isinstance(values, list) or len(values) != length:
        raise _wrong("a list has another length")
    if any(type(value) not in (int, float) for value in values):
        raise _wrong("a list does not hold numbers")
    return np.array(values, dtype=np.float64)


def _indices(values: object, length: int, least: int, most: int) -> Ints:
    found = _numbers(values, length)
    assert isinstance(values, list)
    if any(type(value) is not int for value in values) or not ((found >= least) & (found < most)).all():
        raise _wrong("an index points at what is not there")
    return found.astype(np.int64)


def _check_learner(version: object, learner: dict[str, Any]) -> None:
    _indices(version, 3, 0, 1 << 16)
    names, kinds = learner.get("feature_names", []), learner.get("feature_types", [])
    features = _count(learner["learner_model_param"]["num_feature"], 1, 1 << 24)
    for values in (names, kinds):
        if not isinstance(values, list) or len(values) not in (0, features):
            raise _wrong("it does not name its features")
        if not all(isinstance(value, str) for value in values):
            raise _wrong("the name of a feature is not a text")
    plain = [learner["attributes"], learner["learner_model_param"]]
    objective = dict(learner["objective"])
    if not isinstance(objective.pop("name"), str):
        raise _wrong("its objective is not named")
    plain += list(objective.values())
    for table in plain:
        if not isinstance(table, dict) or not all(isinstance(v, str) and len(v) <= MOST_TEXT for v in table.values()):
            raise _wrong("its parameters are of another kind")


def _groups(parameters: dict[str, Any]) -> int:
    """Numbers that the model gives for a row."""
    classes = _count(parameters["num_class"], 0, MOST_CLASSES)
    targets = _count(parameters.get("num_target", "1"), 1, MOST_CLASSES)
    if targets > 1 and classes > 1:
        raise _wrong("it has several targets of several classes")
    groups = max(classes, targets, 1)
    base = json.loads(parameters["base_score"])
    if len(_numbers(base if isinstance(base, list) else [base], len(base) if isinstance(base, list) else 1)) not in (
        1, groups,
    ):  # fmt: skip
        raise _wrong("its base score does not fit its classes")
    return groups


def _check_weights(weights: object, model: dict[str, Any]) -> None:
    _numbers(weights, len(model["trees"]))


def _check_trees(model: dict[str, Any], features: int, groups: int) -> None:
    trees = model["trees"]
    number = _count(model["gbtree_model_param"]["num_trees"], 0, 1 << 24)
    per_round = _count(model["gbtree_model_param"]["num_parallel_tree"], 0, 1 << 24)
    if not isinstance(trees, list) or len(trees) != number or (number and not per_round):
        raise _wrong("it has another number of trees")
    _indices(model["tree_info"], number, 0, groups)
    rounds = _indices(model["iteration_indptr"], len(model["iteration_indptr"]), 0, number + 1)
    if not len(rounds) or rounds[0] != 0 or rounds[-1] != number or (np.diff(rounds) < 0).any():
        raise _wrong("its rounds are not those of its trees")
    if any(model.get("cats", {}).values()):
        raise _wrong("it holds categories of a table, which are not kept")
    for place, tree in enumerate(trees):
        if tree.get("id") != place:
            raise _wrong("a tree is not in its place")
        _check_tree(tree, features)


def _check_tree(tree: dict[str, Any], features: int) -> None:
    parameters = tree["tree_param"]
    nodes = _count(parameters["num_nodes"], 1, 1 << 26)
    if _count(parameters["num_feature"], 0, 1 << 24) != features:
        raise _wrong("a tree is of other features")
    _count(parameters.get("size_leaf_vector", "1"), 0, 1)  # leaves of several numbers are not kept
    _count(parameters["num_deleted"], 0, nodes)
    for name in ("base_weights", "loss_changes", "split_conditions", "sum_hessian"):
        _numbers(tree[name], nodes)
    left = _indices(tree["left_children"], nodes, -1, nodes)
    right = _indices(tree["right_children"], nodes, -1, nodes)
    _indices(tree["parents"], nodes, -1, NO_PARENT + 1)
    _indices(tree["default_left"], nodes, 0, 2)
    _indices(tree["split_indices"], nodes, 0, features)
    by_category = _indices(tree["split_type"], nodes, 0, 2) == 1
    _check_shape(left, right)
    _check_categories(tree, by_category & (left >= 0))


def _check_shape(left: Ints, right: Ints) -> None:
    """From the root every node is reached at most once; what pruning left behind is not reached at all."""
    if ((left < 0) != (right < 0)).any():
        raise _wrong("a split has one child")
    level, depth = np.zeros(1, dtype=np.int64), 0
    seen = np.zeros(len(left), dtype=bool)
    seen[0] = True
    while len(level):
        depth += 1
        children = np.concatenate([left[level], right[level]])
        level = children[children >= 0]
        if seen[level].any() or len(np.unique(level)) != len(level) or depth > DEEPEST_TREE:
            raise _wrong("a tree has a circle, or is too deep")
        seen[level] = True


def _check_categories(tree: dict[str, Any], by_category: npt.NDArray[np.bool_]) -> None:
    length = len(tree["categories_nodes"])
    nodes = _indices(tree["categories_nodes"], length, 0, len(by_category))
    values = _indices(tree["categories"], len(tree["categories"]), 0, 1 << 24)
    begins = _indices(tree["categories_segments"], length, 0, len(values) + 1)
    sizes = _indices(tree["categories_sizes"], length, 0, len(values) + 1)
    if (begins + sizes > len(values)).any() or (np.diff(nodes) <= 0).any():
        raise _wrong("its categories are not where it says")
    if not np.isin(np.flatnonzero(by_category), nodes).all():
        raise _wrong("a split by category has no categories")
