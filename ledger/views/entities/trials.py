"""Trials: what notebooks and training loops tried. Their numbers and files are entities of their own.

A trial is measured thousands of times and keeps thousands of files: a state that held all of them would be as long as
the history, and so would each of its versions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant
from tallystick.ledger.views.projection import Change, Lookup, State, amended, follow, projection


class TrialState(State, frozen=True, kw_only=True):
    trial: str
    name: str
    status: Literal["running", "finished", "failed"]
    by: str
    host: str
    params: dict[str, Any]
    started_at: Instant
    """When it happened, which may be before it could be recorded."""
    ended_at: Instant | None = None
    points: int = 0
    file_count: int = 0
    """How many files were stored."""
    error: str | None = None
    late_records: int = 0


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
    state: TrialState | None = current(body.trial)
    if state is None:
        return
    match body:
        case say.TrialMeasured():
            yield body.trial, follow(state, entry, points=state.points + len(body.points))
        case say.TrialStored():
            yield body.trial, follow(state, entry, file_count=state.file_count + 1)
        case say.TrialFinished():
            ended = {"status": body.status, "ended_at": entry.event.occurred_at, "error": body.error}
            yield body.trial, follow(state, entry, late_records=body.late_records, **ended)


TRIALS = amended(
    projection(
        "trials",
        "trial",
        TrialState,
        (say.TrialStarted, say.TrialMeasured, say.TrialStored, say.TrialFinished),
        trials,
        steady=(
            ("trial", "name", "by", "host", "params", "started_at"),
            ("ended_at", "error"),
        ),
    ),
    writes={
        say.TrialMeasured: ("points",),
        say.TrialStored: ("file_count",),
        say.TrialFinished: ("status", "ended_at", "error", "late_records"),
    },
)
