"""The spool: records that could not be written into their ledger yet, kept on disk and delivered exactly once.

One folder for each process of a trial, outside of the ledger: ``$XDG_STATE_HOME/tallystick/spool/TRIAL.SEQUENCE/`` with
``records.jsonl`` (a header that names the ledger, then one record a line) and ``objects/`` with files. A ledger is
named by its origin, where that was known, so that records find it after its folder was renamed, and never reach
another one in its place; its folder is where it was last seen. Each record has an idempotency
key of its own, so delivering it twice writes it once: a crash between writing and crossing out does no harm. A line
that a crash cut short was never acknowledged as kept, and is left out.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import msgspec
from blake3 import blake3

from tallystick.ledger.errors import Damaged, Refused
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.event import Instant
from tallystick.ledger.events.types import (
    ArtifactStored,
    Body,
    TrialBegun,
    TrialChanged,
    TrialFinished,
    TrialMeasured,
    TrialModelled,
    TrialNoted,
    TrialSeries,
    TrialStarted,
    TrialStored,
)
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.system.file_lock import FileLock
from tallystick.ledger.system.files import sync_folder, write_whole
from tallystick.ledger.tlog.pins import state_home

RECORDS = "records.jsonl"
_DIGEST = re.compile(r"[0-9a-f]{64}")
BODIES: dict[str, type[Body]] = {
    body.TYPE: body
    for body in (
        *(TrialStarted, TrialMeasured, TrialStored, ArtifactStored, TrialFinished),
        *(TrialBegun, TrialNoted, TrialSeries, TrialChanged, TrialModelled),
    )
}


class SpooledCommit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One commit that is to be made: its idempotency key, when it happened, and its bodies in order."""

    key: str
    at: Instant
    bodies: list[tuple[str, msgspec.Raw]]
    """Type and body of each event; all are of version 1."""
    files: list[str] = []
    """Hashes of files that must be stored first."""


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first line: whose records follow."""

    spool: int = 1
    trial: str
    ledger: str
    """Folder of the ledger, absolute; where it was last seen."""
    origin: str | None = None
    """The ledger's own name; None where it could not be read, or there was none yet."""


def record(key: str, at: Instant, bodies: list[Body], files: list[str] | None = None) -> SpooledCommit:
    """Make a record of bodies."""
    encoded = [(body.TYPE, msgspec.Raw(msgspec.json.encode(body))) for body in bodies]
    return SpooledCommit(key=key, at=at, bodies=encoded, files=files or [])


def drafts_of(item: SpooledCommit) -> list[Draft]:
    """What is to be appended for a record.

    Raises
    ------
    Damaged
        When a body is none of those that trials write.
    """
    drafts = []
    for name, raw in item.bodies:
        if name not in BODIES:
            raise Damaged(f"The spool holds an event of type {name!r}, which no trial writes.")
        drafts.append(Draft(msgspec.json.decode(bytes(raw), type=BODIES[name]), occurred_at=item.at))
    return drafts


def deliver(book: Ledger, item: SpooledCommit, deadline_seconds: float) -> None:
    """Write one record, unless it is written already; durable on return."""
    book.append(*drafts_of(item), key=item.key, deadline_seconds=deadline_seconds)


class Spool:
    """The records of one trial that wait; made in the first place that can be written."""

    def __init__(self, trial: str, ledger: Path, sequence: str) -> None:
        self.trial = trial
        self.ledger = ledger
        self.sequence = sequence
        """Of the process that records: two of them must not write one file."""
        self.origin: str | None = None
        self.folder: Path | None = None

    @property
    def header(self) -> Header:
        """The first line of its file."""
        return Header(trial=self.trial, ledger=str(self.ledger), origin=self.origin)

    def keep(self, item: SpooledCommit, files: dict[str, bytes]) -> None:
        """Add a record with its files; durable on return.

        Raises
        ------
        OSError
            When neither the account's state folder nor the folder for temporary files can take it.
        """
        if self.folder is not None:
            self._add(self.folder, item, files)
            return
        homes = _homes()
        for home in homes:
            try:
                home.mkdir(parents=True, exist_ok=True, mode=0o700)
                if not _is_ours(home):
                    raise PermissionError(f"{home} belongs to somebody else")
                folder = home / f"{quote(self.trial, safe='')}.{self.sequence}"
                folder.mkdir(exist_ok=True)
                self._add(folder, item, files)
                self.folder = folder
                return
            except OSError:
                if home == homes[-1]:
                    raise

    def _add(self, folder: Path, item: SpooledCommit, files: dict[str, bytes]) -> None:
        for digest, data in files.items():
            write_whole(folder / "objects" / digest, data)
        path = folder / RECORDS
        lines = b"" if path.exists() and path.stat().st_size else msgspec.json.encode(self.header) + b"\n"
        lines += msgspec.json.encode(item) + b"\n"
        before = path.stat().st_size if path.exists() else 0
        try:
            with path.open("ab") as file:
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            # Half a line would make the next one unreadable.
            if path.exists():
                os.truncate(path, before)
            raise
        sync_folder(folder)


