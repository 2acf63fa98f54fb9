"""What the leakage checks look at: the rows of a slice as arrays, and which answers they may use.

Answers of sealed windows are never used; the features of those rows are, as those of rows that wait for an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from tallystick.pipeline.config.durations import parse_span, parse_time_expression
from tallystick.pipeline.config.settings import Pipeline
from tallystick.pipeline.config.windows import Window
from tallystick.pipeline.data.reading import FIRST_READING
from tallystick.pipeline.data.slice import LABEL_KNOWN, TARGET, TIME, answered, frame_of, numbers
from tallystick.pipeline.evaluate import backtest
from tallystick.pipeline.evaluate.backtest import BacktestPlan
from tallystick.pipeline.recipes import Columns, Task

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

MOST_WINDOWS = 6
MOST_TRAIN_ROWS = 8_000
MOST_TEST_ROWS = 4_000
ROWS_A_NAME = 5
"""A column of the key names a series only where its values repeat."""


class Fold(NamedTuple):
    """One window: positions of at most 8,000 training and 4,000 test rows, evenly spaced in time."""

    label: str
    train: Rows
    test: Rows


class Declared(NamedTuple):
    """What the pipeline file says of a feature."""

    at_own_time: bool
    """Known no earlier than the row's own time."""
    why: str | None


class LeakEvidence(NamedTuple):
    """All rows in time order, n of them, and what may be known of each."""

    frame: pd.DataFrame
    """Features: float64, or text with None as missing."""
    columns: Columns
    task: Task
    y: Floats
    """Answers that may be looked at; NaN elsewhere."""
    waiting: Mask
    """Rows whose answer is not known yet."""
    times: Rows
    """Microseconds since 1970-01-01 UTC."""
    zone: str
    series: tuple[Rows, ...]
    """Codes of what a row belongs to, one array for each way to see it; the last is the table as one series."""
    units: Rows
    """Codes of the units that are drawn whole: rows of one unit are not independent."""
    delay: int
    """From a row's time until its answer is known, in microseconds."""
    lead: int
    """From the prediction until the row's time, in microseconds; negative where it is made afterwards."""
    folds: tuple[Fold, ...]
    declared: dict[str, Declared]
    seed: int

    @property
    def names(self) -> list[str]:
        return [*self.columns.numeric, *self.columns.categorical]

    @property
    def known(self) -> Mask:
        """Rows whose answer may be looked at."""
        return ~np.isnan(self.y)


def gather(
    plan: BacktestPlan, settings: Pipeline, table: pa.Table, complete: Sequence[Window], sealed: Sequence[Window]
) -> LeakEvidence:
    """The evidence of a run."""
    times, target = numbers(table, TIME), numbers(table, TARGET)
    shut = np.zeros(len(times), dtype=np.bool_)
    for window in sealed:
        shut |= window.test_rows(times)
    usable = answered(table, plan.as_of) & ~shut
    prediction = parse_time_expression(settings.questions.prediction_at)
    declared = {}
    for name, feature in settings.data.features.known_at.items():
        known_at = parse_time_expression(feature.known_at)
        own = known_at.column == settings.time.column and known_at.offset_micros >= 0
        declared[name] = Declared(own, feature.why)
    forbidden = plan.slice.group if plan.group_overlap == "forbidden" else None
    folds = []
    for window in chosen_windows(complete):
        rows = backtest.split(table, window, plan.as_of, forbidden)
        if len(rows.train) and len(rows.test):
            folds.append(Fold(window.label, evenly(rows.train, MOST_TRAIN_ROWS), evenly(rows.test, MOST_TEST_ROWS)))
    return LeakEvidence(
        frame=frame_of(table, plan.slice.features),
        columns=plan.slice.features,
        task=plan.task,
        y=np.where(usable, target, np.nan),
        waiting=np.isnan(target),
        times=times,
        zone=plan.timezone,
        series=_series(plan, settings, table),
        units=backtest.units_of(table, plan).codes,
        delay=parse_span(settings.time.label_delay).exact_micros("label_delay"),
        lead=-prediction.offset_micros if prediction.column == settings.time.column else 0,
        folds=tuple(folds),
        declared=declared,
        seed=backtest.seed_for(plan.seed, "leakage checks", "all"),
    )


def _series(plan: BacktestPlan, settings: Pipeline, table: pa.Table) -> tuple[Rows, ...]:
    """The declared group, what the key names beside the time, and the table as a whole."""
    ways = [[plan.slice.group]] if plan.slice.group else []
    ways.append([name for name in plan.slice.key if name not in (settings.time.column, plan.slice.group)])
    found = []
    for names in ways:
        if not names:
            continue
        parts = [_told_apart(table, name, plan.slice.reading) for name in names]
        whole = pd.MultiIndex.from_arrays(parts) if len(parts) > 1 else parts[0]
        codes = pd.factorize(whole)[0].astype(np.int64)
        if len(codes) >= ROWS_A_NAME * (codes.max() + 1) and codes.max() > 0:
            found.append(codes)
    assert LABEL_KNOWN in table.column_names
    return (*found, np.zeros(table.num_rows, dtype=np.int64))


def _told_apart(table: pa.Table, name: str, reading: int) -> Any:
    """Values that are equal where the texts of a column are; numbers need not be written out, save as first read."""
    if pa.types.is_dictionary(table[name].type) or reading == FIRST_READING:
        return backtest.as_text(table, name, reading).fillna("(missing)")
    return pd.factorize(numbers(table, name))[0]


def chosen_windows(windows: Sequence[Window]) -> list[Window]:
    """At most six, evenly chosen: with three the verdict hung on which."""
    if len(windows) <= MOST_WINDOWS:
        return list(windows)
    return [windows[place] for place in np.linspace(0, len(windows) - 1, MOST_WINDOWS).round().astype(int)]


def evenly(rows: Rows, most: int) -> Rows:
    """At most so many, evenly spaced."""
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]
