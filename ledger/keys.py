"""Where private keys and high-water marks live: never in the ledger's own folder.

A key beside the ledger would add nothing against whoever can write there. The mark is the newest checkpoint
that this account has signed or seen; a ledger that is behind it was rolled back.
"""

from __future__ import annotations

import os
import stat
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from ledger.errors import InvalidInput
from ledger.lock import FileLock
from ledger.note import Checkpoint, SignerKey, parse_receipt
from ledger.objects import sync_folder


def _home(variable: str, fallback: str) -> Path:
    configured = os.environ.get(variable, "")
    # The XDG base directory specification: relative values are to be ignored.
    return Path(configured) if configured.startswith("/") else Path.home() / fallback


def key_path(origin: str) -> Path:
    """``$XDG_CONFIG_HOME/tallystick/keys/ORIGIN.key``."""
    return _home("XDG_CONFIG_HOME", ".config") / "tallystick" / "keys" / f"{quote(origin, safe='')}.key"


def mark_path(origin: str) -> Path:
    """``$XDG_STATE_HOME/tallystick/seen/ORIGIN.checkpoint``."""
    return _home("XDG_STATE_HOME", ".local/state") / "tallystick" / "seen" / f"{quote(origin, safe='')}.checkpoint"


def save_key(signer: SignerKey) -> Path:
    """Write a private key for the account alone (mode 0600), durably; never over an existing one."""
    path = key_path(signer.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(signer.format() + "\n")
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
    except OSError as error:
        raise InvalidInput(
            f"The ledger's private key cannot be kept in {path}: {error.strerror}.",
            "Set XDG_CONFIG_HOME to a folder that only you can write; keys never live in the ledger's folder.",
        ) from error
    return path


def load_key(origin: str) -> SignerKey | None:
    """The private key of a ledger, or None where this account does not have it.

    Raises
    ------
    InvalidInput
        When the file is damaged, or other accounts can read it.
    """
    path = key_path(origin)
    try:
        mode = path.stat().st_mode
        text = path.read_text()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"The private key {path} cannot be read: {error}.") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InvalidInput(
            f"Other accounts can read the private key {path}; a signature made with it would prove little.",
            f"If nobody has read it, type: chmod 600 {path}",
        )
    return SignerKey.parse(text.strip())


def read_mark(origin: str) -> str | None:
    """The newest checkpoint note that this account has signed or seen of a ledger."""
    try:
        return mark_path(origin).read_text()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"The high-water mark {mark_path(origin)} cannot be read: {error}.") from error


def move_mark(checkpoint: Checkpoint, note: str) -> None:
    """Remember a checkpoint, unless a larger one is remembered already.

    Temporary file, sync, rename, sync of the folder; under a lock, so that of two processes that finish at the
    same time the slower one cannot take the mark back.
    """
    path = mark_path(checkpoint.origin)
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with closing(FileLock(path.with_name(f"{path.name}.lock"), 10.0)) as lock, lock:
            seen = read_mark(checkpoint.origin)
            if seen is not None and parse_receipt(seen).checkpoint.size >= checkpoint.size:
                return
            with temporary.open("w") as file:
                file.write(note)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            sync_folder(path.parent)
    except OSError as error:
        raise InvalidInput(
            f"The high-water mark {path} cannot be written: {error.strerror}. The commit itself is recorded.",
            "Set XDG_STATE_HOME to a folder that you can write.",
        ) from error
