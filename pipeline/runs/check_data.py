"""A pipeline file held against its data, before anything is run: every mistake that the table shows, at once.

Columns and their kinds, times, answers, windows; then the whole slice as a run would take it, and every candidate
built, fitted on a few rows of the first window and stored as a model is stored. Nothing is recorded.
"""

from __future__ import annotations

import difflib
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from tallystick.ledger.errors import InvalidInput, TallyError
from tallystick.ledger.events.commit import to_micros
from tallystick.ledger.events.sentences import count
from tallystick.ledger.system.clock import utc_now
from tallystick.pipeline.begin.rules import dropped_rows
from tallystick.pipeline.begin.target import target_numbers
from tallystick.pipeline.config.conditions import parse_condition
from tallystick.pipeline.config.durations import parse_time_expression
from tallystick.pipeline.config.load import LoadedPipeline, Mistake
from tallystick.pipeline.config.settings import HOUR_BAND, Pipeline
from tallystick.pipeline.config.toml_lines import Path as Setting
from tallystick.pipeline.config.toml_lines import find_lines, line_of
from tallystick.pipeline.config.windows import all_windows, development_windows, labels_until
from tallystick.pipeline.data.answers import Terms
from tallystick.pipeline.data.delivered import read_delivered
from tallystick.pipeline.data.empty_windows import wrong_windows
from tallystick.pipeline.data.reading import csv_reading
from tallystick.pipeline.data.slice import (
    TARGET,
    Slice,
    cut,
    frame_of,
    join_reading,
    numbers,
    open_table,
    rows_of,
)
from tallystick.pipeline.data.sources import column_names, read_source
from tallystick.pipeline.data.timestamps import row_times
from tallystick.pipeline.evaluate.backtest import one_thread, split
from tallystick.pipeline.evaluate.fitting import asked, fit, recipe_for, weights_in
from tallystick.pipeline.recipes import look_beside
from tallystick.pipeline.runs.keeping import FittedCandidate, few_rows, is_kept, not_kept
from tallystick.pipeline.runs.onnx_candidate import read_onnx
from tallystick.pipeline.runs.sources import check_windows


class DataChecked(NamedTuple):
    """What was seen of the data."""

    rows: int
    kinds: dict[str, str]
    """Column -> how it is read: number, text or time."""
    windows: dict[str, int]
    """Rows of every window, sealed ones included."""
    small: list[str]
    """Windows with fewer rows than ``min_rows``: they do not count."""
    fitted: list[str]
    """Candidates that were built, fitted and stored on a few rows."""


class _Found(NamedTuple):
    """A mistake before its line is known."""

    path: Setting
    words: str


def check_data(loaded: LoadedPipeline, *, candidates: bool = True) -> tuple[DataChecked | None, list[Mistake]]:
    """Hold a pipeline file against its data.

    Parameters
    ----------
    candidates : bool
        Whether the candidates are built, which runs the code that the file names.

    Returns
    -------
    DataChecked or None
        What was seen; None where the data could not be read as the file says.
    list of Mistake
        Every mistake, with the line of the setting to mend.
    """
    base = loaded.path.parent
    look_beside(base)
    found = list(_wrong_columns(loaded.settings, base))
    checked = None
    if not found:
        found = list(_wrong_values(loaded.settings, base))
    if not found:
        checked, found = _wrong_slice(loaded.settings, base, candidates)
    lines = find_lines(loaded.text)
    written = _written_names(loaded)
    mistakes = [
        Mistake(line_of(written.get(item.path, item.path), lines), ".".join(map(str, item.path)), item.words)
        for item in found
    ]
    return checked, mistakes


def _written_names(loaded: LoadedPipeline) -> dict[Setting, Setting]:
    """A feature's place -> the key that lists it among others."""
    found: dict[Setting, Setting] = {}
    for path in find_lines(loaded.text):
        if path[:2] == ("data", "features") and len(path) == 3:
            for name in str(path[2]).split(","):
                found["data", "features", name.strip()] = path
    return found


def _words(error: TallyError) -> str:
    return f"{error.message} {error.hint}".strip()


# Columns ----------------------------------------------------------------------------------------------------


def _wrong_columns(settings: Pipeline, base: Path) -> Iterator[_Found]:
    """Columns that the file names and no source has."""
    try:
        main = column_names(settings.data.source, base, csv_reading(settings.data))
    except InvalidInput as error:
        yield _Found(("data", "source"), _words(error))
        return
    for path, name in _named_columns(settings):
        if name not in main:
            yield _Found(path, _missing(name, main, settings.data.source))
    for name, join in settings.data.joins.items():
        try:
            there = column_names(join.source, base, join_reading(settings.data, join))
        except InvalidInput as error:
            yield _Found(("data", "joins", name, "source"), _words(error))
            continue
        brought = [join.rename.get(column, column) for column in there]
        for column in [*join.on, *join.rename]:
            if column not in there:
                yield _Found(("data", "joins", name), _missing(column, there, join.source))
        for feature, item in settings.data.features.known_at.items():
            if item.join == name and feature not in brought:
                yield _Found(("data", "features", feature), _missing(feature, brought, join.source))


