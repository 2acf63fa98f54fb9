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
from tallystick.pipeline.runs.keeping import few_rows

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


def try_candidates(
    recipes: list[Recipe], slice_: Slice, first: Window, settings: Pipeline, as_of: int
) -> list[Unsteady]:
    """Fit each candidate twice on a few rows of the first window's training set.

    Those of the program's own recipes are left out: they are known to be steady.

    Raises
    ------
    InvalidInput
        With the candidate's name, where it cannot be fitted or asked, or does what none may.
    """
    tried = [recipe for recipe in recipes if not _is_known(recipe)]
    if not tried:
        return []
    table = open_table(slice_)
    train = split(table, first, as_of, None).train
    rows = few_rows(numbers(table, TARGET), train)
    if not len(rows):
        return []  # the first window says so itself
    found = []
    weight = settings.data.weight.column if settings.data.weight else None
    for recipe in tried:
        seed = backtest.seed_for(settings.selection.seed, recipe.name, first.label)
        try:
            apart = _apart(recipe, rows_of(table, rows), weight, seed, f"{first.label}, tried on {len(rows):,} rows")
        except InvalidInput:
            # Few rows may be too few for it: more neighbours than rows, say.
            apart = _apart(recipe, rows_of(table, train), weight, seed, f"{first.label}, tried before the first window")
        if apart > 0.0:
            found.append(Unsteady(recipe.name, len(rows), apart))
    return found


def _apart(recipe: Recipe, rows: pa.Table, weight: str | None, seed: int, where: str) -> float:
    """By how much a candidate's answers differ when it is fitted twice; InvalidInput where it cannot be."""
    learnt = training_rows(rows, recipe.columns, weight)
    with backtest.one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the windows keep theirs
        once, again = (
            asked(recipe, fit(recipe, learnt.frame, learnt.y, seed, where, learnt.weights), learnt.frame, where)
            for _ in range(2)
        )
    return float(np.abs(once - again).max())


def _is_known(recipe: Recipe) -> bool:
    return recipe.delivered is not None or recipe.estimator.startswith(("pipeline.recipes:", "sklearn.dummy:"))
