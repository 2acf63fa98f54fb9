"""Every estimator of scikit-learn: fitted on a small table, stored, loaded again, asked the same.

The program finds the estimators; the tables below say which of them do not pass and why. An estimator that a new
version of scikit-learn brings is tried without anything here naming it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from blake3 import blake3
from sklearn.base import is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_selector, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import StackingRegressor, VotingClassifier
from sklearn.feature_selection import SelectKBest, chi2, f_classif, f_regression, mutual_info_classif
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, DotProduct, Matern, RationalQuadratic, WhiteKernel
from sklearn.linear_model import LogisticRegression, Ridge, TweedieRegressor
from sklearn.model_selection import GridSearchCV, StratifiedKFold, TimeSeriesSplit
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, SplineTransformer, StandardScaler
from sklearn.utils import all_estimators
from sklearn.utils._test_common.instance_generator import _construct_instances

from tallystick.ledger.errors import Refused
from tallystick.pipeline.models import model_file
from tallystick.pipeline.models.allowed_types import ALLOWED_TYPES

ANSWERS = ("predict", "predict_proba", "decision_function", "transform")
NOT_STORED = {"Birch": "skops cannot take its tree apart"}
ASKED_NOTHING = {
    "AgglomerativeClustering", "ClassicalMDS", "DBSCAN", "EmpiricalCovariance", "GraphicalLasso", "GraphicalLassoCV",
    "HDBSCAN", "KernelDensity", "LedoitWolf", "LocalOutlierFactor", "MDS", "MinCovDet", "NearestNeighbors", "OAS",
    "OPTICS", "ShrunkCovariance", "SpectralBiclustering", "SpectralClustering", "SpectralCoclustering",
    "SpectralEmbedding", "TSNE",
}  # fmt: skip
"""They neither predict nor transform new rows, so that they are stored says all."""
OTHER_INPUT = {
    "ClassifierChain", "CountVectorizer", "DictVectorizer", "FeatureHasher", "FrozenEstimator", "HashingVectorizer",
    "IsotonicRegression", "KernelCenterer", "LabelBinarizer", "LabelEncoder", "MultiLabelBinarizer",
    "MultiOutputClassifier", "PatchExtractor", "SparseCoder", "TfidfVectorizer",
}  # fmt: skip
"""What they take is no table with one answer for each row; see the cases below for the ones that a pipeline uses."""
NOT_THE_SAME_TWICE = {
    "DummyClassifier": "it draws its answers anew", "LabelPropagation": "in the last bit, even unstored",
    "LabelSpreading": "in the last bit, even unstored",
}  # fmt: skip


def numbers() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    source = np.random.default_rng(0)
    X = source.random((60, 4))
    return X, (X[:, 0] + 0.1 * source.random(60) > 0.5).astype(int), X[:, 0] + X[:, 1] + 0.1


def load(data: bytes) -> Any:
    return model_file.load(data, blake3(data).hexdigest())


def found() -> Iterator[tuple[str, Any]]:
    """Every estimator with its name, made as scikit-learn's own checks make it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some are about to be taken away
        for name, kind in all_estimators():
            if name not in OTHER_INPUT:
                yield name, next(iter(_construct_instances(kind)))


def fitted(estimator: Any) -> Any:
    X, y, number = numbers()
    try:
        return estimator.fit(X, number if is_regressor(estimator) else y)
    except (ValueError, IndexError):
        return estimator.fit(X, np.c_[number, number])  # those of several answers


@pytest.mark.parametrize(("name", "estimator"), [pytest.param(*pair, id=pair[0]) for pair in found()])
def test_an_estimator_of_scikit_learn_is_kept(name: str, estimator: Any) -> None:
    X, _, _ = numbers()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = fitted(estimator)
        if name in NOT_STORED:
            with pytest.raises(Refused, match="cannot be written as data"):
                model_file.dump(model)
            return
        again = load(model_file.dump(model).data)
        asked = [method for method in ANSWERS if hasattr(model, method)]
        assert (not asked) == (name in ASKED_NOTHING), asked
        for method in asked:
            before, after = (_plain(getattr(one, method)(X)) for one in (model, again))
            if name in NOT_THE_SAME_TWICE:
                assert before.shape == after.shape
            else:
                np.testing.assert_array_equal(before, after, err_msg=f"{name}.{method}")


