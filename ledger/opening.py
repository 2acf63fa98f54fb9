"""Making, finding and opening the folder of a ledger."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import secrets
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tallystick.ledger.errors import Damaged, InvalidInput, NotFound, Refused, TallyError
from tallystick.ledger.events.commit import COMMIT_CONTEXT
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.event import EVENT_CONTEXT, new_salts
from tallystick.ledger.events.types import LedgerCreated
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.storage.beside import danger_beside
from tallystick.ledger.storage.log import LEDGER_FILE
from tallystick.ledger.storage.sqlite import encoding_words, refuse_encoding, replaced, trouble
from tallystick.ledger.system.clock import WALL_CLOCK, Clock
from tallystick.ledger.system.files import sync_folder
from tallystick.ledger.system.provenance import Recorder
from tallystick.ledger.tlog import key_store, pins
from tallystick.ledger.tlog.note import SignerKey
from tallystick.ledger.writing.appender import Salts

FOLDER = ".tally"


def create(
    parent: Path | str,
    *,
    name: str | None = None,
    timezone: str | None = None,
    clock_kind: Literal["live", "replayed"] = "live",
    key_home: key_store.Home = "auto",
    recorder: Recorder | None = None,
    clock: Clock = WALL_CLOCK,
    salts: Salts = new_salts,
) -> Ledger:
    """Make a ledger in ``parent/.tally``, with a new key outside of it, and open it.

    The folder is prepared under another name and renamed when it is whole, so of several processes that start
    at once exactly one makes it and nobody ever meets half of one.

    Parameters
    ----------
    name : str, optional
        Beginning of the origin, ``acme/credit``; the name of the folder if not given. 16 random hexadecimal
        digits are added, so that no two ledgers share an origin.
    timezone : str, optional
        IANA zone for dates; this machine's if not given.
    key_home : "auto", "agent" or "file"
        Where the log's private key lives: auto takes an ssh-agent's ed25519 key where there is one.

    Raises
    ------
    Refused
        When there is a ledger already.
    InvalidInput
        When the folder cannot be written, or the name or zone is not usable.
    """
    parent = Path(parent)
    folder = parent / FOLDER
    if os.path.lexists(folder):
        raise Refused(f"There is a ledger in {folder} already.", "Use it, or choose another folder.")
    zone = _checked(timezone or local_zone())
    origin = new_origin(name or parent.resolve().name)
    made_parent = not parent.exists()
    workplace = _workplace(parent)
    signer: key_store.Signer | None = None
    try:
        workplace.chmod(0o755)
        signer = key_store.new_signer(origin, key_home)
        ledger = Ledger(workplace, recorder=recorder, clock=clock, salts=salts)
        ledger.writer.create()
        ledger.appender.begin(Draft(genesis(signer, zone, clock_kind)), signer)
        pins.write_pin(signer.verifier, "made here")
        ledger.close()
        workplace.rename(folder)
    except BaseException as error:
        _clear(workplace, origin, signer)
        if isinstance(error, OSError) and folder.exists():
            raise Refused(f"Somebody else made a ledger in {folder} just now.", "Use it.") from error
        if made_parent:
            with contextlib.suppress(OSError):
                parent.rmdir()
        if isinstance(error, OSError):
            raise InvalidInput(
                f"No ledger can be made in {parent}: {error.strerror}.", "Check free space and rights, then try again."
            ) from error
        raise
    sync_folder(parent)
    return Ledger(folder, recorder=recorder, clock=clock, salts=salts)


def _checked(zone: str) -> str:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInput(f"{zone!r} is not a time zone.", "Name one such as Europe/Berlin or UTC.") from None
    return zone


def _workplace(parent: Path) -> Path:
    """A new folder in ``parent``, in which a ledger is prepared before it gets its name."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=parent, prefix=f"{FOLDER}-new-"))
    except OSError as error:
        raise InvalidInput(
            f"No ledger can be made in {parent}: {error.strerror}.", "Choose a folder that you can write."
        ) from error


def genesis(signer: key_store.Signer, zone: str, clock_kind: Literal["live", "replayed"]) -> LedgerCreated:
    """The first event of a new ledger."""
    return LedgerCreated(
        format=1,
        origin=signer.name,
        verifier_key=signer.verifier.format(),
        timezone=zone,
        clock=clock_kind,
        event_hash=f"BLAKE3 derive-key {EVENT_CONTEXT!r}; SHA-256",
        commit_hash=f"BLAKE3 derive-key {COMMIT_CONTEXT!r}; SHA-256",
        tree="RFC 6962, SHA-256",
    )


def _clear(workplace: Path, origin: str, signer: key_store.Signer | None) -> None:
    """What never became a ledger leaves nothing behind: no folder, no unused key, no memory of it."""
    shutil.rmtree(workplace, ignore_errors=True)
    if isinstance(signer, SignerKey):
        key_store.key_path(signer.verifier).unlink(missing_ok=True)
    pins.forget(origin)


