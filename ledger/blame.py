"""Why something is so: the event that made it so, and what led to that event; and the life of an entity in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ledger import vocabulary
from ledger.commit import decode_head, from_micros
from ledger.event import Event
from ledger.log import Log
from ledger.projection import Entry, Projection, State
from ledger.views import Views

SEARCHED_AT_ONCE = 5_000
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


class Told(NamedTuple):
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
    because = causes(views.log, read(views.log, made.seq), set(), MOST_CAUSES)
    value, earlier = getattr(state, field), None if before is None else getattr(before, field)
    return Why(projection.key, name, field, value, earlier, before is not None, because)


def story(views: Views, projection: Projection, name: str, position: int) -> Iterator[Told]:
    """Every event that changed an entity, oldest first."""
    for version in views.history(projection, name, -1, position):
        seq = version.state.seq if version.state is not None else version.position
        changed = tuple(filter(None, version.changed.strip("*").split(",")))
        yield Told(read(views.log, seq), changed, version.state)


def read(log: Log, seq: int) -> Entry:
    """One event with its place; an erased body is read as what is left of it."""
    stored, commit = log.event(seq), log.commit_of(seq)
    recorded_at = from_micros(commit.recorded_at)
    if stored.data is None:
        event: Event[Any] = Event(t=stored.type, v=0, salt=b"", occurred_at=recorded_at, body=None)
    else:
        event = vocabulary.decode(stored.data)
    return Entry(seq, commit.n, recorded_at, decode_head(commit.head).actor, event)


def causes(log: Log, entry: Entry, met: set[int], most: int, depth: int = 4) -> Cause:
    """An event with its causes and theirs, each shown once, nearest first."""
    met.add(entry.seq)
    known = find(log, entry, entry.event.cause)
    wanted = [seq for seq in known if seq not in met]
    followed = wanted[:most] if depth else []
    met.update(followed)
    share = most // max(1, len(followed))
    found = [causes(log, read(log, seq), met, share, depth - 1) for seq in followed]
    elsewhere = len(known) - len(wanted)
    return Cause(entry, found, len(entry.event.cause) - len(found) - elsewhere)


def find(log: Log, entry: Entry, ids: tuple[str, ...]) -> list[int]:
    """Positions of events by their ids, which stand before ``entry``; those that are not here are left out."""
    missing = {bytes.fromhex(event_id): None for event_id in ids}
    seqs: list[int] = []
    # No index holds ids: what led to an event stands shortly before it, so the search goes backwards.
    last = entry.seq - 1
    while missing and last >= 0:
        first = max(0, last - SEARCHED_AT_ONCE + 1)
        marks = ",".join("?" * len(missing))
        rows = log.reader.execute(
            f"SELECT seq, id FROM events WHERE seq BETWEEN ? AND ? AND id IN ({marks})", (first, last, *missing)
        )
        for seq, event_id in rows.fetchall():
            del missing[event_id]
            seqs.append(int(seq))
        last = first - 1
    return sorted(seqs)
