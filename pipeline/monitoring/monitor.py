"""Watching a champion: one live period against the model's own history, recorded as facts, sentences, a decision.

The same period can be watched again when more labels are known; every look is a commit of its own, and what an
earlier look said stays readable.
"""

from __future__ import annotations

import datetime as dt
import io
from typing import Any, NamedTuple

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
from tallystick.pipeline.config.windows import (
    Window,
    labels_until,
    period_window,
    refuse_date_of_steps,
    window_said,
    with_empty,
)
from tallystick.pipeline.data.answers import Terms
from tallystick.pipeline.data.timestamps import day_of, day_said
from tallystick.pipeline.evaluate.backtest import LARGEST_IMMATURE_SHARE
from tallystick.pipeline.evaluate.losses import measure_of
from tallystick.pipeline.evaluate.metrics import loss_table
from tallystick.pipeline.evaluate.sentences import starting, window_words
from tallystick.pipeline.monitoring import data_sentences as data_words
from tallystick.pipeline.monitoring import sentences as words
from tallystick.pipeline.monitoring.baseline import OwnHistory, history_of, month_of_window
from tallystick.pipeline.monitoring.columns import faults_of
from tallystick.pipeline.monitoring.data_sentences import PeriodFinding
from tallystick.pipeline.monitoring.facts import RULES, Facts, Judging, estimate_error, facts_of
from tallystick.pipeline.monitoring.judgement import Ground
from tallystick.pipeline.monitoring.period_data import (
    Live,
    columns_known,
    delivered_for,
    live_of,
    period_cut,
    trained_until,
)
from tallystick.pipeline.monitoring.predict import open_model
from tallystick.pipeline.monitoring.statistics import expected_losses, weighted
from tallystick.pipeline.monitoring.verdict import OUTCOMES, Cause
from tallystick.pipeline.recipes import look_beside
from tallystick.pipeline.records.run_record import reading_of_run, truth_of_run
from tallystick.pipeline.runs.start import champion_of, how_made, rows_until

PARQUET = "application/vnd.apache.parquet"
LARGEST_GAP = 0.1
"""Share of a period after its last row from which on it is said that rows may still arrive."""


class Watched(NamedTuple):
    """What a look at a period came to, as it was recorded."""

    body: say.PeriodMonitored
    findings: list[PeriodFinding]
    facts: Facts | None
    """None where nothing could be judged."""
    commit: str


class _Verdict(NamedTuple):
    cause: Cause
    headline: str
    findings: list[PeriodFinding]
    facts: Facts | None = None
    estimate: dict[str, float | None] | None = None
    next: str | None = None
    """What to do, where the cause alone does not say it."""


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
    refuse_date_of_steps(settings.time, labels_as_of)
    state = _watched_model(book, settings.name, model)
    window = period_window(settings.time, label)
    as_of = to_micros(labels_as_of or book.clock())
    _refuse_hindsight(settings, state, window)
    if labels_until(settings.time, as_of) <= window.start:
        raise InvalidInput(f"{label} had not begun at that time; there is nothing to watch.")
    rules = thresholds(settings.monitoring)
    history = history_of(book.now(), book.objects.get, state, settings, before=window)
    made = how_made(book.now(), state)
    look_beside(loaded.path.parent)
    estimator = None if isinstance(made, say.CandidateDelivered) else open_model(book, made)
    known, until = columns_known(book.now(), made.run), rows_until(book, as_of)
    terms = Terms(
        reading=reading_of_run(book.now(), made.run),
        text=frozenset(made.recipe["categorical"]),
        truth=truth_of_run(book.now(), made.run),
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
            as_of=labels_until(settings.time, as_of),
            ask=not _is_expired(settings, state, window),
        )
    verdict = _verdict(settings, state, window, live, history, rules)
    return _record(book, settings, state, window, as_of, live, history, verdict)


def _judging(settings: Pipeline, window: Window, rules: Thresholds, notes: list[PeriodFinding]) -> Judging:
    ground = Ground(settings.task, rules, settings.selection.margin)
    month = month_of_window(settings, window)
    told = tuple(item.sentence for item in notes)
    return Judging(ground, settings.monitoring.min_rows, settings.selection.seed, month, told)


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
    rules: Thresholds,
) -> _Verdict:
    """The verdict on a period, in the order of the table of :mod:`pipeline.monitoring.verdict`."""
    when = window_said(settings.time, window.label)
    until = to_micros(state.intended_for[1]) if state.intended_for else None
    expiry = day_said(until - 1, settings.time) if until is not None else None
    if expiry is not None and _is_expired(settings, state, window):
        found = data_words.expired(state.model, when, expiry)
        return _Verdict("expired", found.sentence, [found])
    beside = _notes(settings, state, window, live)
    if live.schema.changed:
        found = data_words.schema_changed(live.schema.gone, live.schema.other_kind, live.schema.odd)
        mend = None
        if live.schema.odd and settings.data.source.startswith("csv:"):
            mend = f"{words.SUGGESTIONS['schema']} {data_words.mend_words(live.schema.odd)}"
        return _Verdict("schema", found.sentence, [found, *beside], next=mend)
    declared = settings.time.empty_windows
    if not live.rows and declared is not None and window.label in declared.skip:
        found = data_words.declared_empty(when, declared.why)
        return _Verdict("declared empty", found.sentence, [found, *beside])
    if not live.rows:
        found = data_words.no_rows(when)
        return _Verdict("rows", found.sentence, [found, *beside])
    estimate = _estimate(settings, live, history)
    if live.mature is None or live.immature > LARGEST_IMMATURE_SHARE * live.rows:
        return _without_labels(settings, window, live, history, beside, estimate)
    judging = _judging(settings, window, rules, beside)
    facts = facts_of(window.label, live.mature, history, judging)
    context = context_of(settings, state.model, window.label)
    told = [*words.findings_of(facts, context), *beside]
    return _Verdict(facts.cause, words.headline(facts, context), told, facts, estimate)


