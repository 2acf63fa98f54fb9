"""Idempotency keys: each must be of a commit that is here, for the content that this commit has.

They are outside of every hash. One that was planted would answer a later append under that key with an older commit,
and the append would be lost in silence.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from blake3 import blake3

from tallystick.ledger.errors import Damaged, TallyError
from tallystick.ledger.events.event import encode_canonical
from tallystick.ledger.events.types import SchemaDeclared
from tallystick.ledger.storage.log import Log
from tallystick.ledger.system.timezone import zone_of

MOST_WRONG = 20
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


class WrongKey(msgspec.Struct, frozen=True):
    """An idempotency key that belongs to no commit, with why, in words."""

    key: str
    words: str
    first: int
    last: int
    """The events of the commit that it names; beyond each other if there is none."""


def wrong_keys(log: Log, start: int, size: int, zone_name: str) -> list[WrongKey]:
    """Each key that belongs to none of the commits; those of commits before ``start`` are left out.

    Where an event of a commit has no body any more, nobody can say what the content was.
    """
    found = log.reader.execute(
        "SELECT key, content, keys.n, first_seq, last_seq FROM keys LEFT JOIN commits ON commits.n = keys.n "
        "ORDER BY keys.n"
    )
    zone, wrong = _zone(zone_name), list[WrongKey]()
    for key, content, n, first, last in found:
        if first is None or not 0 <= n < size:
            wrong.append(WrongKey(str(key), f"The idempotency key {key!r} names c{n}, which is not here.", 0, -1))
        elif n >= start:
            events = [row[2] for row in log.rows(first, last)]
            if None not in events and not _is_of(bytes(content), [data for data in events if data is not None], zone):
                words = f"The idempotency key {key!r} names c{n}, but is not for what that commit holds."
                wrong.append(WrongKey(str(key), words, first, last))
        if len(wrong) >= MOST_WRONG:
            break
    return wrong


def wrong_keys_elsewhere(folder: Path, start: int, size: int, zone_name: str) -> list[WrongKey]:
    """The same in another process, with a connection of its own."""
    log = Log(folder)
    try:
        log.reader.execute("BEGIN")
        with log.unchecked():
            return wrong_keys(log, start, size, zone_name)
    except (Damaged, sqlite3.DatabaseError):
        return []  # what is damaged there is found by those who read the events
    finally:
        log.close()


def _zone(name: str) -> dt.tzinfo:
    """The ledger's zone; UTC if its first event is damaged, which is said elsewhere."""
    try:
        return zone_of(name)
    except TallyError:
        return dt.UTC


def _is_of(content: bytes, events: Sequence[bytes], zone: dt.tzinfo) -> bool:
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
