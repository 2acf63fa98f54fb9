"""The file that views are kept in: opened, made where it is missing or damaged, caught up with the log.

It may be deleted at any time: it is built again from the log, and nothing in it is evidence. But answers are read from
it, so it must be this account's own work. It used to lie beside the log, where whoever can write the ledger's folder,
or hands on a copy of one, can put rows that no event made; a keyed hash over the file would have to be computed over
all rows at every question to notice that. So each account keeps its own file, in a folder that only it can write:
``$XDG_STATE_HOME/tallystick/views/NAME-HASH.db``, where the hash is that of the path of the ledger's folder. Two
accounts never rebuild each other's views, and a ledger that can only be read, or lies on a network file system, is
answered from a file all the same.

Every event that is folded was hashed when it was read. Views that were folded from a log that was written anew since
are not used: an erasure ends with that, and what was erased must not live on here.

A view whose code has changed is emptied and folded again in one transaction, so that nobody ever sees half of it;
SQLite's own transaction is safer here than another file renamed into place, whose write-ahead log would be the old
one's.
"""

from __future__ import annotations

import os
import re
import sqlite3
import stat
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.storage.entries import Recorded, placed
from tallystick.ledger.storage.log import Log, Row
from tallystick.ledger.storage.sqlite import circumstance, trouble
from tallystick.ledger.system.files import network_file_system
from tallystick.ledger.tlog.pins import state_home
from tallystick.ledger.views.entities import PROJECTIONS
from tallystick.ledger.views.event_index import ERASED_ELSEWHERE, EVENT_TYPES, EventIndex
from tallystick.ledger.views.rows import VersionTables, advance
from tallystick.ledger.views.tables import (
    AS_OF,
    CURSORS,
    INDEX,
    INDEX_FORMAT,
    LAST_SEQ,
    altered,
    drop,
    fingerprint,
    index_of,
    tables,
)

FORMER_VIEWS_FILE = "views.db"
"""What earlier programs kept in the ledger's folder. It is never read, and may be deleted."""
BATCH_EVENTS = 20_000
CACHE_KIB = 64 * 1024
PAGE_BYTES = 8192
"""Rows are long; on SQLite's own 4,096 bytes a rebuild takes a fifth longer. Counts for new files only."""


MOST_BYTES = 4 << 30
"""What the views of all ledgers of an account may take before those used longest ago are removed."""
UNUSED_SECONDS = 90 * 86_400
"""Views that nobody asked anything for so long are removed."""
IN_USE_SECONDS = 86_400
"""Views that were asked within this time are never removed."""


class ViewsCursor(NamedTuple):
    fingerprint: str
    seq: int
    id: bytes