def _plain(answer: Any) -> np.ndarray:
    return answer.toarray() if hasattr(answer, "toarray") else np.asarray(answer)


def test_nearly_all_are_tried() -> None:
    """A table that grew until nothing is left to try would prove nothing."""
    names = {name for name, _ in all_estimators()}
    assert len(names) > 190
    assert len({*NOT_STORED, *ASKED_NOTHING, *OTHER_INPUT, *NOT_THE_SAME_TWICE} & names) <= 40


NUMBERS = ["a", "b", "c"]
selected = make_column_selector
CASES: dict[str, Any] = {
    "columns by selector": make_pipeline(
        make_column_transformer(
            (StandardScaler(), selected(dtype_include="number")),
            (OneHotEncoder(handle_unknown="ignore"), selected(dtype_include=object)),
        ),
        LogisticRegression(),
    ),
    "splines": make_pipeline(make_column_transformer((SplineTransformer(), NUMBERS)), LogisticRegression()),
    "a function of NumPy": make_pipeline(
        make_column_transformer((FunctionTransformer(np.log1p), NUMBERS)), LogisticRegression()
    ),
} | {
    name: make_pipeline(make_column_transformer(("passthrough", NUMBERS)), model)
    for name, model in {
        "best features": make_pipeline(SelectKBest(f_classif, k=2), LogisticRegression()),
        "best features by chi2": make_pipeline(SelectKBest(chi2, k=2), LogisticRegression()),
        "best features by information": make_pipeline(SelectKBest(mutual_info_classif, k=2), LogisticRegression()),
        "best features of a number": make_pipeline(SelectKBest(f_regression, k=2), Ridge()),
        "components": make_pipeline(PCA(2), LogisticRegression()),
        "search, time series": GridSearchCV(
            LogisticRegression(), {"C": [0.1, 1.0]}, scoring="neg_log_loss", cv=TimeSeriesSplit(3)
        ),
        "search, folds": GridSearchCV(
            LogisticRegression(), {"C": [0.1, 1.0]}, scoring="roc_auc", cv=StratifiedKFold(3)
        ),
        "neighbours in a ball tree": KNeighborsClassifier(algorithm="ball_tree", metric="canberra"),
        "neighbours by the cosine": KNeighborsClassifier(metric="cosine"),
        "network": MLPClassifier((5,), max_iter=20, random_state=1),
        "vote": VotingClassifier([("a", LogisticRegression()), ("b", KNeighborsClassifier())], voting="soft"),
        "stack": StackingRegressor([("a", Ridge())], final_estimator=Ridge()),
        "gaussian process": GaussianProcessClassifier(RBF() + WhiteKernel()),
        "gaussian process, products": GaussianProcessClassifier(Matern() * 2.0 + RationalQuadratic()),
        "gaussian process, powers": GaussianProcessClassifier(DotProduct() ** 2),
        "calibrated": CalibratedClassifierCV(LogisticRegression(), method="isotonic", cv=3),
        "calibrated, frozen": CalibratedClassifierCV(
            FrozenEstimator(LogisticRegression().fit(numbers()[0][:, :3], numbers()[1]))
        ),
        "tweedie": TweedieRegressor(power=1.5),
        "of the logarithm": TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1),
    }.items()
}


@pytest.mark.parametrize("name", CASES)
def test_what_pipelines_are_made_of_is_kept(name: str) -> None:
    X, y, number = numbers()
    table = pd.DataFrame(X, columns=["a", "b", "c", "e"])
    table["d"] = np.array(["x", "y", "z"] * 20, dtype=object)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = CASES[name].fit(table, number if is_regressor(CASES[name]) else y)
        again = load(model_file.dump(model).data)
        np.testing.assert_array_equal(model_file.predict(model, table), model_file.predict(again, table))


def test_the_list_of_types_names_what_is_there() -> None:
    """A type that scikit-learn moved would be refused in silence; those of other libraries may not be installed."""
    from importlib import import_module

    for name in sorted(ALLOWED_TYPES):
        module, _, item = name.rpartition(".")
        assert hasattr(import_module(module), item), name
