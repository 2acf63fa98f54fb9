"""Where private keys live: in an ssh-agent, or in a file of this account; never in the ledger's own folder.

A key beside the ledger would add nothing against whoever can write there.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import quote

from tallystick.ledger.errors import InvalidInput, NotFound
from tallystick.ledger.system.files import sync_folder
from tallystick.ledger.tlog.note import Signature, SignerKey, VerifierKey
from tallystick.ledger.tlog.ssh_agent import agent_keys

Home = Literal["auto", "agent", "file"]


class Signer(Protocol):
    """Whoever can sign under a name: a key from a file, or one that an agent keeps."""

    @property
    def name(self) -> str:
        """The origin of a log, or a person."""

    @property
    def verifier(self) -> VerifierKey:
        """The public half."""

    def sign(self, text: str) -> Signature:
        """Sign a note's text."""


def keys_home() -> Path:
    """``$XDG_CONFIG_HOME/tallystick/keys``."""
    configured = os.environ.get("XDG_CONFIG_HOME", "")
    # The XDG base directory specification: relative values are to be ignored.
    return (Path(configured) if configured.startswith("/") else Path.home() / ".config") / "tallystick" / "keys"


def key_path(key: VerifierKey) -> Path:
    """``$XDG_CONFIG_HOME/tallystick/keys/NAME.KEYID.key``: a key that replaces another has a file of its own."""
    return keys_home() / f"{quote(key.name, safe='@')}.{key.key_id.hex()}.key"


def new_signer(name: str, home: Home = "auto") -> Signer:
    """A key for a new log or person: the agent's first ed25519 key where there is one, else a new file.

    Raises
    ------
    NotFound
        When the agent is asked for and holds no ed25519 key.
    """
    held = agent_keys(name) if home != "file" else []
    if held:
        return held[0]
    if home == "agent":
        raise NotFound("No ssh-agent with an ed25519 key answers here.", "Add one: ssh-add ~/.ssh/id_ed25519")
    signer = SignerKey.generate(name)
    save_key(signer)
    return signer


def find_signer(key: VerifierKey) -> Signer | None:
    """Whoever can sign with this key from this account; None where nobody can.

    Raises
    ------
    InvalidInput
        When the key's file is damaged, or other accounts can read it.
    """
    signer = load_key(key)
    if signer is not None:
        return signer
    return next((held for held in agent_keys(key.name) if held.public == key.public), None)


def save_key(signer: SignerKey) -> Path:
    """Write a private key for the account alone (mode 0600), durably; never over an existing one."""
    path = key_path(signer.verifier)
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
            f"The private key cannot be kept in {path}: {error.strerror}.",
            "Set XDG_CONFIG_HOME to a folder that only you can write; keys never live in the ledger's folder.",
        ) from error
    return path


def load_key(key: VerifierKey) -> SignerKey | None:
    """The private key from its file, or None where this account has no such file."""
    path = key_path(key)
    try:
        mode = path.stat().st_mode
        text = path.read_text()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise InvalidInput(
            f"The private key {path} cannot be read: {why}.", "Get the right to read it, or restore it from your copy."
        ) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InvalidInput(
            f"Other accounts can read the private key {path}; a signature made with it would prove little.",
            f"If nobody has read it, type: chmod 600 {path}",
        )
    signer = SignerKey.parse(text.strip())
    if signer.verifier != key:
        raise InvalidInput(f"{path} holds another key than its name says.")
    return signer


def personal_key(name: str) -> SignerKey | None:
    """The newest key file of a person; None where there is none yet."""
    found = sorted(keys_home().glob(f"{quote(name, safe='@')}.????????.key"), key=lambda path: path.stat().st_mtime)
    return SignerKey.parse(found[-1].read_text().strip()) if found else None
