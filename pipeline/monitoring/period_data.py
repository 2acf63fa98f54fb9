"""A live period as a champion meets it: its rows cut from the source, predicted by the very file that was recorded."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events import types as say
from tallystick.ledger.events.commit import to_micros
from tallystick.ledger.events.types import Levels
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.views.entities import ModelState
from tallystick.pipeline.config.settings import Pipeline
from tallystick.pipeline.config.windows import Window
from tallystick.pipeline.data.answers import Terms
from tallystick.pipeline.data.delivered import Delivered, read_delivered
from tallystick.pipeline.data.slice import (
    LABEL_KNOWN,
    TARGET,
    TIME,
    Slice,
    answered,
    column_hash,
    columns_there,
    cut,
    frame_of,
    numbers,
    open_table,
    rows_of,
    text_series,
)
from tallystick.pipeline.evaluate import backtest
from tallystick.pipeline.evaluate import metrics as measure
from tallystick.pipeline.evaluate.backtest import BacktestPlan
from tallystick.pipeline.evaluate.fitting import fitted, recipe_for, training_rows, weights_in
from tallystick.pipeline.evaluate.losses import Measure, measure_of
from tallystick.pipeline.evaluate.metrics import Floats, Scored
from tallystick.pipeline.governance.evidence import leakage_of
from tallystick.pipeline.models.model_file import predict
from tallystick.pipeline.monitoring.baseline import OwnHistory
from tallystick.pipeline.monitoring.columns import ColumnShares, LiveColumns
from tallystick.pipeline.monitoring.facts import JudgedRows
from tallystick.pipeline.recipes import Columns, Task

MOST_ODD_WORDS = 3
AS_LONG = 0.9
"""Of a period's length: a column that had one value for so long before may have one throughout the period. Months
differ by a tenth."""


class Schema(msgspec.Struct, frozen=True, kw_only=True):
    """How the source differs from what the model was made for."""

    gone: list[str]
    """Features of the model that no longer arrive."""
    other_kind: list[str]
    """Features that were numbers and are text now, or the other way round."""
    odd: dict[str, tuple[int, list[str]]] = {}
    """Features that were numbers: how many values are text now, and some of them."""
    new: list[str] = []
    """Columns that the source did not have when the model was made; the model does not use them."""

    @property
    def changed(self) -> bool:
        """Whether the model can still be asked."""
        return bool(self.gone or self.other_kind)


class Live(NamedTuple):
    """What is there of a period."""

    slice: Slice
    schema: Schema
    rows: int
    """All rows of the period, whether or not their label is known."""
    immature: int
    """Rows whose answer is not known."""
    overdue: int
    """Those of them whose answer was due."""
    last: int | None
    """Time of the last row, in microseconds; None without rows."""
    gap: int
    """Longest time between two successive rows."""
    arrived: LiveColumns | None
    """How the columns arrived; None where they cannot be asked about."""
    matures_at: int | None
    """When the last label of the period is known, in microseconds since 1970-01-01 UTC; None without rows."""
    mature: JudgedRows | None
    """None where nothing can be judged: no rows, no label, or a schema that the model was not made for."""
    predictions: Floats
    """Of all rows of the period; empty where the model cannot be asked."""
    metrics: dict[str, say.Metric]
    reference_metrics: dict[str, say.Metric]
    reliability: list[say.Reliability]
    histograms: dict[str, Levels]
    columns: dict[str, str]
    measure: Measure
    """What gives a row its loss, at the threshold of the model where it is a cost."""
    weights: Floats | None = None
    """Of all rows of the period, with a mean of one; None where every row counts the same."""


def columns_known(now: Snapshot, run: str) -> set[str] | None:
    """All columns that the source had in a run; None where that was not recorded."""
    checked = leakage_of(now, run)
    found = next((check for check in checked.checks if check.check == "declared columns"), None) if checked else None
    names = found.facts.get("in_source") if found else None
    # What a check says of itself is free form: where it is no list of names, it was written by something else.
    return set(names) if isinstance(names, list) and names and all(isinstance(name, str) for name in names) else None


@contextmanager
def period_cut(
    settings: Pipeline,
    base: Path,
    made: say.CandidateRefitted,
    *,
    known: set[str] | None = None,
    until: int | None = None,
    terms: Terms,
) -> Iterator[tuple[Slice, Schema]]:
    """The source as it is today, cut with the features that still arrive; the files go with the block.

    The row count and fingerprint of the pipeline file name the table of an experiment; a live source has grown.
    ``known`` are the columns that the source had when the model was made, where that was recorded.
    """
    data = settings.data
    joined = {name for name, feature in data.features.known_at.items() if feature.join}
    there = columns_there(data, base, terms.reading)
    gone = [name for name in made.features if name not in there]
    known_at = {name: feature for name, feature in data.features.known_at.items() if name not in gone}
    if not known_at:
        raise InvalidInput(f"{data.source} has none of the features of the model.")
    features = msgspec.structs.replace(data.features, known_at=known_at)
    joins = {
        name: join
        for name, join in data.joins.items()
        if any(known_at[feature].join == name for feature in joined & set(known_at))
    }
    segments = [name for name in settings.monitoring.segments if name not in gone]
    loose = msgspec.structs.replace(data, features=features, joins=joins, rows_expected=None, fingerprint=None)
    watched = msgspec.structs.replace(settings.monitoring, segments=segments)
    with tempfile.TemporaryDirectory(prefix="tally-slice-", ignore_cleanup_errors=True) as folder:
        live = msgspec.structs.replace(settings, data=loose, monitoring=watched)
        slice_ = cut(live, base, Path(folder), until=until, terms=terms)
        numeric, categorical = set(made.recipe["numeric"]), set(made.recipe["categorical"])
        other_kind = [
            name
            for name in made.features
            if (name in slice_.categorical and name in numeric) or (name in slice_.numeric and name in categorical)
        ]
        new = sorted(there - known) if known is not None else []
        table = open_table(slice_)
        odd = {name: _odd_words(table, name) for name in other_kind if name in numeric}
        yield slice_, Schema(gone=gone, other_kind=other_kind, odd=odd, new=new)


def _odd_words(table: pa.Table, name: str) -> tuple[int, list[str]]:
    """How many values of a text column are no numbers, and the first few of them."""
    texts = text_series(table, name)
    odd = texts[texts.notna() & pd.to_numeric(texts, errors="coerce").isna()]
    return len(odd), [str(text) for text in odd.unique()[:MOST_ODD_WORDS]]


def delivered_for(
    settings: Pipeline, made: say.CandidateDelivered, base: Path, slice_: Slice, window: Window
) -> Delivered:
    """What was delivered for a period.

    Raises
    ------
    InvalidInput
        Where the pipeline file names no predictions of this model any more, or they cannot be used.
    """
    item = settings.candidates.get(made.candidate)
    if item is None or item.predictions is None:
        raise InvalidInput(
            f"{made.model} was computed elsewhere, as declared by {made.declared_by}, and the file does not say where "
            "its predictions are delivered now.",
            f"[candidates.{made.candidate}] predictions = …",
        )
    return read_delivered(settings, made.candidate, base, slice_, [window])


def live_of(
    settings: Pipeline,
    slice_: Slice,
    schema: Schema,
    window: Window,
    *,
    estimator: Any,
    made: say.CandidateRefitted,
    trained_until: int,
    history: OwnHistory,
    as_of: int,
    ask: bool,
) -> Live:
    """Everything about one period that needs its rows; ``as_of`` and ``trained_until`` in microseconds.

    With ``ask`` false the rows are counted and the model is not asked: it is not meant for them.
    """
    task = settings.task
    table = open_table(slice_)
    period = rows_of(table, np.flatnonzero(window.test_rows(numbers(table, TIME))))
    label_known = numbers(period, LABEL_KNOWN)
    known = answered(period, as_of)
    waiting, overdue = int((~known).sum()), int((~known & (label_known <= as_of)).sum())
    plan = _plan(settings, slice_, task, history, as_of, made)
    columns = Columns(tuple(made.recipe["numeric"]), tuple(made.recipe["categorical"]))
    if not period.num_rows or schema.changed or not ask:
        return _not_asked(slice_, schema, period.num_rows, (waiting, overdue), plan.measure)
    if isinstance(estimator, Delivered):
        p = estimator.of_window(made.candidate, window, period)
    else:
        with backtest.one_thread():
            p = predict(estimator, frame_of(period, columns))
    mature = rows_of(period, np.flatnonzero(known))
    histograms = _histograms(mature if mature.num_rows else period, history)
    arrived = _arrived(period, rows_of(table, np.flatnonzero(numbers(table, TIME) < trained_until)), columns, known)
    last, gap = _reach(numbers(period, TIME))
    hashes = {name: column_hash(period[name]) for name in sorted(period.column_names)}
    judged = None
    metrics: dict[str, say.Metric] = {}
    reference: dict[str, say.Metric] = {}
    reliability: list[say.Reliability] = []
    if mature.num_rows:
        scored = backtest.scored_rows(mature, p[known], plan, None)
        theirs = _reference(settings, plan, table, mature, trained_until)
        metrics = measure.metrics(task, scored)
        reference = {} if theirs is None else measure.metrics(task, theirs)
        reliability = measure.reliability(scored.y, scored.p)
        judged = _judged_rows(mature, scored, plan, histograms, arrived)
        judged = judged._replace(reference=theirs, unknown=p[~known])
    return Live(
        slice=slice_,
        schema=schema,
        rows=period.num_rows,
        immature=waiting,
        overdue=overdue,
        last=last,
        gap=gap,
        arrived=arrived,
        matures_at=int(label_known.max()),
        mature=judged,
        predictions=p,
        metrics=metrics,
        reference_metrics=reference,
        reliability=reliability,
        histograms=histograms,
        columns=hashes,
        measure=plan.measure.by_row,
        weights=weights_in(period, plan.weight),
    )


def _reach(times: npt.NDArray[np.int64]) -> tuple[int, int]:
    """The time of the last row, and the longest time between two successive ones."""
    return int(times.max()), int(np.diff(np.sort(times)).max()) if len(times) > 1 else 0


def _judged_rows(
    table: pa.Table, scored: Scored, plan: BacktestPlan, histograms: dict[str, Levels], arrived: LiveColumns
) -> JudgedRows:
    return JudgedRows(
        scored=scored._replace(measure=scored.measure.by_row),
        segments=backtest.segments_of(table, plan),
        bins=_bins(table, histograms),
        histograms=histograms,
        columns=arrived,
        reference=None,
    )


def _not_asked(slice_: Slice, schema: Schema, rows: int, unknown: tuple[int, int], measure: Measure) -> Live:
    """A period whose rows are counted only; ``unknown`` are the rows that wait for an answer, and those overdue."""
    nobody, by = np.zeros(0), measure.by_row
    return Live(slice_, schema, rows, *unknown, None, 0, None, None, None, nobody, {}, {}, [], {}, {}, by)


def _plan(
    settings: Pipeline, slice_: Slice, task: Task, history: OwnHistory, as_of: int, made: say.CandidateRefitted
) -> BacktestPlan:
    """What the period is judged by; costs at the threshold that was chosen when the model was made."""
    return BacktestPlan(
        slice=slice_,
        task=task,
        timezone=settings.time.timezone,
        resample=settings.selection.resample,
        segments=tuple(name for name in settings.monitoring.segments),
        group_overlap=None,
        measure=watched_measure(settings, made),
        seed=settings.selection.seed,
        min_rows=settings.time.min_rows,
        as_of=as_of,
        edges=history.edges,
        levels=history.levels,
        target_edges=[],
        weight=settings.data.weight.column if settings.data.weight else None,
    )


def watched_measure(settings: Pipeline, made: say.CandidateRefitted) -> Measure:
    """What the pipeline judges by, with the threshold of this model where it is a cost."""
    return measure_of(settings).at(made.recipe.get("threshold"))


def _histograms(table: pa.Table, history: OwnHistory) -> dict[str, Levels]:
    there = set(table.column_names)
    found = {
        name: measure.histogram(numbers(table, name), edges)
        for name, edges in history.edges.items()
        if name in there and not pa.types.is_dictionary(table[name].type)
    }
    for name, levels in history.levels.items():
        if name in there and pa.types.is_dictionary(table[name].type):
            found[name] = measure.level_counts(text_series(table, name), levels)
    return found


def _bins(table: pa.Table, histograms: dict[str, Levels]) -> dict[str, npt.NDArray[np.int64]]:
    bins = {}
    for name, histogram in histograms.items():
        by_level = histogram.edges is None
        values = text_series(table, name) if by_level else pd.Series(numbers(table, name))
        bins[name] = bins_of(values, histogram)
    return bins


def _arrived(period: pa.Table, before: pa.Table, columns: Columns, known: npt.NDArray[np.bool_]) -> LiveColumns:
    """How the columns of a period arrived, beside the rows from before the model was made."""
    missing, outside, constant = {}, {}, []
    unseen: dict[str, float] = {}
    names: dict[str, list[str]] = {}
    marked: dict[str, npt.NDArray[np.bool_]] = {}
    length = int(np.ptp(numbers(period, TIME)))
    times = numbers(before, TIME)
    for name in columns.numeric:
        values, every = numbers(period, name), numbers(before, name)
        absent, earlier = np.isnan(values), every[~np.isnan(every)]
        missing[name] = float(absent.mean())
        if len(earlier):
            outside[name] = float(((values < earlier.min()) | (values > earlier.max())).mean())
            if not absent.any() and values.min() == values.max() and _longest_run(every, times) < AS_LONG * length:
                constant.append(name)
    for name in columns.categorical:
        codes, levels = text_series(period, name).factorize()
        earlier_codes, earlier_levels = text_series(before, name).factorize()
        trained = set(earlier_levels)
        missing[name] = float((codes < 0).mean())
        strange = np.array([level not in trained for level in levels] + [False])
        rows = strange[codes]
        unseen[name] = float(rows.mean())
        counts = np.bincount(codes[rows], minlength=len(levels))
        names[name] = [str(levels[index]) for index in np.argsort(-counts, kind="stable")[:10] if counts[index]]
        marked[name] = rows[known]
        if len(levels) == 1 and missing[name] == 0.0 and trained and not rows.any():
            every = np.where(earlier_codes < 0, np.nan, earlier_codes)
            if _longest_run(every, times) < AS_LONG * length:
                constant.append(name)
    shares = ColumnShares(period.num_rows, missing, outside, unseen)
    return LiveColumns(shares, tuple(constant), names, marked)


def _longest_run(values: npt.NDArray[np.float64], times: npt.NDArray[np.int64]) -> int:
    """The longest time in which a column held one value, in microseconds; rows without a value are passed over.

    The month of the year, or a flag of the days around Christmas, has one value in most periods.
    """
    order = np.argsort(times, kind="stable")
    order = order[~np.isnan(values[order])]
    values, times = values[order], times[order]
    if not len(values):
        return 0
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    ends = np.concatenate([starts[1:] - 1, [len(values) - 1]])
    return int((times[ends] - times[starts]).max())


def bins_of(values: pd.Series[Any], histogram: Levels) -> npt.NDArray[np.int64]:
    """The place of each value in a histogram's counts; then ``other``, then missing."""
    other, missing = len(histogram.counts), len(histogram.counts) + 1
    if histogram.edges is not None:
        numeric = values.to_numpy(dtype=np.float64)
        edges = np.asarray(histogram.edges)
        places = np.clip(np.searchsorted(edges, numeric, side="right") - 1, 0, other - 1)
        places = np.where((numeric < edges[0]) | (numeric > edges[-1]), other, places)
        return np.where(np.isnan(numeric), missing, places).astype(np.int64)
    positions = {level: index for index, level in enumerate(histogram.levels or [])}
    places = values.map(lambda level: positions.get(level, other)).to_numpy()
    return np.where(values.isna().to_numpy(), missing, places).astype(np.int64)


def _reference(
    settings: Pipeline, plan: BacktestPlan, table: pa.Table, mature: pa.Table, trained_until: int
) -> Scored | None:
    """What the reference, fitted on what the model knew, says of the same rows; None without rows to fit it on."""
    name = settings.reference
    before = np.flatnonzero((numbers(table, TIME) < trained_until) & ~np.isnan(numbers(table, TARGET)))
    if not len(before):
        return None
    train = rows_of(table, before)
    columns = plan.slice.features
    recipe = recipe_for(settings, name, columns)
    seed = backtest.seed_for(settings.selection.seed, name, "live")
    with backtest.one_thread():
        learnt = training_rows(train, columns, plan.weight)
        found = fitted(recipe, learnt, plan.measure, seed, "the live period")
        return backtest.scored_rows(mature, predict(found.model, frame_of(mature, columns)), plan, found.threshold)


def trained_until(model: ModelState) -> int:
    """End of the rows that a model was trained on, in microseconds since 1970-01-01 UTC."""
    if model.trained_on is None:
        raise InvalidInput(f"It is not recorded what {model.model} was trained on, so nothing of it can be judged.")
    return to_micros(model.trained_on[1])
