"""An event: one fact, as bytes that never change.

The bytes are one JSON object: sorted keys, no white space, UTF-8, finite numbers, integers within plus or
minus 2**53, at most one MiB. They carry no position, so an event keeps its identity when ledgers are merged.
Two hashes name them: BLAKE3 in a context of its own (the *id*), and SHA-256, which every standard library has.
``FORMAT.md`` beside this file describes the same for people who write a reader in another language.
"""

from __future__ import annotations

import datetime as dt
import math
import os
import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from blake3 import blake3
from msgspec import Meta

from tallystick.ledger.errors import InvalidInput

EVENT_CONTEXT = "tallystick 2026-11 event id v1"
MAX_EVENT_BYTES = 1 << 20
MAX_INTEGER = 1 << 53
MAX_DEPTH = 32

Instant = Annotated[dt.datetime, Meta(tz=True)]
Period = tuple[Instant, Instant]
"""Half-open ``[from, to)``, both time-zone aware."""

B = TypeVar("B")


# Neither these two nor a body can hold itself, so the garbage collector need not look at them (``gc=False``): it
# took a third of the time in which events are read by the thousand.
class About(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """Which period of the world a fact is about, by role; every period is half-open and ends."""

    trained_on: Period | None = None
    tested_on: Period | None = None
    intended_for: Period | None = None
    observed_in: Period | None = None


class Event(
    msgspec.Struct, Generic[B], frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False
):
    """The envelope around a typed body.

    Attributes
    ----------
    t : str
        Type, a noun and a verb in the past tense: ``run.started``.
    v : int
        Version of that type, from 1.
    salt : bytes
        16 random bytes. Without them anybody who sees a hash could test guesses of the content.
    occurred_at : datetime
        When it happened according to its source, in UTC. When it was *recorded* stands in the commit.
    body : struct, or dict for a type that this program does not know
    about : About, optional
    cause : tuple of str
        Ids (64 hexadecimal digits) of the events that led to this one.
    """

    t: str
    v: int
    salt: bytes
    occurred_at: Instant
    body: B
    about: About | None = None
    cause: tuple[str, ...] = ()


class Kind(msgspec.Struct, frozen=True):
    """The two fields that say how to read the rest."""

    t: str
    v: int


Hashes = tuple[bytes, bytes]
"""The two names of an event's bytes: BLAKE3 id and SHA-256, 32 bytes each.

A plain tuple, because making a named one takes as long as hashing 300 bytes, once for every event.
"""

encode_canonical = msgspec.json.Encoder(order="sorted").encode
_decode_kind = msgspec.json.Decoder(Kind).decode
# A keyed hasher is set up once and copied: setting up the context costs as much as hashing 300 bytes.
_event_hasher = blake3(derive_key_context=EVENT_CONTEXT)


def event_hasher() -> blake3:
    """A hasher whose digest of an event's bytes is the event's id; ``reset`` makes it ready for the next event."""
    return _event_hasher.copy()


def hashes(data: bytes) -> Hashes:
    """Both hashes of an event's bytes.

    Examples
    --------
    >>> [digest.hex()[:16] for digest in hashes(b"{}")]
    ['b7a66e984d11d4e7', '44136fa355b3678a']
    """
    hasher = _event_hasher.copy()
    hasher.update(data)
    return hasher.digest(), sha256(data).digest()


def hashes_of_many(written: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Both hashes of the bytes of many events: all ids, then all SHA-256."""
    # One hasher that is set back each time: copying one takes longer than hashing 150 bytes.
    hasher = _event_hasher.copy()
    ids, digests = [], []
    for data in written:
        hasher.update(data)
        ids.append(hasher.digest())
        hasher.reset()
        digests.append(sha256(data).digest())
    return ids, digests


def new_salts(count: int) -> list[bytes]:
    """``count`` times 16 bytes from the operating system's random source."""
    pool = os.urandom(16 * count)
    return [pool[start : start + 16] for start in range(0, 16 * count, 16)]


def kind(data: bytes) -> Kind:
    """Type and version of an event's bytes, without reading the body."""
    return _decode_kind(data)


def stated_type(data: bytes) -> str | None:
    """The type that an event's bytes state; None where they are not an event.

    Every reader asks it of every body, so the last fields are looked at first: in canonical bytes they are type and
    version, and reading all of a body takes many times longer.
    """
    if (at := data.rfind(b',"t":"')) >= 0 and (tail := _LAST_FIELDS.fullmatch(data, at)) is not None:
        return tail[1].decode()
    try:
        return kind(data).t
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


_LAST_FIELDS = re.compile(rb',"t":"([a-z0-9_.]+)","v":[0-9]+\}')


def encode(event: Event[Any], decoder: msgspec.json.Decoder[Any]) -> bytes:
    """The canonical bytes of an event, proved readable.

    The bytes are decoded again and compared before anything is hashed: types do not bind at run time, and the
    encoder silently writes NaN and infinity as ``null``.

    Raises
    ------
    InvalidInput
        For a value outside the strict form: not finite, too large, too deep, not Unicode text.
    """
    try:
        data = encode_canonical(event)
        read = decoder.decode(data)
    except (UnicodeEncodeError, msgspec.MsgspecError, RecursionError, TypeError, OverflowError) as error:
        refuse_unrepresentable(msgspec.to_builtins(event.body), event.t)
        raise InvalidInput(f"{event.t} cannot be written: {error}") from error
    if read != event:
        refuse_unrepresentable(msgspec.to_builtins(event.body), event.t)
        raise InvalidInput(f"{event.t} would not be read back as it was given.")
    if len(data) > MAX_EVENT_BYTES:
        raise InvalidInput(
            f"{event.t} is {len(data):,} bytes; an event holds at most {MAX_EVENT_BYTES:,}.",
            "Store the large part as an artifact and name its hash in the event.",
        )
    return data


def refuse_unrepresentable(value: object, where: str, depth: int = 0) -> None:
    """Walk a JSON-like value and refuse what cannot be kept exactly, naming its place.

    Needed only where a body holds free-form JSON; typed fields carry their bounds in their types.

    Raises
    ------
    InvalidInput
    """
    if depth > MAX_DEPTH:
        raise InvalidInput(f"{where} is nested deeper than {MAX_DEPTH} levels.")
    match value:
        case float() if not math.isfinite(value):
            raise InvalidInput(
                f"{where} is {value}, which is not a number that can be kept.",
                "Leave the value out, or record null together with the reason.",
            )
        case bool():
            return
        case int() if abs(value) > MAX_INTEGER:
            raise InvalidInput(f"{where} is {value}; integers are kept exactly only up to 2**53.")
        case str():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise InvalidInput(f"{where} holds text that is not valid Unicode.") from error
        case dict():
            for key, item in value.items():
                if not isinstance(key, str):
                    raise InvalidInput(f"{where} has the key {key!r}; keys are text.")
                refuse_unrepresentable(key, f"{where} (a key)", depth + 1)
                refuse_unrepresentable(item, f"{where}.{key}", depth + 1)
        case list() | tuple():
            for index, item in enumerate(value):
                refuse_unrepresentable(item, f"{where}[{index}]", depth + 1)
        case _:
            return


_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


def check_letters(digest: bytes) -> str:
    """Four letters of a hash, so that a handle quoted in a mail can be checked.

    The first 20 bits in Crockford's base 32 (no i, l, o, u: it survives handwriting and telephones).

    Examples
    --------
    >>> check_letters(bytes(32))
    '0000'
    """
    bits = int.from_bytes(digest[:3], "big") >> 4
    return "".join(_CROCKFORD[(bits >> shift) & 31] for shift in (15, 10, 5, 0))
