"""`tally doctor`: what could go wrong next, and records that still wait."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import click

from tallystick import ledger
from tallystick.ledger.errors import TallyError
from tallystick.ledger.events.sentences import count
from tallystick.ledger.events.types import TrialChanged
from tallystick.ledger.opening import find
from tallystick.ledger.tlog import key_store, pins
from tallystick.ledger.tracking import spool
from tallystick.ledger.tracking.presence import ended_without_a_word
from tallystick.ledger.verify.rollback_check import clock_trouble
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.options import json_option, ledger_option
from tallystick.tui.output.console import print_json
from tallystick.tui.output.escape import show

LEAST_FREE_BYTES = 100_000_000


class Diagnosis(NamedTuple):
    """One thing that was looked at."""

    part: str
    state: Literal["ok", "look", "bad"]
    words: str


@tally.command("doctor")
@ledger_option
@json_option
def doctor_command(ledger_path: Path | None, as_json: bool) -> None:
    """Deliver what could not be recorded when it happened, and look at what could go wrong next.

    Exit code 1 where something is bad, or records of this ledger still wait.
    """
    found = ledger_path or Path(os.environ.get("TALLY_LEDGER") or ".")
    try:
        folder = found if (found / "ledger.db").is_file() else find(found)
    except PermissionError:
        folder = found
    diagnoses = list(_examine(folder))
    bad = any(item.state == "bad" for item in diagnoses)
    if as_json:
        print_json("tally.doctor/1", {"healthy": not bad, "checks": [item._asdict() for item in diagnoses]})
    else:
        for item in diagnoses:
            mark = {"ok": "ok  ", "look": "look", "bad": "BAD "}[item.state]
            click.echo(f"{mark}  {item.part:<8} {show(item.words, 2_000)}")
    if bad:
        raise SystemExit(1)


def _examine(folder: Path | None) -> Iterator[Diagnosis]:
    if folder is None:
        yield Diagnosis("ledger", "look", "none here or above; make one with `tally init`")
    else:
        yield from _ledger(folder)
    yield from _spools(folder)
    if folder is not None:
        yield from _vanished(folder)


def _ledger(folder: Path) -> Iterator[Diagnosis]:
    try:
        with ledger.open(folder) as book:
            events = book.now().as_of.seq + 1
            story = "; its clock is REPLAYED" if book.genesis.clock == "replayed" else ""
            yield Diagnosis("ledger", "ok", f"{book.origin}: {count(events, 'event')} in {folder}{story}")
            for part, look_at in (("key", _key), ("mark", _mark), ("clock", _clock), ("views", _views)):
                try:
                    yield look_at(book)
                except TallyError as error:
                    yield Diagnosis(part, "bad", f"{error.message} {error.hint}".strip())
    except TallyError as error:
        yield Diagnosis("ledger", "bad", f"{error.message} {error.hint}".strip())
    yield _lock(folder)
    free = shutil.disk_usage(folder).free
    yield Diagnosis("disk", "ok" if free >= LEAST_FREE_BYTES else "bad", f"{free / 1e9:,.1f} GB free")


def _key(book: ledger.Ledger) -> Diagnosis:
    held = key_store.find_signer(book.identity.key) is not None
    home = key_store.key_path(book.identity.key)
    words = "this account can sign" if held else f"this account cannot sign; its key belongs in {home}"
    return Diagnosis("key", "ok" if held else "look", words)


def _mark(book: ledger.Ledger) -> Diagnosis:
    mark = pins.read_mark(book.origin)
    pins.refuse_unwritable(book.origin)
    words = f"seen up to {count(mark.size, 'commit')}" if mark else "this account has seen nothing of it yet"
    return Diagnosis("mark", "ok" if mark else "look", words)


def _clock(book: ledger.Ledger) -> Diagnosis:
    words = clock_trouble(book)
    return Diagnosis("clock", "look" if words else "ok", words or "not behind the newest commit")


def _views(book: ledger.Ledger) -> Diagnosis:
    if book.views.are_kept():
        return Diagnosis("views", "ok", "up to date")
    return Diagnosis("views", "look", f"{book.views.path} cannot be written, so every answer is made in memory")


def _lock(folder: Path) -> Diagnosis:
    if not os.access(folder, os.W_OK):
        return Diagnosis("lock", "look", f"{folder} can be read but not written by this account")
    try:
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        return Diagnosis("lock", "bad", f"{folder / 'lock'} cannot be opened: {error.strerror}")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return Diagnosis("lock", "look", f"held by another process; `fuser {folder / 'lock'}` names it")
    finally:
        os.close(descriptor)
    return Diagnosis("lock", "ok", "free")


def _spools(here: Path | None) -> Iterator[Diagnosis]:
    """Deliver every spool of this account, each into the ledger that it was meant for and into no other."""
    origin = _origin(here)
    any_waiting = False
    for waits in spool.waiting():
        any_waiting = True
        header = waits.header
        what = f"{count(len(waits.records), 'record')} of trial {header.trial}"
        moved_here = here is not None and header.origin is not None and header.origin == origin
        target = here if moved_here and here is not None else Path(header.ledger)
        try:
            with ledger.open(target) as book:
                spool.empty(book, waits)
            yield Diagnosis("spool", "ok", f"delivered {what} to {target}")
        except (TallyError, OSError) as error:
            words: Any = f"{error.message} {error.hint}".strip() if isinstance(error, TallyError) else error
            meant = moved_here or (header.origin is None and here is not None and target == here.absolute())
            # Another ledger's records are no trouble of this one.
            named = f"for {header.origin}, last seen in {header.ledger}; " if header.origin is not None else ""
            yield Diagnosis("spool", "bad" if meant else "look", f"{what} wait in {waits.folder}: {named}{words}")
    if not any_waiting:
        yield Diagnosis("spool", "ok", "nothing waits")


def _origin(folder: Path | None) -> str | None:
    if folder is None:
        return None
    try:
        with ledger.open(folder) as book:
            return book.origin
    except TallyError:
        return None


def _vanished(folder: Path) -> Iterator[Diagnosis]:
    """Record of trials of this machine whose process has gone that they ended without a word."""
    try:
        with ledger.open(folder) as book:
            gone = [trial for trial in book.now().trials() if ended_without_a_word(trial)]
            for trial in gone:
                key = f"{trial.trial}/vanished/{trial.process_began}"
                book.append(TrialChanged(trial=trial.trial, status="vanished"), key=key)
            if gone:
                some = ", ".join(trial.trial for trial in gone[:3]) + (", …" if len(gone) > 3 else "")
                yield Diagnosis("trials", "look", f"{count(len(gone), 'trial')} ended without a word: {some}")
    except TallyError as error:
        yield Diagnosis("trials", "look", f"{error.message} {error.hint}".strip())