class Waiting(NamedTuple):
    """A trial whose records wait on disk."""

    folder: Path
    header: Header
    records: list[SpooledCommit]


def waiting() -> Iterator[Waiting]:
    """Every spool of this account, in the order of their names."""
    for home in _homes():
        if _may_be_read(home):
            for folder in sorted(home.iterdir()):
                found = read(folder)
                if found is not None:
                    yield found


def _homes() -> list[Path]:
    return [state_home() / "spool", Path(tempfile.gettempdir()) / f"tally-spool-{os.getuid()}"]


def _is_ours(home: Path) -> bool:
    """A real folder of this account: the one for temporary files is open to everybody."""
    return home.is_dir() and not home.is_symlink() and home.stat().st_uid == os.getuid()


def _may_be_read(home: Path) -> bool:
    try:
        return _is_ours(home) and os.access(home, os.R_OK | os.X_OK)
    except PermissionError:  # not even the folder above it may be entered
        return False


def read(folder: Path) -> Waiting | None:
    """The spool in a folder, or None where there is none.

    Raises
    ------
    Damaged
        When a line other than a torn last one cannot be read.
    """
    path = folder / RECORDS
    if not path.is_file():
        return None
    try:
        read = parse(path.read_bytes())
    except (OSError, Damaged) as error:
        raise Damaged(
            f"The spool {path} cannot be read: {error}.", "Nothing of it was delivered; look at that file."
        ) from error
    return None if read is None else Waiting(folder, *read)


def parse(data: bytes) -> tuple[Header, list[SpooledCommit]] | None:
    """The header and the records of a spool's file, each known to be of a kind that trials write; None where empty.

    Raises
    ------
    Damaged
    """
    *lines, _torn = data.split(b"\n")
    if not lines:
        return None
    try:
        header = msgspec.json.decode(lines[0], type=Header)
        records = [msgspec.json.decode(line, type=SpooledCommit) for line in lines[1:]]
        for item in records:
            drafts_of(item)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Damaged(str(error)) from error
    if not all(_DIGEST.fullmatch(digest) for item in records for digest in item.files):
        raise Damaged("it names a file by something else than its hash")
    return header, records


def empty(book: Ledger, spool: Waiting, deadline_seconds: float = 30.0) -> int:
    """Deliver a whole spool in order and remove it; returns how many records it held.

    Two processes that do it at once take turns, and what one has written the other finds written.

    Raises
    ------
    Refused
        When the records were made for another ledger.
    """
    if spool.header.origin not in (None, book.origin):
        raise Refused(
            f"Records of trial {spool.header.trial} are for the ledger {spool.header.origin}, "
            f"and the one in {book.folder} is {book.origin}.",
            "Wherever that ledger is now: tally doctor --ledger FOLDER",
        )
    with FileLock(spool.folder / "lock", deadline_seconds):
        again = read(spool.folder)
        if again is None:
            return 0
        for item in again.records:
            for digest in item.files:
                try:
                    data = (spool.folder / "objects" / digest).read_bytes()
                except OSError as error:
                    words = f"The file {digest[:12]}… in {spool.folder} cannot be read: {error.strerror}."
                    raise Damaged(words, "Nothing of this record was delivered; put the file back.") from error
                if blake3(data).hexdigest() != digest:
                    raise Damaged(f"The file {digest[:12]}… in {spool.folder} is not what was put there.")
                book.store(data)
            deliver(book, item, deadline_seconds)
        (spool.folder / RECORDS).unlink()
    shutil.rmtree(spool.folder, ignore_errors=True)
    return len(again.records)
