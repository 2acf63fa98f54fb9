"""The model: the chosen recipe fitted once more on everything that has matured, as a file with a probe."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from tallystick.ledger.events.commit import from_micros
from tallystick.ledger.events.event import About
from tallystick.pipeline.data.delivered import PREDICTION, UNTIL, Delivered
from tallystick.pipeline.data.slice import (
    LABEL_KNOWN,
    TIME,
    answered,
    numbers,
    open_table,
    rows_of,
)
from tallystick.pipeline.evaluate import backtest
from tallystick.pipeline.evaluate.backtest import BacktestPlan
from tallystick.pipeline.evaluate.fitting import Recipe, fitted, training_rows
from tallystick.pipeline.evaluate.result_tables import parquet
from tallystick.pipeline.models.model_file import ModelFile, dump, predict, prediction_hash

PROBE_ROWS = 1_000


class Refit(NamedTuple):
    """A fitted model and what it is for."""

    file: ModelFile
    rows: int
    probe: pd.DataFrame
    """Rows of the slice, evenly spaced in time, on which the file must predict the same for ever."""
    probe_hash: str
    threshold: float | None
    """From which probability on it says yes; None where nothing is judged by costs."""
    about: About
    """Trained on the times of its rows; intended for the validity after the last label that it used."""


def refit(recipe: Recipe, plan: BacktestPlan, *, valid_for: int) -> Refit:
    """Fit on every row whose label is known by the plan's ``as_of``; both it and ``valid_for`` in microseconds.

    On one thread: the file records the number of threads, and equal models should be equal files. Predictions that
    were computed elsewhere are not fitted: the model is their table.
    """
    if recipe.delivered is not None:
        return _delivered(recipe.delivered, plan, valid_for)
    table = open_table(plan.slice)
    label_known = numbers(table, LABEL_KNOWN)
    rows = np.flatnonzero(answered(table, plan.as_of))
    train = rows_of(table, rows)
    learnt = training_rows(train, recipe.columns, plan.weight)
    frame = learnt.frame
    with backtest.one_thread():
        seed = backtest.seed_for(plan.seed, recipe.name, "refit")
        made = fitted(recipe, learnt, plan.measure, seed, "the final refit")
        model = made.model
        probe = frame.iloc[np.linspace(0, len(frame) - 1, min(PROBE_ROWS, len(frame))).astype(int)]
        probe_hash = prediction_hash(predict(model, probe))
    times, last_label = numbers(train, TIME), int(label_known[rows].max())
    if recipe.onnx is None:
        trained_on, count = (int(times.min()), int(times.max()) + 1), len(rows)
    else:  # nobody here knows which rows it learnt from, only when that ended
        trained_on, count = (min(int(times.min()), recipe.onnx.trained_until), recipe.onnx.trained_until), 0
    about = About(
        trained_on=(from_micros(trained_on[0]), from_micros(trained_on[1])),
        intended_for=(from_micros(last_label), from_micros(last_label + valid_for)),
    )
    file = dump(model, recipe.packages)
    return Refit(file, count, probe.reset_index(drop=True), probe_hash, made.threshold, about)


def _delivered(delivered: Delivered, plan: BacktestPlan, valid_for: int) -> Refit:
    """A model that lives elsewhere, as the table of its predictions for the windows that were judged."""
    table, whole = delivered.table, open_table(plan.slice)
    last_label = int(numbers(whole, LABEL_KNOWN)[np.flatnonzero(answered(whole, plan.as_of))].max())
    until = int(table[UNTIL].max()) if UNTIL in table else last_label
    about = About(
        trained_on=(from_micros(min(plan.slice.first_time, until)), from_micros(until)),
        intended_for=(from_micros(last_label), from_micros(last_label + valid_for)),
    )
    file = ModelFile(parquet(table), [], {})
    return Refit(file, len(table), table, prediction_hash(table[PREDICTION].to_numpy()), None, about)
