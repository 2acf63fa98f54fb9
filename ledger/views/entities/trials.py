"""Trials: what notebooks and training loops tried. Their numbers and files are entities of their own.

A trial is measured thousands of times and keeps thousands of files: a state that held all of them would be as long as
the history, and so would each of its versions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant
from tallystick.ledger.views.projection import Change, Lookup, State, amended, follow, projection


class TrialState(State, frozen=True, kw_only=True):
    trial: str
    name: str
    status: say.TrialStatus
    by: str
    host: str
    params: dict[str, Any]
    """Those that it began with; what was noted later is among its parameters as entities of their own."""
    started_at: Instant
    """When it happened, which may be before it could be recorded."""
    ended_at: Instant | None = None
    points: int = 0
    file_count: int = 0
    """How many files were stored."""
    error: str | None = None
    late_records: int = 0
    user: str | None = None
    """As the recorder names the person."""
    experiment: str | None = None
    parent: str | None = None
    """The trial that this one is a part of."""
    artifact_uri: str | None = None
    process: int | None = None
    process_began: str | None = None
    imported_from: str | None = None
    removed: bool = False


def trials(entry: Entry, current: Lookup) -> Iterator[Change]:
    """Trials from their start to their end."""
    body = entry.event.body
    if isinstance(body, say.TrialStarted):
        yield (
            body.trial,
            TrialState(
                seq=entry.seq,
                trial=body.trial,
                name=body.name,
                status="running",
                by=entry.actor,
                host=body.host,
                params=body.params,
                started_at=entry.event.occurred_at,
            ),
        )
        return
    if isinstance(body, say.TrialBegun):
        yield body.trial, _begun(body, entry)
        return
    state: TrialState | None = current(body.trial)
    if state is None:
        return
    match body:
        case say.TrialMeasured():
            yield body.trial, follow(state, entry, points=state.points + len(body.points))
        case say.TrialSeries():
            added = sum(len(series.values) for series in body.series)
            yield body.trial, follow(state, entry, points=state.points + added)
        case say.TrialStored():
            yield body.trial, follow(state, entry, file_count=state.file_count + 1)
        case say.TrialFinished():
            ended = {"status": body.status, "ended_at": entry.event.occurred_at, "error": body.error}
            yield body.trial, follow(state, entry, late_records=body.late_records, **ended)
        case say.TrialChanged():
            yield body.trial, _changed(state, body, entry)


def _begun(body: say.TrialBegun, entry: Entry) -> TrialState:
    return TrialState(
        seq=entry.seq,
        trial=body.trial,
        name=body.name,
        status=body.status,
        by=entry.actor,
        host=body.host or "unknown",
        params=body.params,
        started_at=entry.event.occurred_at,
        user=body.user,
        experiment=body.experiment,
        parent=body.parent,
        artifact_uri=body.artifact_uri,
        process=body.process,
        process_began=body.process_began,
        imported_from=body.imported_from,
    )


def _changed(state: TrialState, body: say.TrialChanged, entry: Entry) -> TrialState:
    going_on = body.status in ("running", "scheduled")
    return follow(
        state,
        entry,
        status=body.status or state.status,
        name=body.name or state.name,
        ended_at=body.ended_at or (None if going_on else state.ended_at),
        error=body.error or (None if going_on else state.error),
        late_records=state.late_records if body.late_records is None else body.late_records,
        removed=state.removed if body.removed is None else body.removed,
    )


TRIALS = amended(
    projection(
        "trials",
        "trial",
        TrialState,
        (
            say.TrialStarted,
            say.TrialBegun,
            say.TrialMeasured,
            say.TrialSeries,
            say.TrialStored,
            say.TrialFinished,
            say.TrialChanged,
        ),
        trials,
        steady=(
            (
                *("trial", "name", "by", "host", "params", "started_at", "user", "experiment", "parent"),
                *("artifact_uri", "process", "process_began", "imported_from"),
            ),
            ("ended_at", "error", "removed"),
        ),
    ),
    writes={
        say.TrialMeasured: ("points",),
        say.TrialSeries: ("points",),
        say.TrialStored: ("file_count",),
        say.TrialFinished: ("status", "ended_at", "error", "late_records"),
        say.TrialChanged: ("status", "name", "ended_at", "error", "late_records", "removed"),
    },
)
