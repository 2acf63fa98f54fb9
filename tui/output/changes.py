"""Events and changes in words, for the command line and the app alike."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from tallystick import ledger
from tallystick.ledger.events.entry import Entry, Erased, Unreadable
from tallystick.ledger.events.sentences import count, sentence
from tallystick.ledger.events.unknown import Unknown
from tallystick.ledger.query.diff import EntityChange, FieldChange
from tallystick.ledger.views.entities import (
    DecisionState,
    EnvironmentState,
    ModelState,
    PipelineState,
    RunState,
    SliceState,
    WindowState,
)
from tallystick.ledger.views.projection import State
from tallystick.tui.output.escape import show
from tallystick.tui.output.import_label import aside_words, imported_json
from tallystick.tui.output.values import field_words, moment_words, state_value_words

SAME_WHEN_REPEATED = {"run", "opened_at", "runs", "described_by", "evaluated_at"}
"""Fields of a window or an evaluation that say no more than that another run saw the same."""


def corrected_by(seq: int, aside: dict[int, int]) -> str | None:
    """The handle of the correction that sets an event aside."""
    return f"#{aside[seq]}" if seq in aside else None


def event_line(entry: Entry, snapshot: ledger.Snapshot, zone: ZoneInfo) -> str:
    """One event on one line: when, who, what it says; safe for a terminal."""
    return (
        f"#{entry.seq}  {moment_words(entry.recorded_at, zone)}  {show(entry.actor)}"
        f"{aside_words(snapshot, entry.n, zone)}: {show(sentence(entry.event), 400)}"
    )


def entry_json(entry: Entry, snapshot: ledger.Snapshot, aside: dict[int, int]) -> dict[str, Any]:
    """An event as a program wants it: its handle, its place, what it says, and whether it counts."""
    imported = imported_json(snapshot, entry.n)
    return {
        "handle": snapshot.event_handle(entry.seq),
        "seq": entry.seq,
        "commit": snapshot.commit_handle(entry.n),
        "recorded_at": entry.recorded_at,
        "occurred_at": _occurred_at(entry, snapshot),
        "actor": entry.actor,
        "type": entry.event.t,
        "sentence": sentence(entry.event),
        "corrected_by": corrected_by(entry.seq, aside),
        **({"imported": imported} if imported else {}),
    }


def _occurred_at(entry: Entry, snapshot: ledger.Snapshot) -> dt.datetime | Unknown | None:
    """When an event occurred, by its own clock; that went with a body that was erased or is missing."""
    match entry.event.body:
        case Erased(seq=redaction, at=at):
            return Unknown(event=entry.seq, redaction=redaction, on=f"{at.astimezone(snapshot.zone):%Y-%m-%d}")
        case Unreadable():
            return None
    return entry.event.occurred_at


def late_words(late: dt.timedelta) -> str:
    """``41 days late``; before the period was over it was no knowledge of all of it."""
    if late < dt.timedelta(0):
        return "before its end"
    days = late.days
    if days:
        return f"{count(days, 'day')} late"
    hours = int(late.total_seconds() // 3600)
    return f"{count(hours, 'hour')} late" if hours else "within the hour"


def change_words(change: EntityChange, snapshot: ledger.Snapshot) -> str:
    """``pipeline:p: champion p-v2 → p-v1``."""
    if change.after is None:
        return f"{change.handle} does not exist any more"
    if change.before is None:
        return f"{change.handle} exists"
    return f"{change.handle}: {'; '.join(field_change_words(field, snapshot, change.after) for field in change.fields)}"


def field_change_words(change: FieldChange, snapshot: ledger.Snapshot, state: State | None) -> str:
    """``champion p-v2 → p-v1``."""
    old, new = (state_value_words(snapshot, state, change.field, value) for value in (change.old, change.new))
    return f"{field_words(change.field)} {old} → {new}"


def node_words(node: str, snapshot: ledger.Snapshot) -> str:
    """A node with the one thing that people want to know of it."""
    if node.startswith("#"):
        return f"{node} {sentence(snapshot.entry(int(node[1:])).event)}"
    if node.startswith(("source:", "unknown:")):
        return node
    about: str | None = None
    match snapshot.find(node):
        case SliceState() as state:
            about = f"{count(state.kept_rows, 'row')} of {state.source}"
        case RunState() as state:
            about = state.status
        case ModelState() as state:
            about = f"{state.candidate}, {state.status}"
        case DecisionState() as state:
            about = state.headline
        case WindowState() as state:
            about = count(state.test_rows, "test row")
        case EnvironmentState() as state:
            about = f"Python {state.python}"
        case PipelineState() as state:
            about = f"of {state.owner}"
    return f"{node} ({about})" if about else node


def setting_words(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
