"""LightGBM's model text, checked before LightGBM reads it: its own reader follows indices without looking.

A text is taken apart and put together again; only a text that comes out as it went in is given to the library, so that
there is nothing in it that this reader and LightGBM's could understand differently.

Source: ``src/boosting/gbdt_model_text.cpp`` and ``src/io/tree.cpp`` of LightGBM 4, format ``v4``.
"""

from __future__ import annotations

import json
import math
import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tallystick.ledger.errors import Damaged

MOST_CLASSES = 10_000
DEEPEST_TREE = 4_096
NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|[+-]?(?:inf|nan)"
HEADER = ("version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx", "objective",
          "average_output", "feature_names", "monotone_constraints", "feature_infos", "tree_sizes")  # fmt: skip
PER_SPLIT = ("split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child",
             "internal_value", "internal_weight", "internal_count")  # fmt: skip
PER_LEAF = ("leaf_value", "leaf_weight", "leaf_count")
SINGLE = ("num_leaves", "num_cat", "is_linear", "shrinkage")
CATEGORIES = ("cat_boundaries", "cat_threshold")
_numbers = re.compile(rf"(?:{NUMBER})(?: (?:{NUMBER}))*", re.IGNORECASE)
_whole = re.compile(r"-?[0-9]{1,10}")

Ints = npt.NDArray[np.int64]


class _Text(NamedTuple):
    """A model text in its parts."""

    header: str
    trees: list[str]
    end: str


