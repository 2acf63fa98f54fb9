"""What this account remembers of ledgers, outside of them: the other half of the stick that never has to be pasted.

Four things for each origin, all under ``$XDG_STATE_HOME/tallystick``:

- the *high-water mark*: how far the history reached when this account saw it last, and its root there. A ledger
  that does not continue it was rolled back or rewritten. Marks may be shared: with ``TALLY_SHARED`` naming a folder
  that a team shares, every member's mark is written there as well.
- the *pin*: the log's verifier key as it was at first contact, since a key that only comes with the ledger proves
  nothing.
- the last *audit* of what a log publishes, for each of its keys: the next audit must continue it. It is not the
  high-water mark, because what is published may be older than the ledger.
- the *watermark* of verification: how far everything was read and found right, so that a large ledger need not be
  read whole every day.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import getpass
import os
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import msgspec

from tallystick.ledger.errors import Busy, InvalidInput, TallyError
from tallystick.ledger.system.file_lock import FileLock
from tallystick.ledger.system.files import read_foreign, write_whole
from tallystick.ledger.tlog.note import Checkpoint, VerifierKey, parse_receipt, receipt_line

LARGEST_MARK_BYTES = 1 << 16
MARK_DEADLINE_SECONDS = 5.0
GLANCE_SECONDS = 0.5
"""How long somebody who only reads waits for the mark."""


def state_home() -> Path:
    """``$XDG_STATE_HOME/tallystick``."""
    configured = os.environ.get("XDG_STATE_HOME", "")
    # The XDG base directory specification: relative values are to be ignored.
    return (Path(configured) if configured.startswith("/") else Path.home() / ".local/state") / "tallystick"


def _file(kind: str, origin: str, ending: str) -> Path:
    return state_home() / kind / f"{quote(origin, safe='')}.{ending}"


# High-water marks ------------------------------------------------------------------------------------------


def mark_path(origin: str) -> Path:
    """``$XDG_STATE_HOME/tallystick/seen/ORIGIN.checkpoint``."""
    return _file("seen", origin, "checkpoint")


def read_mark(origin: str) -> Checkpoint | None:
    """The furthest state of a ledger that this account has signed or seen.

    Raises
    ------
    InvalidInput
        When the file cannot be read or holds something else.
    """
    return _remembered(mark_path(origin), "high-water mark")


def _remembered(path: Path, what: str) -> Checkpoint | None:
    try:
        if not path.exists():
            return None
        return parse_receipt(read_foreign(path, LARGEST_MARK_BYTES).decode()).checkpoint
    except (UnicodeDecodeError, OSError, InvalidInput) as error:
        raise InvalidInput(
            f"The {what} {path} cannot be read: {_why(error)}.",
            "It is this account's memory of how far the ledger reached; look at it before you remove it.",
        ) from error


def move_mark(checkpoint: Checkpoint, durable: bool = True) -> None:
    """Remember a state, unless a larger one is remembered already.

    Under a lock, so that of two processes that finish at the same time the slower one cannot take the mark back.

    Parameters
    ----------
    durable : bool
        True after signing: what was vouched for must be remembered through a power cut.

    Raises
    ------
    InvalidInput, Busy
        Where it cannot be written, for whatever reason.
    """
    path = mark_path(checkpoint.origin)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        wait_seconds = MARK_DEADLINE_SECONDS if durable else GLANCE_SECONDS
        with contextlib.closing(FileLock(path.with_name(f"{path.name}.lock"), wait_seconds)) as lock, lock:
            seen = read_mark(checkpoint.origin)
            if seen is not None and seen.size >= checkpoint.size:
                return
            data = f"{receipt_line(checkpoint)}\n".encode()
            write_whole(path, data, mode=0o600, durable=durable)
            if (shared := shared_folder()) is not None:
                path = shared_mark(shared, checkpoint.origin)
                write_whole(path, data, durable=False)
    except (OSError, TallyError) as error:
        raise _unremembered(path, error) from error


def refuse_unwritable(origin: str) -> None:
    """Refuse before anything is signed where the mark could not be moved afterwards.

    What is signed and not remembered would be signed again after a rollback. Where it can be known before, the answer
    is a plain no, and nobody has to be told that something was recorded and something else was not.

    Raises
    ------
    InvalidInput, Busy
        For want of rights or space, or when another process keeps the mark's lock.
    """
    path = mark_path(origin)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Rights, space and quotas have too many rules to be foretold: what can be written is found by writing.
        with (
            contextlib.closing(FileLock(path.with_name(f"{path.name}.lock"), MARK_DEADLINE_SECONDS)) as lock,
            lock,
            tempfile.TemporaryFile(dir=path.parent, buffering=0) as file,
        ):
            file.write(bytes(512))
    except (OSError, TallyError) as error:
        raise _unremembered(path, error) from error


def _unremembered(path: Path, error: OSError | TallyError) -> InvalidInput | Busy:
    if isinstance(error, Busy):
        return Busy(
            f"This account cannot remember how far the ledger reaches: another process keeps {path}.lock.",
            "Try again; if nothing seems to run, `fuser` on that file names the process.",
        )
    return InvalidInput(
        f"This account cannot remember how far the ledger reaches, in {path}: {_why(error)}.",
        "Whoever signs has to remember it: mend that, or set XDG_STATE_HOME to a folder that you can write.",
    )


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, TallyError):
        return "it may not be written" if isinstance(error.__cause__, PermissionError) else error.message.rstrip(".")
    return str(error)


def shared_folder() -> Path | None:
    """The folder that a team shares for its marks, where ``TALLY_SHARED`` names one."""
    configured = os.environ.get("TALLY_SHARED", "")
    return Path(configured) if configured else None


def shared_mark(folder: Path, origin: str) -> Path:
    """Where this account's mark goes in a shared folder."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # an account without an entry in the password file, as in containers
        user = f"uid{os.getuid()}"
    member = quote(f"{user}@{platform.node()}", safe="@")
    return folder / quote(origin, safe="") / f"{member}.checkpoint"


