"""The steps of an append, all of them under the lock and in one transaction.

Insert, read back what was stored, compare it with what was hashed, extend the tree, commit durably; only then does
anybody say that it is done.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from tallystick.ledger.errors import Conflict, Damaged, Refused, TallyError
from tallystick.ledger.events.commit import commit_text, from_micros, leaf_entry
from tallystick.ledger.events.encoding import Encoded
from tallystick.ledger.events.event import Hashes
from tallystick.ledger.storage.sqlite import circumstance, trouble
from tallystick.ledger.tlog import merkle

LONGEST_JUMP_MICROS = 366 * 86_400 * 1_000_000


class Appended(NamedTuple):
    """Where an append landed. Durable by the time anybody sees it."""

    n: int
    first_seq: int
    last_seq: int
    recorded_at: int
    entry: bytes
    repeated: bool = False
    """True where the same idempotency key had already written the same content."""


class Sealing(NamedTuple):
    """Asked of the caller inside the transaction: sign the tree as it will be when this commit is durable."""

    size: int
    root: bytes


class Piece(NamedTuple):
    """One commit on its way into the log."""

    events: Sequence[Encoded]
    head: Callable[[int], str]
    """Makes the head's text from ``recorded_at`` (microseconds UTC), which is known only under the lock."""
    declare: Mapping[str, Encoded] = {}
    """Written first, each only if its entity is still unknown to the ledger."""
    expected: Mapping[str, int | None] = {}
    """The append happens only if each entity was last referred to by that event (None: by no event)."""
    closing: Callable[[int], Sequence[Encoded]] = lambda _first: ()
    """Written last; made when the position of the first of ``events`` is known."""


def write(connection: sqlite3.Connection, piece: Piece, now: int, allow_jump: bool) -> Appended:
    """One commit, inside a transaction that somebody else ends."""
    _check_expected(connection, piece.expected)
    last = connection.execute(
        "SELECT n + 1, last_seq + 1, recorded_at, subtree FROM commits ORDER BY n DESC LIMIT 1"
    ).fetchone()
    n, first_seq, last_recorded, last_subtree = last or (0, 0, None, b"")
    recorded_at = _tick(now, last_recorded, allow_jump)
    declared = _undeclared(connection, piece.declare)
    batch = [*declared, *piece.events, *piece.closing(first_seq + len(declared))]
    read = _insert(connection, first_seq, batch)
    head_text = piece.head(recorded_at)
    entry = leaf_entry(commit_text(head_text, read))
    last_seq = first_seq + len(batch) - 1

    def stored(index: int) -> bytes:
        return last_subtree if index == n - 1 else subtree(connection, index)

    closing = merkle.closing_hash(n, merkle.leaf_hash(entry), stored)
    connection.execute(
        "INSERT INTO commits VALUES(?,?,?,?,?,?)",
        (n, first_seq, last_seq, recorded_at, head_text, closing),
    )
    return Appended(n, first_seq, last_seq, recorded_at, entry)