def check(data: bytes) -> None:
    """Check a model text.

    Raises
    ------
    Damaged
        When it is no model text, or its trees have children, features or categories that do not exist.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _wrong("it is no text") from error
    parts = _taken_apart(text)
    features = _check_header(_fields(parts.header, HEADER, first="tree"), parts)
    for number, tree in enumerate(parts.trees):
        _check_tree(_fields(tree, (*SINGLE, *PER_SPLIT, *PER_LEAF, *CATEGORIES), first=f"Tree={number}"), features)
    _check_end(parts.end)


def _wrong(what: str) -> Damaged:
    return Damaged(f"The LightGBM model in the file is not sound: {what}.")


def _taken_apart(text: str) -> _Text:
    if "\r" in text or "\0" in text:
        raise _wrong("it holds control characters")
    body, mark, end = text.partition("end of trees\n")
    if not mark:
        raise _wrong("its trees do not end")
    header, blank, rest = body.partition("\n\n")
    trees = [f"{tree}\n\n\n" for tree in rest.split("\n\n\n")[:-1]]
    if not blank or "".join(trees) != rest:
        raise _wrong("it is not divided into trees")
    return _Text(header, trees, end)


def _fields(block: str, known: tuple[str, ...], *, first: str) -> dict[str, str]:
    """The lines ``name=value`` of a block, each known and there once."""
    head, *lines = block.strip("\n").split("\n")
    if head != first:
        raise _wrong(f"{first} does not begin it")
    found: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition("=")
        if name not in known or name in found:
            raise _wrong("it has a line that is unknown or there twice")
        found[name] = value
    return found


def _integer(fields: dict[str, str], name: str, least: int, most: int) -> int:
    text = fields.get(name, "")
    if not _whole.fullmatch(text) or not least <= int(text) <= most:
        raise _wrong(f"{name} is not between {least:,} and {most:,}")
    return int(text)


def _check_header(fields: dict[str, str], parts: _Text) -> int:
    """The number of features."""
    if fields.get("version") != "v4":
        raise _wrong("its format is not v4")
    classes = _integer(fields, "num_class", 1, MOST_CLASSES)
    per_iteration = _integer(fields, "num_tree_per_iteration", 1, MOST_CLASSES)
    _integer(fields, "label_index", 0, 1 << 30)
    features = _integer(fields, "max_feature_idx", 0, 1 << 24) + 1
    if per_iteration not in (1, classes) or len(parts.trees) % per_iteration:
        raise _wrong("its number of trees does not fit its number of classes")
    for name in ("feature_names", "feature_infos"):
        if len(fields.get(name, "").split(" ")) != features:
            raise _wrong(f"{name} does not name {features} features")
    constraints = fields.get("monotone_constraints")
    if constraints is not None and len(constraints.split(" ")) != features:
        raise _wrong("monotone_constraints does not name every feature")
    if not re.fullmatch(r"[a-z0-9_.:\- ]{0,200}", fields.get("objective", "")):
        raise _wrong("its objective is not a name")
    sizes = " ".join(str(len(tree.encode())) for tree in parts.trees)
    if fields.get("tree_sizes", "") != sizes:
        raise _wrong("tree_sizes are not those of its trees")
    return features


def _array(fields: dict[str, str], name: str, length: int) -> npt.NDArray[np.float64]:
    text = fields.get(name, "")
    if not length and not text:
        return np.zeros(0)
    if not _numbers.fullmatch(text) or text.count(" ") + 1 != length:
        raise _wrong(f"{name} is not {length:,} numbers")
    return np.array(text.split(" "), dtype=np.float64)


def _indices(fields: dict[str, str], name: str, length: int, least: int, most: int) -> Ints:
    values = _array(fields, name, length)
    if (len(values) and not (values == np.floor(values)).all()) or not ((values >= least) & (values < most)).all():
        raise _wrong(f"{name} points at what is not there")
    return values.astype(np.int64)


def _check_tree(fields: dict[str, str], features: int) -> None:
    leaves = _integer(fields, "num_leaves", 1, 1 << 24)
    categories = _integer(fields, "num_cat", 0, 1 << 24)
    if fields.get("is_linear", "0") != "0":
        raise _wrong("it has linear trees, which are not kept")
    _array(fields, "shrinkage", 1)
    splits = leaves - 1
    for name in PER_LEAF:
        # A tree of one leaf has its value alone.
        if name == "leaf_value" or fields.get(name):
            _array(fields, name, leaves)
    for name in ("split_gain", "internal_value", "internal_weight", "internal_count"):
        _array(fields, name, splits)
    _indices(fields, "split_feature", splits, 0, features)
    kinds = _indices(fields, "decision_type", splits, 0, 16)
    thresholds = _array(fields, "threshold", splits)
    left = _indices(fields, "left_child", splits, -leaves, splits)
    right = _indices(fields, "right_child", splits, -leaves, splits)
    if splits:
        _check_shape(left, right)
    by_category = kinds & 1 == 1
    chosen = thresholds[by_category]
    if len(chosen) and not ((chosen == np.floor(chosen)) & (chosen >= 0) & (chosen < categories)).all():
        raise _wrong("a split by category has no categories")
    if categories:
        bounds = _indices(fields, "cat_boundaries", categories + 1, 0, 1 << 31)
        if bounds[0] != 0 or (np.diff(bounds) <= 0).any():
            raise _wrong("cat_boundaries do not rise from 0")
        _indices(fields, "cat_threshold", int(bounds[-1]), 0, 1 << 32)
    elif fields.keys() & set(CATEGORIES):
        raise _wrong("it has categories without a split by them")


def _check_shape(left: Ints, right: Ints) -> None:
    """Every split and leaf is reached once from the first split, and none lies too deep."""
    level, reached, leaves, depth = [0], 1, 0, 0
    while level:
        depth += 1
        children = np.concatenate([left[level], right[level]])
        level = children[children >= 0].tolist()
        leaves += int((children < 0).sum())
        reached += len(level)
        if reached > len(left) or depth > DEEPEST_TREE:
            raise _wrong("a tree has a circle, or is too deep")
    ends = np.concatenate([left, right])
    if reached != len(left) or len(np.unique(ends)) != 2 * len(left) or leaves != len(left) + 1:
        raise _wrong("a tree is not one")


def _check_end(end: str) -> None:
    """What follows the trees: importances and parameters, which are texts, and the categories of a pandas table."""
    last = end.rstrip("\n").rpartition("\n")[2]
    name, _, value = last.partition(":")
    if name != "pandas_categorical":
        return
    try:
        found = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise _wrong("its categories cannot be read") from error
    if found is not None and not (isinstance(found, list) and all(isinstance(item, list) for item in found)):
        raise _wrong("its categories are not lists")
    if any(isinstance(value, float) and not math.isfinite(value) for item in found or () for value in item):
        raise _wrong("its categories are no values")
