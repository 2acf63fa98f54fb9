"""Asking a model, inside what it was approved for: hash → types → bytes → probe → status → validity, then the answer.

A refusal is recorded and says in words why and what to do. What was never tested is not answered: rows after the
validity, rows from before the end of training (the model has seen what came of them), a model that is not champion.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from blake3 import blake3

from tallystick.ledger.errors import Conflict, Damaged, InvalidInput, Refused
from tallystick.ledger.events import types as say
from tallystick.ledger.events.commit import from_micros, to_micros
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.event import About
from tallystick.ledger.events.sentences import count
from tallystick.ledger.events.unknown import Unknown
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.system.files import sync_folder
from tallystick.ledger.views.entities import ModelState, WaiverState
from tallystick.pipeline.config.durations import STEP_MICROS
from tallystick.pipeline.config.load import LoadedPipeline
from tallystick.pipeline.config.settings import Pipeline
from tallystick.pipeline.data.answers import Terms
from tallystick.pipeline.data.reading import csv_reading
from tallystick.pipeline.data.registered import find_base, registered
from tallystick.pipeline.data.slice import (
    ROW,
    TIME,
    compact,
    frame_of,
    kind_of,
    numbers,
    rows_hash,
    rows_without_answers,
)
from tallystick.pipeline.data.sources import KINDS, column_names
from tallystick.pipeline.data.timestamps import day_said
from tallystick.pipeline.evaluate.backtest import one_thread
from tallystick.pipeline.models.allowed_types import packages_named
from tallystick.pipeline.models.model_file import MEDIA_TYPE, predict, prediction_hash, probe_frame, version_of
from tallystick.pipeline.models.separate_process import EndedProcess, TrialOfModel, load_after_trial
from tallystick.pipeline.models.template import Template
from tallystick.pipeline.recipes import Columns
from tallystick.pipeline.records.run_record import reading_of_run, registered_for, truth_of_run
from tallystick.pipeline.runs.sources import model_source
from tallystick.pipeline.runs.start import how_made

Floats = npt.NDArray[np.float64]
ENDINGS = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv"}
MOST_LEVELS_SHOWN = 3
STATUS_WORDS = {"candidate": "a candidate", "retired": "a retired model", "experimental": "an experimental model"}


class RefusedToPredict(Refused):
    """A model must not answer; ``code`` says in one word why."""

    def __init__(self, code: str, message: str, hint: str, facts: dict[str, Any], rows: int | None = None) -> None:
        super().__init__(message, hint)
        self.code, self.facts, self.rows = code, facts, rows


class Predicted(NamedTuple):
    """An answer, as it was recorded."""

    body: say.PredictionMade
    status: str
    """``champion``, or what else the model is."""
    period: tuple[dt.datetime, dt.datetime]
    """Of the rows, half-open."""
    used_for: str
    not_for: list[str]
    commit: str


class PredictionRequest(NamedTuple):
    """What is asked of which model, with all that is known about it."""

    state: ModelState
    made: say.CandidateRefitted
    loaded: LoadedPipeline
    source: str
    today: dt.datetime

    @property
    def settings(self) -> Pipeline:
        return self.loaded.settings

    def day(self, moment: dt.datetime) -> str:
        """A date in the pipeline's zone, or a step."""
        return self._step(moment) or f"{self._local(moment):%Y-%m-%d}"

    def minute(self, moment: dt.datetime) -> str:
        """A date with its time of day in the pipeline's zone, or a step."""
        return self._step(moment) or f"{self._local(moment):%Y-%m-%d %H:%M}"

    def _step(self, moment: dt.datetime) -> str:
        return day_said(to_micros(moment), self.settings.time) if self.settings.time.unit == "step" else ""

    def _local(self, moment: dt.datetime) -> dt.datetime:
        return moment.astimezone(ZoneInfo(self.settings.time.timezone))


