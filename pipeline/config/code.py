"""The code that a pipeline file names: which files it would run, and whether its estimators are there."""

from __future__ import annotations

import inspect
from pathlib import Path

from tallystick.ledger.errors import InvalidInput
from tallystick.pipeline.config.load import ConfigurationError, LoadedPipeline, Mistake
from tallystick.pipeline.config.toml_lines import find_lines, line_of
from tallystick.pipeline.own_code import gather, module_file
from tallystick.pipeline.recipes import (
    RECIPE_PARAMETERS,
    code_elsewhere,
    is_recipe,
    look_beside,
    parameters,
    resolve,
)


def files_named(loaded: LoadedPipeline) -> list[Path]:
    """The modules that the candidates of a file name and that are not installed, with those that they import beside it.

    Nothing is imported. One that would hide an installed module is left out: it is not run.
    """
    folder, found = loaded.path.parent, set()
    for item in loaded.settings.candidates.values():
        if item.estimator is None:
            continue
        try:
            code = gather(item.estimator.partition(":")[0], folder)
        except InvalidInput:
            continue
        found |= {module_file(name, folder) for name in code.sources} if code else {code_elsewhere(item.estimator)}
    return sorted(path for path in found if path is not None)


def check_code(loaded: LoadedPipeline) -> list[str]:
    """Import every estimator that the file names and compare its parameters; none is called.

    Returns
    -------
    list of str
        The candidates that could not be looked at, because a library of the extra is not installed.

    Raises
    ------
    ConfigurationError
        With every candidate that could not be built.
    """
    look_beside(loaded.path.parent)
    lines = find_lines(loaded.text)
    mistakes, unseen = [], []
    for name, item in loaded.settings.candidates.items():
        if item.estimator is None:
            continue
        try:
            found = resolve(item.estimator)
        except ModuleNotFoundError:
            unseen.append(name)
            continue
        except InvalidInput as error:
            where = line_of(("candidates", name, "estimator"), lines)
            mistakes.append(Mistake(where, f"candidates.{name}.estimator", f"{error.message} {error.hint}"))
            continue
        given = dict.fromkeys(item.params)
        if is_recipe(found):
            given |= dict.fromkeys(RECIPE_PARAMETERS)
        try:
            inspect.signature(found).bind(**given)
        except TypeError as error:
            where = line_of(("candidates", name, "params"), lines)
            words = f"{item.estimator} does not take these params: {error}. It takes {', '.join(parameters(found))}."
            mistakes.append(Mistake(where, f"candidates.{name}.params", words))
    if mistakes:
        raise ConfigurationError(loaded.path.name, mistakes)
    return unseen
