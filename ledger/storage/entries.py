"""The events of a log with their place, as everything that is folded from them is told of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import msgspec

from tallystick.ledger.errors import Damaged
from tallystick.ledger.events import types as vocabulary
from tallystick.ledger.events.commit import decode_head, from_micros
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Event
from tallystick.ledger.events.types import EventCorrected, LedgerCreated
from tallystick.ledger.storage.erasures import erasure_of, lost_in, may_hold_lost, what_is_left
from tallystick.ledger.storage.imported_commits import names_under, told_here
from tallystick.ledger.storage.log import UNANSWERED, Commit, Log, Row


class Recorded:
    """The history that a log holds, for folding it again; see :class:`ledger.views.fold.History`.

    Parameters
    ----------
    rows_of : callable, optional
        Reads the events of some types up to a position; by default all events are read to find them.
    """

    def __init__(self, log: Log, rows_of: Callable[[Collection[str], int], Iterable[Row]] | None = None) -> None:
        self.log = log
        self._rows_of = rows_of or (lambda _types, last: log.rows(0, last))

    def one(self, seq: int) -> Entry | None:
        """The event ``seq``; Damaged where its body is missing and no event says that it was erased."""
        return next(entries(self.log, seq, seq, erased=True), None)

    def upto(self, last: int, types: frozenset[str], names: frozenset[str]) -> Iterator[Entry]:
        """Entries up to event ``last``, of certain types, that mention one of the names; and all corrections."""
        rows = self._rows_of(types, last)
        return placed(self.log, naming(rows, names), types, erased=True)


def naming(rows: Iterable[Row], names: Collection[str]) -> Iterator[Row]:
    """Rows that hold one of some names as a text, corrections, and erased events; all where none are named.

    They were hashed before: a body from which somebody took a name is no body that does not hold it.
    """
    # A text stands in a body as JSON writes it, quotes and all.
    held = [msgspec.json.encode(other) for name in sorted(names) for other in vocabulary.names_in_bodies(name)]
    for row in rows:
        data = row[2]
        if (
            data is None
            or not held
            or row[1] == EventCorrected.TYPE
            or may_hold_lost(row)
            or any(text in data for text in held)
        ):
            yield row


def entries(log: Log, first: int, last: int, types: Collection[str] = (), *, erased: bool = False) -> Iterator[Entry]:
    """Events ``first`` to ``last`` with their place; other types are left out where some are named.

    Parameters
    ----------
    erased : bool
        Whether erased events come, too, as :func:`ledger.storage.erasures.what_is_left` reads them; otherwise they
        are left out.

    Raises
    ------
    Damaged
        Also at an event whose body is missing although no event says that it was erased, where erased ones come:
        whatever it held, nothing that follows from all events can be answered without it.
    """
    if first > last:
        return iter(())
    return placed(log, log.rows(first, last), types, erased=erased)


def placed(log: Log, rows: Iterable[Row], types: Collection[str] = (), *, erased: bool = False) -> Iterator[Entry]:
    """The events in some rows with their place; see :func:`entries`. Every row is read, also those left out."""
    commit: Commit | None = None
    commits: Iterator[Commit] = iter(())
    decoded: Commit | None = None
    for row in rows:
        seq, filed_as, data, _id, _sha256 = row
        if data is None and erased and erasure_of(log, seq) is None:
            raise Damaged(f"Event #{seq} cannot be read: its body is not here.", UNANSWERED)
        lost = tuple(item.left for item in lost_in(log, row)) if erased and may_hold_lost(row) else ()
        if types and filed_as not in types and not any(item.t in types for item in lost):
            continue
        event = None if data is None and not erased else _event(log, seq, filed_as, data)
        if event is None:
            continue
        if commit is None:
            commit = log.commit(log.size() - 1)
            if commit.first_seq > seq:  # whoever follows the log asks for its newest commit
                commit = log.commit_of(seq)
            commits = log.commits(commit.n + 1)
        if seq > commit.last_seq:
            commit = next(commits, commit)
            if seq > commit.last_seq:  # not all events are read
                commit = log.commit_of(seq, commit.n)
                commits = log.commits(commit.n + 1)
            if seq > commit.last_seq:
                raise Damaged(f"Event #{seq} of {log.path} is in no commit.", "`tally verify` says what is wrong.")
        if decoded is not commit:
            head, moment, decoded = decode_head(commit.head), from_micros(commit.recorded_at), commit
            under = names_under(log, commit, head)
        # What a redaction kept is named as in this ledger already.
        here = event if under is None or data is None else vocabulary.named_under(event, under)
        yield Entry(seq, commit.n, moment, head.actor, here, lost)


def _event(log: Log, seq: int, filed_as: str, data: bytes | None) -> Event[Any] | None:
    return what_is_left(log, seq, filed_as) if data is None else vocabulary.decode(data, filed_as)


def entry_at(log: Log, seq: int) -> Entry:
    """One event with its place; IndexError beyond the end, Damaged where it cannot be read."""
    stored = log.event(seq)
    commit = log.commit_of(seq)
    if stored.data is None:
        raise Damaged(f"The body of event #{seq} is not here.")
    head = decode_head(commit.head)
    event = told_here(log, commit, head, vocabulary.decode(stored.data))
    return Entry(seq, commit.n, from_micros(commit.recorded_at), head.actor, event)


def genesis_of(log: Log) -> LedgerCreated:
    """The body of the first event; Damaged where it cannot be read."""
    try:
        body = entry_at(log, 0).event.body
    except IndexError:
        raise Damaged(f"{log.path} holds no event at all.") from None
    if not isinstance(body, LedgerCreated):
        raise Damaged(f"{log.path} does not begin with ledger.created.")
    return body