def _named_columns(settings: Pipeline) -> Iterator[tuple[Setting, str]]:
    """Every column of the main table that the file names, with the setting that does."""
    data = settings.data
    yield ("time", "column"), settings.time.column
    yield ("data", "target"), data.target.column
    for name in data.key:
        yield ("data", "key"), name
    if data.group is not None:
        yield ("data", "group"), data.group.column
    for index, drop in enumerate(data.drop_rows):
        yield ("data", "drop_rows", index), parse_condition(drop.where).column
    for name, feature in data.features.known_at.items():
        path: Setting = ("data", "features", name)
        if feature.join is None:
            yield path, name
        yield path, parse_time_expression(feature.known_at).column
    for name, join in data.joins.items():
        for text in join.on.values():
            yield ("data", "joins", name), parse_time_expression(text).column
    if settings.selection.resample not in ("day", "week", "row"):
        yield ("selection", "resample"), settings.selection.resample
    for segment in settings.monitoring.segments:
        if segment != HOUR_BAND:
            yield ("monitoring", "segments"), segment


def _missing(name: str, known: list[str], source: str) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    meant = f" Did you mean {near[0]}?" if near else f" It has {', '.join(known)}."
    return f"{source} has no column {name}.{meant}"


# Values -----------------------------------------------------------------------------------------------------


def _wrong_values(settings: Pipeline, base: Path) -> Iterator[_Found]:
    """Times that cannot be read, answers that cannot, and windows that have no rows."""
    data, time = settings.data, settings.time
    drops = [parse_condition(drop.where) for drop in data.drop_rows]
    names = list(dict.fromkeys([time.column, data.target.column, *(drop.column for drop in drops)]))
    try:
        table = read_source(data.source, base, names, csv_reading(data))
    except InvalidInput as error:
        yield _Found(("data", "source"), _words(error))
        return
    for index, drop in enumerate(drops):
        try:
            table = table.filter(pc.invert(dropped_rows(table[drop.column], drop, data.drop_rows[index].where)))
        except (InvalidInput, TypeError) as error:
            yield _Found(("data", "drop_rows", index), _words(error) if isinstance(error, TallyError) else str(error))
            return
    try:
        target_numbers(table[data.target.column], data.target.column, data.target.rule)
    except InvalidInput as error:
        yield _Found(("data", "target"), _words(error))
    try:
        times = row_times(table[time.column], time.column, time)
    except InvalidInput as error:
        yield _Found(("time", "column"), _words(error))
        return
    for problem in wrong_windows(time, times):
        yield _Found(("time", "first_test"), problem)


# The slice and the candidates -------------------------------------------------------------------------------


def _wrong_slice(settings: Pipeline, base: Path, candidates: bool) -> tuple[DataChecked | None, list[_Found]]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            slice_ = cut(settings, base, Path(folder), terms=Terms(labels_as_of=to_micros(utc_now())))
        except InvalidInput as error:
            return None, [_Found(("data",), _words(error))]
        table = open_table(slice_)
        times = numbers(table, "__time")
        windows = {window.label: int(window.test_rows(times).sum()) for window in all_windows(settings.time)}
        fitted, found = _tried(settings, slice_, table) if candidates else ([], [])
        found += _wrong_imports(settings, base, slice_)
    small = [label for label, rows in windows.items() if rows < settings.time.min_rows]
    kinds = {column.name: column.kind for column in slice_.columns}
    return DataChecked(slice_.source_rows, kinds, windows, small, fitted), found


def _tried(settings: Pipeline, slice_: Slice, table: pa.Table) -> tuple[list[str], list[_Found]]:
    """Every candidate on a few rows of the first window's training set: built, fitted, asked and stored."""
    first = development_windows(settings.time)[0]
    until = labels_until(settings.time, to_micros(utc_now()))
    chosen = few_rows(numbers(table, TARGET), split(table, first, until, None).train)
    if not len(chosen):
        return [], [_Found(("time", "first_test"), f"The first window, {first.label}, has no rows to train on.")]
    rows = rows_of(table, chosen)
    frame, answers = frame_of(rows, slice_.features), numbers(rows, TARGET)
    weight = settings.data.weight
    weights = weights_in(rows, weight.column if weight else None)
    fitted: list[FittedCandidate] = []
    found: list[_Found] = []
    for name, item in settings.candidates.items():
        if item.estimator is None:
            continue  # a trial's model is in a ledger, which is not asked here; predictions are read by themselves
        try:
            recipe = recipe_for(settings, name, slice_.features)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with one_thread():
                    model = fit(recipe, frame, answers, settings.selection.seed, first.label, weights)
                    asked(recipe, model, frame, first.label)
        except ModuleNotFoundError:
            continue
        except TallyError as error:
            found.append(_Found(("candidates", name, "estimator"), _words(error)))
        except Exception as error:  # noqa: BLE001 - whatever a library or the code beside the file raises
            what = f"{type(error).__name__}: {error}".splitlines()[0]
            words = f"{name} cannot be fitted on {count(len(chosen), 'row')} of {first.label}: {what}"
            found.append(_Found(("candidates", name, "estimator"), words))
        else:
            fitted.append(FittedCandidate(name, model, frame, recipe))
    kept = [item for item in fitted if item.name != settings.reference and is_kept(settings, item.name)]
    problems = not_kept(kept)
    found += [_Found(("candidates", name, "estimator"), _words(error)) for name, error in problems.items()]
    return [item.name for item in fitted if item.name not in problems], found


def _wrong_imports(settings: Pipeline, base: Path, slice_: Slice) -> list[_Found]:
    """Predictions that were computed elsewhere, and imported models, that cannot be judged."""
    found = []
    windows, as_of = development_windows(settings.time), labels_until(settings.time, to_micros(utc_now()))
    for name, item in settings.candidates.items():
        try:
            if item.onnx is not None:
                read_onnx(settings, name, base, slice_, windows)
            if item.predictions is None:
                continue
            check_windows(name, read_delivered(settings, name, base, slice_, windows), slice_, windows, as_of)
        except TallyError as error:
            found.append(_Found(("candidates", name, "from" if item.onnx else "predictions"), _words(error)))
    return found