def answer(book: Ledger, model: str, source: str, output: Path, *, challenger: bool = False) -> Predicted:
    """Predict a table of rows and write the answers, or refuse.

    Parameters
    ----------
    model : str
        Name of a model, or an unambiguous beginning of it.
    source : str
        ``parquet:PATTERN``, ``csv:PATTERN``, ``sqlite:FILE#TABLE`` as in a pipeline file, or a path that ends in
        ``.parquet`` or ``.csv``; relative to the current folder. It needs the key, the time and the features.
    output : Path
        ``.parquet`` or ``.csv``, written whole or not at all; never over an existing file.
    challenger : bool
        Also ask a model that is not the champion; its answers are labelled.

    Raises
    ------
    PredictionRefused
        When the model must not answer; recorded as ``prediction.refused``.
    InvalidInput, NotFound
        For data or names that cannot be used; nothing is recorded then.
    """
    if output.suffix not in (".parquet", ".csv"):
        raise InvalidInput(f"{output} is neither .parquet nor .csv.", "Name the output so that its form is clear.")
    if output.exists():
        raise InvalidInput(f"{output} exists already.", "Name another file, or move that one away.")
    asked = _asked(book, model, source)
    try:
        return _answer(book, asked, output, challenger)
    except RefusedToPredict as refusal:
        body = say.PredictionRefused(
            model=asked.state.model,
            pipeline=asked.state.pipeline,
            code=refusal.code,
            source=source,
            rows=refusal.rows,
            facts=refusal.facts,
            sentence=refusal.message,
        )
        book.append(Draft(body, cause=_cause(book, asked.state)), sign=True)
        raise


def today_of(book: Ledger) -> dt.datetime:
    """The moment that it is for a ledger: its clock's, or in a replayed ledger that of its newest commit.

    Never before the newest commit: a clock that was put back does not bring a model back into its validity.
    """
    newest = book.now().as_of.recorded_at
    return newest if book.genesis.clock == "replayed" else max(newest, book.clock().astimezone(dt.UTC))


def _asked(book: Ledger, model: str, source: str) -> PredictionRequest:
    now = book.now()
    state = now.model(model)
    body = registered_for(now, now.run(state.made_by_run))
    return PredictionRequest(state, how_made(now, state), registered(body), source, today_of(book))


def _answer(book: Ledger, asked: PredictionRequest, output: Path, challenger: bool) -> Predicted:
    status = _status(book, asked, challenger)
    estimator = open_model(book, asked.made)
    columns = _columns(asked.made)
    table = _rows(book, asked, columns)
    times = numbers(table, TIME)
    waiver, warnings = _check_validity(book, asked, times)
    warnings += _strange_values(estimator, table, columns)
    if changes := _library_changes(asked.made):
        warnings.append(
            f"Libraries have changed since the model was made: {', '.join(changes)}. Its predictions on its probe have "
            "not changed."
        )
    with one_thread():
        predictions = predict(estimator, frame_of(table, columns))
    origin = {
        "model": asked.state.model,
        "status": status,
        "model_file": f"blake3:{asked.made.artifact}",
        "ledger": book.origin,
        "ledger_commit": book.commit_handle(book.now().as_of.n),
    }
    key = list(asked.settings.data.key)
    data = _file(table, key, predictions, origin, asked, output.suffix)
    body = say.PredictionMade(
        prediction=f"{asked.state.model}/1",
        model=asked.state.model,
        pipeline=asked.state.pipeline,
        rows=len(predictions),
        source=asked.source,
        input_hash=rows_hash(
            table.select([*key, *(name for name in columns.numeric + columns.categorical if name not in key)])
        ),
        output=output.name,
        output_hash=blake3(data).hexdigest(),
        prediction_hash=prediction_hash(predictions),
        mean=float(predictions.mean()),
        waiver=waiver.waiver if waiver else None,
        warnings=warnings,
    )
    period = (from_micros(int(times.min())), from_micros(int(times.max()) + 1))
    body, n = _write_and_record(book, asked, body, period, output, data)
    questions = asked.settings.questions
    return Predicted(body, status, period, questions.used_for, list(questions.not_for), book.commit_handle(n))


# The model -------------------------------------------------------------------------------------------------


def _status(book: Ledger, asked: PredictionRequest, challenger: bool) -> str:
    """What the model is; only a champion answers unasked."""
    now = book.now()
    state = asked.state
    status: str | Unknown = "experimental" if now.run(state.made_by_run).experiment else state.status
    if status == "champion" or challenger:
        return str(status)
    if isinstance(status, Unknown):
        raise RefusedToPredict(
            "unknown-status", f"Whether {state.model} decides for {state.pipeline} is {status}.",
            "A new promotion is a new answer; as a challenger it may be asked: --challenger.", {"status": None},
        )  # fmt: skip
    champion = now.champion(state.pipeline)
    instead = f" The champion is {champion.model}." if champion else f" {state.pipeline} has no champion yet."
    raise RefusedToPredict(
        "not-champion",
        f"{state.model} is {STATUS_WORDS[status]} of {state.pipeline}: it decides nothing.{instead}",
        "To compare it with the champion, say --challenger; its answers are labelled then.",
        {"status": status, "champion": champion.model if champion else None},
    )


