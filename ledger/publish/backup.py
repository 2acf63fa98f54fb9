"""A second copy of a ledger, whole at every moment, that never follows a ledger which went back.

A copy of ``ledger.db`` made with ``cp`` lacks what is still in SQLite's write-ahead log; this one is taken with
SQLite's own backup under one read transaction, so that it is the state of one commit while others go on appending.
A backup that exists is brought up to date; one that holds what the ledger lacks is the better of the two and stays.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

from tallystick.ledger.errors import Damaged, InvalidInput, Refused, TallyError
from tallystick.ledger.events import types
from tallystick.ledger.events.types import ArtifactStored
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.opening import FOLDER
from tallystick.ledger.publish import segments
from tallystick.ledger.storage.log import LEDGER_FILE
from tallystick.ledger.storage.sqlite import open_read_only
from tallystick.ledger.system.files import sync_folder, sync_names, write_whole
from tallystick.ledger.tlog.note import Checkpoint

PAGES_A_STEP = 4096

OnProgress = Callable[[str, int, int], None]


class Backup(NamedTuple):
    """What the second copy holds."""

    folder: Path
    """The ``.tally`` of the copy."""
    checkpoint: Checkpoint
    """Origin, commits and root of the copy, recomputed from what was written."""
    events: int
    artifacts: int
    copied: int
    """Artifacts that were not there before."""
    damaged: list[str]
    """Hashes of artifacts that hold other bytes than their name says; they were not copied."""
    before: int | None
    """Commits that an earlier backup in the same place held; None where there was none."""


def back_up(ledger: Ledger, folder: Path, on_progress: OnProgress = lambda what, done, total: None) -> Backup:
    """Copy a ledger to ``folder/.tally``, or bring the copy there up to date; durable on return.

    Raises
    ------
    Refused
        When another ledger is there, or one that this ledger does not continue.
    Damaged
        When the copy is not what was read.
    InvalidInput
        When the place cannot be written.
    Busy
        When somebody is writing to the copy.
    """
    target = folder / FOLDER
    if target.resolve() == ledger.folder.resolve():
        raise Refused(f"{folder} is where the ledger itself lies.", "Name another folder, best on another disk.")
    before = _earlier(ledger, target)
    workplace: Path | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        workplace = Path(tempfile.mkdtemp(dir=folder, prefix=f"{FOLDER}-new-"))
        _copy_database(ledger, workplace / LEDGER_FILE, on_progress)
        checkpoint, events = _checked(ledger, workplace)
        # Artifacts first: what an event names must be there before the event is.
        artifacts, copied, damaged = _copy_artifacts(ledger, target, on_progress)
        _copy_segments(ledger, target)
        if before is not None:
            _carry_erasures(ledger, target)
        _put_in_place(workplace / LEDGER_FILE, target)
    except OSError as error:
        raise InvalidInput(
            f"The ledger could not be copied to {folder}: {error.strerror or error}.",
            "What was there before is unchanged. Mend that and give the same command again.",
        ) from error
    finally:
        if workplace is not None:
            shutil.rmtree(workplace, ignore_errors=True)
    return Backup(target, checkpoint, events, artifacts, copied, damaged, before)


def _earlier(ledger: Ledger, target: Path) -> int | None:
    """Commits of the backup that is there already; it must be an earlier state of this very ledger."""
    if not (target / LEDGER_FILE).exists():
        return None
    other = Ledger(target)
    try:
        if other.origin != ledger.origin:
            raise Refused(f"{target} is a copy of another ledger, {other.origin}.", "Name another folder.")
        seen = Checkpoint(other.origin, other.log.size(), other.root_at(other.log.size()))
    except Refused:
        raise
    except (TallyError, sqlite3.DatabaseError) as error:
        words = error.message if isinstance(error, TallyError) else f"{error}."
        raise Refused(f"What lies in {target} cannot be read as a ledger: {words}", "Name another folder.") from error
    finally:
        other.close()
    if not ledger.continues(seen):
        raise Refused(
            f"The copy in {target} holds commits that this ledger does not have: c{seen.size - 1} is its newest. "
            "This ledger was rolled back or rewritten; the copy may be the better one and was not touched.",
            f"Look at both: tally verify; tally verify --ledger {target.parent}",
        )
    return seen.size


def _copy_database(ledger: Ledger, path: Path, on_progress: OnProgress) -> None:
    def progress(_status: int, remaining: int, total: int) -> None:
        on_progress("copying events", total - remaining, total)

    source = open_read_only(ledger.log.path)
    copy = sqlite3.connect(path)
    try:
        # Held open, so that the copy is of one moment and never has to begin again beside a busy writer.
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        source.backup(copy, pages=PAGES_A_STEP, progress=progress, sleep=0)
        copy.execute("PRAGMA journal_mode = DELETE").fetchone()
    except sqlite3.Error as error:
        raise Damaged(
            f"The ledger's file could not be copied: {error}.", "`tally verify` says what is wrong."
        ) from error
    finally:
        source.close()
        copy.close()


def _checked(ledger: Ledger, workplace: Path) -> tuple[Checkpoint, int]:
    """What the new file holds, from its own bytes; the ledger that it was taken from must continue it."""
    copy = Ledger(workplace)
    try:
        size = copy.log.size()
        checkpoint = Checkpoint(copy.origin, size, copy.root_at(size))
        events = copy.log.commit(size - 1).last_seq + 1
    finally:
        copy.close()
    if not ledger.continues(checkpoint):
        raise Damaged(
            "The copy does not hold what was read; it was thrown away.",
            "Look at the disk, then `tally verify`.",
        )
    return checkpoint, events


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.glob("[0-9a-f][0-9a-f]/*")):
        name = path.parent.name + path.name
        if len(name) == 64 and path.is_file() and not path.is_symlink():
            yield name, path


def _copy_artifacts(ledger: Ledger, target: Path, on_progress: OnProgress) -> tuple[int, int, list[str]]:
    here = list(_files(ledger.objects.folder))
    copied, damaged = 0, []
    for number, (name, path) in enumerate(here):
        on_progress("copying artifacts", number, len(here))
        there = target / "objects" / name[:2] / name[2:]
        if there.is_file() and there.stat().st_size == path.stat().st_size:
            sync_names(there)  # an earlier backup may have been killed before the name was durable
            continue
        data = path.read_bytes()
        if blake3(data).hexdigest() != name:
            damaged.append(name)
            continue
        write_whole(there, data, mode=0o444)
        copied += 1
    return len(here) - len(damaged), copied, damaged


def _copy_segments(ledger: Ledger, target: Path) -> None:
    for path in sorted((ledger.folder / segments.FOLDER).glob("*.jsonl")):
        there, data = target / segments.FOLDER / path.name, path.read_bytes()
        # A segment changes only when an event in it is erased.
        if not there.is_file() or there.read_bytes() != data:
            write_whole(there, data)


def _carry_erasures(ledger: Ledger, target: Path) -> None:
    """Erase in the copy, too, what was redacted since: an artifact that only an erased event named."""
    old = Ledger(target)
    try:
        for row in ledger.log.reader.execute("SELECT seq FROM events WHERE body IS NULL").fetchall():
            if row[0] > old.log.commit(old.log.size() - 1).last_seq:
                continue
            data = old.log.event(row[0]).data
            body = None if data is None else types.decode(data).body
            if isinstance(body, ArtifactStored) and not ledger.objects.path(body.artifact).exists():
                old.objects.path(body.artifact).unlink(missing_ok=True)
    finally:
        old.close()


def _put_in_place(new: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    old = Ledger(target)
    try:
        with old.writer.lock:
            if old.log.path.exists():
                # Its own write-ahead log must not be read into the new file.
                folded = sqlite3.connect(old.log.path)
                folded.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                folded.close()
            for suffix in ("-wal", "-shm"):
                old.log.path.with_name(LEDGER_FILE + suffix).unlink(missing_ok=True)
            old.views.discard()
            with new.open("rb") as file:
                os.fsync(file.fileno())
            new.replace(old.log.path)
            sync_folder(target)
            sync_folder(target.parent)
    finally:
        old.close()
