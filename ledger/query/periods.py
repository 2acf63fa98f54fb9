"""The second axis of time: what is about a period of the world, whenever it was recorded."""

from __future__ import annotations

import msgspec

from tallystick.ledger.events.event import About, Period
from tallystick.ledger.query.snapshot import Snapshot


class _Envelope(msgspec.Struct):
    about: About | None = None


class _Window(msgspec.Struct):
    run: str
    tested_on: Period | None = None


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_WINDOW = msgspec.json.Decoder(_Window)

FIRST_STATES = (
    "SELECT k.key, (SELECT state FROM windows_versions v WHERE v.key = k.key AND v.state IS NOT NULL "
    "ORDER BY v.from_seq LIMIT 1) FROM windows_keys k WHERE k.first_seq <= ?"
)
RUNS_OF_A_WINDOW = (
    "SELECT from_seq, json_extract(state, '$.run') FROM windows_versions "
    "WHERE key = ? AND from_seq <= ? AND state IS NOT NULL"
)


def overlaps(period: Period | None, about: Period | None) -> bool:
    """Whether two half-open periods overlap; every period overlaps ``about=None``."""
    return about is None or (period is not None and period[0] < about[1] and about[0] < period[1])


def event_overlaps(body: str | bytes | None, about: Period) -> bool:
    """Whether an event's bytes are about a period, in any role; a body that is erased or damaged is about none."""
    if body is None:
        return False
    try:
        said = _ENVELOPE.decode(body).about
    except msgspec.MsgspecError:
        return False
    return said is not None and any(
        overlaps(period, about)
        for period in (said.trained_on, said.tested_on, said.intended_for, said.observed_in)
        if period is not None
    )


def runs_tested_in(snapshot: Snapshot, about: Period) -> dict[str, int]:
    """The runs that tested in a period, each with the position of the event at which it first did."""
    connection, position = snapshot.views.caught_up(), snapshot.position
    found: dict[str, int] = {}
    for key, text in connection.execute(FIRST_STATES, (position,)).fetchall():
        # A window is one stretch of the calendar, whichever run tests in it.
        if text is None or not overlaps(_WINDOW.decode(text).tested_on, about):
            continue
        for seq, run in connection.execute(RUNS_OF_A_WINDOW, (key, position)):
            found[run] = min(found.get(run, seq), seq)
    return found