def open_model(book: Ledger, made: say.CandidateRefitted) -> Any:
    """The estimator of a model: the recorded bytes, allowed types, and the same predictions on its probe.

    Raises
    ------
    PredictionRefused
        When one of the three does not hold.
    NotFound
        When the file is not here.
    """
    if isinstance(made, say.CandidateDelivered):
        raise RefusedToPredict(
            "computed-elsewhere",
            f"{made.model} ({made.candidate}) was computed elsewhere, as declared by {made.declared_by}; the model is "
            "not here, so nothing can be predicted with it.",
            f"Have new rows predicted there and delivered to {made.source}; `tally monitor` judges them.",
            {"declared_by": made.declared_by, "source": made.source},
        )
    try:
        now = book.now()
        source = model_source(now, book.objects.get, now.model(made.model).made_by_event, made)
        data = book.objects.get(made.artifact)
        if made.media_type != MEDIA_TYPE:
            raise Refused(f"The model file is {made.media_type}; only {MEDIA_TYPE} is loaded.")
        probe = probe_frame(book.objects.get(made.probe), _columns(made))
        packages = packages_named(str(made.recipe["estimator"]), made.recipe["params"])
        packages |= source.packages if isinstance(source, Template) else frozenset()
        estimator = load_after_trial(TrialOfModel(data, probe, _columns(made), packages), made.artifact)
    except (Damaged, Refused) as error:
        kind = "wrong-file" if isinstance(error, Damaged) else "types"
        if isinstance(error, EndedProcess):
            kind = "ended-process"
        raise RefusedToPredict(kind, error.message, error.hint, {"artifact": made.artifact}) from error
    try:
        with one_thread():
            found = prediction_hash(predict(estimator, probe))
    except Exception as error:
        # What a stranger's file was built into fails in any way there is.
        raise RefusedToPredict(
            "probe",
            f"{made.model} cannot predict its own {len(probe):,} probe rows: {error}; it was not used.",
            "Do the run again here: tally run",
            {"expected": made.probe_hash, "libraries": _library_changes(made)},
        ) from error
    if found != made.probe_hash:
        changes = _library_changes(made)
        why = f" Libraries have changed since: {', '.join(changes)}." if changes else ""
        raise RefusedToPredict(
            "probe",
            f"{made.model} does not predict its {len(probe):,} probe rows as on the day it was made; it was not "
            f"used.{why}",
            "Install the versions that the model names, or do the run again here: tally run",
            {"probe_hash": found, "expected": made.probe_hash, "libraries": changes},
        )
    return estimator


def _library_changes(made: say.CandidateRefitted) -> list[str]:
    now = {name: version_of(name) for name in made.libraries}
    return [f"{name} {old} → {now[name] or 'not there'}" for name, old in made.libraries.items() if now[name] != old]


def _columns(made: say.CandidateRefitted) -> Columns:
    return Columns(tuple(made.recipe["numeric"]), tuple(made.recipe["categorical"]))


# The rows --------------------------------------------------------------------------------------------------


def _rows(book: Ledger, asked: PredictionRequest, columns: Columns) -> pa.Table:
    """Key, time and features in the types that the model was trained on, sorted by time and key."""
    source = _absolute(asked.source)
    data = asked.settings.data
    reading = reading_of_run(book.now(), asked.made.run)
    known = set(column_names(source, Path.cwd(), csv_reading(data, reading)))
    needed = {*columns.numeric, *columns.categorical}
    # A feature that the table brings itself is taken from there; the others by the pipeline's joins.
    features = {
        name: msgspec.structs.replace(feature, join=None) if name in known else feature
        for name, feature in data.features.known_at.items()
        if name in needed
    }
    joins = {name: data.joins[name] for name in dict.fromkeys(f.join for f in features.values() if f.join)}
    sources = [join.source for join in joins.values()]
    base = find_base(asked.loaded, book, sources, reading) if joins else Path.cwd()
    data = msgspec.structs.replace(
        data,
        source=source,
        features=msgspec.structs.replace(data.features, known_at=features),
        joins=joins,
    )
    terms = Terms(reading=reading, text=frozenset(columns.categorical), truth=truth_of_run(book.now(), asked.made.run))
    table = rows_without_answers(msgspec.structs.replace(asked.settings, data=data), base, terms)
    return pa.table({name: _as_trained(table[name], name, columns) for name in table.column_names})


