"""What lies beside the database and behind its end: files that SQLite would roll in, read, or silently ignore.

A database is more than its file. A rollback journal is copied back into it by whoever opens it next; a write-ahead
log is read as its newest pages. A ledger is in WAL mode from its first moment, so it never has a rollback journal.
"""

from __future__ import annotations

import sqlite3
import struct
import time
from pathlib import Path

from tallystick.ledger.errors import Damaged

TRANSIENT_SECONDS = 0.1
"""A ledger that somebody took out of WAL mode gets a journal for the moment in which a writer puts it back."""
WAL_HEADER = struct.Struct(">8I")
FRAME_HEADER = struct.Struct(">6I")
WAL_MAGIC = 0x377F0682
WAL_VERSION = 3_007_000
JOURNAL_NEXT = (
    "Move the journal out of the folder and keep it as evidence. If `tally verify` then finds the ledger whole, go on "
    "with it; else restore the newest backup."
)


def journal_words(path: Path) -> str | None:
    """What is wrong where a rollback journal lies beside a database; None where there is none."""
    journal = path.with_name(path.name + "-journal")
    if not journal.is_symlink() and not journal.exists():
        return None
    return (
        f"{journal} lies beside the ledger. SQLite would copy it over the ledger's pages at the next opening, and no "
        "tallystick ever leaves one there."
    )


def refuse_journal(path: Path) -> None:
    """Refuse to open a database into which SQLite would roll a journal.

    Raises
    ------
    Damaged
    """
    if journal_words(path) is None:
        return
    time.sleep(TRANSIENT_SECONDS)
    if (words := journal_words(path)) is not None:
        raise Damaged(f"{words} Nothing was opened.", JOURNAL_NEXT)


def length_words(connection: sqlite3.Connection, path: Path) -> str | None:
    """How the length of a file differs from what its header says; None if it does not, or if that cannot be judged.

    The connection must hold a read transaction: nobody moves pages into the file beyond what it sees. With a
    write-ahead log beside it, newer pages may still be there, or the file may wait to be cut.
    """
    pages, size_bytes = (
        int(connection.execute(f"PRAGMA {what}").fetchone()[0]) for what in ("page_count", "page_size")
    )
    expected, found = pages * size_bytes, path.stat().st_size
    if found == expected:
        return None
    if found % size_bytes == 0 and _has_frames(path.with_name(path.name + "-wal"), size_bytes):
        return None
    if found > expected:
        return f"{found - expected:,} bytes lie behind the end of the database; SQLite ignores them."
    return f"The file is {expected - found:,} bytes shorter than the database in it."


def wal_words(path: Path, page_size: int) -> str | None:
    """What is wrong with a write-ahead log that SQLite would ignore in part or whole; None if nothing is.

    Frames of earlier rounds may follow the newest ones: SQLite starts a log again without cutting it, and each time
    adds one to the first salt. Frames of any other origin were put there.
    """
    wal = path.with_name(path.name + "-wal")
    try:
        with wal.open("rb") as file:
            head = file.read(WAL_HEADER.size)
            if not head.strip(b"\0"):
                return None  # made, and nothing written to it yet
            if (words := _header_words(head, page_size)) is not None:
                return f"{wal} {words}"
            rounds, salts = WAL_HEADER.unpack(head)[3], WAL_HEADER.unpack(head)[4:6]
            at = WAL_HEADER.size
            while len(frame := file.read(FRAME_HEADER.size)) == FRAME_HEADER.size:
                found = FRAME_HEADER.unpack(frame)[2:4]
                if found != salts and frame.strip(b"\0") and not 1 <= (salts[0] - found[0]) % (1 << 32) <= rounds:
                    if _was_restarted(wal, head):
                        return None
                    return f"{wal} holds frames of another write-ahead log at byte {at:,}; SQLite ignores them."
                at += FRAME_HEADER.size + page_size
                file.seek(at)
    except FileNotFoundError:
        return None
    return None


def _was_restarted(wal: Path, head: bytes) -> bool:
    """Whether a writer began the log anew while it was read."""
    try:
        with wal.open("rb") as file:
            return file.read(WAL_HEADER.size) != head
    except FileNotFoundError:
        return True


def _header_words(head: bytes, page_size: int) -> str | None:
    if len(head) < WAL_HEADER.size:
        return "is no write-ahead log; SQLite ignores it."
    magic, version, size_bytes, _rounds, _salt1, _salt2, *checksum = WAL_HEADER.unpack(head)
    if magic & ~1 != WAL_MAGIC or version != WAL_VERSION:
        return "is no write-ahead log; SQLite ignores it."
    first = second = 0
    words = struct.unpack(f"{'>' if magic & 1 else '<'}6I", head[:24])
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    if [first, second] != checksum or size_bytes != page_size:
        return "has a damaged header; SQLite ignores it."
    return None


def _has_frames(wal: Path, page_size: int) -> bool:
    """Whether a write-ahead log holds pages that are newer than the file, or were until they were moved into it."""
    try:
        with wal.open("rb") as file:
            head, frame = file.read(WAL_HEADER.size), file.read(FRAME_HEADER.size)
    except FileNotFoundError:
        return False
    if len(frame) < FRAME_HEADER.size or _header_words(head, page_size) is not None:
        return False
    return WAL_HEADER.unpack(head)[4:6] == FRAME_HEADER.unpack(frame)[2:4]
