"""Automation of a pipeline: what it may do by itself, how long it has been quiet, and what locked it again.

A pipeline's file asks for a level and says what it takes; a person unlocks it; whatever the file lists under
``relock_on`` takes it back to manual without anybody's doing, and quiet periods are counted from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant
from tallystick.ledger.events.unknown import is_unknown
from tallystick.ledger.views.projection import Change, Lookup, State, amended, follow, projection

Level = Literal["manual", "suggest", "auto_refit"]
LEVELS: tuple[Level, ...] = ("manual", "suggest", "auto_refit")


class AutomationState(State, frozen=True, kw_only=True):
    automation: str
    """Name of the pipeline."""
    level: Level
    """What is in force."""
    asked: Level
    """The most that the pipeline file allows."""
    quiet_periods: int
    """In a row, up to the newest watched one."""
    needed: int | None
    """Quiet periods that the file asks for; None where it names no way to unlock."""
    approvers_needed: int
    relock_on: tuple[str, ...]
    quiet_since: str | None = None
    """Label of the first of the quiet periods."""
    last_period: str | None = None
    locked_by: str | None = None
    """What ended the last quiet row, in words."""
    locked_at: Instant | None = None
    unlocked_by: str | None = None
    unlocked_at: Instant | None = None


class _Unlock(msgspec.Struct, frozen=True):
    stable_windows: int | None = None
    approved_by: int = 1


class _Asked(msgspec.Struct, frozen=True):
    """What a registered file says about automation: free-form JSON, which an event may hold of any shape."""

    level: Level = "manual"
    unlock: _Unlock | None = None
    relock_on: list[str] | None = None


def automations(entry: Entry, current: Lookup) -> Iterator[Change]:
    """Quiet periods counted, levels unlocked and locked again."""
    body = entry.event.body
    state: AutomationState | None = current(body.pipeline)
    if isinstance(body, say.PipelineRegistered):
        yield body.pipeline, _registered(entry, body, state)
        return
    if state is None:
        return
    match body:
        case say.PeriodMonitored():
            if body.status == "quiet":
                if body.label != state.last_period:
                    since = state.quiet_since or body.label
                    quiet = state.quiet_periods + 1
                    yield (
                        body.pipeline,
                        follow(state, entry, quiet_periods=quiet, quiet_since=since, last_period=body.label),
                    )
            elif body.status not in ("waiting", "not judged"):
                cause = "alarm" if body.status == "alarm" else None
                yield body.pipeline, _disturbed(state, entry, cause, f"{body.label}: {body.headline}", body.label)
        case say.FindingMade() if body.code == "schema":
            yield body.pipeline, _disturbed(state, entry, "schema change", body.sentence)
        case say.WaiverGranted():
            yield body.pipeline, _disturbed(state, entry, "waiver", f"waiver {body.waiver} was granted")
        case say.GateEvaluated() if body.verdict == "failed":
            yield body.pipeline, _disturbed(state, entry, "gate failed", f"{body.model} failed {body.name}")
        case say.AutomationChanged():
            yield (
                body.pipeline,
                follow(state, entry, level=body.level, unlocked_by=entry.actor, unlocked_at=entry.recorded_at),
            )


def _registered(entry: Entry, body: say.PipelineRegistered, state: AutomationState | None) -> AutomationState:
    try:
        asked = msgspec.convert(body.meaning.get("automation") or {}, _Asked)
    except msgspec.ValidationError:
        asked = _Asked()  # the settings of a stranger's file, which this program would not have registered
    unlock = asked.unlock or _Unlock()
    changes: dict[str, Any] = {
        "asked": asked.level,
        "level": _lower(state.level if state else "manual", asked.level),
        "needed": unlock.stable_windows,
        "approvers_needed": unlock.approved_by,
        "relock_on": tuple(asked.relock_on or ()),
    }
    if state is not None:
        return follow(state, entry, **changes)
    return AutomationState(seq=entry.seq, automation=body.pipeline, quiet_periods=0, **changes)


def _lower(before: Level, asked: Level) -> Level:
    """The lower of two levels; an unknown one is at most what is asked for."""
    if asked == "manual" or before not in LEVELS:
        return "manual" if asked == "manual" else before
    return min(before, asked, key=LEVELS.index)


def set_aside(entry: Entry, current: Lookup) -> Iterator[Change]:
    """What still acts of an event that does not count any more: it unlocks nothing that it had locked.

    Otherwise taking an alarm out of the record would be a way to more automation. New quiet periods are one. Of two
    registrations, one of them set aside, the stricter conditions hold until the file is registered anew.
    """
    body = entry.event.body
    if isinstance(body, say.PeriodMonitored | say.FindingMade | say.GateEvaluated):
        if not isinstance(body, say.PeriodMonitored) or body.status != "quiet":
            yield from automations(entry, current)
    elif isinstance(body, say.PipelineRegistered) and (state := current(body.pipeline)) is not None:
        yield body.pipeline, _stricter(state, _registered(entry, body, state), entry)


def _stricter(state: AutomationState, other: AutomationState, entry: Entry) -> AutomationState:
    """The lower level and the harder conditions of two states; unknown ones stay as they are."""
    changes: dict[str, Any] = {"level": other.level}
    if state.asked in LEVELS:
        changes["asked"] = _lower(state.asked, other.asked)
    if not is_unknown(state.needed):
        changes["needed"] = None if None in (state.needed, other.needed) else max(state.needed or 0, other.needed or 0)
    if not is_unknown(state.approvers_needed):
        changes["approvers_needed"] = max(state.approvers_needed, other.approvers_needed)
    if not is_unknown(state.relock_on):
        changes["relock_on"] = (*state.relock_on, *(cause for cause in other.relock_on if cause not in state.relock_on))
    return follow(state, entry, **changes)


def _disturbed(
    state: AutomationState, entry: Entry, cause: str | None, words: str, label: str | None = None
) -> AutomationState:
    """The row of quiet periods ends; the level falls where the file says that this cause locks."""
    locks = cause in state.relock_on
    return follow(
        state,
        entry,
        level="manual" if locks else state.level,
        quiet_periods=0 if locks or label else state.quiet_periods,
        quiet_since=None if locks or label else state.quiet_since,
        last_period=label or state.last_period,
        locked_by=words if locks or label else state.locked_by,
        locked_at=entry.recorded_at if locks or label else state.locked_at,
    )


_DISTURBED = ("level", "quiet_periods", "quiet_since", "last_period", "locked_by", "locked_at")

AUTOMATIONS = amended(
    projection(
        "automations",
        "automation",
        AutomationState,
        (
            say.PipelineRegistered,
            say.PeriodMonitored,
            say.FindingMade,
            say.WaiverGranted,
            say.GateEvaluated,
            say.AutomationChanged,
        ),
        automations,
        steady=(
            ("automation", "asked", "needed", "approvers_needed", "relock_on"),
            ("quiet_since", "locked_by", "locked_at"),
            ("unlocked_by", "unlocked_at"),
        ),
    ),
    set_aside=set_aside,
    lowest=(("level", "manual", say.AutomationChanged.TYPE),),
    writes={
        say.PipelineRegistered: ("asked", "level", "needed", "approvers_needed", "relock_on"),
        say.AutomationChanged: ("level", "unlocked_by", "unlocked_at"),
        **dict.fromkeys((say.PeriodMonitored, say.FindingMade, say.WaiverGranted, say.GateEvaluated), _DISTURBED),
    },
)
