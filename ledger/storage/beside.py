"""What lies beside the database and behind its end: files that SQLite would roll in, read, or silently ignore.

A database is more than its file. A rollback journal is copied back into it by whoever opens it next; a write-ahead
log is read as its newest pages. A ledger is in WAL mode from its first moment, so it never has a rollback journal.
"""

from __future__ import annotations

import sqlite3
import stat
import struct
import time
from pathlib import Path
from typing import NamedTuple

from tallystick.ledger.errors import Damaged

NOT_PLAIN_NEXT = (
    "Move it out of the folder and keep it as evidence. If `tally verify` then finds the ledger whole, go on with it."
)
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


class Danger(NamedTuple):
    """Why a database must not be opened, and what to do."""

    words: str
    next: str


def beside(path: Path, ending: str) -> Path:
    """The file that SQLite keeps beside a database; of a link, beside the file to which it leads."""
    real = path.resolve()
    return real.with_name(real.name + ending)


def danger_beside(path: Path) -> Danger | None:
    """What lies beside a database and would do harm as soon as SQLite opens it; None where nothing does."""
    journal = beside(path, "-journal")
    if journal.is_symlink() or journal.exists():
        words = (
            f"{journal} lies beside the ledger. SQLite would copy it over the ledger's pages at the next opening, and "
            "no tallystick ever leaves one there."
        )
        return Danger(words, JOURNAL_NEXT)
    for file in (beside(path, "-wal"), beside(path, "-shm")):
        try:
            is_plain = stat.S_ISREG(file.lstat().st_mode)
        except OSError:
            continue  # not there, or out of reach for SQLite as well
        if not is_plain:
            words = (
                f"{file} is no plain file. Readers would take the database without it, or wait for it without end. No "
                "tallystick makes it so."
            )
            return Danger(words, NOT_PLAIN_NEXT)
    return None


def refuse_danger(path: Path) -> None:
    """Refuse to open a database beside which something lies that changes it, or what is read of it.

    Raises
    ------
    Damaged
    """
    if danger_beside(path) is None:
        return
    time.sleep(TRANSIENT_SECONDS)
    if (danger := danger_beside(path)) is not None:
        raise Damaged(f"{danger.words} Nothing was opened.", danger.next)


def length_words(connection: sqlite3.Connection, path: Path) -> str | None:
    """How the length of a file differs from what its header says; None if it does not, or if that cannot be judged.

    The connection must hold a read transaction: nobody moves pages into the file beyond what it sees. While newer pages
    are still in the write-ahead log, the file may be shorter than the database, and as long as the database was after
    any commit in the log. After a VACUUM in the log it may be longer still until it is cut, which nobody can judge
    before.
    """
    pages, size_bytes = (
        int(connection.execute(f"PRAGMA {what}").fetchone()[0]) for what in ("page_count", "page_size")
    )
    expected, found = pages * size_bytes, path.stat().st_size
    if found == expected:
        return None
    wal = beside(path, "-wal")
    if _has_frames(wal, size_bytes):
        longest = _most_pages(wal, size_bytes)
        if found < expected or longest is None:
            return None
        expected = max(expected, longest * size_bytes)
        if found <= expected:  # perhaps no whole number of pages: a power cut tears a page that is still in the log
            return None
    if found > expected:
        return f"{found - expected:,} bytes lie behind the end of the database; SQLite ignores them."
    return f"The file is {expected - found:,} bytes shorter than the database in it."


def wal_words(path: Path, page_size: int) -> str | None:
    """What is wrong with a write-ahead log that SQLite would ignore in part or whole; None if nothing is.

    Frames of earlier rounds may follow the newest ones: SQLite starts a log again without cutting it, and each time
    adds one to the first salt. Frames of any other origin were put there.
    """
    wal = beside(path, "-wal")
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


def _most_pages(wal: Path, page_size: int) -> int | None:
    """The most pages that a file can have beside a write-ahead log; None if a VACUUM is in the log."""
    # Without a VACUUM a database never gets shorter. The file itself must not be read for this: closing it again would
    # drop the locks that SQLite holds on it in this process.
    most = 0
    with wal.open("rb") as file:
        salts = WAL_HEADER.unpack(file.read(WAL_HEADER.size))[4:6]
        at, frames = WAL_HEADER.size, 0
        while len(frame := file.read(FRAME_HEADER.size)) == FRAME_HEADER.size:
            _page, pages, *found = FRAME_HEADER.unpack(frame)
            if tuple(found[:2]) != salts:
                break  # of an earlier round
            frames += 1
            if pages:  # the last frame of a commit
                if frames >= pages:
                    return None  # it writes every page, as VACUUM does
                most, frames = max(most, pages), 0
            at += FRAME_HEADER.size + page_size
            file.seek(at)
    return most


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
