"""Idempotency keys: each must be of a commit that is here, for the content that this commit has.

They are outside of every hash. One that was planted would answer a later append under that key with an older commit,
and the append would be lost in silence.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from blake3 import blake3

from tallystick.ledger.events.event import encode_canonical
from tallystick.ledger.events.types import SchemaDeclared
from tallystick.ledger.storage.log import Log

_QUARTERS = [dt.timezone(dt.timedelta(minutes=15 * step)) for step in range(-56, 57)]
"""Every offset from UTC that clocks have: a time is part of a key's content as whoever appended it wrote it."""


class _Written(msgspec.Struct):
    """What of an event's bytes is part of the content, as it is written there."""

    t: str
    v: int
    occurred_at: dt.datetime
    body: msgspec.Raw
    about: msgspec.Raw = msgspec.Raw(b"null")
    cause: msgspec.Raw = msgspec.Raw(b"[]")


_decode = msgspec.json.Decoder(_Written).decode


def wrong_keys(log: Log, start: int, size: int, damaged: AbstractSet[int], zone: ZoneInfo) -> Iterator[tuple[str, str]]:
    """Each key that belongs to none of the commits, and why, in words; those of commits before ``start`` are left out.

    Those of commits whose events are damaged or gone are not judged: what is wrong there is said there.
    """
    found = log.reader.execute(
        "SELECT key, content, keys.n, first_seq, last_seq FROM keys LEFT JOIN commits ON commits.n = keys.n "
        "ORDER BY keys.n"
    )
    for key, content, n, first, last in found.fetchall():
        if first is None or not 0 <= n < size:
            yield str(key), f"The idempotency key {key!r} names c{n}, which is not here."
        elif n >= start and damaged.isdisjoint(range(first, last + 1)):
            events = [stored.data for stored in log.events(first, last)]
            if None not in events and not _is_of(bytes(content), [data for data in events if data is not None], zone):
                yield str(key), f"The idempotency key {key!r} names c{n}, but is not for what that commit holds."


def _is_of(content: bytes, events: Sequence[bytes], zone: ZoneInfo) -> bool:
    """Whether this is the digest of the events that were appended; declarations may have been written before them."""
    try:
        written = [_decode(data) for data in events]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    declared = next((at for at, one in enumerate(written) if one.t != SchemaDeclared.TYPE), len(written) - 1)
    for first in range(declared, -1, -1):
        appended = written[first:]
        # Times that were not stated are those of the append, one for all; which that is, the bytes do not say.
        moments = {one.occurred_at for one in appended}
        for stated in (dt.UTC, zone, *_QUARTERS):
            if any(_digest(appended, now, stated) == content for now in (*sorted(moments), None)):
                return True
    return False


def _digest(appended: Sequence[_Written], now: dt.datetime | None, stated: dt.tzinfo) -> bytes:
    """As :func:`tallystick.ledger.events.encoding.content_digest` makes it, but of what is stored."""
    content: list[list[Any]] = [
        [
            one.t,
            one.v,
            one.body,
            one.about,
            one.cause,
            None if one.occurred_at == now else one.occurred_at.astimezone(stated),
        ]
        for one in appended
    ]
    return blake3(encode_canonical(content)).digest()