def _notes(settings: Pipeline, state: ModelState, window: Window, live: Live) -> list[PeriodFinding]:
    """What is worth knowing beside the verdict."""
    found = [data_words.new_columns(live.schema.new, state.model)] if live.schema.new else []
    until = to_micros(state.intended_for[1]) if state.intended_for else None
    when = window_said(settings.time, window.label)
    if until is not None and window.end > until:
        tell = data_words.expires_within if window.start < until else data_words.expired
        found.append(tell(state.model, when, day_said(until - 1, settings.time)))
    if live.last is not None:
        left = window.end - live.last
        if left > LARGEST_GAP * (window.end - window.start) and left > 2 * live.gap:
            found.append(data_words.ends_early(when, day_said(live.last, settings.time)))
    return found


def _estimate(settings: Pipeline, live: Live, history: OwnHistory) -> dict[str, float | None] | None:
    if settings.task != "classification" or not settings.monitoring.estimate_before_labels:
        return None
    expected = weighted(expected_losses(live.measure, live.predictions), live.weights)
    return {"estimate": float(expected.mean()), "own_error": estimate_error(history)}


def _without_labels(
    settings: Pipeline,
    window: Window,
    live: Live,
    history: OwnHistory,
    beside: list[PeriodFinding],
    estimate: dict[str, float | None] | None,
) -> _Verdict:
    """Too few labels are known: broken columns show without them, the rest has to wait."""
    assert live.matures_at is not None
    when, columns = window_said(settings.time, window.label), live.arrived
    matures = day_said(live.matures_at, settings.time)
    error = estimate_error(history)
    value = estimate["estimate"] if estimate else None
    found = data_words.waiting(when, live.rows, live.immature, matures, value, error, len(history.past))
    again = data_words.look_again(when, matures)
    if live.overdue:
        found = [data_words.overdue(when, live.rows, live.overdue, settings.time.label_delay), *found[1:]]
        again = data_words.look_for_answers(when)
    faults = faults_of(columns, history.columns()) if columns is not None else []
    if faults and columns is not None:
        broken = data_words.broken_columns(faults, dict(columns.shares.missing))
        unseen = all(item.kind == "unseen" for item in faults)
        headline = f"{starting(window_words(when))}: {broken.sentence} The model was not judged."
        told = [broken, *found, *beside]
        return _Verdict("unseen" if unseen else "column", headline, told, None, estimate)
    return _Verdict("labels", found[0].sentence, [*found, *beside], None, estimate, again)


def context_of(settings: Pipeline, model: str, label: str) -> words.PeriodContext:
    """The names that the sentences of a pipeline use."""
    said = window_said(settings.time, label)
    return words.PeriodContext(
        metric=measure_of(settings).by_row.name,
        positive=settings.data.target.positive,
        model=model,
        reference=settings.reference,
        unit=settings.data.unit,
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
    status, decision = OUTCOMES[verdict.cause]
    body = say.PeriodJudged(
        period=period,
        label=window.label,
        pipeline=settings.name,
        model=state.model,
        labels_as_of=from_micros(as_of),
        source=live.slice.source,
        fingerprint=live.slice.fingerprint,
        rows=live.rows,
        immature_rows=live.immature,
        status=status,
        decision=decision,
        metrics=live.metrics,
        reference=live.reference_metrics,
        history=tuple(past.label for past in history.past),
        estimate=verdict.estimate,
        facts=_facts_with_empty(settings, window, history, verdict.facts),
        reliability=live.reliability,
        histograms=live.histograms,
        columns=live.columns,
        losses=stored.hash if stored else None,
        headline=verdict.headline,
        suggestion=verdict.next or words.SUGGESTIONS[verdict.cause],
        cause=verdict.cause,
        rule=RULES[thresholds(settings.monitoring).counts_windows],
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


def _facts_with_empty(settings: Pipeline, window: Window, history: OwnHistory, facts: Facts | None) -> dict[str, Any]:
    """The facts of a look, with the periods declared empty among those that its pictures draw."""
    if facts is None:
        return {}
    drawn = [*(past.label for past in history.past), window.label]
    empty = [label for label in with_empty(drawn, settings.time.skipped) if label not in drawn]
    return _plain(facts) | ({"empty_windows": empty} if empty else {})


def _plain(facts: object) -> dict[str, Any]:
    """Facts as any reader of JSON gets them."""
    return dict(msgspec.json.decode(msgspec.json.encode(facts)))


def _losses(live: Live) -> bytes | None:
    """The sums by unit and segment, from which every decomposition can be made again without the data."""
    if live.mature is None:
        return None
    rows = live.mature
    table: pd.DataFrame = loss_table(rows.scored, rows.segments)
    buffer = io.BytesIO()
    table.to_parquet(buffer, engine="pyarrow", compression="zstd", index=False)
    return buffer.getvalue()
