"""Readable scikit-learn estimators for tables of numbers and categories.

A recipe is a function of the columns, the task, a seed and the parameters in the pipeline file; it returns an
unfitted estimator that takes a pandas frame. Any scikit-learn class can be named in the file too; it then gets
the frame as it is.

A pipeline file may come from somebody else, so what it can name is judged by form, without calling anything: a class
with ``fit``, a recipe, or a function that says that it returns such a class.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Literal, NamedTuple

from tallystick.ledger.errors import InvalidInput
from tallystick.pipeline.extra import MODEL_LIBRARIES, lacking, missing_library
from tallystick.pipeline.own_code import OwnCode, gather, main_module, module_file
from tallystick.pipeline.own_code import name_before_import as own_code_runs

Task = Literal["classification", "regression"]
RECIPE_PARAMETERS = ["columns", "task", "seed"]
SEEDS = ("random_state", "seed", "random_seed")
"""What libraries call the parameter that takes a seed, in the order in which it is looked for."""


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


def encoded(columns: Columns, task: Task, seed: int, *, model: str, **params: Any) -> Any:
    """Any estimator, on a table whose text has become numbers.

    In a pipeline file: ``params = { model = "lightgbm:LGBMClassifier", n_estimators = 200 }``. Categories become
    ordinal numbers, unknown and missing ones are missing; numbers stay as they are. The other parameters go to the
    model.
    """
    import numpy as np
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    # By the module's face: how an estimator is found and given a seed is no part of this recipe's own code.
    from tallystick.pipeline import recipes

    categories = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan)
    columns_to_matrix = ColumnTransformer(
        [("categories", categories, list(columns.categorical)), ("numbers", "passthrough", list(columns.numeric))]
    )
    return Pipeline([("columns", columns_to_matrix), ("model", recipes.build(model, params, columns, task, seed))])


def build(
    estimator: str, params: dict[str, Any], columns: Columns, task: Task, seed: int, code: OwnCode | None = None
) -> Any:
    """An unfitted estimator from its name in a pipeline file.

    Parameters
    ----------
    estimator : str
        ``"module:callable"``: a recipe (takes ``columns``, ``task`` and ``seed`` first) or an estimator class.
    params : dict
        Keyword arguments from the pipeline file.
    seed : int
        Given to whatever can take one: the function or class itself, and each part of the estimator that has a
        ``random_state`` which neither the file nor the code sets.
    code : OwnCode, optional
        As of :func:`resolve`.

    Raises
    ------
    InvalidInput
        When there is no such callable or it does not take these parameters.
    """
    found = resolve(estimator, code)
    params = copy.deepcopy(params)  # an estimator may change a list that it is given
    try:
        made = _called(found, params, columns, task, seed)
    except TypeError as error:
        raise InvalidInput(
            f"{estimator} does not take these params: {error}.", f"It takes {', '.join(parameters(found))}."
        ) from error
    if not callable(getattr(made, "fit", None)):
        raise InvalidInput(f"{estimator} returned a {type(made).__name__}, which has no `fit`.")
    return seeded(made, seed, params)


def _called(found: Any, params: dict[str, Any], columns: Columns, task: Task, seed: int) -> Any:
    """The estimator that a recipe, class or function makes, given a seed where it takes one."""
    if is_recipe(found):
        return found(columns, task, seed, **params)
    if any(name in params for name in SEEDS):
        return found(**params)
    known = inspect.signature(found).parameters
    for name in SEEDS:
        if name in known:
            return found(**params, **{name: seed})
    if any(item.kind is inspect.Parameter.VAR_KEYWORD for item in known.values()):
        try:
            return found(**params, random_state=seed)
        except TypeError:
            pass  # it hands its arguments on to something that takes no seed
    return found(**params)


def seeded(made: Any, seed: int, given: dict[str, Any]) -> Any:
    """An estimator with the seed in each of its parts that can take one and has none.

    A ``random_state`` that the file gives, be it None, or that the code sets, stays as it is.
    """
    try:
        known = made.get_params(deep=True)
    except (AttributeError, TypeError, ValueError, NotImplementedError):
        return made
    names = [name for name, value in known.items() if value is None and name.rpartition("__")[2] == "random_state"]
    if wanted := {name: seed for name in names if name not in given}:
        made.set_params(**wanted)
    return made


def is_recipe(found: Any) -> bool:
    """Whether it is a function that takes the columns, the task and a seed first."""
    return isinstance(found, FunctionType) and list(inspect.signature(found).parameters)[:3] == RECIPE_PARAMETERS


def parameters(found: Any) -> list[str]:
    """The names of what a pipeline file can give to it."""
    return [name for name in inspect.signature(found).parameters if name not in RECIPE_PARAMETERS]


def resolve(estimator: str, code: OwnCode | None = None) -> Any:
    """The class or function behind ``"module:name"``, imported but not called.

    Parameters
    ----------
    code : OwnCode, optional
        The modules to take it from; else they are looked for beside the pipeline file.

    Raises
    ------
    InvalidInput
        Where there is none, or it is none of: a class with ``fit``, a recipe, a function whose return annotation is
        such a class.
    ModuleNotFoundError
        Where it needs a library of the extra that is not installed.
    MissingExtra
        Where it needs a library of models that is not installed.
    """
    module_name, _, name = estimator.partition(":")
    words = module_name.split(".")
    # Importing runs a module, and these are no libraries of models: some start a program when they are imported.
    if words[0] in sys.stdlib_module_names or "__main__" in words:
        raise InvalidInput(f"{estimator} makes no model.", "Name a class or function that makes one.")
    try:
        found = getattr(module_of(module_name, code), name)
    except (Exception, SystemExit) as error:
        if lacking(error):
            raise
        if isinstance(error, ModuleNotFoundError) and error.name in MODEL_LIBRARIES:
            raise missing_library(error.name, estimator) from error
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(
            f"There is no {estimator}: {error or type(error).__name__}.",
            "Name an importable module, or one beside the pipeline file, and a class or function in it, as in "
            "sklearn.dummy:DummyClassifier.",
        ) from error
    if _has_fit(found) or is_recipe(found) or (isinstance(found, FunctionType) and _has_fit(_returned(found))):
        return found
    raise InvalidInput(
        f"{estimator} makes no model: it is no class with `fit`, and no function known to return one.",
        f"A function of your own takes {', '.join(RECIPE_PARAMETERS)} first, or is annotated: `-> ITS_ESTIMATOR`.",
    )


def _has_fit(found: Any) -> bool:
    return isinstance(found, type) and callable(getattr(found, "fit", None))


def _returned(function: FunctionType) -> Any:
    """The class that a function is annotated to return, looked up in its module; annotations are never evaluated."""
    annotation = inspect.signature(function).return_annotation
    if not isinstance(annotation, str):
        return annotation
    first, *others = annotation.split(".")
    found = function.__globals__.get(first)
    for name in others:
        found = vars(found).get(name) if isinstance(found, ModuleType | type) else None
    return found


RECIPES = "pipeline.recipes"
"""What pipeline files and recorded events call this module."""
OURS = frozenset({"tallystick"})
"""The package of this program."""


class _Beside:
    """The folder of the pipeline file in use."""

    folder: Path | None = None
    on_import: Callable[[Path], None] = staticmethod(lambda _path: None)


def name_before_import(on_import: Callable[[Path], None]) -> None:
    """Call this with the file of each module that is not installed, before any of its code runs in this process."""
    _Beside.on_import = staticmethod(on_import)
    own_code_runs(on_import)


def look_beside(folder: Path | None) -> None:
    """Let estimators be named in modules that lie in this folder, for this process."""
    _Beside.folder = None if folder is None else folder.resolve()


def code_beside(estimator: str, folder: Path) -> Path | None:
    """The file in a folder that naming this estimator would run; None if it comes from an installed library.

    Raises
    ------
    InvalidInput
        Where a file there would hide an installed module.
    """
    return module_file(estimator.partition(":")[0], folder)


def code_elsewhere(estimator: str) -> Path | None:
    """The file or folder that naming this estimator would run, if it is neither installed nor Python's own.

    Python finds such a module through PYTHONPATH, a ``.pth`` file or the current folder.
    """
    module_name = estimator.partition(":")[0]
    top = module_name.partition(".")[0]
    if module_name == RECIPES or top in OURS or top in sys.stdlib_module_names or (found := _origin(top)) is None:
        return None
    return None if any(found.is_relative_to(place) for place in _installed_in()) else found


@cache
def _installed_in() -> tuple[Path, ...]:
    import site
    import sysconfig

    kinds = ("purelib", "platlib", "stdlib", "platstdlib")
    return tuple(
        Path(place)
        for place in (*site.getsitepackages(), site.getusersitepackages(), *map(sysconfig.get_path, kinds))
        if place
    )


def _origin(module_name: str) -> Path | None:
    """Where Python would import a top-level module from, without importing it; None where it finds none."""
    from importlib.util import find_spec  # here, for it takes quick commands 10 ms

    try:
        spec = find_spec(module_name)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if spec.has_location and spec.origin is not None:
        return Path(spec.origin)
    return Path(next(iter(spec.submodule_search_locations or ()), spec.origin or module_name))


def own_code(estimator: str) -> OwnCode | None:
    """The code of an estimator's module as it lies beside the pipeline file now; None if it comes from elsewhere."""
    name = estimator.partition(":")[0]
    if name == RECIPES or _Beside.folder is None:
        return None
    return gather(name, _Beside.folder)


def module_of(name: str, code: OwnCode | None = None) -> ModuleType:
    """The module that an estimator's name begins with: from the code given, else beside the file, else installed.

    ``pipeline.recipes`` is this module under the name that pipeline files and recorded events have for it, whatever
    else of that name a program could import.
    """
    if name == RECIPES:
        return sys.modules[__name__]
    found = own_code(f"{name}:") if code is None else code
    if found is not None:
        return main_module(found)
    if name not in sys.modules and (elsewhere := code_elsewhere(name)) is not None:
        _Beside.on_import(elsewhere)
    return importlib.import_module(name)
