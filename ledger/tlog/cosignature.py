"""Signatures of witnesses: c2sp.org/tlog-cosignature, version 1.

A witness keeps nothing but the newest size and root of each log that it knows, and signs a checkpoint only after
seeing a proof that it continues what it signed before. Whoever sees its cosignature knows that the same history was
shown to everybody who asks that witness, and by when.
"""

from __future__ import annotations

import datetime as dt
import struct
from typing import NamedTuple

from tallystick.ledger.errors import Damaged, InvalidInput
from tallystick.ledger.tlog.note import Note, Signature, key_id, parse_key, to_base64, verifies

COSIGNATURE = b"\x04"
LATEST_SECONDS = 253_402_300_799  # 9999-12-31T23:59:59Z, the last second that a date here can say


class WitnessKey(NamedTuple):
    """The public key of a witness: ``NAME+hash+base64(0x04 || 32 bytes)``."""

    name: str
    key_id: bytes
    public: bytes

    def format(self) -> str:
        """The form in which it is exchanged."""
        return f"{self.name}+{self.key_id.hex()}+{to_base64(COSIGNATURE + self.public)}"

    @staticmethod
    def parse(text: str) -> WitnessKey:
        """Read a witness's key; InvalidInput unless its hash matches and it is a sound Ed25519 key."""
        name, public = parse_key(text, COSIGNATURE)
        return WitnessKey(name, key_id(name, COSIGNATURE, public), public)


class Cosigned(NamedTuple):
    """Who cosigned, and when according to them."""

    key: WitnessKey
    at: dt.datetime


def check_cosignature(signature: Signature, key: WitnessKey, text: str) -> Cosigned:
    """Check one cosignature on a checkpoint's text.

    Raises
    ------
    InvalidInput
        When the signature is of another key or kind.
    Damaged
        When it does not fit.
    """
    if (signature.name, signature.key_id) != (key.name, key.key_id):
        raise InvalidInput(f"This signature is not by {key.name}.")
    if len(signature.signature) != 72:
        raise InvalidInput("A cosignature is a time of 8 bytes and a signature of 64.")
    (seconds,) = struct.unpack(">Q", signature.signature[:8])
    message = f"cosignature/v1\ntime {seconds}\n{text}".encode()
    if seconds > LATEST_SECONDS or not verifies(key.public, signature.signature[8:], message):
        raise Damaged(f"The cosignature by {key.name} does not fit.")
    return Cosigned(key, dt.datetime.fromtimestamp(seconds, dt.UTC))


def cosignatures(note: Note, keys: tuple[WitnessKey, ...]) -> list[Cosigned]:
    """Every cosignature in a note by these witnesses, each once; those by others are left out.

    Raises
    ------
    Damaged
        When one by a known witness does not fit.
    """
    known = {(key.name, key.key_id): key for key in keys}
    found: dict[WitnessKey, Cosigned] = {}
    for signature in note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is not None and key not in found:
            found[key] = check_cosignature(signature, key, note.text)
    return list(found.values())
