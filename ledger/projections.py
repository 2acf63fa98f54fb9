"""What follows from the events: the state of every entity, as pure functions.

Each projection declares the event types that it reads and turns an entry into new states of its entities. No
clock, no files, no randomness: the same entries give the same states for ever. How states are kept and asked
for at a date is :mod:`ledger.views`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec

from ledger import vocabulary as say
from ledger.event import Event, Instant, Period


class Entry(NamedTuple):
    """An event with its place in the ledger: all that a reducer may look at."""

    seq: int
    n: int
    recorded_at: dt.datetime
    """UTC."""
    actor: str
    event: Event[Any]


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What is believed of one entity from one event on."""

    seq: int
    """The event that made it so."""


class Championship(msgspec.Struct, frozen=True, kw_only=True):
    """Who is champion, since when, put there by whom and why."""

    model: str
    since: Instant
    by: str
    reason: str
    seq: int


class PipelineState(State, frozen=True, kw_only=True):
    pipeline: str
    owner: str
    question: str
    meaning_hash: str
    registered_at: Instant
    registered_by: int
    """Position of the newest ``pipeline.registered`` event."""
    champion: Championship | None = None
    former_champions: int = 0
    runs: int = 0
    last_run: str | None = None


class RunState(State, frozen=True, kw_only=True):
    run: str
    pipeline: str
    status: Literal["running", "finished", "failed"]
    started_at: Instant
    ended_at: Instant | None = None
    by: str
    host: str
    process: int
    meaning_hash: str
    environment: str
    slice: str | None = None
    windows: int
    windows_evaluated: int = 0
    candidates: tuple[str, ...]
    decision: str | None = None
    outcome: str | None = None
    chosen: str | None = None
    model: str | None = None
    headline: str | None = None
    result_hash: str | None = None
    failure: str | None = None


class ModelState(State, frozen=True, kw_only=True):
    model: str
    pipeline: str
    candidate: str
    status: Literal["candidate", "champion", "retired"]
    made_at: Instant
    made_by_run: str
    made_by_event: int
    """Position of the ``candidate.refitted`` event that describes it whole."""
    runs: int
    """Runs that arrived at this very file, the first included."""
    last_run: str
    slice: str
    artifact: str
    rows: int
    trained_on: Period | None
    intended_for: Period | None
    promoted_at: Instant | None = None
    promoted_by: str | None = None
    reason: str | None = None


class SliceState(State, frozen=True, kw_only=True):
    slice: str
    pipeline: str
    source: str
    fingerprint: str
    rows: int
    kept_rows: int
    period: Period | None
    taken_at: Instant
    runs: int
    last_run: str


class DecisionState(State, frozen=True, kw_only=True):
    decision: str
    run: str
    pipeline: str
    outcome: str
    chosen: str | None
    model: str | None
    headline: str
    taken_at: Instant


S = TypeVar("S", bound=State)
Change = tuple[str, State]
Lookup = Callable[[str], Any]
"""The current state of an entity of the same projection by its name, or None."""


class Projection(NamedTuple):
    """A kind of entity: its name in the plural, the struct of its states, and how entries change them."""

    name: str
    key: str
    state: type[State]
    reads: frozenset[str]
    apply: Callable[[Entry, Lookup], Iterable[Change]]


def pipelines(entry: Entry, current: Lookup) -> Iterator[Change]:
    """Pipelines with their champion."""
    match entry.event.body:
        case say.PipelineRegistered() as body:
            before: PipelineState | None = current(body.pipeline)
            yield (
                body.pipeline,
                PipelineState(
                    seq=entry.seq,
                    pipeline=body.pipeline,
                    owner=body.owner,
                    question=str(body.questions.get("decision", "")),
                    meaning_hash=body.meaning_hash,
                    registered_at=before.registered_at if before else entry.recorded_at,
                    registered_by=entry.seq,
                    champion=before.champion if before else None,
                    former_champions=before.former_champions if before else 0,
                    runs=before.runs if before else 0,
                    last_run=before.last_run if before else None,
                ),
            )
        case say.RunStarted() as body:
            if state := current(body.pipeline):
                yield body.pipeline, _with(state, entry, runs=state.runs + 1, last_run=body.run)
        case say.ModelPromoted() as body:
            if state := current(body.pipeline):
                champion = Championship(
                    model=body.model,
                    since=entry.recorded_at,
                    by=entry.actor,
                    reason=body.reason,
                    seq=entry.seq,
                )
                former = state.former_champions + (state.champion is not None)
                yield body.pipeline, _with(state, entry, champion=champion, former_champions=former)


