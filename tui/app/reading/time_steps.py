"""Where a key takes the time cursor: to the end of another day, or to another decision."""

from __future__ import annotations

from tallystick import ledger
from tallystick.ledger.query import timeline


def a_day(book: ledger.Ledger, n: int, way: int) -> int:
    """The end of the nearest day, before or after that of commit ``n``, on which anything was recorded."""
    return (timeline.previous_day if way < 0 else timeline.next_day)(book.now(), n, book.zone)


def a_decision(book: ledger.Ledger, n: int, way: int) -> int:
    """The nearest commit in which somebody decided: a decision, a change of champion, a waiver; else the end."""
    now = book.now()
    if way < 0:
        return timeline.previous_decision(now, n) or 0
    found = timeline.next_decision(now, n)
    return now.as_of.n if found is None else found
