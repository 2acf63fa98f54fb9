"""Whether the model of each candidate can be kept: stored, loaded again and asked, before the first window.

A candidate is judged for minutes. That its model cannot be stored is said first, with the reason and the way forward.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from blake3 import blake3

from tallystick.ledger.errors import InvalidInput, Refused, TallyError
from tallystick.pipeline.config.settings import Pipeline
from tallystick.pipeline.data.slice import Rows
from tallystick.pipeline.evaluate import backtest
from tallystick.pipeline.evaluate.fitting import Recipe
from tallystick.pipeline.evaluate.metrics import Floats
from tallystick.pipeline.models.allowed_types import needs_a_process
from tallystick.pipeline.models.model_file import NOT_KEPT, dump, load, predict, types_in
from tallystick.pipeline.models.separate_process import TrialOfModel, ask_elsewhere
from tallystick.pipeline.own_code import activate

TRIAL_ROWS = 500
"""Rows that a candidate is fitted on: enough to be built and stored, too few to say how good it is."""
KNOWN = ("pipeline.recipes:linear", "pipeline.recipes:trees", "sklearn.dummy:")
"""Beginnings of estimators that the program's own tests fit twice, store and load."""
JUDGED_ONLY = 'its table says keep = "no", so it is judged and never promoted'


class FittedCandidate(NamedTuple):
    """A candidate's model on a few rows."""

    name: str
    model: Any
    frame: pd.DataFrame
    recipe: Recipe


def is_kept(settings: Pipeline, candidate: str) -> bool:
    """Whether a model of this candidate may be stored: False where its table says ``keep = "no"``."""
    item = settings.candidates.get(candidate)
    return item is None or item.keep is None


def refuse_not_kept(settings: Pipeline, candidate: str) -> None:
    """Raise Refused where a candidate is judged only."""
    if not is_kept(settings, candidate):
        raise Refused(
            f"{candidate} has no model that could be promoted: {JUDGED_ONLY}.",
            "Take keep out of its table, if its model can be stored, and run the pipeline again: tally run FILE.toml",
        )


def check_kept(settings: Pipeline, fitted: Iterable[FittedCandidate]) -> None:
    """Refuse a run whose candidates cannot all be kept.

    Parameters
    ----------
    fitted
        Candidates as they were tried on a few rows; those of which no model is ever stored may be among them.

    Raises
    ------
    InvalidInput
        Naming each candidate and the step that failed.
    """
    names = [name for name in settings.candidates if name != settings.reference and is_kept(settings, name)]
    problems = not_kept([item for item in fitted if item.name in names])
    if problems:
        words = " ".join(error.message for error in problems.values())
        raise InvalidInput(words, next(iter(problems.values())).hint)


def few_rows(target: Floats, train: Rows) -> Rows:
    """Rows spread over a training set, with each answer among them where there are two."""
    train = np.asarray(train[np.isfinite(target[train])], dtype=np.int64)
    if not len(train):
        return train
    spread = train[np.linspace(0, len(train) - 1, min(TRIAL_ROWS, len(train))).astype(np.int64)]
    answers = target[train]
    ends = train[[int(answers.argmin()), int(answers.argmax())]]
    return np.unique(np.concatenate([spread, ends]))


def not_kept(fitted: Iterable[FittedCandidate]) -> dict[str, TallyError]:
    """Candidate -> the error that says at which step its model cannot be kept.

    A file whose content compiled code follows is loaded and asked in a new process, any other here.
    """
    problems: dict[str, TallyError] = {}
    waiting: list[tuple[str, TrialOfModel, Floats]] = []
    for item in fitted:
        try:
            with backtest.one_thread(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                activate(item.recipe.code)
                before = predict(item.model, item.frame)
                data = dump(item.model, item.recipe.packages).data
        except TallyError as error:
            problems[item.name] = _said(item.name, "stored", error)
            continue
        made = TrialOfModel(data, item.frame, item.recipe.columns, item.recipe.packages, item.recipe.code)
        waiting.append((item.name, made, before))
    elsewhere = [trial for _, trial, _ in waiting if needs_a_process(types_in(trial.data))]
    answers = dict(zip(map(id, elsewhere), ask_elsewhere(elsewhere) if elsewhere else [], strict=True))
    for name, trial, before in waiting:
        found = answers[id(trial)] if id(trial) in answers else _asked_here(trial)
        if isinstance(found, TallyError):
            problems[name] = _said(name, "loaded again", found)
        elif isinstance(found, str):
            problems[name] = _said(name, "asked again", Refused(f"{found.rstrip('.')}.", NOT_KEPT))
        elif not np.array_equal(found, before, equal_nan=True):
            apart = float(np.nanmax(np.abs(found - before), initial=0.0)) if len(found) == len(before) else np.inf
            words = f"its predictions are not those from before, by up to {apart:.2g}."
            problems[name] = _said(name, "asked again", Refused(words, NOT_KEPT))
    return problems


def _asked_here(trial: TrialOfModel) -> Floats | TallyError | str:
    activate(trial.code)
    try:
        with backtest.one_thread():
            return predict(load(trial.data, blake3(trial.data).hexdigest(), trial.packages), trial.frame)
    except TallyError as error:
        return error
    except Exception as error:  # noqa: BLE001 - what was loaded may fail in any way there is
        return str(error).splitlines()[0] if str(error) else type(error).__name__


def _said(name: str, step: str, error: TallyError) -> TallyError:
    return Refused(f"The model of {name} cannot be {step}: {error.message}", error.hint or NOT_KEPT)