class ViewsFile:
    """The views of one ledger, caught up with its log whenever they are asked for."""

    def __init__(self, folder: Path, log: Log) -> None:
        self.path = account_file(folder)
        self.log = log
        self._connection: sqlite3.Connection | None = None
        self._memory: sqlite3.Connection | None = None
        self._seen: tuple[int, int] | None = None
        self.on_progress: Callable[[int, int], None] = lambda _done, _total: None
        """Told how many events are read, of how many, while many are."""
        self.on_trouble: Callable[[str], None] = lambda _words: None
        """Told in a sentence why an answer takes longer than it would."""

    def discard(self) -> None:
        """Remove the file; the next question builds it again from the log."""
        self.close()
        self._discard()

    def close(self) -> None:
        self._seen = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def caught_up(self) -> sqlite3.Connection:
        """A connection whose views include every event of the log."""
        connection = self._connection
        if connection is None:
            connection = self._connection = self._open()
        # Both numbers change when anybody else commits; while they stand still there is nothing to catch up with.
        seen = (_data_version(self.log.reader), _data_version(connection))
        if seen == self._seen:
            return connection
        connection = self._caught_up(connection)
        self._seen = seen if connection is self._connection and self._memory is not connection else None
        return connection

    def _caught_up(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        try:
            self._catch_up(connection)
        except sqlite3.DatabaseError as error:
            # A question that cannot be asked (OperationalError without a circumstance) is no damage of the file.
            mended = circumstance(error) is not None or not isinstance(error, sqlite3.OperationalError)
            if connection is self._memory or not mended:
                raise
            connection.close()
            connection = self._connection = self._instead(error)
            self._catch_up(connection)
        return connection

    def _instead(self, error: sqlite3.DatabaseError) -> sqlite3.Connection:
        """Where to go on after an error: a new file for a damaged one; memory, where no file can be had."""
        found = circumstance(error)
        if found is None:
            try:
                self._discard()
            except OSError:
                return self._in_memory()
            return self._open()
        if found != "no right":  # who may only read knows it, and need not be told with every answer
            said = trouble(error, self.path).message
            self.on_trouble(f"{said} The views were made in memory for this answer; nothing is missing from it.")
        return self._in_memory()

    def _open(self) -> sqlite3.Connection:
        if network_file_system(self.path) is not None:
            return self._in_memory()
        try:
            if not _own_folder(self.path.parent):
                return self._in_memory()
            if not _is_own_file(self.path):
                self._discard()
                remove_unused(self.path.parent)
            connection = sqlite3.connect(self.path, isolation_level=None, timeout=10.0)
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            connection.execute("PRAGMA trusted_schema = OFF")
            # What was erased from the log is folded away by emptying tables, and must not stay in free pages.
            connection.execute("PRAGMA secure_delete = ON")
            if altered(connection):
                connection.close()
                self._discard()
                return self._open()
            # A new file is filled without a write-ahead log, which would be as large as all of it.
            if connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
                connection.execute("PRAGMA journal_mode = WAL")
            # Disposable, but not allowed to be silently wrong after a power cut: hence not OFF.
            connection.execute("PRAGMA synchronous = NORMAL")
            # SQLite's own 2 MB hold no more than a few thousand states; a difference then reads most pages twice.
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            os.utime(self.path)  # it is in use; see remove_unused
        except OSError:
            return self._in_memory()
        except sqlite3.DatabaseError as error:
            return self._instead(error)
        return connection

    def _in_memory(self) -> sqlite3.Connection:
        self._memory = sqlite3.connect(":memory:", isolation_level=None)
        return self._memory

    def _discard(self) -> None:
        _remove(self.path)

    def rows_of(self, types: Collection[str], first: int, last: int) -> Iterator[Row]:
        """The events ``first`` to ``last`` of some types, as their hashed bodies say, oldest first.

        Raises
        ------
        Damaged
            When one of them is not there any more, or was altered.
        """
        return EventIndex(self.caught_up(), last).rows(self.log, types, first, last)

    def rebuild(self) -> None:
        """Empty every view and fold all events again, in one transaction: others see the old ones until it is done.

        Raises
        ------
        InvalidInput, Busy
            Where the file cannot be written; the old views stay.
        """
        if not self.are_kept():
            raise InvalidInput(
                f"The views in {self.path} cannot be written, so they were not made again.",
                "Nothing needs them: every answer is made from the events. `tally doctor` looks at rights and space.",
            )
        try:
            self._catch_up(self.caught_up(), from_nothing=True)
        except sqlite3.OperationalError as error:
            raise trouble(error, self.path) from error

    def are_kept(self) -> bool:
        """Whether the views are in their file; False where they are made in memory for want of right, space or lock."""
        return self.caught_up() is not self._memory

    def _catch_up(self, connection: sqlite3.Connection, from_nothing: bool = False) -> None:
        head_seq = self._head_seq()
        if not from_nothing and not self._is_behind(connection, head_seq):
            return
        with _immediate(connection):
            if from_nothing:
                connection.execute("UPDATE cursors SET seq = -1, id = x''")
            # Asked again inside the transaction: another reader may have been faster.
            cursors = self._valid_cursors(connection)
            first = min((cursor.seq + 1 for cursor in cursors.values()), default=0)
            anew = frozenset(name for name, cursor in cursors.items() if cursor.seq < 0)
            stored, made_from = VersionTables(connection, anew), self._made_from()
            index = EventIndex(connection, cursors[INDEX].seq)
            history = Recorded(self.log, lambda types, last: index.rows(self.log, {*types, ERASED_ELSEWHERE}, 0, last))
            while first <= head_seq:
                last = min(first + BATCH_EVENTS - 1, head_seq)
                late = [projection for projection in PROJECTIONS if cursors[projection.name].seq < last]
                types = frozenset(event_type for projection in late for event_type in projection.reads)
                # Every event is hashed once, whether a view follows from it or not: see the index.
                rows = index.taking(self.log, self.log.rows(first, last))
                batch = ((entry.seq, entry) for entry in placed(self.log, rows, types, erased=True))
                advance(stored, {p: cursors[p.name].seq for p in late}, batch, history)
                index.write()
                event_id = self.log.event(last).id
                for name in (INDEX, *(projection.name for projection in late)):
                    cursors[name] = ViewsCursor(made_from[name], last, event_id)
                first = last + 1
                self.on_progress(first, head_seq + 1)
            for projection in PROJECTIONS:
                if projection.name in anew:
                    connection.execute(tables(projection)[index_of(projection)])
            connection.executemany(
                "INSERT INTO cursors VALUES(?,?,?,?) ON CONFLICT(projection) DO UPDATE SET "
                "fingerprint = excluded.fingerprint, seq = excluded.seq, id = excluded.id",
                [(name, *cursor) for name, cursor in cursors.items()],
            )
        if anew:
            with suppress(sqlite3.OperationalError):  # somebody is reading; whoever opens the file next sets it
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # with what the tables held before

    def _made_from(self) -> dict[str, str]:
        """What each view follows from besides the events: its code, and the log's file as it was last written whole."""
        written = self.log.reader.execute("PRAGMA schema_version").fetchone()[0]  # VACUUM, which erases, counts it up
        made_from = {projection.name: f"{fingerprint(projection)}/{written}" for projection in PROJECTIONS}
        return {**made_from, INDEX: f"{INDEX_FORMAT}/{written}"}

    def _head_seq(self) -> int:
        row = self.log.reader.execute("SELECT max(seq) FROM events").fetchone()
        return -1 if row[0] is None else int(row[0])

    def _is_behind(self, connection: sqlite3.Connection, head_seq: int) -> bool:
        """Whether some projection has not seen all events, or cannot be trusted any more."""
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'cursors'").fetchone():
            return head_seq >= 0
        cursors = _read_cursors(connection)
        expected = self._made_from()
        if cursors.keys() != expected.keys():
            return True
        if any(cursors[name].fingerprint != made_from for name, made_from in expected.items()):
            return True
        if not all(map(self._is_ours, {cursor[1:]: cursor for cursor in cursors.values()}.values())):
            return True
        return min(cursor.seq for cursor in cursors.values()) < head_seq

    def _is_ours(self, cursor: ViewsCursor) -> bool:
        """Whether the event at the cursor is the one that the views were built from."""
        row = self.log.reader.execute("SELECT id FROM events WHERE seq = ?", (cursor.seq,)).fetchone()
        return row is not None and row[0] == cursor.id

    def _valid_cursors(self, connection: sqlite3.Connection) -> dict[str, ViewsCursor]:
        """Cursors to go on from; views that cannot be trusted any more are emptied and start again."""
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'cursors'").fetchone():
            for statement in (CURSORS, AS_OF):
                connection.execute(statement)
            connection.execute(f"INSERT INTO asof VALUES({LAST_SEQ})")
        stored, made_from = _read_cursors(connection), self._made_from()
        for name in stored.keys() - made_from.keys():
            connection.execute("DELETE FROM cursors WHERE projection = ?", (name,))
            drop(connection, name)
        cursors: dict[str, ViewsCursor] = {}
        # Nearly always all stand at the same event.
        ours = {
            place
            for place, cursor in {cursor[1:]: cursor for cursor in stored.values()}.items()
            if self._is_ours(cursor)
        }
        by_name = {projection.name: projection for projection in PROJECTIONS}
        for name, made in made_from.items():
            cursor = stored.get(name)
            if cursor and cursor.fingerprint == made and cursor[1:] in ours:
                cursors[name] = cursor
                continue
            drop(connection, name)
            objects = {INDEX: EVENT_TYPES} if name == INDEX else tables(by_name[name])
            for table, statement in objects.items():
                if name == INDEX or table != index_of(by_name[name]):  # made at the end, when it costs least
                    connection.execute(statement)
            cursors[name] = ViewsCursor(made, -1, b"")
        return cursors


def account_file(folder: Path) -> Path:
    """Where this account keeps the views of the ledger in a folder (``.tally``)."""
    whole = os.path.realpath(folder)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(whole).parent.name)[:40].strip("-.") or "ledger"
    return state_home() / "views" / f"{name}-{blake3(os.fsencode(whole)).hexdigest()[:24]}.db"