def new_origin(name: str) -> str:
    readable = re.sub(r"[^A-Za-z0-9._/-]+", "-", name).strip("-/") or "ledger"
    return f"{readable[:80]}-{secrets.token_hex(8)}"


def local_zone() -> str:
    """The IANA name of this machine's zone, or UTC where it cannot be told."""
    configured = os.environ.get("TZ", "").removeprefix(":")
    candidates = [configured] if configured else []
    link = Path("/etc/localtime")
    if link.is_symlink():
        candidates.append(str(link.resolve()).partition("zoneinfo/")[2])
    for candidate in candidates:
        try:
            ZoneInfo(candidate)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            continue
        return candidate
    return "UTC"


def find(start: Path | str) -> Path | None:
    """The nearest ``.tally`` folder at or above ``start``, as git looks for ``.git``.

    Raises
    ------
    Refused
        When it lies above and belongs to another account, as in a folder that everybody may write to.
    """
    start = Path(start)
    for folder in (start, *start.absolute().parents):
        if _holds_a_ledger(folder):
            if folder not in (start, start.absolute()):
                _refuse_anothers(folder / FOLDER)
            return folder / FOLDER
    return None


def _holds_a_ledger(folder: Path) -> bool:
    try:
        return (folder / FOLDER / LEDGER_FILE).is_file()
    except PermissionError:
        # A ledger that may not be entered is one all the same: opening it says so.
        with contextlib.suppress(PermissionError):
            return (folder / FOLDER).is_dir()
    return False


def _refuse_anothers(folder: Path) -> None:
    """Nobody chose a ledger that lies in some folder above, so it must be this account's own, or the system's."""
    own = {0, os.geteuid()}
    if os.geteuid() == 0 and (caller := os.environ.get("SUDO_UID", "")).isdecimal():
        own.add(int(caller))
    owner = folder.stat().st_uid
    if owner in own:
        return
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = f"uid {owner}"
    raise Refused(
        f"The nearest ledger, {folder}, belongs to {name}. It was found in a folder above and was not opened.",
        f"If you trust it, name it: --ledger {folder}, or set TALLY_LEDGER={folder}. Else make your own: tally init",
    )


def ledger_folder(folder: Path) -> Path:
    """The ``.tally`` meant by ``folder``: itself, or the one in it; NotFound where there is none."""
    try:
        if not (folder / LEDGER_FILE).is_file() and (folder / FOLDER / LEDGER_FILE).is_file():
            folder = folder / FOLDER
        if not (folder / LEDGER_FILE).is_file():
            raise NotFound(f"There is no ledger in {folder}.", "Make one with `tally init`.")
    except PermissionError as error:
        raise InvalidInput(
            f"The ledger in {folder} may not be entered by this account.", "Ask its owner for the right to read it."
        ) from error
    return folder


def open_ledger(
    folder: Path | str,
    *,
    recorder: Recorder | None = None,
    clock: Clock = WALL_CLOCK,
    salts: Salts = new_salts,
    allow_jump: bool = False,
    for_verification: bool = False,
) -> Ledger:
    """Open a ledger's folder (``.tally``, or the folder that holds it).

    ``allow_jump`` accepts a clock more than 366 days ahead of the last commit in everything that is appended.
    ``for_verification`` also opens what :func:`is_only_verifiable`, of which nothing but the verdict is true.

    Raises
    ------
    NotFound
        When there is none.
    InvalidInput, NewerFormat, Damaged
        When what is there cannot be read as a ledger.
    """
    folder = ledger_folder(Path(folder))
    ledger = Ledger(folder, recorder=recorder, clock=clock, salts=salts, allow_jump=allow_jump)
    if for_verification and is_only_verifiable(ledger):
        return ledger
    reader = ledger.log.reader  # refuses foreign files and newer formats before anything is asked
    try:
        refuse_encoding(reader, ledger.log.path)
    except Damaged:
        ledger.close()
        raise
    if names := replaced(reader):
        ledger.close()
        raise Damaged(
            f"In {ledger.log.path} somebody replaced {', '.join(names)}: what would be read there is not the ledger.",
            "`tally verify` says more. Restore the newest backup; keep this file as evidence.",
        )
    return ledger


def is_only_verifiable(ledger: Ledger) -> bool:
    """Whether nothing may be asked of a ledger but the verdict.

    A rollback journal would change the file as it is opened; a converted copy has no event's bytes; a view in the
    place of a table would say anything, or never end.
    """
    if danger_beside(ledger.log.path) is not None:
        return True
    return encoding_words(ledger.log.reader) is not None or bool(replaced(ledger.log.reader))


def error_of_sqlite(error: sqlite3.Error) -> TallyError:
    """An error of SQLite, for people: what happened and what to do next; damage only where the file is to blame."""
    return trouble(error)


open = open_ledger
