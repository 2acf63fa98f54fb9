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
from tallystick.ledger.system.files import read_foreign
from tallystick.pipeline.extra import lacking

Task = Literal["classification", "regression"]
RECIPE_PARAMETERS = ["columns", "task", "seed"]
LARGEST_MODULE_BYTES = 1 << 20


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
    params = copy.deepcopy(params)  # an estimator may change a list that it is given
    try:
        if is_recipe(found):
            made = found(columns, task, seed, **params)
        elif "random_state" in signature.parameters and "random_state" not in params:
            made = found(**params, random_state=seed)
        else:
            made = found(**params)
    except TypeError as error:
        raise InvalidInput(
            f"{estimator} does not take these params: {error}.", f"It takes {', '.join(parameters(found))}."
        ) from error
    if not callable(getattr(made, "fit", None)):
        raise InvalidInput(f"{estimator} returned a {type(made).__name__}, which has no `fit`.")
    return made


def is_recipe(found: Any) -> bool:
    """Whether it is a function that takes the columns, the task and a seed first."""
    return isinstance(found, FunctionType) and list(inspect.signature(found).parameters)[:3] == RECIPE_PARAMETERS


def parameters(found: Any) -> list[str]:
    """The names of what a pipeline file can give to it."""
    return [name for name in inspect.signature(found).parameters if name not in RECIPE_PARAMETERS]


def resolve(estimator: str) -> Any:
    """The class or function behind ``"module:name"``, imported but not called.

    Raises
    ------
    InvalidInput
        Where there is none, or it is none of: a class with ``fit``, a recipe, a function whose return annotation is
        such a class.
    ModuleNotFoundError
        Where it needs a library of the extra that is not installed.
    """
    module_name, _, name = estimator.partition(":")
    words = module_name.split(".")
    # Importing runs a module, and these are no libraries of models: some start a program when they are imported.
    if words[0] in sys.stdlib_module_names or "__main__" in words:
        raise InvalidInput(f"{estimator} makes no model.", "Name a class or function that makes one.")
    try:
        found = getattr(module_of(module_name), name)
    except (Exception, SystemExit) as error:
        if lacking(error):
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
    """The folder of the pipeline file in use, and the modules that were read there."""

    folder: Path | None = None
    on_import: Callable[[Path], None] = staticmethod(lambda _path: None)


def name_before_import(on_import: Callable[[Path], None]) -> None:
    """Call this with the file of each module that is not installed, before any of its code runs in this process."""
    _Beside.on_import = staticmethod(on_import)


def look_beside(folder: Path | None) -> None:
    """Let estimators be named in modules that lie in this folder, for this process and the workers that it starts.

    The folder does not become one that Python imports from: a file named like some optional library would then be run
    by whoever asks for that library.
    """
    _Beside.folder = None if folder is None else folder.resolve()


def beside() -> Path | None:
    """The folder given to :func:`look_beside`."""
    return _Beside.folder


def code_beside(estimator: str, folder: Path) -> Path | None:
    """The file in a folder that naming this estimator would run; None if it comes from elsewhere."""
    module_name = estimator.partition(":")[0]
    path = folder / f"{module_name}.py"
    if "." in module_name or not path.is_file() or module_name in sys.stdlib_module_names:
        return None
    # Where Python also searches this folder, since it is the current one or in PYTHONPATH, it finds the same file.
    found = _origin(module_name)
    return path if found is None or found.resolve() == path.resolve() else None


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


_read: dict[Path, tuple[bytes, ModuleType]] = {}
"""Modules that lay beside a pipeline file, with the bytes that were run."""


def module_of(name: str) -> ModuleType:
    """The module that an estimator's name begins with.

    ``pipeline.recipes`` is this module under the name that pipeline files and recorded events have for it, whatever
    else of that name a program could import.
    """
    if name == RECIPES:
        return sys.modules[__name__]
    folder = _Beside.folder
    path = None if folder is None else code_beside(f"{name}:", folder)
    if path is not None:
        return _module_from(name, path)
    if name not in sys.modules and (elsewhere := code_elsewhere(name)) is not None:
        _Beside.on_import(elsewhere)
    return importlib.import_module(name)


def _module_from(name: str, path: Path) -> ModuleType:
    """A module from the text of its file, never from a compiled copy that somebody may have put beside it."""
    data = read_foreign(path.resolve(), LARGEST_MODULE_BYTES)
    known = _read.get(path)
    if known is not None and known[0] == data:
        return known[1]
    _Beside.on_import(path)
    # Under a name of its own: whoever imports something called `name` shall not get this, and dataclasses look there.
    module = ModuleType(f"tallystick_beside.{name}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    exec(compile(data, str(path), "exec"), module.__dict__)
    _read[path] = data, module
    return module
