"""The second axis: what is about a period, whenever it was recorded."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from tallystick import ledger
from tallystick.ledger.events.event import About, Period
from tallystick.ledger.views.projection import State

ROLES = ("about", "tested_on", "observed_in", "intended_for", "period")
"""Fields of a state that say which period it is about. What a model was trained on is not what it is about."""


class _Envelope(msgspec.Struct):
    about: About | None = None


_ENVELOPE = msgspec.json.Decoder(_Envelope)


def touches(period: Period | None, about: Period | None) -> bool:
    """Whether a period and another one overlap; everything touches no period at all."""
    return about is None or (period is not None and period[0] < about[1] and about[0] < period[1])


def event_touches(body: str | bytes | None, about: Period) -> bool:
    """Whether an event is about a period, in whichever role; one whose body is erased or damaged is about none."""
    if body is None:
        return False
    try:
        said = _ENVELOPE.decode(body).about
    except msgspec.MsgspecError:
        return False
    return said is not None and any(
        touches(period, about)
        for period in (said.trained_on, said.tested_on, said.intended_for, said.observed_in)
        if period is not None
    )


def state_is_elsewhere(state: State | None, about: Period | None) -> bool:
    """Whether a state is about another period; what is about none is not elsewhere."""
    periods = [period for role in ROLES if isinstance(period := getattr(state, role, None), tuple)]
    return about is not None and bool(periods) and not any(touches(period, about) for period in periods)


class _Window(msgspec.Struct):
    run: str
    tested_on: Period | None = None


_WINDOW = msgspec.json.Decoder(_Window)


@lru_cache(maxsize=4)
def runs_about(book: ledger.Ledger, about: Period, newest: int) -> dict[str, int]:
    """Runs that tested in a period, each with the event at which it first did, up to event ``newest``.

    Read once a period and kept, so that a step in time looks at nothing but the positions.
    """
    found: dict[str, int] = {}
    connection = book.views.caught_up()
    for key, text in connection.execute(
        "SELECT k.key, (SELECT state FROM windows_versions v WHERE v.key = k.key AND v.state IS NOT NULL "
        "ORDER BY v.from_seq LIMIT 1) FROM windows_keys k"
    ).fetchall():
        # A window is one stretch of the calendar, whichever run tests in it.
        if text is None or not touches(_WINDOW.decode(text).tested_on, about):
            continue
        versions = connection.execute(
            "SELECT from_seq, json_extract(state, '$.run') FROM windows_versions "
            "WHERE key = ? AND from_seq <= ? AND state IS NOT NULL",
            (key, newest),
        )
        for seq, run in versions:
            found[run] = min(found.get(run, seq), seq)
    return found
