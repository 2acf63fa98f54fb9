"""Writing to the log: one commit or several, a checkpoint, an erasure; each under the lock, in one transaction.

The order of an append follows the lesson of a Certificate Transparency log that ended because one bit flipped between
hashing and storing: insert, read back what was stored, hash *that*, extend the tree, commit durably, and only then
report success. The steps inside the transaction are in :mod:`ledger.storage.append`.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tallystick.ledger.errors import Busy, Damaged, InvalidInput, TallyError
from tallystick.ledger.events.commit import commit_text, leaf_entry
from tallystick.ledger.storage.append import Appended, Piece, Sealing, Transaction, seen, subtree, unwritten, write
from tallystick.ledger.storage.log import Log
from tallystick.ledger.storage.sqlite import (
    PLAIN_FORMAT,
    SCHEMA,
    check_format,
    connect,
    foreign_triggers,
    prepare_writer,
    refuse_encoding,
    refuse_network,
    stamp_format,
    trouble,
)
from tallystick.ledger.system.file_lock import FileLock
from tallystick.ledger.tlog import merkle

LOCK_DEADLINE_SECONDS = 10.0


class WriteOptions(NamedTuple):
    """How a commit is written."""

    now_micros: Callable[[], int] = lambda: time.time_ns() // 1000
    """Says the time, in microseconds UTC."""
    allow_jump: bool = False
    """Accept a clock more than 366 days ahead of the last commit."""
    deadline_seconds: float = LOCK_DEADLINE_SECONDS
    """How long to wait for other writers."""


class LogWriter:
    """The one way to change the log file of a ledger folder.

    One object serves one thread. Each method takes the ledger's file lock for the length of one transaction.
    """

    def __init__(self, log: Log) -> None:
        self.log = log
        self.path = log.path
        self.lock = FileLock(log.path.parent / "lock", LOCK_DEADLINE_SECONDS, in_turn=True)
        self._connection: sqlite3.Connection | None = None

    # Opening -----------------------------------------------------------------------------------------------

    def create(self) -> None:
        """Make an empty log; the file must not exist."""
        refuse_network(self.path)
        connection = connect(self.path, "rwc")
        try:
            stamp_format(connection)
            prepare_writer(connection)
            connection.execute("BEGIN IMMEDIATE")
            for statement in SCHEMA.values():
                connection.execute(statement)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            connection.close()
            raise trouble(error, self.path) from error
        self._connection = connection

    @property
    def connection(self) -> sqlite3.Connection:
        """A connection that can write; opened at first use, after the file was checked."""
        if self._connection is None:
            check_format(self.log.reader, self.path)
            refuse_network(self.path)
            refuse_encoding(self.log.reader, self.path)
            if strangers := foreign_triggers(self.log.reader):
                raise Damaged(
                    f"{self.path} acts by itself when it is written to: {', '.join(strangers)}. Nothing was recorded.",
                    "`tally verify` says what was changed. Restore the newest backup; keep this file as evidence.",
                )
            connection = connect(self.path, "rw")
            try:
                prepare_writer(connection)
            except sqlite3.Error as error:
                connection.close()
                raise unwritten(error, self.path) from error
            self._connection = connection
        return self._connection

    def close(self) -> None:
        """Close the connection and fold the write-ahead log into the file, if nobody else is using it."""
        if self._connection is not None:
            try:
                self.lock.deadline_seconds = 1.0
                with self.lock:
                    self._connection.execute("PRAGMA busy_timeout = 1000")
                    self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except (TallyError, sqlite3.Error):
                # Nothing is lost: the events are durable in the write-ahead log and the next writer folds it.
                pass
            self._connection.close()
            self._connection = None
        self.lock.close()

    # Appending ---------------------------------------------------------------------------------------------

    def append(
        self,
        piece: Piece,
        options: WriteOptions,
        *,
        key: tuple[str, bytes] | None = None,
        seal: Callable[[Sealing], str | None] | None = None,
    ) -> Appended:
        """Write one commit, durably.

        Parameters
        ----------
        piece : Piece
            With at least one event.
        key : (str, bytes), optional
            Idempotency key and digest of the content. The same key with the same content returns the first
            result; with other content it is a conflict.
        seal : callable, optional
            Signs the tree that includes this commit, or declines; its note is stored in the same transaction.

        Raises
        ------
        Conflict, Busy, Refused, Damaged, InvalidInput
        """
        if not piece.events:
            raise InvalidInput("A commit holds at least one event.")
        connection = self.connection
        self.lock.deadline_seconds = options.deadline_seconds
        with self.lock, Transaction(connection, self.path):
            if key is not None and (earlier := seen(connection, key)) is not None:
                return self._repeated(earlier)
            appended = write(connection, piece, options.now_micros(), options.allow_jump)
            n = appended.n
            if key is not None:
                connection.execute("INSERT INTO keys VALUES(?,?,?)", (key[0], key[1], n))
            if seal is not None:
                root = merkle.frontier_from(lambda index: subtree(connection, index), n + 1).root()
                if (signed := seal(Sealing(n + 1, root))) is not None:
                    connection.execute("INSERT INTO checkpoints VALUES(?,?)", (n + 1, signed))
        return appended

    def append_together(
        self, pieces: Sequence[Piece], options: WriteOptions, *, least_format: int = PLAIN_FORMAT
    ) -> list[Appended]:
        """Write several commits one after the other with one wait for the disk: all of them, or none.

        Parameters
        ----------
        least_format : int
            The format that a program must know to read them; the file says so from then on.

        Raises
        ------
        Conflict, Busy, Refused, Damaged, InvalidInput
        """
        connection = self.connection
        self.lock.deadline_seconds = options.deadline_seconds
        with self.lock, Transaction(connection, self.path):
            if self.log.format(connection) < least_format:
                connection.execute(f"PRAGMA user_version = {least_format}")
            return [write(connection, piece, options.now_micros(), options.allow_jump) for piece in pieces]

    def store_checkpoint(self, seal: Callable[[Sealing], str], deadline_seconds: float = LOCK_DEADLINE_SECONDS) -> str:
        """Sign the tree as it is and keep the note; returns the note of a size that is signed already."""
        connection = self.connection
        self.lock.deadline_seconds = deadline_seconds
        with self.lock, Transaction(connection, self.path):
            size = connection.execute("SELECT coalesce(max(n) + 1, 0) FROM commits").fetchone()[0]
            kept = connection.execute("SELECT note FROM checkpoints WHERE size = ?", (size,)).fetchone()
            if kept:
                return str(kept[0])
            root = merkle.frontier_from(lambda index: subtree(connection, index), size).root()
            note = seal(Sealing(size, root))
            connection.execute("INSERT INTO checkpoints VALUES(?,?)", (size, note))
        return note

    def erase(
        self, change: Callable[[sqlite3.Connection], None], deadline_seconds: float = LOCK_DEADLINE_SECONDS
    ) -> None:
        """Let ``change`` erase, then write the file anew, so that no page keeps what was erased.

        Only :mod:`ledger.amend.redaction` calls this, after the event that says so is durable; the file's own trigger
        refuses it before.

        Raises
        ------
        Busy, InvalidInput
        """
        connection = self.connection
        self.lock.deadline_seconds = deadline_seconds
        with self.lock:
            connection.execute("PRAGMA secure_delete = ON")
            with Transaction(connection, self.path):
                change(connection)
            try:
                connection.execute("VACUUM")
                busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            except sqlite3.Error as error:
                raise trouble(error, self.path) from error
        if busy:
            raise Busy(
                "The content is erased, but somebody is reading an older state of the ledger, so the write-ahead "
                "log still holds it.",
                "Close other programs that read this ledger, then type any command that appends; closing it clears "
                "the log.",
            )

    def _repeated(self, n: int) -> Appended:
        commit = self.log.commit(n)
        entry = leaf_entry(commit_text(commit.head, self.log.hashes(commit.first_seq, commit.last_seq)))
        return Appended(n, commit.first_seq, commit.last_seq, commit.recorded_at, entry, repeated=True)
