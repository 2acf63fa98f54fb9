"""Full-text search over the log: every word of a filter must match, the newest events first.

``type:`` searches the event's type, ``actor:`` who recorded it, ``entity:`` the things that its body refers to; any
other word the body, the type and the actor. No index covers the bodies, so a search reads backwards from where its
matches are likeliest; a caller that shows what was found so far asks for one piece after the other.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tallystick.ledger.events import types
from tallystick.ledger.events.event import Period
from tallystick.ledger.query.periods import event_overlaps
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.query.text_match import containing

KINDS = ("type:", "actor:", "entity:")
PIECE_EVENTS = 20_000
STEPS = 20_000
"""Machine steps of SQLite between two questions whether a search is still wanted."""
READ_UNDER = (
    "(SELECT json_extract(i.body, '$.body.named_under') FROM events i "
    "WHERE i.seq BETWEEN c.first_seq AND c.last_seq AND i.type = 'commit.imported')"
)
ANYWHERE = (
    "(e.body LIKE ? ESCAPE '\\' OR e.type LIKE ? ESCAPE '\\' OR json_extract(c.head, '$.actor') LIKE ? ESCAPE '\\')"
)


class Stretch(NamedTuple):
    """Events ``first`` to ``last``, both included."""

    first: int
    last: int

    def pieces(self) -> Iterator[Stretch]:
        """The same in pieces of :data:`PIECE_EVENTS`, the newest first."""
        for last in range(self.last, self.first - 1, -PIECE_EVENTS):
            yield Stretch(max(self.first, last - PIECE_EVENTS + 1), last)


def stretches(snapshot: Snapshot, text: str) -> list[Stretch]:
    """Where to search, the likeliest stretch first.

    The log knows the last event that refers to an entity: from there backwards its events are near. Behind it there can
    only be some that hold its name without referring to it, such as a note.
    """
    last = snapshot.as_of.seq
    newest = newest_mention(snapshot, text)
    if newest is None or newest >= last:
        return [Stretch(0, last)]
    return [Stretch(0, newest), Stretch(newest + 1, last)]


def newest_mention(snapshot: Snapshot, text: str) -> int | None:
    """The newest event, at any date, that refers to the entities of a filter; None where the log lists none."""
    log, found = snapshot.views.log, []
    for word in text.split():
        if word.startswith("entity:"):
            wanted = word.removeprefix("entity:").rpartition(":")[2]
            seqs = [seq for kind in types.KINDS if (seq := log.last_seq_of(f"{kind}:{wanted}")) is not None]
            found += [max(seqs)] if seqs else []
    return min(found, default=None)


def find_events(snapshot: Snapshot, text: str, where: Stretch, about: Period | None = None) -> Iterator[int]:
    """Positions of the events of a stretch that match a filter, newest first, as they are found.

    Parameters
    ----------
    text : str
        Words, separated by white space.
    about : (datetime, datetime), time-zone aware, optional
        Only events about a period that overlaps this one.

    Raises
    ------
    sqlite3.OperationalError
        When it was interrupted; see :func:`interruptible`.
    """
    connection = snapshot.views.log.reader
    if about is not None:
        connection.create_function("overlaps", 1, lambda body: event_overlaps(body, about), deterministic=True)
    log = snapshot.views.log
    where = Stretch(where.first, min(where.last, snapshot.as_of.seq))
    if where.first > where.last:
        return
    commits = (log.commit_of(where.first).n, log.commit_of(where.last).n)
    query, values = search_query(text, is_about=about is not None)
    for (seq,) in connection.execute(query, [*commits, *where, *values]):
        yield int(seq)


@contextmanager
def interruptible(snapshot: Snapshot, is_over: Callable[[], bool]) -> Iterator[None]:
    """Searches within it end, with an ``OperationalError``, soon after ``is_over`` says so."""
    connection: sqlite3.Connection = snapshot.views.log.reader
    connection.set_progress_handler(lambda: int(is_over()), STEPS)
    try:
        yield
    finally:
        connection.set_progress_handler(None, 0)


def search_query(text: str, is_about: bool = False) -> tuple[str, list[str]]:
    """The query of a search and its values, behind the first and last commit and the first and last event."""
    conditions, values = [], list[str]()
    # What is read from an event's row alone is looked at before its body, which lies in other pages.
    for word in sorted(text.split(), key=lambda word: not word.startswith("type:")):
        condition, wanted = _condition(word)
        conditions.append(condition)
        values += wanted
    if is_about:
        conditions.append("overlaps(e.body)")
    return (
        "SELECT e.seq FROM commits c CROSS JOIN events e ON e.seq BETWEEN c.first_seq AND c.last_seq WHERE c.n BETWEEN "
        f"? AND ? AND e.seq BETWEEN ? AND ? {''.join(f'AND {one} ' for one in conditions)}"
        "ORDER BY c.n DESC, e.seq DESC",
        values,
    )


def _condition(word: str) -> tuple[str, list[str]]:
    kind = next((kind for kind in KINDS if word.startswith(kind)), "")
    wanted = word.removeprefix(kind)
    match kind:
        case "type:":
            return "e.type LIKE ? ESCAPE '\\'", [containing(wanted)]
        case "actor:":
            return "json_extract(c.head, '$.actor') LIKE ? ESCAPE '\\'", [containing(wanted)]
        case "entity:":
            return _refers_to(wanted.rpartition(":")[2])
        case _:
            return ANYWHERE, [containing(wanted)] * 3


def _refers_to(name: str) -> tuple[str, list[str]]:
    # A body refers to an entity by its whole name, as a JSON string.
    either, values = ["e.body LIKE ? ESCAPE '\\'"], [containing(f'"{name}"')]
    # In an imported commit it stands without the prefix that its names are read under here.
    for held in types.names_in_bodies(name)[1:]:
        either.append(f"(e.body LIKE ? ESCAPE '\\' AND json_extract(c.head, '$.imported') AND lower({READ_UNDER}) = ?)")
        values += [containing(f'"{held}"'), name.removesuffix(f"/{held}").lower()]
    return f"({' OR '.join(either)})", values
