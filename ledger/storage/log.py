"""The append-only log: one SQLite file that is the only evidence; how it is read.

Rows are added and never changed. Triggers refuse the careless; the tree (:mod:`ledger.tlog.merkle`) convicts the
rest. How rows are added is :mod:`ledger.storage.log_writer`.
"""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from tallystick.ledger.errors import Damaged
from tallystick.ledger.events.commit import CALENDAR_MICROS, to_micros
from tallystick.ledger.events.event import Hashes, event_hasher, stated_type
from tallystick.ledger.storage.sqlite import (
    AsItLies,
    open_read_only,
    stamp,
)

LEDGER_FILE = "ledger.db"
MOST_COMMITS_REMEMBERED = 8_192
FIRST_MICROS, LAST_MICROS = CALENDAR_MICROS
UNANSWERED = "Nothing that rests on it can be answered. `tally verify` says what is wrong and what still holds."


class Absent(Damaged, IndexError):
    """There is no event or commit at a position: nobody asked beyond the end, so the file contradicts itself.

    Where somebody may have asked beyond the end, it is caught as the ``IndexError`` that it is, too.
    """


Row = tuple[int, str, bytes | None, bytes, bytes]
"""The fields of :class:`Stored`; a plain tuple is made several times faster."""


class Stored(NamedTuple):
    """An event as it lies in the file."""

    seq: int
    type: str
    data: bytes | None
    """The exact bytes; None where the body was erased."""
    id: bytes
    sha256: bytes


class Commit(NamedTuple):
    """A commit as it lies in the file."""

    n: int
    first_seq: int
    last_seq: int
    recorded_at: int
    """Microseconds since 1970-01-01 UTC."""
    head: str
    subtree: bytes
    """Hash of the largest perfect subtree that ends at this leaf; see :mod:`ledger.tlog.merkle`."""


