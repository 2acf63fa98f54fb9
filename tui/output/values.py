"""How a recorded value is written for people: times in the ledger's zone, periods as days, numbers short."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from tallystick.ledger.events.unknown import Unknown
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.query.steps import STEP, counts_in_steps, step_of
from tallystick.ledger.views.entities import Championship
from tallystick.ledger.views.projection import State
from tallystick.tui.output.escape import show

EARLIEST_END = dt.datetime(1, 1, 1, 0, 0, 1, tzinfo=dt.UTC)
"""The end of a period that a stranger wrote may be the first moment of all, before which there is none to name."""
OF_THE_WORLD = ("cutoff",)
"""Fields with one time that rows are compared with; every other single time says when something was done."""
PLACES = ("registered_by", "described_by", "made_by_event")


def value_words(value: Any, zone: ZoneInfo) -> str:  # noqa: PLR0911 - one kind of value a line
    """One line, safe for a terminal."""
    match value:
        case Unknown():
            return value.words
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.4g}"
        case dt.datetime():
            return value.astimezone(zone).strftime("%Y-%m-%d %H:%M")
        case (dt.datetime() as start, dt.datetime() as end):
            return period_words((start, end), zone)
        case Championship():
            return show(value.model)
        case dict():
            return "; ".join(f"{show(key)} {value_words(item, zone)}" for key, item in value.items()) or "–"
        case list() | tuple():
            return ", ".join(value_words(item, zone) for item in value) or "–"
    if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value):
        return f"{value[:12]}…"
    return show(value)


def field_value_words(field: str, value: Any, zone: ZoneInfo) -> str:
    """The same, where the field says that a number is the place of an event."""
    return f"#{value}" if field in PLACES and isinstance(value, int) else value_words(value, zone)


def period_words(period: tuple[dt.datetime, dt.datetime], zone: ZoneInfo) -> str:
    """``2013-01-01 to 2013-03-31``: the last day is the one before the exclusive end."""
    last = max(period[1], EARLIEST_END) - dt.timedelta(microseconds=1)
    return f"{period[0].astimezone(zone):%Y-%m-%d} to {last.astimezone(zone):%Y-%m-%d}"


def steps_words(period: tuple[dt.datetime, dt.datetime]) -> str:
    """``steps 0 to 169``, for a pipeline whose time is a whole number."""
    return f"steps {step_of(period[0])} to {step_of(max(period[1] - STEP, period[0]))}"


def world_words(snapshot: Snapshot, pipeline: str, period: tuple[dt.datetime, dt.datetime]) -> str:
    """A period of the world that a pipeline is about: dates, or steps where that is how it counts."""
    return steps_words(period) if counts_in_steps(snapshot, pipeline) else period_words(period, snapshot.zone)


def state_value_words(snapshot: Snapshot, state: object, field: str, value: Any) -> str:
    """One field of an entity's state; its periods in steps where its pipeline counts so."""
    pipeline = getattr(state, "pipeline", None)
    match value:
        case (dt.datetime() as start, dt.datetime() as end) if isinstance(pipeline, str):
            return world_words(snapshot, pipeline, (start, end))
        case dt.datetime() if field in OF_THE_WORLD and counts_in_steps(snapshot, str(pipeline)):
            return f"step {step_of(value)}"
    return field_value_words(field, value, snapshot.zone)


def state_builtins(snapshot: Snapshot, state: State) -> dict[str, Any]:
    """The fields of an entity's state for programs.

    A period is a pair of times, the end exclusive; of a pipeline that counts in steps it is a pair of steps.
    """
    fields = {field: getattr(state, field) for field in state.__struct_fields__}
    return {field: value_builtins(snapshot, state, field, value) for field, value in fields.items()}


def value_builtins(snapshot: Snapshot, state: object, field: str, value: Any) -> Any:
    """One value of a state for programs, in steps where its pipeline counts so."""
    pipeline = getattr(state, "pipeline", None)
    if isinstance(pipeline, str) and counts_in_steps(snapshot, pipeline):
        match value:
            case (dt.datetime() as start, dt.datetime() as end):
                return [step_of(start), step_of(end)]
            case dt.datetime() if field in OF_THE_WORLD:
                return step_of(value)
    return msgspec.to_builtins(value)


def field_words(field: str) -> str:
    """``made_by_run`` as ``made by run``."""
    return field.replace("_", " ")


def moment_words(moment: dt.datetime, zone: ZoneInfo) -> str:
    """To the second, with the zone's name at that time."""
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z")


def minute_words(moment: dt.datetime | None, zone: ZoneInfo) -> str:
    """``2013-10-07 09:20``; nothing for None."""
    return "" if moment is None else moment.astimezone(zone).strftime("%Y-%m-%d %H:%M")


def day_words(moment: dt.datetime | None, zone: ZoneInfo) -> str:
    """``2013-10-07``; nothing for None."""
    return "" if moment is None else moment.astimezone(zone).strftime("%Y-%m-%d")


def last_day_words(moment: dt.datetime, zone: ZoneInfo) -> str:
    """The last day before an exclusive end, which is what people call the end."""
    return day_words(moment - dt.timedelta(microseconds=1), zone)
