"""Why something is so: the event that made it so, and what led to that event; and the life of an entity in order."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from tallystick.ledger.events import types
from tallystick.ledger.events.commit import decode_head, from_micros
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Event
from tallystick.ledger.query.erasures import in_place_of_body
from tallystick.ledger.storage.imported_commits import told_here
from tallystick.ledger.storage.log import Commit, Log, Stored
from tallystick.ledger.views.projection import Projection, State
from tallystick.ledger.views.store import Views

SEARCHED_FIRST = 250
DEPTH = 4
MOST_CAUSES = 200
"""How many causes are followed in all; a decision rests on one event for each window and candidate."""


class Cause(NamedTuple):
    """An event, and the events that it names as its causes."""

    entry: Entry
    causes: list[Cause]
    left_out: int
    """How many more causes it has that were not followed; those that stand elsewhere in the answer do not count."""


class Why(NamedTuple):
    """A field of an entity, its value, and the event that gave it that value."""

    kind: str
    name: str
    field: str
    value: Any
    before: Any
    """What it said before; None where the entity was not there."""
    was_there: bool
    because: Cause


class HistoryStep(NamedTuple):
    """One step in the life of an entity."""

    entry: Entry
    changed: tuple[str, ...]
    """Fields that it changed; empty where the entity came to be."""
    state: State | None


def why(views: Views, projection: Projection, name: str, field: str, position: int) -> Why | None:
    """What made ``field`` of an entity what it is at a position; None where the entity does not exist then."""
    state = views.get(projection, name, position)
    if state is None:
        return None
    since = views.last_change(projection, name, field, position)
    assert since is not None
    before = views.get(projection, name, since - 1)
    made = views.get(projection, name, since)
    assert made is not None
    because = causes(views.log, read(views.log, made.seq))
    value, earlier = getattr(state, field), None if before is None else getattr(before, field)
    return Why(projection.key, name, field, value, earlier, before is not None, because)


def story(views: Views, projection: Projection, name: str, position: int) -> Iterator[HistoryStep]:
    """Every event that changed an entity, oldest first."""
    for version in views.history(projection, name, -1, position):
        seq = version.state.seq if version.state is not None else version.position
        changed = tuple(filter(None, version.changed.strip("*").split(",")))
        yield HistoryStep(read(views.log, seq), changed, version.state)


def read(log: Log, seq: int) -> Entry:
    """One event with its place; in place of an erased body stands an ``Erased``."""
    return _entry(log, log.event(seq), log.commit_of(seq))


def _read_all(log: Log, seqs: list[int]) -> Iterator[Entry]:
    """Several events, oldest first; those of one commit, which are many, ask for it once."""
    commit: Commit | None = None
    for seq, stored in zip(seqs, log.some(seqs), strict=True):
        if commit is None or seq > commit.last_seq:
            commit = log.commit_of(seq, commit.n if commit else 0)
        yield _entry(log, stored, commit)


def _entry(log: Log, stored: Stored, commit: Commit) -> Entry:
    recorded_at, head = from_micros(commit.recorded_at), decode_head(commit.head)
    if stored.data is None:
        body = in_place_of_body(log, stored.seq)
        event: Event[Any] = Event(t=stored.type, v=0, salt=b"", occurred_at=recorded_at, body=body)
    else:
        event = told_here(log, commit, head, types.decode(stored.data))
    return Entry(stored.seq, commit.n, recorded_at, head.actor, event)


def causes(log: Log, entry: Entry, most: int = MOST_CAUSES, depth: int = DEPTH) -> Cause:
    """An event with its causes and theirs; each stands once, as near to the event as it can."""
    places: dict[str, int] = {}
    entries = {entry.seq: entry}
    below: dict[int, list[int]] = {}
    level = [entry]
    for _ in range(depth):
        # All causes of a level are searched for at once: they stand near each other, and often are the same.
        missing = {name for upper in level for name in upper.event.cause if name not in places}
        places |= find(log, max((upper.seq for upper in level), default=0), missing)
        following: dict[int, None] = {}
        for upper in level:
            for seq in sorted(places[name] for name in upper.event.cause if name in places):
                if seq not in entries and seq not in following and len(entries) + len(following) <= most:
                    following[seq] = None
                    below.setdefault(upper.seq, []).append(seq)
        level = list(_read_all(log, sorted(following)))
        entries |= {entry.seq: entry for entry in level}

    def told(seq: int) -> Cause:
        inner = [told(following) for following in below.get(seq, ())]
        left_out = sum(places.get(name) not in entries for name in entries[seq].event.cause)
        return Cause(entries[seq], inner, left_out)

    return told(entry.seq)


def find(log: Log, before: int, ids: Collection[str]) -> dict[str, int]:
    """Positions of events by their ids, as far as they stand before a position."""
    missing = {bytes.fromhex(event_id) for event_id in ids}
    found: dict[str, int] = {}
    # No index holds ids: what led to an event stands shortly before it, so the search goes backwards in growing steps.
    last, step = before - 1, SEARCHED_FIRST
    while missing and last >= 0:
        first = max(0, last - step + 1)
        rows = log.reader.execute(
            f"SELECT seq, id FROM events WHERE seq BETWEEN ? AND ? AND id IN ({','.join('?' * len(missing))})",
            (first, last, *missing),
        )
        for seq, event_id in rows.fetchall():
            missing.discard(event_id)
            found[event_id.hex()] = int(seq)
        last, step = first - 1, step * 2
    return found
