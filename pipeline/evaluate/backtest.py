"""Windows × candidates: every cell a pure function of (slice reference, recipe, seed), wherever it runs.

Workers get paths, not frames, and never touch the ledger. Each cell computes on one thread; what runs at once is
cells.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from blake3 import blake3

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events.types import Levels, Metric, Overlap, Reliability
from tallystick.pipeline.config.settings import HOUR_BAND, Pipeline
from tallystick.pipeline.config.windows import Window
from tallystick.pipeline.data.reading import FIRST_READING, READING
from tallystick.pipeline.data.slice import (
    LABEL_KNOWN,
    TARGET,
    TIME,
    Slice,
    answered,
    column_hash,
    frame_of,
    numbers,
    open_table,
    rows_hash,
    rows_of,
    text_codes,
    text_series,
)
from tallystick.pipeline.evaluate import metrics as measure
from tallystick.pipeline.evaluate import sentences
from tallystick.pipeline.evaluate.fitting import Fitted, Recipe, asked, fitted, training_rows, weights_in
from tallystick.pipeline.evaluate.losses import Measure, measure_of, threshold_by_costs
from tallystick.pipeline.evaluate.metrics import SCORE_EDGES, Floats, Scored, Units
from tallystick.pipeline.models.model_file import prediction_hash
from tallystick.pipeline.models.workers import parallel
from tallystick.pipeline.recipes import Task

Rows = npt.NDArray[np.int64]
LARGEST_IMMATURE_SHARE = 0.05
WEIGHT = "__weight"
"""Name of the weights in a table of predictions."""
MOST_LEVELS = 30
HISTOGRAM_BINS = 10
BANDS = ("00–06", "06–12", "12–18", "18–24")


class BacktestPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What all cells of a backtest share."""

    slice: Slice
    task: Task
    timezone: str
    resample: str
    segments: tuple[str, ...]
    group_overlap: str | None
    measure: Measure
    seed: int
    min_rows: int
    as_of: int
    """Labels known by this moment (microseconds UTC) may be used."""
    edges: dict[str, list[float]]
    levels: dict[str, list[str]]
    target_edges: list[float]
    weight: str | None = None
    """The column that says how many rows a row counts as."""

    @property
    def metric(self) -> str:
        """The name of what candidates are judged by."""
        return self.measure.name


class Cell(NamedTuple):
    """One candidate on one window."""

    window: Window
    recipe: Recipe
    random_split: bool = False
    """Fit and judge on a random split of the same rows instead, to measure its optimism."""


def cells_of(windows: Sequence[Window], recipes: Sequence[Recipe]) -> list[Cell]:
    """Every candidate on every window, but for those of which an imported model may have seen the answers."""
    return [Cell(window, recipe) for window in windows for recipe in recipes if not recipe.knew(window)]


class Judged(NamedTuple):
    """What one cell comes to."""

    label: str
    candidate: str
    predictions: Floats
    prediction_hash: str
    metrics: dict[str, Metric]
    metrics_by_overlap: dict[str, dict[str, Metric]]
    reliability: list[Reliability]
    scores: Levels
    losses: pd.DataFrame
    """See :func:`pipeline.evaluate.metrics.loss_table`."""
    fit_seconds: float
    predict_seconds: float
    warnings: list[str]


class Described(NamedTuple):
    """The data of one window."""

    window: Window
    train_rows: int
    test_rows: int
    immature_rows: int
    removed_for_overlap: int
    complete: bool
    train_hash: str
    test_hash: str
    test_columns: dict[str, str]
    train_target: dict[str, Any]
    test_target: dict[str, Any]
    overlap: Overlap | None
    new_levels: dict[str, float]
    missing: dict[str, float]
    histograms: dict[str, Levels]
    warnings: list[str]
    keys: pd.DataFrame
    """Key columns, target and weight of the test rows, in order."""


class Split(NamedTuple):
    """Positions of the rows that train and test, and what was set aside."""

    train: Rows
    test: Rows
    immature: int
    removed: int


