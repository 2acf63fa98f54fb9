"""Where a key takes the time cursor: to the end of another day, or to another decision."""

from __future__ import annotations

import datetime as dt

from tallystick import ledger
from tallystick.ledger.events.commit import from_micros, to_micros
from tallystick.ledger.views.entities.decisions import DECISIONS
from tallystick.ledger.views.entities.pipelines import PIPELINES
from tallystick.ledger.views.entities.waivers import WAIVERS
from tallystick.ledger.views.tables import first_row


def a_day(book: ledger.Ledger, n: int, way: int) -> int:
    """The end of the nearest day, before or after that of commit ``n``, on which anything was recorded."""
    log = book.log
    day = from_micros(log.commit(n).recorded_at).astimezone(book.zone).date()
    if way < 0:
        before = log.last_commit_by(to_micros(_midnight(book, day)) - 1)
        return 0 if before is None else before.n
    end = log.last_commit_by(to_micros(_midnight(book, day + dt.timedelta(days=1))) - 1)
    last = log.size() - 1
    following = (n if end is None else end.n) + 1
    if following > last:
        return last
    day = from_micros(log.commit(following).recorded_at).astimezone(book.zone).date()
    found = log.last_commit_by(to_micros(_midnight(book, day + dt.timedelta(days=1))) - 1)
    return last if found is None else found.n


def _midnight(book: ledger.Ledger, day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), book.zone).astimezone(dt.UTC)


def a_decision(book: ledger.Ledger, n: int, way: int) -> int:
    """The nearest commit in which somebody decided: a decision, a change of champion, a waiver; else the end."""
    log, connection = book.log, book.views.caught_up()
    commit = log.commit(n)
    found: list[int] = []
    for projection in (DECISIONS, PIPELINES, WAIVERS):
        changed = "instr(changed, ',champion,')" if projection is PIPELINES else "changed = '*'"
        side, order = ("id < ?", "DESC") if way < 0 else ("id >= ?", "ASC")
        row = connection.execute(
            f"SELECT from_seq FROM {projection.name}_versions WHERE {side} AND {changed} ORDER BY id {order} LIMIT 1",
            (first_row(commit.first_seq if way < 0 else commit.last_seq + 1),),
        ).fetchone()
        if row is not None:
            found.append(int(row[0]))
    if not found:
        return 0 if way < 0 else log.size() - 1
    return log.commit_of(max(found) if way < 0 else min(found)).n
