"""Watching a champion: one live period against the model's own history, recorded as facts, sentences, a decision.

The same period can be watched again when more labels are known; every look is a commit of its own, and what an
earlier look said stays readable.
"""

from __future__ import annotations

import datetime as dt
import io
from typing import Any, Literal, NamedTuple

import msgspec
import pandas as pd

from tallystick.ledger.errors import InvalidInput, NotFound, Refused
from tallystick.ledger.events import types as say
from tallystick.ledger.events.commit import from_micros, to_micros
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.event import About
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.views.entities import ModelState
from tallystick.pipeline.config.alert_rules import Thresholds, thresholds
from tallystick.pipeline.config.load import LoadedPipeline
from tallystick.pipeline.config.settings import Pipeline
from tallystick.pipeline.config.windows import Window, period_window, window_said
from tallystick.pipeline.data.answers import Terms
from tallystick.pipeline.data.timestamps import day_of, day_said
from tallystick.pipeline.evaluate.backtest import LARGEST_IMMATURE_SHARE
from tallystick.pipeline.evaluate.losses import Measure, measure_of
from tallystick.pipeline.evaluate.metrics import loss_table
from tallystick.pipeline.monitoring import sentences as words
from tallystick.pipeline.monitoring.baseline import OwnHistory, history_of
from tallystick.pipeline.monitoring.facts import Decision, Facts, Judging, estimate_error, facts_of
from tallystick.pipeline.monitoring.period_data import (
    Live,
    columns_known,
    delivered_for,
    live_of,
    period_cut,
    trained_until,
)
from tallystick.pipeline.monitoring.predict import open_model
from tallystick.pipeline.monitoring.sentences import PeriodFinding
from tallystick.pipeline.monitoring.statistics import expected_losses, weighted
from tallystick.pipeline.recipes import look_beside
from tallystick.pipeline.records.run_record import reading_of_run
from tallystick.pipeline.runs.start import champion_of, how_made, rows_until

PARQUET = "application/vnd.apache.parquet"


class Watched(NamedTuple):
    """What a look at a period came to, as it was recorded."""

    body: say.PeriodMonitored
    findings: list[PeriodFinding]
    facts: Facts | None
    """None where nothing could be judged."""
    commit: str


class _Verdict(NamedTuple):
    status: Literal["quiet", "notable", "alarm", "waiting"]
    decision: Decision
    headline: str
    findings: list[PeriodFinding]
    facts: Facts | None
    estimate: dict[str, float | None] | None
    next: str | None = None
    """What to do, where the decision alone does not say it."""


def monitor(
    book: Ledger,
    loaded: LoadedPipeline,
    label: str,
    *,
    model: str | None = None,
    labels_as_of: dt.datetime | None = None,
) -> Watched:
    """Look at a period and record what is found.

    Parameters
    ----------
    label : str
        A period of the length of a window: ``2013-09``.
    model : str, optional
        The model to watch; the pipeline's champion where none is named.
    labels_as_of : datetime, time-zone aware, optional
        Use only labels known by then. Now, where it is not given.

    Raises
    ------
    NotFound
        There is no champion, or no such model.
    Refused
        The model was trained on rows of the period, or the period is sealed and the model no champion.
    InvalidInput
        For a label, a rule of ``[monitoring]`` or a source that cannot be used.
    """
    settings = loaded.settings
    state = _watched_model(book, settings.name, model)
    window = period_window(settings.time, label)
    as_of = to_micros(labels_as_of or book.clock())
    _refuse_hindsight(settings, state, window)
    if as_of <= window.start:
        raise InvalidInput(f"{label} had not begun at that time; there is nothing to watch.")
    rules = thresholds(settings.monitoring)
    history = history_of(book.now(), book.objects.get, state, settings, before=label)
    made = how_made(book.now(), state)
    look_beside(loaded.path.parent)
    estimator = None if isinstance(made, say.CandidateDelivered) else open_model(book, made)
    known, until = columns_known(book.now(), made.run), rows_until(book, as_of)
    terms = Terms(
        reading=reading_of_run(book.now(), made.run),
        text=frozenset(made.recipe["categorical"]),
        lenient=frozenset(made.recipe["numeric"]),
        labels_as_of=as_of,
        overdue="count",
    )
    base = loaded.path.parent
    with period_cut(settings, base, made, known=known, until=until, terms=terms) as (slice_, schema):
        if isinstance(made, say.CandidateDelivered):
            estimator = delivered_for(settings, made, base, slice_, window)
        live = live_of(
            settings,
            slice_,
            schema,
            window,
            estimator=estimator,
            made=made,
            trained_until=trained_until(state),
            history=history,
            as_of=as_of,
            ask=not _is_expired(settings, state, window),
        )
    facts = None
    if live.mature is not None and live.immature <= LARGEST_IMMATURE_SHARE * live.rows:
        facts = facts_of(label, live.mature, history, _judging(settings, live.measure, rules))
    verdict = _verdict(settings, state, window, live, history, facts)
    return _record(book, settings, state, window, as_of, live, history, verdict)