def make_plan(settings: Pipeline, slice_: Slice, first: Window, *, as_of: int) -> BacktestPlan:
    """What all cells share; bins of histograms are frozen at the first window's training rows."""
    table = open_table(slice_)
    train = split(table, first, as_of, None).train
    frozen = rows_of(table, train) if len(train) else table
    edges = {name: _quantile_edges(numbers(frozen, name)) for name in slice_.numeric}
    levels = {
        name: sorted(text_series(frozen, name).value_counts().head(MOST_LEVELS).index) for name in slice_.categorical
    }
    target_edges = list(SCORE_EDGES) if settings.task == "classification" else _quantile_edges(numbers(frozen, TARGET))
    return BacktestPlan(
        slice=slice_,
        task=settings.task,
        timezone=settings.time.timezone,
        resample=settings.selection.resample,
        segments=tuple(settings.monitoring.segments),
        group_overlap=settings.data.group.overlap if settings.data.group else None,
        measure=measure_of(settings),
        seed=settings.selection.seed,
        min_rows=settings.time.min_rows,
        as_of=as_of,
        edges=edges,
        levels=levels,
        target_edges=target_edges,
        weight=settings.data.weight.column if settings.data.weight else None,
    )


def _quantile_edges(values: Floats) -> list[float]:
    """Bounds of ten bins with equal numbers of rows; fewer where values repeat."""
    present = values[~np.isnan(values)]
    if not len(present):
        return [0.0, 1.0]
    edges = np.unique(np.quantile(present, np.linspace(0.0, 1.0, HISTOGRAM_BINS + 1)))
    return [float(edge) for edge in edges] if len(edges) > 1 else [float(edges[0]), float(edges[0]) + 1.0]


def split(table: pa.Table, window: Window, as_of: int, forbidden_group: str | None) -> Split:
    """Training and test rows of a window: never a label from after the cut-off, nor from after ``as_of``."""
    times, label_known = numbers(table, TIME), numbers(table, LABEL_KNOWN)
    known = answered(table, as_of)
    train = np.flatnonzero(window.train_rows(times, label_known) & known)
    in_window = window.test_rows(times)
    mature = in_window & known
    test = np.flatnonzero(mature)
    removed = 0
    if forbidden_group is not None and len(train) and len(test):
        groups = as_text(table, forbidden_group)
        keep = ~groups.iloc[train].isin(set(groups.iloc[test].dropna())).to_numpy()
        removed, train = int((~keep).sum()), train[keep]
    if len(train) and int(label_known[train].max()) > window.cutoff:
        raise AssertionError(f"window {window.label}: a training label is known only after the cut-off")
    return Split(train, test, int(in_window.sum() - mature.sum()), removed)


def backtest(
    plan: BacktestPlan, cells: Sequence[Cell], windows: Sequence[Window], workers: int
) -> Iterator[Described | Judged]:
    """Describe ``windows`` and judge ``cells``, each window's description before its cells, in the given order.

    Runs under whatever joblib backend is active; results do not depend on it.
    """
    from joblib import delayed

    tasks = []
    for window in windows:
        tasks.append(delayed(describe)(plan, window))
        tasks += [delayed(judge)(plan, cell) for cell in cells if cell.window == window]
    # A run that ends early, on a full disk or by Ctrl-C, leaves cells that nobody waits for; that is nobody's news.
    warnings.filterwarnings("ignore", "[0-9]+ tasks (have been successfully executed|which were still)", UserWarning)
    compute = parallel(workers, return_as="generator", batch_size=1, pre_dispatch="2*n_jobs")
    return iter(compute(tasks))