def _absolute(text: str) -> str:
    """A source as pipeline files write it, with its path made absolute."""
    kind, colon, place = text.partition(":")
    if not colon or kind not in KINDS:
        ending = Path(text).suffix.lower()
        if ending not in ENDINGS:
            raise InvalidInput(
                f"{text} does not say what it is.",
                "Give a .parquet or .csv file, or parquet:FILE, csv:FILE, sqlite:FILE#TABLE.",
            )
        kind, place = ENDINGS[ending], text
    return f"{kind}:{place}" if kind == "package" else f"{kind}:{Path.cwd() / place}"


def _as_trained(column: pa.ChunkedArray, name: str, columns: Columns) -> pa.Array:
    found = kind_of(column)
    wanted = "number" if name in columns.numeric else "text" if name in columns.categorical else found
    if found == wanted:
        return compact(column)
    if column.null_count == len(column):
        return compact(pa.nulls(len(column), pa.string() if wanted == "text" else pa.float64()))
    example = column.drop_null()[0].as_py()
    raise InvalidInput(
        f"{name} holds {found} here, for example {example!r}; the model was trained on {wanted}.",
        "Deliver it as it was when the model was made; a guess would change what it says.",
    )


def _strange_values(estimator: Any, table: pa.Table, columns: Columns) -> list[str]:
    """Sentences about categories that the model never saw, and columns without any value."""
    said = []
    for name, levels in _trained_levels(estimator, columns).items():
        values = table[name].combine_chunks().cast(pa.string()).to_pandas()
        strange = values[values.notna() & ~values.isin(levels)]
        if len(strange):
            names = list(strange.value_counts().index[:MOST_LEVELS_SHOWN])
            more = ", …" if strange.nunique() > len(names) else ""
            said.append(
                f"{name}: {len(strange):,} of {len(values):,} rows ({len(strange) / len(values):.1%}) hold a category "
                f"that the model never saw ({', '.join(map(str, names))}{more}); it treats them as unknown."
            )
    said += [
        f"{name} has no value at all: the model answers as if it were missing in every row."
        for name in (*columns.numeric, *columns.categorical)
        if table[name].null_count == table.num_rows
    ]
    return said


def _trained_levels(estimator: Any, columns: Columns) -> dict[str, set[str]]:
    """The categories that an estimator's encoder has learnt, where it is built as the recipes here are."""
    steps = getattr(estimator, "named_steps", {})
    encoder = getattr(steps.get("columns"), "named_transformers_", {}).get("categories")
    learnt = getattr(encoder, "categories_", None)
    if learnt is None or len(learnt) != len(columns.categorical):
        return {}
    return {
        name: {level for level in levels if isinstance(level, str)}
        for name, levels in zip(columns.categorical, learnt, strict=True)
    }


# Validity --------------------------------------------------------------------------------------------------


def _check_validity(
    book: Ledger, asked: PredictionRequest, times: npt.NDArray[np.int64]
) -> tuple[WaiverState | None, list[str]]:
    """Whether rows and day lie where the model may answer: the waiver that allows it, and warnings in words."""
    period = asked.state.intended_for
    assert period is not None
    begin, until = period
    early = int((times < to_micros(begin)).sum())
    if early:
        first = from_micros(int(times.min()))
        raise RefusedToPredict(
            "hindsight",
            f"{early:,} of {count(len(times), 'row')} are from before {asked.minute(begin)}, the first from "
            f"{asked.minute(first)}: {asked.state.model} learnt from what was known by then, so its answers about "
            "them would be hindsight.",
            f"Leave those rows out; what could have been said then is in the windows of run {asked.state.made_by_run}.",
            {"rows_before": early, "trained_until": begin.isoformat()},
            len(times),
        )
    late = int((times >= to_micros(until)).sum())
    # Steps belong to no calendar, so only the rows say how far ahead they are.
    expired = asked.settings.time.unit == "calendar" and asked.today >= until
    if not late and not expired:
        return None, []
    sentence = _outside(asked, until, late, len(times), expired)
    now = book.now()
    waiver = next(
        (
            item
            for item in reversed(now.waivers())
            if item.model == asked.state.model
            and item.name == "validity"
            and item.holds(asked.today)
            and not now.event(item.seq).imported
        ),
        None,
    )
    if waiver is not None:
        return waiver, [
            f"{sentence} It answers all the same by waiver {waiver.waiver} of {waiver.owner}, until "
            f"{asked.day(waiver.until)}: “{waiver.reason}”"
        ]
    if asked.settings.validity.outside == "warn":
        return None, [sentence]
    again = "Evaluate it on newer data and decide again: tally run, tally promote."
    raise RefusedToPredict(
        "expired" if expired else "too-far",
        sentence,
        f"{again} For a dated exception: tally waive validity"
        if expired
        else f"{again} Or leave out the rows from {asked.day(until)} on.",
        {"valid_until": until.isoformat(), "today": asked.today.isoformat(), "rows_after": late},
        len(times),
    )


