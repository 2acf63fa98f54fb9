"""What a timeline shows: how much was recorded when, where decisions lie, and the way from one to the next."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from tallystick.ledger.events.commit import from_micros, to_micros
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.views.entities.decisions import DECISIONS
from tallystick.ledger.views.entities.pipelines import PIPELINES
from tallystick.ledger.views.entities.waivers import WAIVERS
from tallystick.ledger.views.projection import Projection
from tallystick.ledger.views.tables import first_row

MOST_CHECKPOINTS = 5_000
CHAMPION_CHANGED = "instr(changed, ',champion,')"
FIRST_STATE = "changed = '*'"
PROMOTIONS = f"SELECT from_seq FROM pipelines_versions WHERE id < ? AND {CHAMPION_CHANGED}"
WAIVERS_GRANTED = f"SELECT from_seq FROM waivers_versions WHERE id < ? AND {FIRST_STATE}"
GATES_FAILED = (
    "SELECT from_seq FROM gates_versions WHERE id < ? AND json_extract(state, '$.verdict') = 'failed' "
    f"AND ({FIRST_STATE} OR instr(changed, ',evaluated_at,'))"
)
DECIDING = (DECISIONS, PIPELINES, WAIVERS)
NEXT, PREVIOUS = "ASC", "DESC"
ALARMS = "SELECT from_seq FROM periods_versions WHERE id < ? AND json_extract(state, '$.status') = 'alarm'"


class Density(NamedTuple):
    """Events over time, in columns of equal duration."""

    start: dt.datetime
    """When the first commit was recorded, UTC."""
    end: dt.datetime
    """When the last commit was recorded, UTC."""
    last_seqs: list[int]
    """For each column the position of the last event that was recorded by its end; -1 where there is none yet."""

    @property
    def counts(self) -> list[int]:
        """Number of events in each column."""
        return [last - before for last, before in zip(self.last_seqs, [-1, *self.last_seqs], strict=False)]


class Marks(NamedTuple):
    """Positions of the events that a timeline marks."""

    promotions: list[int]
    """Changes of a champion."""
    waivers: list[int]
    failed_gates: list[int]
    alarms: list[int]
    signed: list[int]
    """The first event of the last commit that a checkpoint covers."""


def density(snapshot: Snapshot, columns: int) -> Density:
    """How many events were recorded when; one binary search over the commits for each column."""
    log = snapshot.views.log
    last = log.commit(snapshot.as_of.n)
    start, end = log.commit(0).recorded_at, last.recorded_at
    seqs: list[int] = []
    for column in range(columns):
        found = last if column == columns - 1 else log.last_commit_by(start + (end - start) * (column + 1) // columns)
        seqs.append(-1 if found is None else min(found.last_seq, last.last_seq))
    return Density(from_micros(start), from_micros(end), seqs)


def marks(snapshot: Snapshot, most_signed: int) -> Marks:
    """Where something was decided, failed or alarmed, and at most ``most_signed`` checkpoints at equal distances."""
    connection, end = snapshot.views.caught_up(), (first_row(snapshot.position + 1),)
    promotions, waivers, failed_gates, alarms = (
        [int(row[0]) for row in connection.execute(query, end)]
        for query in (PROMOTIONS, WAIVERS_GRANTED, GATES_FAILED, ALARMS)
    )
    log = snapshot.views.log
    sizes = [
        int(row[0])
        for row in log.reader.execute(
            "SELECT size FROM checkpoints WHERE size BETWEEN 1 AND ? ORDER BY size DESC LIMIT ?",
            (snapshot.as_of.n + 1, MOST_CHECKPOINTS),
        )
    ]
    step = max(1, -(-len(sizes) // most_signed))
    signed = [log.commit(size - 1).first_seq for size in sizes[::step]]
    return Marks(promotions, waivers, failed_gates, alarms, signed)


def next_decision(snapshot: Snapshot, n: int) -> int | None:
    """The first commit after commit ``n`` with a decision, a change of champion or a waiver; None where none is."""
    seqs = _one_of_each(snapshot, NEXT, snapshot.commit(n).last_seq + 1, snapshot.position + 1)
    return snapshot.commit_of(min(seqs)).n if seqs else None


def previous_decision(snapshot: Snapshot, n: int) -> int | None:
    """The last commit before commit ``n`` with a decision, a change of champion or a waiver; None where none is."""
    seqs = _one_of_each(snapshot, PREVIOUS, 0, snapshot.commit(n).first_seq)
    return snapshot.commit_of(max(seqs)).n if seqs else None


def decision_query(projection: Projection, order: str) -> str:
    """One step along the rows of a view, which lie in the order of their events."""
    changed = CHAMPION_CHANGED if projection is PIPELINES else FIRST_STATE
    return (
        f"SELECT from_seq FROM {projection.name}_versions WHERE id >= ? AND id < ? AND {changed} "
        f"ORDER BY id {order} LIMIT 1"
    )


def _one_of_each(snapshot: Snapshot, order: str, first: int, stop: int) -> list[int]:
    connection, between = snapshot.views.caught_up(), (first_row(first), first_row(stop))
    rows = [connection.execute(decision_query(kind, order), between).fetchone() for kind in DECIDING]
    return [int(row[0]) for row in rows if row is not None]


def next_day(snapshot: Snapshot, n: int, zone: dt.tzinfo) -> int:
    """The last commit of the next day, in ``zone``, on which anything was recorded; the last commit where none is."""
    last = snapshot.as_of.n
    end = _last_before(snapshot, _day_of(snapshot, n, zone) + dt.timedelta(days=1), zone)
    following = (n if end is None else end) + 1
    if following > last:
        return last
    found = _last_before(snapshot, _day_of(snapshot, following, zone) + dt.timedelta(days=1), zone)
    return last if found is None else found


def previous_day(snapshot: Snapshot, n: int, zone: dt.tzinfo) -> int:
    """The last commit before the day, in ``zone``, of commit ``n``; the first commit where there is none."""
    return _last_before(snapshot, _day_of(snapshot, n, zone), zone) or 0


def _day_of(snapshot: Snapshot, n: int, zone: dt.tzinfo) -> dt.date:
    return snapshot.commit(n).recorded_at.astimezone(zone).date()


def _last_before(snapshot: Snapshot, day: dt.date, zone: dt.tzinfo) -> int | None:
    midnight = dt.datetime.combine(day, dt.time(), zone).astimezone(dt.UTC)
    found = snapshot.last_commit_by(from_micros(to_micros(midnight) - 1))
    return None if found is None else found.n