def _own_folder(folder: Path) -> bool:
    """Whether a folder, which is made where it is missing, belongs to this account and nobody else can write in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = folder.stat()
    except OSError:
        return False
    return found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _is_own_file(path: Path) -> bool:
    """Whether there is a file of this account, and no link to another."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()


def remove_unused(folder: Path) -> None:
    """Remove views of ledgers that were not asked for long, and the oldest where all together are too large.

    The ledger that they were of may be gone or have moved; if it is asked again, they are built again.
    """
    now, total = time.time(), 0
    kept: list[tuple[float, int, Path]] = []
    for path in folder.glob("*.db"):
        with suppress(OSError):
            found = path.lstat()
            kept.append((found.st_mtime, found.st_size, path))
    for used, size_bytes, path in sorted(kept, reverse=True):
        total += size_bytes
        if now - used > (IN_USE_SECONDS if total > MOST_BYTES else UNUSED_SECONDS):
            with suppress(OSError):
                _remove(path)


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _read_cursors(connection: sqlite3.Connection) -> dict[str, ViewsCursor]:
    rows = connection.execute("SELECT projection, fingerprint, seq, id FROM cursors")
    return {row[0]: ViewsCursor(*row[1:]) for row in rows}


def _data_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


@contextmanager
def _immediate(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite has rolled back by itself where the disk was full
            connection.execute("ROLLBACK")
        raise
