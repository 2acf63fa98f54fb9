"""Whether each candidate answers the same when it is fitted twice, tried on a few rows before the first window.

A candidate that does not cannot be done again, so it is judged and never chosen; what the run says of the others stays
as good as it was. The same trial finds what fails at once: wrong columns, answers that are no numbers, files that are
written and connections that are opened.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from tallystick.ledger.errors import InvalidInput
from tallystick.pipeline.config.settings import Pipeline
from tallystick.pipeline.config.windows import Window
from tallystick.pipeline.data.slice import TARGET, Slice, numbers, open_table, rows_of
from tallystick.pipeline.evaluate import backtest
from tallystick.pipeline.evaluate.backtest import split
from tallystick.pipeline.evaluate.fitting import Recipe, asked, fit, training_rows
from tallystick.pipeline.runs.keeping import KNOWN, TRIAL_ROWS, FittedCandidate, few_rows

UNSTEADY = "it answers differently when it is fitted twice on the same rows with the same seed"


class Unsteady(NamedTuple):
    """A candidate that answered differently the second time."""

    candidate: str
    rows: int
    largest_difference: float

    @property
    def sentence(self) -> str:
        """What was seen, and what follows."""
        return (
            f"{self.candidate} answers differently when it is fitted twice on the same {self.rows:,} rows with the "
            f"same seed, by up to {self.largest_difference:.2g}. It is judged, and the rule does not choose it: what "
            "it says cannot be done again."
        )


class TrialFits(NamedTuple):
    """What the trial of the candidates on a few rows came to."""

    unsteady: list[Unsteady]
    fitted: list[FittedCandidate]
    """The first of the two models of each, to be stored and loaded again."""


def try_candidates(recipes: list[Recipe], slice_: Slice, first: Window, settings: Pipeline, as_of: int) -> TrialFits:
    """Fit each candidate twice on a few rows of the first window's training set.

    Those of the program's own recipes are left out: they are known to be steady and to be kept.

    Raises
    ------
    InvalidInput
        With the candidate's name, where it cannot be fitted or asked, or does what none may.
    """
    tried = [recipe for recipe in recipes if recipe.is_fitted and not recipe.estimator.startswith(KNOWN)]
    if not tried:
        return TrialFits([], [])
    table = open_table(slice_)
    train = split(table, first, as_of, None).train
    rows = few_rows(numbers(table, TARGET), train)
    if not len(rows):
        return TrialFits([], [])  # the first window says so itself
    unsteady, fitted = [], []
    weight = settings.data.weight.column if settings.data.weight else None
    for recipe in tried:
        seed = backtest.seed_for(settings.selection.seed, recipe.name, first.label)
        try:
            found = _twice(recipe, rows_of(table, rows), weight, seed, f"{first.label}, tried on {len(rows):,} rows")
        except InvalidInput:
            # Few rows may be too few for it: more neighbours than rows, say.
            found = _twice(recipe, rows_of(table, train), weight, seed, f"{first.label}, tried before the first window")
        if found.apart > 0.0:
            unsteady.append(Unsteady(recipe.name, len(rows), found.apart))
        fitted.append(found.candidate)
    return TrialFits(unsteady, fitted)


class _Twice(NamedTuple):
    """A candidate after two fits."""

    candidate: FittedCandidate
    apart: float
    """By how much its answers differ."""


def _twice(recipe: Recipe, rows: pa.Table, weight: str | None, seed: int, where: str) -> _Twice:
    """Fit a candidate twice and ask both models; InvalidInput where that cannot be."""
    learnt = training_rows(rows, recipe.columns, weight)
    with backtest.one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the windows keep theirs
        once, again = (fit(recipe, learnt.frame, learnt.y, seed, where, learnt.weights) for _ in range(2))
        apart = float(
            np.abs(asked(recipe, once, learnt.frame, where) - asked(recipe, again, learnt.frame, where)).max()
        )
    return _Twice(FittedCandidate(recipe.name, once, learnt.frame.head(TRIAL_ROWS), recipe), apart)