def judge(plan: BacktestPlan, cell: Cell) -> Judged:
    """Fit one candidate on what a window may know, and judge it on the window itself."""
    table = open_table(plan.slice)
    window, recipe = cell.window, cell.recipe
    rows = split(table, window, plan.as_of, _forbidden(plan))
    if cell.random_split:
        rows = _at_random(rows, plan.seed, window.label)
    if not len(rows.train) or not len(rows.test):
        what = "train on" if not len(rows.train) else "test on"
        if rows.immature and not len(rows.test):
            raise InvalidInput(
                f"Of window {window.label} no row has a known answer yet ({rows.immature:,} wait for it).",
                "End last_test earlier, or run again when the answers have come.",
            )
        raise InvalidInput(
            f"Window {window.label} has no rows to {what}.", "Check first_test, last_test and label_delay."
        )
    train, test = rows_of(table, rows.train), rows_of(table, rows.test)
    told = _predictions(plan, recipe, window, train, test)
    p, scored = told.p, scored_rows(test, told.p, plan, told.threshold)
    by_overlap = {}
    if plan.slice.group is not None and plan.group_overlap == "allowed" and not cell.random_split:
        seen = _seen(train, test, plan.slice.group)
        by_overlap = {
            name: measure.metrics(plan.task, scored.only(mask))
            for name, mask in (("seen groups", seen), ("unseen groups", ~seen))
        }
    return Judged(
        label=window.label,
        candidate=recipe.name,
        predictions=p,
        prediction_hash=prediction_hash(p),
        metrics=measure.metrics(plan.task, scored),
        metrics_by_overlap=by_overlap,
        reliability=measure.reliability(scored.y, p),
        scores=measure.histogram(p, plan.target_edges),
        losses=measure.loss_table(scored, segments_of(test, plan)),
        fit_seconds=told.fit_seconds,
        predict_seconds=told.predict_seconds,
        warnings=told.warnings,
    )


class _Told(NamedTuple):
    """What a candidate says of a window's rows."""

    p: Floats
    threshold: float | None
    fit_seconds: float
    predict_seconds: float
    warnings: list[str]