class Log:
    """The log file of one ledger folder, for reading.

    One object serves one thread. Reading never takes a lock; :mod:`ledger.storage.log_writer` writes.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LEDGER_FILE
        self._checks_bodies = True
        self._reader: sqlite3.Connection | None = None
        self._lay_as: tuple[int, int, int] | None = None
        self._commits_of: dict[int, Commit] = {}

    # Opening -----------------------------------------------------------------------------------------------

    @property
    def reader(self) -> sqlite3.Connection:
        """A connection that cannot write; opened at first use.

        Where the file had to be opened as it lies, for want of space or right, and somebody writes after all, it is
        opened again.
        """
        if self._lay_as is not None and self._lay_as != stamp(self.path):
            self._reader = None
        if self._reader is None:
            lay_as = stamp(self.path) if self.path.exists() else None
            self._reader = open_read_only(self.path)
            self._lay_as = lay_as if isinstance(self._reader, AsItLies) else None
        return self._reader

    def close(self) -> None:
        """Close the connection; harmless to call twice."""
        self._commits_of.clear()
        if self._reader is not None:
            self._reader.close()
            self._reader = self._lay_as = None

    # Reading -----------------------------------------------------------------------------------------------

    def format(self, connection: sqlite3.Connection | None = None) -> int:
        """The format that the file says it has."""
        return int((connection or self.reader).execute("PRAGMA user_version").fetchone()[0])

    def size(self) -> int:
        """Number of commits."""
        return int(self.reader.execute("SELECT coalesce(max(n) + 1, 0) FROM commits").fetchone()[0])

    def commit(self, n: int) -> Commit:
        """The commit at position ``n``; IndexError beyond the end."""
        row = self.reader.execute("SELECT * FROM commits WHERE n = ?", (n,)).fetchone()
        if row is None:
            raise Absent(f"{self.path} has no commit c{n}.", "`tally verify` says what is wrong.")
        return self._commit(row)

    def subtree(self, n: int) -> bytes:
        """The stored hash of the largest perfect subtree that ends at commit ``n``; IndexError beyond the end."""
        row = self.reader.execute("SELECT subtree FROM commits WHERE n = ?", (n,)).fetchone()
        if row is None or not isinstance(row[0], bytes):
            raise Absent(f"{self.path} has no commit c{n}.", "`tally verify` says what is wrong.")
        return row[0]

    def commits(self, first: int = 0, stop: int | None = None, newest_first: bool = False) -> Iterator[Commit]:
        """Commits ``first`` up to and without ``stop``."""
        order = "DESC" if newest_first else "ASC"
        rows = self.reader.execute(
            f"SELECT * FROM commits WHERE n >= ? AND n < ? ORDER BY n {order}",
            (first, (1 << 62) if stop is None else stop),
        )
        return map(self._commit, rows)

    def _commit(self, row: tuple[int, int, int, int, str, bytes]) -> Commit:
        commit = _commit(row)
        if self._checks_bodies and _recorded_in(commit.head) not in (commit.recorded_at, None):
            raise Damaged(f"Commit c{commit.n} is filed under another time than the one that it states.", UNANSWERED)
        return commit

    def event(self, seq: int) -> Stored:
        """The event at position ``seq``; IndexError beyond the end."""
        if (row := next(self.rows(seq, seq), None)) is None:
            raise Absent(f"{self.path} has no event #{seq}.", "`tally verify` says what is wrong.")
        return Stored(*row)

    def some(self, seqs: Sequence[int]) -> list[Stored]:
        """Events at certain positions, which must exist, in their order."""
        listed = "WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq"
        rows = self.reader.execute(f"{_ROWS} {listed}", (json.dumps(list(seqs)),))
        return list(map(Stored._make, _intact(rows, self.path) if self._checks_bodies else rows))

    def bodiless(self, seqs: Collection[int]) -> list[int]:
        """Those of some positions at which there is no body, erased or not, in order."""
        query = "SELECT value FROM json_each(?) LEFT JOIN events ON seq = value WHERE body IS NULL ORDER BY value"
        return [int(row[0]) for row in self.reader.execute(query, (json.dumps(sorted(seqs)),))]

    def events(self, first: int = 0, last: int | None = None, types: Collection[str] = ()) -> Iterator[Stored]:
        """Events ``first`` to ``last``, both included, in order; only of some types where any are named."""
        return map(Stored._make, self.rows(first, last, types))

    def rows(self, first: int = 0, last: int | None = None, types: Collection[str] = ()) -> Iterator[Row]:
        """The same as plain tuples, for readers of millions.

        Types are looked up as the file says them. What a decision rests on asks
        :meth:`ledger.views.cache_file.ViewsFile.rows_of` instead, which knows them from the hashed bodies.
        """
        only = f"AND type IN ({', '.join('?' * len(types))})" if types else ""
        rows = self.reader.execute(
            f"{_ROWS} WHERE seq BETWEEN ? AND ? {only} ORDER BY seq",
            (first, (1 << 62) if last is None else last, *types),
        )
        return _intact(rows, self.path) if self._checks_bodies else rows

    @contextmanager
    def unchecked(self) -> Iterator[None]:
        """Read bodies as they are stored, without comparing them with their ids.

        Only :mod:`ledger.verify` uses this: it hashes every body itself, and must go on past the first altered one.
        """
        before, self._checks_bodies = self._checks_bodies, False
        try:
            yield
        finally:
            self._checks_bodies = before

    def hashes(self, first: int, last: int) -> list[Hashes]:
        """The stored hashes of events ``first`` to ``last``, both included."""
        rows = self.reader.execute(
            "SELECT id, sha256 FROM events WHERE seq BETWEEN ? AND ? ORDER BY seq", (first, last)
        )
        return list(rows)

    def commit_of(self, seq: int, after: int = 0) -> Commit:
        """The commit that holds an event: binary search over the primary key, no index needed.

        ``after`` is a commit that is known not to stand behind it; near ones are found soonest. Commits never change,
        so some are remembered: an app asks for the same ones at every step in time.
        """
        if seq in self._commits_of:
            return self._commits_of[seq]
        found = _search_commit(self, seq, after)
        if found.first_seq <= seq <= found.last_seq:  # not beyond the end, where another commit may follow
            if len(self._commits_of) >= MOST_COMMITS_REMEMBERED:
                self._commits_of.clear()
            self._commits_of[seq] = found
        return found

    def last_commit_by(self, micros: int) -> Commit | None:
        """The newest commit recorded at or before a moment (microseconds UTC); None before the first."""
        low, high = -1, self.size() - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self.commit(middle).recorded_at <= micros:
                low = middle
            else:
                high = middle - 1
        return self.commit(low) if low >= 0 else None

    def last_seq_of(self, entity: str) -> int | None:
        """Position of the newest event that refers to an entity; None where none does."""
        row = self.reader.execute("SELECT last_seq FROM entities WHERE entity = ?", (entity,)).fetchone()
        return None if row is None else int(row[0])

    def last_seqs_of(self, entities: Sequence[str]) -> list[int | None]:
        """The same for many entities, at most some thousands, in their order."""
        asked = ",".join(["(?)"] * len(entities))
        rows = self.reader.execute(
            f"WITH asked(name) AS (VALUES {asked}) SELECT last_seq FROM asked LEFT JOIN entities ON entity = name",
            entities,
        )
        return [row[0] for row in rows]

    def entities(self, prefix: str) -> list[str]:
        """Names of entities that start with ``prefix``, sorted."""
        rows = self.reader.execute(
            "SELECT entity FROM entities WHERE entity >= ? AND entity < ? ORDER BY entity",
            (prefix, prefix + "\U0010ffff"),
        )
        return [row[0] for row in rows]

    def checkpoints(self, first: int = 0, last: int = 1 << 62) -> Iterator[tuple[int, str]]:
        """Stored checkpoint notes of sizes ``first`` to ``last``, both included, ascending."""
        rows = self.reader.execute(
            "SELECT size, note FROM checkpoints WHERE size BETWEEN ? AND ? ORDER BY size", (first, last)
        )
        return iter(rows.fetchall())

    def newest_checkpoint(self) -> tuple[int, str] | None:
        """Size and note of the newest checkpoint."""
        row = self.reader.execute("SELECT size, note FROM checkpoints ORDER BY size DESC LIMIT 1").fetchone()
        return None if row is None else (int(row[0]), str(row[1]))


def _search_commit(log: Log, seq: int, after: int) -> Commit:
    low, high, step = after, log.size() - 1, 1
    while after and low + step < high and log.commit(low + step).first_seq <= seq:
        low, step = low + step, step * 2
    if after:
        high = min(high, low + step)
    while low < high:
        middle = (low + high + 1) // 2
        if log.commit(middle).first_seq <= seq:
            low = middle
        else:
            high = middle - 1
    return log.commit(low)


_ROWS = "SELECT seq, type, CAST(body AS BLOB), id, sha256 FROM events"
"""The fields of :class:`Stored`."""


def _intact(rows: Iterator[Row], path: Path) -> Iterator[Row]:
    """The same rows, each body hashed before anybody sees it, and filed under the type that it states.

    The id alone decides: the SHA-256 is for readers without BLAKE3, and verification compares both.
    """
    hasher = event_hasher()
    for row in rows:
        if (data := row[2]) is not None:
            hasher.update(data)
            if hasher.digest() != row[3]:
                raise Damaged(
                    f"The body of event #{row[0]} in {path} was altered: it does not match the event's id.", UNANSWERED
                )
            hasher.reset()
            if (stated := stated_type(data)) != row[1] and stated is not None:
                raise Damaged(
                    f"Event #{row[0]} in {path} is filed as {row[1]}, but its body says that it is {stated}.",
                    UNANSWERED,
                )
        yield row


class _Recorded(msgspec.Struct):
    """The part of a head that the file repeats in a column of its own."""

    recorded_at: dt.datetime


_decode_recorded = msgspec.json.Decoder(_Recorded).decode


def _recorded_in(head: str) -> int | None:
    """When a commit was recorded, as its head says; None where that cannot be read, which its reader will say."""
    try:
        return to_micros(_decode_recorded(head).recorded_at)
    except (msgspec.MsgspecError, UnicodeError, TypeError):
        return None


def _commit(row: tuple[int, int, int, int, str, bytes]) -> Commit:
    commit = Commit(*row)
    # A page that was damaged gives nothing, or text, where the table allows only numbers.
    if tuple(map(type, row)) != (int, int, int, int, str, bytes):
        raise Damaged(f"Commit {commit.n} is not what commits are made of.", "`tally verify` says what is wrong.")
    if not FIRST_MICROS <= commit.recorded_at <= LAST_MICROS:
        raise Damaged(f"Commit {commit.n} is filed under the time {commit.recorded_at}, which no calendar reaches.")
    return commit