def shared_marks(origin: str, folder: Path) -> Iterator[tuple[str, Checkpoint]]:
    """Name and mark of every member in a shared folder; files that hold no receipt are left out."""
    for path in sorted((folder / quote(origin, safe="")).glob("*.checkpoint")):
        try:
            checkpoint = parse_receipt(read_foreign(path, LARGEST_MARK_BYTES).decode(errors="replace")).checkpoint
        except TallyError:
            continue
        yield path.stem, checkpoint


# Pins ------------------------------------------------------------------------------------------------------


class Pin(msgspec.Struct, frozen=True):
    """A verifier key and since when this account relies on it."""

    key: str
    since: dt.datetime
    how: str


def read_pin(origin: str) -> Pin | None:
    """The key that this account relies on for a ledger; None before first contact."""
    path = _file("pinned", origin, "json")
    try:
        return msgspec.json.decode(path.read_bytes(), type=Pin)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"The pinned key {path} cannot be read: {_why(error)}.",
            "It says which key this account relies on; look at it before you remove it.",
        ) from error


def write_pin(key: VerifierKey, how: str) -> None:
    """Rely on a key from now on."""
    path = _file("pinned", key.name, "json")
    pin = Pin(key.format(), dt.datetime.now(dt.UTC).replace(microsecond=0), how)
    try:
        write_whole(path, msgspec.json.encode(pin) + b"\n", mode=0o600)
    except OSError as error:
        raise InvalidInput(
            f"The pinned key {path} cannot be written: {_why(error)}.",
            "Set XDG_STATE_HOME to a folder that you can write.",
        ) from error


def forget(origin: str) -> None:
    """Remove what is remembered of a ledger that never came to be."""
    for path in (mark_path(origin), _file("pinned", origin, "json")):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


# Audits of published tiles ---------------------------------------------------------------------------------


def audit_path(key: VerifierKey) -> Path:
    """``$XDG_STATE_HOME/tallystick/audited/ORIGIN+KEYID.checkpoint``."""
    return _file("audited", f"{key.name}+{key.key_id.hex()}", "checkpoint")


def read_audit(key: VerifierKey) -> Checkpoint | None:
    """The furthest published state that this account has audited under a key.

    Raises
    ------
    InvalidInput
        When the file cannot be read or holds something else.
    """
    return _remembered(audit_path(key), "record of the last audit")


def keep_audit(key: VerifierKey, checkpoint: Checkpoint) -> None:
    """Remember an audit that held, unless a later state was audited meanwhile.

    Raises
    ------
    InvalidInput, Busy
        Where it cannot be written.
    """
    path = audit_path(key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.closing(FileLock(path.with_name(f"{path.name}.lock"), GLANCE_SECONDS)) as lock, lock:
            seen = read_audit(key)
            if seen is None or seen.size < checkpoint.size:
                write_whole(path, f"{receipt_line(checkpoint)}\n".encode(), mode=0o600)
    except (OSError, TallyError) as error:
        raise _unremembered(path, error) from error


# Watermarks of verification --------------------------------------------------------------------------------


class Watermark(msgspec.Struct, frozen=True):
    """How far a ledger was read whole and found right."""

    size: int
    root: str
    """Hexadecimal."""
    events: int
    at: dt.datetime
    tool: str


def read_watermark(origin: str) -> Watermark | None:
    """None where nothing was verified yet, or the note of it cannot be read: then everything is read again."""
    try:
        return msgspec.json.decode(_file("verified", origin, "json").read_bytes(), type=Watermark)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def write_watermark(origin: str, watermark: Watermark) -> None:
    """Remember a complete verification; where that is not possible the next one simply reads more."""
    try:
        write_whole(_file("verified", origin, "json"), msgspec.json.encode(watermark) + b"\n", mode=0o600)
    except OSError:
        return