def _predictions(plan: BacktestPlan, recipe: Recipe, window: Window, train: pa.Table, test: pa.Table) -> _Told:
    """What a candidate predicts for a window's rows."""
    started = time.perf_counter()
    if recipe.delivered is not None:
        p = recipe.delivered.of_window(recipe.name, window, test)
        costs = plan.measure.costs
        return _Told(p, None if costs is None else threshold_by_costs(costs), 0.0, time.perf_counter() - started, [])
    learnt = training_rows(train, recipe.columns, plan.weight)
    with one_thread(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = fitted(recipe, learnt, plan.measure, seed_for(plan.seed, recipe.name, window.label), window.label)
        ready = time.perf_counter()
        p = asked(recipe, made.model, frame_of(test, recipe.columns), window.label)
        predicted = time.perf_counter()
    said = {f"{item.category.__name__}: {item.message}" for item in caught}
    remarks = sorted(said | set(_remarks(made, plan.measure, p)))
    return _Told(p, made.threshold, ready - started, predicted - ready, remarks)


def scored_rows(test: pa.Table, p: Floats, plan: BacktestPlan, threshold: float | None) -> Scored:
    """Rows with what was said of them, ready to be judged."""
    return Scored(
        numbers(test, TARGET), p, units_of(test, plan), plan.measure.at(threshold), weights_in(test, plan.weight)
    )


def _remarks(made: Fitted, by: Measure, p: Floats) -> Iterator[str]:
    """What a reader of a candidate's numbers should know beside the warnings of its library."""
    if made.remark is not None:
        yield made.remark
    if by.name == "poisson_deviance" and (low := int((p <= 0.0).sum())):
        yield f"{low:,} of {len(p):,} predictions are not above zero; a Poisson deviance counts them as nearly zero."


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for linear algebra and for the trees' own loops, here, for the length of a ``with`` block.

    Sums in linear algebra depend on the number of threads. And threads that wait for each other by spinning stop
    dead as soon as something else wants the cores: two runs of two threads each, on two cores, took over twenty
    times as long as two runs of one. Estimators that use joblib themselves would hand parts of a fit to whatever
    computes the run's cells: a model fitted on a cluster came back in another file than one fitted at home.
    """
    from joblib import parallel_config
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1), parallel_config(backend="sequential", n_jobs=1):
        yield


def seed_for(seed: int, candidate: str, window: str) -> int:
    """A seed of its own for every cell, 31 bits."""
    digest = blake3(f"{seed}/{candidate}/{window}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def _at_random(rows: Split, seed: int, label: str) -> Split:
    """The same rows shuffled, with a training set of the same size; the same split for every candidate."""
    pool = np.concatenate([rows.train, rows.test])
    shuffled = np.random.default_rng(seed_for(seed, "random split", label)).permutation(pool)
    size = len(rows.train)
    return Split(np.sort(shuffled[:size]), np.sort(shuffled[size:]), rows.immature, rows.removed)


def _forbidden(plan: BacktestPlan) -> str | None:
    return plan.slice.group if plan.group_overlap == "forbidden" else None


def _seen(train: pa.Table, test: pa.Table, group: str) -> npt.NDArray[np.bool_]:
    return as_text(test, group).isin(set(as_text(train, group).dropna())).to_numpy()


def units_of(table: pa.Table, plan: BacktestPlan) -> Units:
    """The resample unit of each row: local day, ISO week, the row itself, or the value of a column."""
    rows: Any = slice(None)
    if plan.resample == "row":
        names: Any = np.arange(table.num_rows).astype(str)
    elif plan.resample in ("day", "week"):
        local = pd.to_datetime(numbers(table, TIME), unit="us", utc=True).tz_convert(plan.timezone)
        days = local.normalize().tz_localize(None)
        if plan.resample == "week":
            days = days - pd.to_timedelta(days.weekday, unit="D")
        rows, distinct = pd.factorize(days)
        names = pd.DatetimeIndex(distinct).strftime("%Y-%m-%d")
    else:
        names = as_text(table, plan.resample, plan.slice.reading).fillna("(missing)")
    codes, found = pd.factorize(np.asarray(names, dtype=object), sort=True)
    return Units(codes.astype(np.int64)[rows], tuple(map(str, found)))


def as_text(table: pa.Table, column: str, reading: int = READING) -> pd.Series:
    """A column as text, whatever it holds; numbers without a needless ``.0``, and two different ones never equal.

    The first version of reading gave numbers six digits.
    """
    if pa.types.is_dictionary(table[column].type):
        return text_series(table, column)
    written = "g" if reading == FIRST_READING else ".17g"
    codes, distinct = pd.factorize(numbers(table, column))
    texts = np.array([*(_shortest(value, written) for value in distinct), None], dtype=object)
    return pd.Series(texts[codes], dtype=object)


def _shortest(value: float, written: str) -> str:
    """A number in the fewest digits that are still it."""
    short = f"{value:g}"
    return short if written == "g" or float(short) == value else np.format_float_positional(value, trim="-")


def segments_of(table: pa.Table, plan: BacktestPlan) -> dict[str, pd.Series]:
    """The level of each row in each segment that is watched."""
    found = {}
    for name in plan.segments:
        if name == HOUR_BAND:
            local = pd.to_datetime(numbers(table, TIME), unit="us", utc=True).tz_convert(plan.timezone)
            found[name] = pd.Series(np.array(BANDS, dtype=object)[local.hour // 6])
        else:
            found[name] = as_text(table, name, plan.slice.reading)
    return found


def describe(plan: BacktestPlan, window: Window) -> Described:
    """The facts about a window's rows, and whether it counts for selection."""
    table = open_table(plan.slice)
    rows = split(table, window, plan.as_of, _forbidden(plan))
    train, test = rows_of(table, rows.train), rows_of(table, rows.test)
    in_window = len(rows.test) + rows.immature
    too_immature = in_window > 0 and rows.immature / in_window > LARGEST_IMMATURE_SHARE
    too_few = len(rows.test) < plan.min_rows
    y = numbers(test, TARGET)
    overlap = None
    if plan.slice.group is not None and plan.group_overlap is not None:
        seen = _seen(train, test, plan.slice.group)
        overlap = Overlap(
            column=plan.slice.group,
            policy=plan.group_overlap,
            seen_rows=int(seen.sum()),
            unseen_rows=int((~seen).sum()),
        )
    histograms = {name: measure.histogram(numbers(test, name), plan.edges[name]) for name in plan.slice.numeric}
    for name in plan.slice.categorical:
        histograms[name] = measure.level_counts(text_series(test, name), plan.levels[name])
    keys = pd.DataFrame({name: _plain(test, name) for name in plan.slice.key} | {"target": y})
    if plan.weight is not None:
        keys[WEIGHT] = numbers(test, plan.weight)
    return Described(
        window=window,
        train_rows=len(rows.train),
        test_rows=len(rows.test),
        immature_rows=rows.immature,
        removed_for_overlap=rows.removed,
        complete=not too_immature and not too_few and not (plan.measure.ranks and len(np.unique(y)) < 2),
        train_hash=rows_hash(train),
        test_hash=rows_hash(test),
        test_columns={name: column_hash(test[name]) for name in sorted(test.column_names)},
        train_target=_target_facts(numbers(train, TARGET), plan.task),
        test_target=_target_facts(y, plan.task),
        overlap=overlap,
        new_levels={name: _new_share(train, test, name) for name in plan.slice.categorical},
        missing={name: _missing_share(test, name) for name in (*plan.slice.numeric, *plan.slice.categorical)},
        histograms=histograms,
        warnings=_window_warnings(plan, window, rows, y),
        keys=keys,
    )


def _window_warnings(plan: BacktestPlan, window: Window, rows: Split, y: Floats) -> list[str]:
    """What a reader of this window's numbers should know, in sentences."""
    said = []
    in_window = len(rows.test) + rows.immature
    if in_window and rows.immature / in_window > LARGEST_IMMATURE_SHARE:
        said.append(sentences.partial_window_sentence(window.label, rows.immature, in_window))
    elif rows.immature:
        said.append(f"{rows.immature:,} of {in_window:,} test rows have no mature label yet.")
    if len(rows.test) < plan.min_rows:
        said.append(sentences.few_rows_sentence(window.label, len(rows.test), plan.min_rows))
    if rows.removed:
        of = rows.removed + len(rows.train)
        said.append(sentences.removed_rows_sentence(window.label, rows.removed, of, plan.slice.group or ""))
    if plan.task == "classification" and len(y) and len(np.unique(y)) == 1:
        said.append(sentences.one_class_sentence(window.label, len(y), bool(y[0] == 1.0)))
    return said


def _plain(table: pa.Table, name: str) -> Any:
    return text_series(table, name) if pa.types.is_dictionary(table[name].type) else numbers(table, name)


def _target_facts(y: Floats, task: Task) -> dict[str, Any]:
    if not len(y):
        return {"rows": 0}
    if task == "classification":
        return {"rows": len(y), "rate": float(y.mean())}
    quantiles = {f"q{share:02.0f}": float(np.quantile(y, share / 100)) for share in (5, 25, 50, 75, 95)}
    return {"rows": len(y), "mean": float(y.mean()), **quantiles}


def _new_share(train: pa.Table, test: pa.Table, name: str) -> float:
    """Share of test rows whose category was never seen in training."""
    if not test.num_rows:
        return 0.0
    learnt, tested = text_codes(train, name), text_codes(test, name)
    seen = {*learnt.levels[np.bincount(learnt.codes, minlength=len(learnt.levels)) > 0], None}
    new = np.array([level not in seen for level in tested.levels])
    return float(new[tested.codes].mean())


def _missing_share(table: pa.Table, name: str) -> float:
    if not table.num_rows:
        return 0.0
    return float(pd.isna(pd.Series(_plain(table, name))).mean())
