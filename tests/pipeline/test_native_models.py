"""Models of LightGBM, XGBoost and CatBoost: kept in the libraries' own data formats, and crafted files refused."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from blake3 import blake3
from sklearn.compose import make_column_transformer
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder
from sklearn.tree import DecisionTreeClassifier

from tallystick.ledger.errors import Damaged, Refused
from tallystick.pipeline.models import lightgbm_text, model_file, xgboost_json
from tallystick.pipeline.models.native import walk
from tallystick.pipeline.models.native_part import NativePart
from tallystick.pipeline.models.separate_process import EndedProcess, TrialOfModel, ask_elsewhere, load_after_trial
from tallystick.pipeline.recipes import Columns

COLUMNS = Columns(("a", "b", "c"), ("d",))


def frame(rows: int = 300) -> pd.DataFrame:
    """Numbers, some missing, and a column of text."""
    source = np.random.default_rng(3)
    table = pd.DataFrame(source.random((rows, 3)), columns=list("abc"))
    table.iloc[::7, 1] = np.nan
    return table.assign(d=np.array(["x", "y", "z"], dtype=object)[source.integers(0, 3, rows)])


def encoded(model: Any) -> Any:
    """A pipeline that turns text into numbers first."""
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    return make_pipeline(make_column_transformer((encoder, ["d"]), remainder="passthrough"), model)


def light(kind: Any = lightgbm.LGBMClassifier, **params: Any) -> Any:
    return kind(n_estimators=5, verbose=-1, n_jobs=1, **params)


def xgb(kind: Any = xgboost.XGBClassifier, **params: Any) -> Any:
    return kind(n_estimators=5, n_jobs=1, **params)


def cat(kind: Any = catboost.CatBoostClassifier, **params: Any) -> Any:
    return kind(iterations=5, verbose=0, allow_writing_files=False, thread_count=1, **params)


MODELS: dict[str, Callable[[], Any]] = {
    "lightgbm": light,
    "lightgbm in a pipeline": lambda: encoded(light()),
    "lightgbm of a number": lambda: encoded(light(lightgbm.LGBMRegressor, objective="quantile", alpha=0.3)),
    "lightgbm forest": lambda: light(boosting_type="rf", bagging_freq=1, bagging_fraction=0.5),
    "lightgbm dart": lambda: light(boosting_type="dart", monotone_constraints=[1, 0, 0]),
    "lightgbm of one leaf": lambda: light(min_child_samples=10_000),
    "xgboost": xgb,
    "xgboost in a pipeline": lambda: encoded(xgb(xgboost.XGBRegressor)),
    "xgboost with categories": lambda: encoded(xgb(enable_categorical=True, feature_types=["c", "q", "q", "q"])),
    "xgboost dart, pruned": lambda: xgb(booster="dart", max_depth=9, gamma=1),
    "xgboost linear": lambda: xgb(booster="gblinear"),
    "xgboost forest": lambda: xgb(xgboost.XGBRFClassifier),
    "catboost": cat,
    "catboost in a pipeline": lambda: encoded(cat()),
    "catboost with categories": lambda: cat(cat_features=["d"]),
    "catboost of a number": lambda: cat(catboost.CatBoostRegressor),
}


def fitted(name: str) -> tuple[Any, pd.DataFrame]:
    model, table = MODELS[name](), frame()
    if not hasattr(model, "steps") and name != "catboost with categories":
        table = table[["a", "b", "c"]]
    if "linear" in name:
        table = table.fillna(0.0)
    answers = (table["a"] + np.random.default_rng(1).random(len(table)) * 0.2 > 0.6).to_numpy()
    return model.fit(table, answers.astype(np.int8)), table


def load(data: bytes) -> Any:
    return model_file.load(data, blake3(data).hexdigest())


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_kept_as_data_and_predicts_the_same(name: str) -> None:
    model, table = fitted(name)
    stored = model_file.dump(model)
    again = load(stored.data)
    np.testing.assert_array_equal(model_file.predict(model, table), model_file.predict(again, table))
    library = name.partition(" ")[0]
    assert next(version for found, version in stored.libraries.items() if found.startswith(library))
    # Equal models are equal files, and the original is left as it was.
    assert model_file.dump(model).data == stored.data
    refitted, _ = fitted(name)
    assert model_file.dump(refitted).data == stored.data
    assert not any(isinstance(item, NativePart) for item in walk(again))


@pytest.mark.parametrize("name", ["lightgbm in a pipeline", "xgboost", "catboost"])
def test_it_predicts_the_same_in_another_process(name: str) -> None:
    model, table = fitted(name)
    table = frame()[list(table)]
    columns = COLUMNS if "d" in table else Columns(COLUMNS.numeric, ())
    (found,) = ask_elsewhere([TrialOfModel(model_file.dump(model).data, table, columns)])
    assert isinstance(found, np.ndarray), found
    np.testing.assert_array_equal(found, model_file.predict(model, table))


# Crafted parts ----------------------------------------------------------------------------------------------


def light_text() -> str:
    """Two trees, the first of which splits by a category first."""
    source = np.random.default_rng(4)
    levels = source.integers(0, 8, 400)
    X = np.c_[levels, source.random((400, 3))]
    answers = np.isin(levels, (1, 3, 6)) ^ (X[:, 1] > 0.9)
    model = lightgbm.LGBMClassifier(n_estimators=2, verbose=-1, n_jobs=1, min_child_samples=5, num_leaves=6)
    text: str = model.fit(X, answers, categorical_feature=[0]).booster_.model_to_string(num_iteration=-1)
    assert "cat_threshold" in text
    lightgbm_text.check(text.encode())
    return text


def sized(text: str) -> str:
    """A model text with the sizes that its trees have, so that nothing but the content of a tree is wrong."""
    sizes = " ".join(str(len(tree)) for tree in re.findall(r"Tree=.*?\n\n\n", text, re.DOTALL))
    return re.sub(r"tree_sizes=.*", f"tree_sizes={sizes}", text)


@pytest.mark.parametrize(
    ("pattern", "changed", "words"),
    [
        (r"left_child=-?\d+ -?\d+", "left_child=0 0", "circle"),
        (r"left_child=-?\d+", "left_child=99999", "left_child points at"),
        (r"right_child=-?\d+", "right_child=-99999", "right_child points at"),
        (r"split_feature=\d+", "split_feature=4", "split_feature points at"),
        (r"split_feature=\d+", "split_feature=-1", "split_feature points at"),
        (r"num_leaves=\d+", "num_leaves=1000000", "is not"),
        (r"num_leaves=\d+", "num_leaves=99999999999", "num_leaves is not"),
        (r"leaf_value=\S+ ", "leaf_value=", "leaf_value is not"),
        (r"num_cat=\d+", "num_cat=0", "no categories|without a split"),
        (r"cat_boundaries=0 \d+", "cat_boundaries=0 99999", "not rise|cat_threshold is not"),
        (r"is_linear=0", "is_linear=1", "linear trees"),
        (r"shrinkage=\S+", "shrinkage=1\nshrinkage=1", "twice"),
        (r"max_feature_idx=\d+", "max_feature_idx=99", "does not name 100 features"),
        (r"num_tree_per_iteration=1", "num_tree_per_iteration=3", "number of trees"),
        (r"num_class=1", "num_class=99999999", "num_class is not"),
        (r"objective=binary", "objective=\x1b[31m", "objective"),
        (r"version=v4", "version=v9", "not v4"),
        (r"end of trees\n", "", "do not end"),
        (r"Tree=1\n", "Tree=7\n", "does not begin"),
        (r"pandas_categorical:null", "pandas_categorical:[[[", "categories"),
    ],
)
def test_a_crafted_lightgbm_text_is_refused_before_lightgbm_reads_it(pattern: str, changed: str, words: str) -> None:
    text = light_text()
    crafted = re.sub(pattern, changed, text, count=1)
    assert crafted != text
    with pytest.raises(Damaged, match=words):
        lightgbm_text.check(sized(crafted).encode())


def test_what_passes_the_check_of_a_lightgbm_text_is_read_by_lightgbm() -> None:
    """Random changes that the check lets through are sound: the library reads them and predicts."""
    text, source, passed = light_text(), random.Random(5), 0
    numbers = [match.span() for match in re.finditer(r"(?<=[= ])-?\d+(?=[ \n])", text)]
    table = np.random.default_rng(1).random((50, 4))
    for _ in range(600):
        begin, end = source.choice(numbers)
        crafted = sized(text[:begin] + str(source.choice((-3, -1, 0, 1, 2, 5, 40, 2**31))) + text[end:])
        try:
            lightgbm_text.check(crafted.encode())
        except Damaged:
            continue
        passed += 1
        assert len(lightgbm.Booster(model_str=crafted).predict(table)) == 50
    assert 30 < passed < 570


def xgb_model() -> dict[str, Any]:
    model, _ = fitted("xgboost with categories")
    data = bytes(model[-1].get_booster().save_raw("json"))
    assert json.loads(xgboost_json.checked(data)) == json.loads(data)
    found: dict[str, Any] = json.loads(data)
    return found


def trees_of(model: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = model["learner"]["gradient_booster"]["model"]["trees"]
    return found


def _circle(model: dict[str, Any]) -> None:
    trees_of(model)[0]["left_children"][1] = 1


def _set(name: str, value: Any, place: int = 0) -> Callable[[dict[str, Any]], None]:
    def change(model: dict[str, Any]) -> None:
        trees_of(model)[0][name][place] = value

    return change


def _learner(*path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(model: dict[str, Any]) -> None:
        node = model["learner"]
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_set("left_children", 0), "circle"),
        (_set("left_children", 10**6), "points at what is not there"),
        (_set("right_children", -1), "one child"),
        (_set("right_children", 1.5), "points at what is not there"),
        (_set("split_indices", 4), "points at what is not there"),
        (_set("split_indices", True), "does not hold numbers"),
        (lambda model: trees_of(model)[0].update(base_weights=[0.0]), "another length"),
        (lambda model: trees_of(model)[0]["tree_param"].update(num_nodes="9999999"), "another length"),
        (
            lambda model: trees_of(model)[0]["tree_param"].update(num_nodes="-1"),
            "a count is not a whole number in range",
        ),
        (
            lambda model: trees_of(model)[0]["tree_param"].update(size_leaf_vector="9"),
            "a count is not a whole number in range",
        ),
        (lambda model: trees_of(model)[0].update(id=5), "not in its place"),
        (lambda model: trees_of(model).pop(), "another number of trees"),
        (lambda model: trees_of(model)[0].pop("split_type"), "it has no 'split_type'"),
        (_learner("gradient_booster", "model", "tree_info", value=[7] * 5), "points at what is not there"),
        (_learner("gradient_booster", "model", "iteration_indptr", value=[0, 99]), "points at what is not there"),
        (_learner("gradient_booster", "model", "cats", value={"enc": [1]}), "categories of a table"),
        (_learner("gradient_booster", "name", value="other"), "booster is unknown"),
        (_learner("learner_model_param", "base_score", value="[0.5,0.5]"), "base score does not fit"),
        (_learner("learner_model_param", "num_feature", value="0"), "a count is not a whole number in range"),
        (_learner("learner_model_param", "base_score", value="[[1"), "parts are of another kind"),
        (_learner("objective", value={"name": 5}), "objective is not named"),
        (_learner("feature_names", value=["a"]), "name its features"),
    ],
)
def test_a_crafted_xgboost_model_is_refused_before_xgboost_reads_it(
    change: Callable[[dict[str, Any]], object], words: str
) -> None:
    model = xgb_model()
    change(model)
    with pytest.raises(Damaged, match=words):
        xgboost_json.checked(json.dumps(model).encode())


def test_categories_of_an_xgboost_model_are_where_it_says() -> None:
    model = xgb_model()
    tree = next(tree for tree in trees_of(model) if tree["categories_nodes"])
    tree["categories_segments"][0] = 10**6
    with pytest.raises(Damaged, match=r"points at|not where it says"):
        xgboost_json.checked(json.dumps(model).encode())
    tree["categories_nodes"], tree["categories_segments"], tree["categories_sizes"] = [], [], []
    with pytest.raises(Damaged, match="no categories"):
        xgboost_json.checked(json.dumps(model).encode())


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"a":1,"a":2}', b"{}"])
def test_what_is_no_xgboost_model_at_all(text: bytes) -> None:
    with pytest.raises(Damaged, match="not sound"):
        xgboost_json.checked(text)


def test_a_crafted_tree_of_scikit_learn_is_refused() -> None:
    table = frame()[["a", "c"]]
    model = DecisionTreeClassifier(max_depth=3).fit(table, (table["a"] > 0.5).astype(int))
    state = {**model.tree_.__getstate__()}
    state |= {name: state[name].copy() for name in ("nodes", "values")}
    for name, value in (("left_child", 0), ("right_child", 10**6), ("feature", 7)):
        changed = {**state, "nodes": state["nodes"].copy()}
        changed["nodes"][name][0] = value
        model.tree_.__setstate__(changed)
        with pytest.raises(Damaged, match="not sound"):
            load(model_file.dump(model).data)
    model.tree_.__setstate__(state)
    load(model_file.dump(model).data)


def crafted_neighbours() -> bytes:
    """Neighbours whose tree points far outside: compiled code follows it, and no check of ours knows this type."""
    table = frame()[["a", "c"]]
    model = KNeighborsClassifier(algorithm="kd_tree").fit(table, (table["a"] > 0.5).astype(int))
    state = list(model._tree.__getstate__())
    state[1] = np.full_like(state[1], 2**40)
    model._tree.__setstate__(tuple(state))
    return model_file.dump(model).data


def test_a_file_that_ends_its_process_is_refused_by_name_and_this_process_lives() -> None:
    table, columns = frame()[["a", "c"]], Columns(("a", "c"), ())
    sound = KNeighborsClassifier().fit(table, (table["a"] > 0.5).astype(int))
    data, crafted = model_file.dump(sound).data, crafted_neighbours()
    trials = [TrialOfModel(item, table, columns) for item in (data, crafted, data)]
    first, killed, last = ask_elsewhere(trials)
    assert isinstance(killed, EndedProcess)
    assert "ended the process that tried it (SIGSEGV)" in killed.message
    for found in (first, last):
        assert isinstance(found, np.ndarray)
        np.testing.assert_array_equal(found, model_file.predict(sound, table))
    with pytest.raises(Refused, match="SIGSEGV"):
        load_after_trial(trials[1], blake3(crafted).hexdigest())
    assert load_after_trial(trials[0], blake3(data).hexdigest()).n_neighbors == 5


def test_a_damaged_catboost_model_is_refused() -> None:
    model, table = fitted("catboost")
    honest = model_file.dump(model)
    part = next(item for item in walk(_plain(honest.data)) if isinstance(item, NativePart))
    assert part.format == "catboost-cbm"
    for data in (b"", part.data[:100], b"X" + part.data[1:], part.data[:-50]):
        trials = [
            TrialOfModel(
                _stored(NativePart(part.format, part.version, data, part.facts)), table, Columns(("a", "b", "c"), ())
            )
        ]
        (found,) = ask_elsewhere(trials)
        assert isinstance(found, Damaged | EndedProcess), (len(data), found)


def _plain(data: bytes) -> Any:
    """The file as it is written, native parts not built."""
    import skops.io

    return skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))


def _stored(part: NativePart) -> bytes:
    import skops.io

    return model_file.canonical(skops.io.dumps(part))
