"""A study over the parameters of one candidate: Optuna proposes, walk-forward judges, the ledger keeps every trial.

Only development windows are opened. A trial's value is its mean gain over the reference; what the best of so many
trials gains by luck alone is taken off in words, for whoever tries long enough finds something (see
:func:`pipeline.runs.final_test.expected_maximum`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events.commit import to_micros
from tallystick.ledger.events.sentences import count
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.tracking.trial import run as begin
from tallystick.pipeline.config.load import LoadedPipeline
from tallystick.pipeline.config.settings import Scalar
from tallystick.pipeline.config.windows import Window, labels_until, sealed_windows
from tallystick.pipeline.data.answers import Terms
from tallystick.pipeline.data.slice import cut
from tallystick.pipeline.evaluate import backtest
from tallystick.pipeline.evaluate.backtest import BacktestPlan, Cell, Described, Judged
from tallystick.pipeline.evaluate.fitting import Recipe, recipe_for
from tallystick.pipeline.extra import install_line
from tallystick.pipeline.recipes import look_beside
from tallystick.pipeline.runs.final_test import STUDY_OF, expected_maximum
from tallystick.pipeline.runs.sources import new_sources
from tallystick.pipeline.runs.start import rows_until, windows_with_labels

Space = Callable[[Any], dict[str, Scalar]]
"""The parameters that an ``optuna.Trial`` suggests."""


class Tried(NamedTuple):
    """One trial of a study."""

    trial: str
    """Its name in the ledger."""
    params: dict[str, Scalar]
    gains: dict[str, float]
    """Share of the reference's loss that it saves, by window."""

    @property
    def gain(self) -> float:
        """The mean over the windows."""
        return float(np.mean(list(self.gains.values())))


class Studied(NamedTuple):
    """What a study came to."""

    candidate: str
    best: Tried
    luck: float
    """What the best of so many trials would gain if all were alike."""
    trials: list[Tried]
    sentence: str


def study(
    book: Ledger, loaded: LoadedPipeline, candidate: str, space: Space, *, trials: int, workers: int = 1
) -> Studied:
    """Search the parameters of a candidate on the development windows, and record every trial.

    Parameters
    ----------
    candidate : str
        Of the pipeline file; its own parameters hold where ``space`` suggests none.
    space : callable
        Gets an ``optuna.Trial``: ``lambda trial: {"max_iter": trial.suggest_int("max_iter", 50, 300)}``.
    trials : int
        How many to try.

    Returns
    -------
    Studied
        Nothing is changed by it: the parameters that are worth it are written into the pipeline file, and judged with
        every other candidate by a run.

    Raises
    ------
    InvalidInput
        For a candidate that is not there or takes no parameters, and without Optuna.
    """
    try:
        import optuna
    except ImportError as error:
        raise InvalidInput("The package optuna is not installed.", f"Type: {install_line('optuna')}") from error
    settings = loaded.settings
    item = settings.candidates.get(candidate)
    if item is None or item.role == "reference" or not item.is_fitted:
        names = ", ".join(name for name, one in settings.candidates.items() if one.is_fitted)
        raise InvalidInput(f"{candidate} is no candidate whose parameters can be searched.", f"The file has {names}.")
    if trials < 1:
        raise InvalidInput(f"trials = {trials}: a study tries at least once.")
    look_beside(loaded.path.parent)
    as_of = to_micros(book.clock())
    with tempfile.TemporaryDirectory(prefix="tally-slice-", ignore_cleanup_errors=True) as folder:
        until, terms = rows_until(book, as_of), Terms(labels_as_of=as_of)
        slice_ = cut(settings, loaded.path.parent, Path(folder), until=until, terms=terms)
        windows = windows_with_labels(settings, as_of)
        sources = new_sources(book.now(), book.objects.get, loaded, slice_, windows, labels_until(settings.time, as_of))
        plan = backtest.make_plan(settings, slice_, windows[0], as_of=labels_until(settings.time, as_of))
        reference, recipe = (
            recipe_for(settings, name, slice_.features, sources) for name in (settings.reference, candidate)
        )
        judging = _Judging(book, plan, windows, workers, _losses(plan, windows, reference, workers))
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        search = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=plan.seed))
        done: list[Tried] = []

        def objective(trial: Any) -> float:
            done.append(judging.tried(settings.name, recipe, space(trial)))
            return done[-1].gain

        search.optimize(objective, n_trials=trials)
    best = max(done, key=lambda one: one.gain)
    luck = _luck(best, done)
    sealed = [window.label for window in sealed_windows(settings.time)]
    return Studied(candidate, best, luck, done, _sentence(candidate, settings.reference, best, luck, len(done), sealed))