class Transaction:
    """BEGIN IMMEDIATE to COMMIT, or ROLLBACK where anything went wrong in between."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.connection = connection
        self.path = path

    def __enter__(self) -> None:
        try:
            self.connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise unwritten(error, self.path) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        at_the_end = False
        try:
            if error is None:
                at_the_end = True
                self.connection.execute("COMMIT")
                return
        except sqlite3.Error as failed:
            error = failed
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            raise unwritten(error, self.path, at_the_end) from error


def unwritten(error: sqlite3.Error, path: Path, at_the_end: bool = False) -> TallyError:
    """What an append that failed says. Nothing of it is there, with one exception.

    A disk that fails in the very sync of a commit may have kept it after all: the next one to open the file would find
    it whole in the write-ahead log. So nothing is promised then.
    """
    told = trouble(error, path)
    if at_the_end and circumstance(error) == "disk error":
        return type(told)(
            f"{told.message} It is not certain whether this was recorded.",
            "Look at the disk; `tally log` says whether it is there, before you give the command again.",
        )
    return type(told)(f"{told.message} This was not recorded.", told.hint)


def seen(connection: sqlite3.Connection, key: tuple[str, bytes]) -> int | None:
    """The commit that was written under an idempotency key; Conflict where it holds other content."""
    row = connection.execute("SELECT content, n FROM keys WHERE key = ?", (key[0],)).fetchone()
    if row is None:
        return None
    if row[0] != key[1]:
        raise Conflict(
            f"The idempotency key {key[0]!r} was used before, in c{row[1]}, for other content.",
            "Use a new key for new content.",
        )
    return int(row[1])


def _check_expected(connection: sqlite3.Connection, expected: Mapping[str, int | None]) -> None:
    for entity, expected_seq in expected.items():
        row = connection.execute("SELECT last_seq FROM entities WHERE entity = ?", (entity,)).fetchone()
        found = None if row is None else row[0]
        if found != expected_seq:
            raise Conflict(
                f"{entity} has changed: expected {_seq_words(expected_seq)}, found {_seq_words(found)}.",
                "Look at it again, then decide again.",
            )


def _seq_words(seq: int | None) -> str:
    return "no event yet" if seq is None else f"event #{seq}"


def _tick(now: int, last: int | None, allow_jump: bool) -> int:
    """The time of a commit: the clock's, never earlier than the last, and not absurdly later."""
    if last is None:
        return now
    if now - last > LONGEST_JUMP_MICROS and not allow_jump:
        raise Refused(
            f"The clock says {from_micros(now):%Y-%m-%d}, more than 366 days after the last commit "
            f"({from_micros(last):%Y-%m-%d}). A wrong clock would date every later commit wrongly.",
            "Set the clock; or, if the ledger really rested that long, say so once: TALLY_ALLOW_JUMP=1 tally …",
        )
    return max(now, last)


def _undeclared(connection: sqlite3.Connection, declare: Mapping[str, Encoded]) -> list[Encoded]:
    return [
        encoded
        for entity, encoded in declare.items()
        if connection.execute("SELECT 1 FROM entities WHERE entity = ?", (entity,)).fetchone() is None
    ]


def _insert(connection: sqlite3.Connection, first_seq: int, batch: Sequence[Encoded]) -> list[Hashes]:
    """Insert events, read back the stored bytes, hash what was read, and compare; returns the hashes.

    One of the two hashes is enough here: both were taken of the same bytes, one right after the other, so a
    stored body with the right SHA-256 has the right BLAKE3.
    """
    connection.executemany(
        "INSERT INTO events VALUES(?,?,?,?,?)",
        [(seq, encoded.data.decode(), *encoded.hashes, encoded.type) for seq, encoded in enumerate(batch, first_seq)],
    )
    stored = connection.execute(
        "SELECT CAST(body AS BLOB), id, sha256 FROM events WHERE seq BETWEEN ? AND ? ORDER BY seq",
        (first_seq, first_seq + len(batch) - 1),
    )
    read = [(sha256(data).digest(), event_id, digest) for data, event_id, digest in stored]
    if read != [(encoded.hashes[1], *encoded.hashes) for encoded in batch]:
        raise Damaged(
            "The database gave back other bytes than it was given; nothing was recorded.",
            "This points to faulty memory or disk: test the machine before going on.",
        )
    last_seqs = {entity: seq for seq, encoded in enumerate(batch, first_seq) for entity in encoded.entities}
    connection.executemany(
        "INSERT INTO entities VALUES(?,?) ON CONFLICT(entity) DO UPDATE SET last_seq = excluded.last_seq",
        last_seqs.items(),
    )
    return [encoded.hashes for encoded in batch]


def subtree(connection: sqlite3.Connection, n: int) -> bytes:
    """The stored hash of the largest perfect subtree that ends at commit ``n``."""
    return bytes(connection.execute("SELECT subtree FROM commits WHERE n = ?", (n,)).fetchone()[0])
