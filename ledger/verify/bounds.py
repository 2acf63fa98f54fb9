"""The bounds of the format: how large and deep an event may be, how its times and its salt are written.

Bytes beyond them still have their hashes, and whoever signed them had the log's key. But readers may take them for
different things, so each is named.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import msgspec

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events.commit import Head
from tallystick.ledger.events.event import MAX_DEPTH, MAX_EVENT_BYTES, Event, refuse_unrepresentable

SALT_BYTES = 16
_salt, _zone, _about = attrgetter("salt"), attrgetter("occurred_at.tzinfo"), attrgetter("about")
_SHAPES = bytes.maketrans(b"123456789,[", b"000000000::")
_LONG_INTEGERS = (b":" + b"0" * 16, b":-" + b"0" * 16)
"""The beginning of an integer of 16 digits, by the shapes of bytes: a colon for whatever stands before a number."""
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_PLACES = ("trained_on", "tested_on", "intended_for", "observed_in")


class Beyond(msgspec.Struct, frozen=True):
    """An event or a head beyond a bound of the format."""

    n: int
    """Its commit; -1 until that is known."""
    seq: int
    """Of an event; -1 for the head of a commit."""
    where: str
    words: str
    allowed_before: bool = False
    """Whether earlier versions of this program wrote the like: then it is mentioned, and never a finding."""


def are_within(events: Sequence[Event[Any]], written: Sequence[bytes], free_form: bool) -> bool:
    """Whether none of many events needs a closer look; their written form was compared already.

    False may be wrong, True is not. Only free-form JSON can be deep or hold large integers.
    """
    if set(map(len, map(_salt, events))) != {SALT_BYTES} or set(map(_zone, events)) != {dt.UTC}:
        return False
    if max(map(len, written)) > MAX_EVENT_BYTES:
        return False
    if any(about is not None and not _is_utc(about) for about in map(_about, events)):
        return False
    return not free_form or not any(_is_deep(data) or _is_large(data) for data in written)


def _is_large(data: bytes) -> bool:
    """Whether a JSON text may hold an integer beyond 2^53."""
    shape = data.translate(_SHAPES)
    return any(digits in shape for digits in _LONG_INTEGERS)


def _is_deep(data: bytes) -> bool:
    """Whether a JSON text may be nested deeper than an event's body; decoding it a second time would take longer."""
    if data.count(b"{") + data.count(b"[") <= MAX_DEPTH:
        return False
    if b"\\" in data:
        data = data.replace(rb"\\", b"").replace(rb"\"", b"")
    outside = b"".join(data.split(b'"')[::2])
    brackets = outside.translate(None, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    return bool(brackets)


def event_words(event: Event[Any], data: bytes, canonical: bool) -> str | None:
    """Which bound an event is beyond, in words; None if it is within all of them."""
    if len(event.salt) != SALT_BYTES:
        return f"its salt has {len(event.salt)} bytes instead of {SALT_BYTES}"
    if event.occurred_at.tzinfo is not dt.UTC:
        return "its time is not in UTC"
    if len(data) > MAX_EVENT_BYTES:
        return f"it has {len(data):,} bytes; an event holds at most {MAX_EVENT_BYTES:,}"
    try:
        refuse_unrepresentable(msgspec.to_builtins(event.body), "its body")
    except InvalidInput as error:
        return error.message.rstrip(".")
    if not canonical and (key := repeated_key(data)) is not None:
        return f"it has the key {key!r} twice, and readers differ in which they take"
    return None


def about_words(event: Event[Any]) -> str | None:
    """That the periods of an event are not in UTC; earlier versions of this program wrote them as they were given."""
    return "its periods are not in UTC" if event.about is not None and not _is_utc(event.about) else None


def head_words(head: Head, text: str, canonical: bool) -> str | None:
    """Which bound the head of a commit is beyond, in words; None if it is within all of them."""
    if head.recorded_at.tzinfo is not dt.UTC:
        return "its time is not in UTC"
    if len(text) > MAX_EVENT_BYTES:
        return f"its head has {len(text):,} characters"
    if not canonical and (key := repeated_key(text.encode(errors="surrogateescape"))) is not None:
        return f"its head has the key {key!r} twice, and readers differ in which they take"
    return None


def repeated_key(data: bytes) -> str | None:
    """A key that one object of a JSON text has twice; None if no object has."""
    found: list[str] = []

    def look(pairs: list[tuple[str, object]]) -> None:
        seen: set[str] = set()
        for key, _value in pairs:
            if key in seen:
                found.append(key)
            seen.add(key)

    try:
        json.loads(data, object_pairs_hook=look)
    except (ValueError, RecursionError):
        return None
    return found[0] if found else None


def _is_utc(about: Any) -> bool:
    periods = [period for place in _PLACES if (period := getattr(about, place)) is not None]
    return all(moment.tzinfo is dt.UTC for period in periods for moment in period)