def _judging(settings: Pipeline, measure: Measure, rules: Thresholds) -> Judging:
    return Judging(
        task=settings.task,
        measure=measure,
        rules=rules,
        min_rows=settings.monitoring.min_rows,
        margin=settings.selection.margin,
        seed=settings.selection.seed,
    )


def _watched_model(book: Ledger, pipeline: str, model: str | None) -> ModelState:
    if model is not None:
        state = book.now().model(model)
        if state.pipeline != pipeline:
            raise InvalidInput(f"{state.model} is a model of {state.pipeline}, not of {pipeline}.")
        return state
    champion = champion_of(book.now(), pipeline)
    if champion is None:
        raise NotFound(
            f"{pipeline} has no champion to watch: nobody has promoted a model.",
            "Promote one with `tally promote MODEL --reason …`, or name a model with --model.",
        )
    return champion


def _refuse_hindsight(settings: Pipeline, state: ModelState, window: Window) -> None:
    until = trained_until(state)
    if window.start < until:
        raise Refused(
            f"{state.model} was trained on rows up to {day_said(until - 1, settings.time)}, so it has seen "
            f"answers of {window.label}: judged there it would be praised for remembering.",
            "End the windows of the pipeline file earlier and run it again, or watch a later period."
            if settings.time.unit == "step"
            else "Make a model of what was known before: `tally run FILE --labels-as-of "
            f"{day_of(window.start - 1, settings.time.timezone)}`",
        )
    if window.label in settings.time.final.test and state.status == "candidate":
        raise Refused(
            f"{window.label} is sealed until promotion, and {state.model} is not a champion.",
            "Watch it once it is, or choose another period.",
        )


def _is_expired(settings: Pipeline, state: ModelState, window: Window) -> bool:
    """Whether the model must not be asked about the period any more."""
    if state.intended_for is None or settings.validity.outside != "refuse":
        return False
    return window.start >= to_micros(state.intended_for[1])


def _verdict(
    settings: Pipeline,
    state: ModelState,
    window: Window,
    live: Live,
    history: OwnHistory,
    facts: Facts | None,
) -> _Verdict:
    when = window_said(settings.time, window.label)
    until = to_micros(state.intended_for[1]) if state.intended_for else None
    expiry = day_said(until - 1, settings.time) if until is not None else None
    if expiry is not None and _is_expired(settings, state, window):
        found = [words.expired(state.model, when, expiry)]
        return _Verdict("alarm", "refuse", found[0].sentence, found, None, None)
    noted = []
    if expiry is not None and until is not None and window.end > until:
        tell = words.expires_within if window.start < until else words.expired
        noted.append(tell(state.model, when, expiry))
    beside = [words.new_columns(live.schema.new, state.model)] if live.schema.new else []
    if live.schema.changed:
        found = [words.schema_changed(live.schema.gone, live.schema.other_kind, live.schema.odd), *beside, *noted]
        mend = words.mend_words(live.schema.odd) if settings.data.source.startswith("csv:") else None
        return _Verdict("alarm", "fix data", found[0].sentence, found, None, None, mend)
    if not live.rows:
        found = [words.no_rows(when), *beside, *noted]
        return _Verdict("alarm", "fix data", found[0].sentence, found, None, None)
    error = estimate_error(history)
    estimate = None
    if settings.task == "classification" and settings.monitoring.estimate_before_labels:
        expected = weighted(expected_losses(live.measure, live.predictions), live.weights)
        estimate = {"estimate": float(expected.mean()), "own_error": error}
    if facts is None:
        assert live.matures_at is not None
        matures = day_said(live.matures_at, settings.time)
        found = words.waiting(
            when,
            live.rows,
            live.immature,
            matures,
            estimate["estimate"] if estimate else None,
            error,
            len(history.past),
        )
        again = words.look_again(when, matures)
        if live.overdue:
            found = [words.overdue(when, live.rows, live.overdue, settings.time.label_delay), *found[1:]]
            again = words.look_for_answers(when)
        told = [*found, *beside, *noted]
        return _Verdict("waiting", "wait", found[0].sentence, told, None, estimate, again)
    context = context_of(settings, state.model, window.label)
    found = [*words.findings_of(facts, context), *beside, *noted]
    status = "notable" if noted and facts.status == "quiet" else facts.status
    return _Verdict(status, facts.decision, words.headline(facts, context), found, facts, estimate)


