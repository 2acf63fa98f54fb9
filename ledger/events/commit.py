"""A commit: one atomic append of one or more events.

One time, one actor, one durable write, one leaf of the Merkle tree, one step of the time cursor. Its text is
what the tree vouches for::

    tallystick.commit/1
    {canonical JSON head}
    <event id> <event sha256>        one line an event, in order, lower-case hexadecimal

and its leaf entry is the 64 bytes ``BLAKE3(text) || SHA-256(text)``, so that an auditor can follow the whole
chain with SHA-256 alone.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable
from itertools import chain

import msgspec
from blake3 import blake3

from tallystick.ledger.errors import Damaged
from tallystick.ledger.events.event import Hashes, Instant, check_letters, encode_canonical
from tallystick.ledger.system.provenance import Recorder

COMMIT_CONTEXT = "tallystick 2026-11 commit id v1"
FIRST_LINE = b"tallystick.commit/1\n"
HASH_BYTES = 32
LINE_BYTES = 2 * (2 * HASH_BYTES + 1)
"""Of one event: two hashes in hexadecimal, a blank between them, a line break."""
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

_commit_hasher = blake3(derive_key_context=COMMIT_CONTEXT)


class Head(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Who recorded a commit, when, where, with what.

    Attributes
    ----------
    recorded_at : datetime
        UTC, microseconds; never earlier than the commit before.
    actor : str
        Who did it, as configured. A claim, not proof of identity.
    user, host : str
        The operating system's account and machine name.
    tool : str
        Program and version, so that a later reader knows which reducers people looked through then.
    git, dirty : str, bool, optional
        Commit of the working folder and whether it had uncommitted changes.
    note : str, optional
    imported : bool
        True where a foreign history was copied in.
    """

    recorded_at: Instant
    actor: str
    user: str
    host: str
    tool: str
    git: str | None = None
    dirty: bool | None = None
    note: str | None = None
    imported: bool = False


_decode_head = msgspec.json.Decoder(Head).decode


def decode_head(text: str) -> Head:
    """Read a stored head; Damaged where it is none."""
    try:
        return _decode_head(text)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise Damaged(f"The head of a commit cannot be read: {error}.", "`tally verify` says which.") from error


def head_text(recorder: Recorder, recorded_at: dt.datetime, note: str | None, imported: bool) -> str:
    """The canonical JSON head, as text."""
    return encode_canonical(
        Head(
            recorded_at=recorded_at,
            actor=recorder.actor,
            user=recorder.user,
            host=recorder.host,
            tool=recorder.tool,
            git=recorder.git,
            dirty=recorder.dirty,
            note=note,
            imported=imported,
        )
    ).decode()


def commit_text(head: str, events: Iterable[Hashes]) -> bytes:
    """The text of a commit: what is hashed into the tree."""
    return text_of_hashes(head, b"".join(chain.from_iterable(events)))


def text_of_hashes(head: str, hashes: bytes) -> bytes:
    """The text of a commit whose events' hashes stand one after the other, 64 bytes an event."""
    # One conversion for all lines: a blank after every 32 bytes, of which every second ends a line instead.
    lines = bytearray(hashes.hex(" ", -HASH_BYTES), "ascii")
    lines[LINE_BYTES - 1 :: LINE_BYTES] = b"\n" * (len(lines) // LINE_BYTES)
    # A damaged head may hold bytes that are no text; they are hashed as they lie in the file.
    return b"".join((FIRST_LINE, head.encode(errors="surrogateescape"), b"\n", lines, b"\n"))


def leaf_entry(text: bytes) -> bytes:
    """``BLAKE3(text) || SHA-256(text)``: 64 bytes, the entry of one leaf."""
    hasher = _commit_hasher.copy()
    hasher.update(text)
    return hasher.digest() + hashlib.sha256(text).digest()


def commit_handle(n: int, entry: bytes) -> str:
    """``c55-k3f9``: the position, and four letters of the id to check it by."""
    return f"c{n}-{check_letters(entry)}"


def event_handle(seq: int, event_id: bytes) -> str:
    """``#1234-k3f9``: the position, and four letters of the id to check it by."""
    return f"#{seq}-{check_letters(event_id)}"


_MICROSECOND = dt.timedelta(microseconds=1)


def to_micros(moment: dt.datetime) -> int:
    """Microseconds since 1970-01-01 UTC, exactly (a float timestamp would round)."""
    return (moment - EPOCH) // _MICROSECOND


CALENDAR_MICROS = (to_micros(dt.datetime.min.replace(tzinfo=dt.UTC)), to_micros(dt.datetime.max.replace(tzinfo=dt.UTC)))
"""The first and the last moment that :func:`from_micros` reaches."""


def from_micros(micros: int) -> dt.datetime:
    """The UTC moment of microseconds since 1970-01-01; OverflowError beyond the years 1 to 9999."""
    return EPOCH + dt.timedelta(microseconds=micros)