class _Judging(NamedTuple):
    """The objective's judge."""

    book: Ledger
    plan: BacktestPlan
    windows: Sequence[Window]
    workers: int
    reference: dict[str, float]
    """Loss of the reference in each window that counts."""

    def tried(self, pipeline: str, recipe: Recipe, params: dict[str, Scalar]) -> Tried:
        """Judge a candidate with some parameters, and record it as a trial, also where it fails."""
        changed = msgspec.structs.replace(recipe, params={**recipe.params, **params})
        said = {STUDY_OF: pipeline, "candidate": recipe.name, "params": changed.params}
        with begin(f"{pipeline}-study", params=said, folder=self.book.folder) as trial:
            losses = self._judged(changed)
            gains = {label: 1.0 - losses[label] / theirs for label, theirs in self.reference.items()}
            for step, gain in enumerate(gains.values()):
                trial.log(step=step, gain=gain)
            trial.log(mean_gain=float(np.mean(list(gains.values()))))
        return Tried(trial.name, changed.params, gains)

    def _judged(self, recipe: Recipe) -> dict[str, float]:
        cells = [Cell(window, recipe) for window in self.windows if window.label in self.reference]
        found: dict[str, float] = {}
        for result in backtest.backtest(self.plan, cells, [cell.window for cell in cells], self.workers):
            if isinstance(result, Judged):
                found[result.label] = _loss(self.plan, result)
        return found


def _losses(plan: BacktestPlan, windows: Sequence[Window], recipe: Recipe, workers: int) -> dict[str, float]:
    """The reference's loss in each window that counts."""
    complete: set[str] = set()
    found: dict[str, float] = {}
    cells = [Cell(window, recipe) for window in windows]
    for result in backtest.backtest(plan, cells, windows, workers):
        if isinstance(result, Described):
            complete |= {result.window.label} if result.complete else set()
        elif result.label in complete and _loss(plan, result) > 0.0:
            found[result.label] = _loss(plan, result)
    if not found:
        raise InvalidInput("No window is complete, so nothing can be compared with the reference.")
    return found


def _loss(plan: BacktestPlan, judged: Judged) -> float:
    value = judged.metrics[plan.metric].value
    if value is None:
        raise InvalidInput(f"{judged.candidate} has no {plan.metric} in {judged.label}.")
    return value


def _luck(best: Tried, done: Sequence[Tried]) -> float:
    """What the best of so many trials gains over the mean of them by luck.

    The standard error is that of the paired differences by window between the best trial and the mean of all.
    """
    if len(done) < 2 or len(best.gains) < 2:
        return 0.0
    apart = [gain - np.mean([one.gains[label] for one in done]) for label, gain in best.gains.items()]
    return float(np.std(apart, ddof=1) / np.sqrt(len(apart)) * expected_maximum(len(done)))


def _sentence(candidate: str, reference: str, best: Tried, luck: float, number: int, sealed: Sequence[str]) -> str:
    params = ", ".join(f"{name} = {value}" for name, value in sorted(best.params.items()))
    shut = f" The sealed windows ({', '.join(sealed)}) were not opened." if sealed else ""
    return (
        f"The best of {count(number, 'trial')} of {candidate} ({params}) lost {best.gain:.1%} less than {reference} on "
        f"average of {count(len(best.gains), 'development window')}. By luck alone the best of {number} that are all "
        f"alike would show {luck:+.1%}; {best.gain - luck:+.1%} remains.{shut}"
    )