def context_of(settings: Pipeline, model: str, label: str) -> words.PeriodContext:
    """The names that the sentences of a pipeline use."""
    said = window_said(settings.time, label)
    return words.PeriodContext(
        metric=measure_of(settings).by_row.name,
        positive=settings.data.target.positive,
        model=model,
        reference=settings.reference,
        when=None if said == label else said,
    )


def _record(
    book: Ledger,
    settings: Pipeline,
    state: ModelState,
    window: Window,
    as_of: int,
    live: Live,
    history: OwnHistory,
    verdict: _Verdict,
) -> Watched:
    period = f"{settings.name}/{window.label}"
    about = About(observed_in=(from_micros(window.start), from_micros(window.end)))
    cause = [book.now().event(state.made_by_event).id.hex()]
    losses = _losses(live)
    stored = None if losses is None else book.store(losses)
    body = say.PeriodMonitored(
        period=period,
        label=window.label,
        pipeline=settings.name,
        model=state.model,
        labels_as_of=from_micros(as_of),
        source=live.slice.source,
        fingerprint=live.slice.fingerprint,
        rows=live.rows,
        immature_rows=live.immature,
        status=verdict.status,
        decision=verdict.decision,
        metrics=live.metrics,
        reference=live.reference_metrics,
        history=tuple(past.label for past in history.past),
        estimate=verdict.estimate,
        facts={} if verdict.facts is None else _plain(verdict.facts),
        reliability=live.reliability,
        histograms=live.histograms,
        columns=live.columns,
        losses=stored.hash if stored else None,
        headline=verdict.headline,
        suggestion=verdict.next or words.SUGGESTIONS[verdict.decision],
    )
    drafts: list[Draft | say.Body] = [Draft(body, about=about, cause=tuple(cause))]
    if stored:
        drafts.insert(
            0,
            say.ArtifactStored(
                artifact=stored.hash, size_bytes=stored.size_bytes, media_type=PARQUET, role="loss table", run=None
            ),
        )
    for finding in verdict.findings:
        made = say.FindingMade(
            finding=f"{period}/{finding.code}",
            period=period,
            pipeline=settings.name,
            model=state.model,
            code=finding.code,
            level=finding.level,
            facts=_plain(finding.facts),
            sentence=finding.sentence,
        )
        drafts.append(Draft(made, about=about, cause=tuple(cause)))
    appended = book.append(*drafts, sign=True)
    return Watched(body, verdict.findings, verdict.facts, book.commit_handle(appended.n))


def _plain(facts: object) -> dict[str, Any]:
    """Facts as any reader of JSON gets them."""
    return dict(msgspec.json.decode(msgspec.json.encode(facts)))


def _losses(live: Live) -> bytes | None:
    """The sums by unit and segment, from which every decomposition can be made again without the data."""
    if live.mature is None:
        return None
    rows = live.mature
    table: pd.DataFrame = loss_table(rows.by(live.measure), rows.segments)
    buffer = io.BytesIO()
    table.to_parquet(buffer, engine="pyarrow", compression="zstd", index=False)
    return buffer.getvalue()