def _outside(asked: PredictionRequest, until: dt.datetime, late: int, rows: int, expired: bool) -> str:
    said = f"This model was approved for use until {asked.day(until)}."
    if expired:
        said += f" Today is {asked.day(asked.today)}."
    if late:
        said += f" {late:,} of {count(rows, 'row')} are from later."
    return f"{said} It was never tested farther than {asked.settings.validity.valid_for} ahead."


# Writing ---------------------------------------------------------------------------------------------------


def _file(
    table: pa.Table,
    key: Sequence[str],
    predictions: Floats,
    origin: dict[str, str],
    asked: PredictionRequest,
    ending: str,
) -> bytes:
    """The answers with where they come from, in every row, and for parquet in the file's metadata too.

    Where rows have no key, ``row`` is the number of the row in the table that was asked about.
    """
    time_column = asked.settings.time.column
    parts: dict[str, Any] = {}
    if not key:
        parts["row"] = table[ROW]
    for name in dict.fromkeys([time_column, *key]):
        parts[name] = _row_times(table, asked) if name == time_column else table[name]
    parts["prediction"] = pa.array(predictions)
    for name, value in origin.items():
        parts[name] = pa.array([value] * len(predictions), pa.string()).dictionary_encode()
    out = pa.table(parts)
    sink = io.BytesIO()
    if ending == ".csv":
        plain = {
            name: column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
            for name, column in zip(out.column_names, out.columns, strict=True)
        }
        if asked.settings.time.unit == "calendar":
            plain[time_column] = pa.array([f"{from_micros(int(t)).isoformat()}" for t in numbers(table, TIME)])
        pyarrow.csv.write_csv(pa.table(plain), sink)
        return sink.getvalue()
    questions = asked.settings.questions
    told = {**origin, "decision": questions.decision, "used_for": questions.used_for, "not_for": questions.not_for}
    out = out.replace_schema_metadata({"tallystick": json.dumps(told)})
    pyarrow.parquet.write_table(out, sink, compression="zstd")
    return sink.getvalue()


def _row_times(table: pa.Table, asked: PredictionRequest) -> pa.Array:
    """The time of each row: a moment in UTC, or the step that it is."""
    if asked.settings.time.unit == "step":
        return pa.array(numbers(table, TIME) // STEP_MICROS)
    return table[TIME].cast(pa.timestamp("us", "UTC"))


def _write_and_record(
    book: Ledger,
    asked: PredictionRequest,
    body: say.PredictionMade,
    period: tuple[dt.datetime, dt.datetime],
    output: Path,
    data: bytes,
) -> tuple[say.PredictionMade, int]:
    """The file is durable under another name before the event, and gets its own name after it.

    A crash in between leaves an event and a file with a strange name, never an answer that nobody recorded.
    """
    try:
        descriptor, name = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}-")
    except OSError as error:
        raise InvalidInput(f"{output} cannot be written: {error.strerror}.") from error
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        body, n = _append(book, asked, body, period)
        temporary.replace(output)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(output.parent)
    return body, n


def _append(
    book: Ledger, asked: PredictionRequest, body: say.PredictionMade, period: tuple[dt.datetime, dt.datetime]
) -> tuple[say.PredictionMade, int]:
    while True:
        number = 1 + len(book.log.entities(f"prediction:{asked.state.model}/"))
        body = msgspec.structs.replace(body, prediction=f"{asked.state.model}/{number}")
        draft = Draft(body, about=About(observed_in=period), cause=_cause(book, asked.state))
        try:
            return body, book.append(draft, expected={f"prediction:{body.prediction}": None}, sign=True).n
        except Conflict:
            continue  # another process took the number first


def _cause(book: Ledger, state: ModelState) -> tuple[str, ...]:
    """The model as it was made, and what last changed its standing."""
    seqs = list(dict.fromkeys([state.made_by_event, state.seq]))
    return tuple(found.id.hex() for found in book.now().some_events(seqs))