def runs(entry: Entry, current: Lookup) -> Iterator[Change]:
    """Runs from their start to their end."""
    body = entry.event.body
    if isinstance(body, say.RunStarted):
        yield (
            body.run,
            RunState(
                seq=entry.seq,
                run=body.run,
                pipeline=body.pipeline,
                status="running",
                started_at=entry.recorded_at,
                by=entry.actor,
                host=body.host,
                process=body.process,
                meaning_hash=body.meaning_hash,
                environment=body.environment,
                windows=len(body.windows),
                candidates=body.candidates,
            ),
        )
        return
    state: RunState | None = current(body.run)
    if state is None:
        return
    match body:
        case say.SliceTaken():
            yield body.run, _with(state, entry, slice=body.slice)
        case say.WindowDescribed():
            yield body.run, _with(state, entry, windows_evaluated=state.windows_evaluated + 1)
        case say.DecisionTaken():
            yield (
                body.run,
                _with(
                    state,
                    entry,
                    decision=body.decision,
                    outcome=body.outcome,
                    chosen=body.chosen,
                    model=body.model,
                    headline=body.headline,
                ),
            )
        case say.RunFinished():
            yield (
                body.run,
                _with(
                    state,
                    entry,
                    status="finished",
                    ended_at=entry.recorded_at,
                    result_hash=body.result_hash,
                ),
            )
        case say.RunFailed():
            yield (
                body.run,
                _with(state, entry, status="failed", ended_at=entry.recorded_at, failure=body.message),
            )


def models(entry: Entry, current: Lookup) -> Iterator[Change]:
    """Models: made, promoted, replaced."""
    match entry.event.body:
        case say.CandidateRefitted() as body:
            before: ModelState | None = current(body.model)
            if before is not None:
                # The same recipe on the same slice gave the same file: another run that confirms this model.
                yield body.model, _with(before, entry, runs=before.runs + 1, last_run=body.run)
                return
            about = entry.event.about
            yield (
                body.model,
                ModelState(
                    seq=entry.seq,
                    model=body.model,
                    pipeline=body.pipeline,
                    candidate=body.candidate,
                    status="candidate",
                    made_at=entry.recorded_at,
                    made_by_run=body.run,
                    made_by_event=entry.seq,
                    runs=1,
                    last_run=body.run,
                    slice=body.slice,
                    artifact=body.artifact,
                    rows=body.rows,
                    trained_on=about.trained_on if about else None,
                    intended_for=about.intended_for if about else None,
                ),
            )
        case say.ModelPromoted() as body:
            if body.previous is not None and (previous := current(body.previous)):
                yield body.previous, _with(previous, entry, status="retired")
            if state := current(body.model):
                yield (
                    body.model,
                    _with(
                        state,
                        entry,
                        status="champion",
                        promoted_at=entry.recorded_at,
                        promoted_by=entry.actor,
                        reason=body.reason,
                    ),
                )


def slices(entry: Entry, current: Lookup) -> Iterator[Change]:
    """Data slices and the runs that saw them."""
    body: say.SliceTaken = entry.event.body
    before: SliceState | None = current(body.slice)
    if before is not None:
        yield body.slice, _with(before, entry, runs=before.runs + 1, last_run=body.run)
        return
    about = entry.event.about
    yield (
        body.slice,
        SliceState(
            seq=entry.seq,
            slice=body.slice,
            pipeline=body.pipeline,
            source=body.source,
            fingerprint=body.fingerprint,
            rows=body.rows,
            kept_rows=body.kept_rows,
            period=about.observed_in if about else None,
            taken_at=entry.recorded_at,
            runs=1,
            last_run=body.run,
        ),
    )


def decisions(entry: Entry, _current: Lookup) -> Iterator[Change]:
    """Decisions as they were taken."""
    body: say.DecisionTaken = entry.event.body
    yield (
        body.decision,
        DecisionState(
            seq=entry.seq,
            decision=body.decision,
            run=body.run,
            pipeline=body.pipeline,
            outcome=body.outcome,
            chosen=body.chosen,
            model=body.model,
            headline=body.headline,
            taken_at=entry.recorded_at,
        ),
    )


def _with(state: S, entry: Entry, **changes: Any) -> S:
    return msgspec.structs.replace(state, seq=entry.seq, **changes)


def _types(*bodies: type[say.Body]) -> frozenset[str]:
    return frozenset(body.TYPE for body in bodies)


PROJECTIONS: tuple[Projection, ...] = (
    Projection(
        "pipelines",
        "pipeline",
        PipelineState,
        _types(say.PipelineRegistered, say.RunStarted, say.ModelPromoted),
        pipelines,
    ),
    Projection(
        "runs",
        "run",
        RunState,
        _types(
            say.RunStarted,
            say.SliceTaken,
            say.WindowDescribed,
            say.DecisionTaken,
            say.RunFinished,
            say.RunFailed,
        ),
        runs,
    ),
    Projection("models", "model", ModelState, _types(say.CandidateRefitted, say.ModelPromoted), models),
    Projection("slices", "slice", SliceState, _types(say.SliceTaken), slices),
    Projection("decisions", "decision", DecisionState, _types(say.DecisionTaken), decisions),
)

Versions = dict[str, dict[str, list[State]]]
"""Projection name -> entity -> its states in order, oldest first."""


def fold(entries: Iterable[Entry]) -> Versions:
    """All states of all entities by folding entries in memory: the definition that the views must equal."""
    versions: Versions = {projection.name: {} for projection in PROJECTIONS}
    for entry in entries:
        if not say.is_known(entry.event):
            continue
        for projection in PROJECTIONS:
            if entry.event.t not in projection.reads:
                continue
            states = versions[projection.name]

            def current(key: str, states: dict[str, list[State]] = states) -> State | None:
                return states[key][-1] if key in states else None

            for key, state in list(projection.apply(entry, current)):
                history = states.setdefault(key, [])
                if history and history[-1].seq == state.seq:
                    history[-1] = state
                else:
                    history.append(state)
    return versions
