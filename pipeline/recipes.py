"""Readable scikit-learn estimators for tables of numbers and categories.

A recipe is a function of the columns, the task, a seed and the parameters in the pipeline file; it returns an
unfitted estimator that takes a pandas frame. Any scikit-learn class can be named in the file too; it then gets
the frame as it is.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NamedTuple

from tallystick.ledger.errors import InvalidInput

LIBRARIES = sys.stdlib_module_names | {
    "cloudpickle", "dask", "distributed", "joblib", "numpy", "pandas", "pyarrow", "scipy", "skops", "sklearn",
}  # fmt: skip
"""Whose functions make no estimators, but read, write and run much: of these only what can be fitted is used."""
Task = Literal["classification", "regression"]


class Columns(NamedTuple):
    """Feature names by what they hold, in the order of the pipeline file."""

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]


def linear(columns: Columns, task: Task, seed: int, *, C: float = 1.0, rare_rows: int = 50) -> Any:
    """A linear model whose coefficients a team can read.

    Numbers: median imputation, scaling. Categories: one column each, levels with fewer than ``rare_rows``
    training rows together in one. Then L2-penalised logistic regression, or ridge regression with
    ``alpha = 1 / C``.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = Pipeline([("impute", SimpleImputer(strategy="median")), ("scale", StandardScaler())])
    categories = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=rare_rows)
    columns_to_matrix = ColumnTransformer(
        [("numbers", numbers, list(columns.numeric)), ("categories", categories, list(columns.categorical))]
    )
    model = (
        LogisticRegression(C=C, max_iter=2000, random_state=seed)
        if task == "classification"
        else Ridge(alpha=1.0 / C, random_state=seed)
    )
    return Pipeline([("columns", columns_to_matrix), ("model", model)])


def trees(
    columns: Columns,
    task: Task,
    seed: int,
    *,
    max_iter: int = 100,
    max_leaf_nodes: int = 31,
    learning_rate: float = 0.1,
    min_samples_leaf: int = 20,
) -> Any:
    """Histogram gradient boosting; categories become ordinal numbers, unknown and missing ones are missing.

    Early stopping is off: it would hold out a random part of the training rows, and which part decides how
    many trees there are, so two neighbouring windows would not be the same recipe.
    """
    import numpy as np
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    categories = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan)
    columns_to_matrix = ColumnTransformer(
        [("categories", categories, list(columns.categorical)), ("numbers", "passthrough", list(columns.numeric))]
    )
    boosting = HistGradientBoostingClassifier if task == "classification" else HistGradientBoostingRegressor
    model = boosting(
        max_iter=max_iter,
        max_leaf_nodes=max_leaf_nodes,
        learning_rate=learning_rate,
        min_samples_leaf=min_samples_leaf,
        early_stopping=False,
        random_state=seed,
    )
    return Pipeline([("columns", columns_to_matrix), ("model", model)])


def build(estimator: str, params: dict[str, Any], columns: Columns, task: Task, seed: int) -> Any:
    """An unfitted estimator from its name in a pipeline file.

    Parameters
    ----------
    estimator : str
        ``"module:callable"``: a recipe (takes ``columns``, ``task`` and ``seed`` first) or an estimator class.
    params : dict
        Keyword arguments from the pipeline file.

    Raises
    ------
    InvalidInput
        When there is no such callable or it does not take these parameters.
    """
    found = resolve(estimator)
    signature = inspect.signature(found)
    try:
        if list(signature.parameters)[:3] == ["columns", "task", "seed"]:
            return found(columns, task, seed, **params)
        if "random_state" in signature.parameters and "random_state" not in params:
            params = {**params, "random_state": seed}
        return found(**params)
    except TypeError as error:
        known = [name for name in signature.parameters if name not in ("columns", "task", "seed")]
        raise InvalidInput(
            f"{estimator} does not take these params: {error}.", f"It takes {', '.join(known)}."
        ) from error


def resolve(estimator: str) -> Any:
    """The callable behind ``"module:callable"``; InvalidInput where there is none, or it makes no model."""
    module_name, _, name = estimator.partition(":")
    # A ledger or file from somebody else may name what only runs commands or reads files; no model comes of that.
    if module_name.partition(".")[0] in sys.stdlib_module_names:
        raise InvalidInput(
            f"{estimator} belongs to Python itself; it makes no model.", "Name a class or function that makes one."
        )
    try:
        found = getattr(_module(module_name), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidInput(
            f"There is no {estimator}: {error}.",
            "Name an importable module and a callable in it, as in sklearn.dummy:DummyClassifier.",
        ) from error
    if not callable(found):
        raise InvalidInput(f"{estimator} cannot be called.")
    library = str(getattr(found, "__module__", "") or "").partition(".")[0]
    if (isinstance(found, type) or library in LIBRARIES) and not hasattr(found, "fit"):
        raise InvalidInput(f"{estimator} makes no model: it has no `fit`.", "Name an estimator, or your own function.")
    return found


def _module(name: str) -> ModuleType:
    """The module that an estimator's name begins with.

    ``pipeline.recipes`` is this module under the name that pipeline files and recorded events have for it, whatever
    else of that name a program could import.
    """
    return sys.modules[__name__] if name == "pipeline.recipes" else importlib.import_module(name)


def code_hash(estimator: str) -> str:
    """SHA-256 of the source file that an estimator's name leads to, for recipes outside installed libraries.

    scikit-learn's own classes are identified by the library's version instead, which the environment records.
    """
    if estimator.startswith("sklearn."):
        return ""
    module = _module(estimator.partition(":")[0])
    source = getattr(module, "__file__", None)
    return hashlib.sha256(Path(source).read_bytes()).hexdigest() if source else ""
