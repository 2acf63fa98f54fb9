"""The bounds of the format: how large and deep an event may be, how its times and its salt are written.

Bytes beyond them still have their hashes, and whoever signed them had the log's key. But readers may take them for
different things, so each is named.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any

import msgspec

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events.commit import Head
from tallystick.ledger.events.event import MAX_DEPTH, MAX_EVENT_BYTES, Event, encode_canonical, refuse_unrepresentable

SALT_BYTES = 16
SURE_DEPTH = MAX_DEPTH - 4
"""A field that is not deeper is within the bound, however the levels above it and the keys in it are counted."""
_salt, _zone, _about = attrgetter("salt"), attrgetter("occurred_at.tzinfo"), attrgetter("about")
_tzinfo = attrgetter("tzinfo")
_SHAPES = bytes.maketrans(b"123456789,[", b"000000000::")
_LONG_INTEGERS = (b":" + b"0" * 16, b":-" + b"0" * 16)
"""The beginning of an integer of 16 digits, by the shapes of bytes: a colon for whatever stands before a number."""
_LONG_INTEGER = re.compile(rb"(?:[:,\[]|\A)-?([0-9]{16,})")
_LARGEST = 1 << 53
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b'[]{}"')
_periods = attrgetter("trained_on", "tested_on", "intended_for", "observed_in")


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


def are_within(events: Sequence[Event[Any]], written: Sequence[bytes], free_fields: Sequence[str]) -> bool:
    """Whether none of many events needs a closer look; their written form was compared already.

    False may be wrong, True is not. Only free-form JSON can be deep or hold large integers, so of each body only the
    fields that hold such are looked at.
    """
    if set(map(len, map(_salt, events))) != {SALT_BYTES} or set(map(_zone, events)) != {dt.UTC}:
        return False
    if max(map(len, written)) > MAX_EVENT_BYTES:
        return False
    if not _are_utc(map(_about, events)):
        return False
    for field in free_fields:
        # All values in one text: as a list they are one level deeper.
        data = encode_canonical(list(map(attrgetter(f"body.{field}"), events)))
        if _is_large(data) or _is_deep(data):
            return False
    return True


def _is_large(data: bytes) -> bool:
    """Whether a JSON text may hold an integer beyond 2^53."""
    shape = b":" + data.translate(_SHAPES)
    if not any(digits in shape for digits in _LONG_INTEGERS):
        return False
    return any(int(digits[:17]) > _LARGEST for digits in _LONG_INTEGER.findall(data))


def _is_deep(data: bytes) -> bool:
    """Whether a JSON text may be nested deeper than a field of a body; decoding it a second time would take longer."""
    if data.count(b"{") + data.count(b"[") < SURE_DEPTH:
        return False
    if b"\\" in data:
        data = data.replace(rb"\\", b"").replace(rb"\"", b"")
    # Two quotes side by side have nothing between them that matters, in a string or between two.
    brackets = data.translate(None, _NO_BRACKETS).replace(b'""', b"")
    if b'"' in brackets:
        brackets = b"".join(brackets.split(b'"')[::2])
    for _ in range(SURE_DEPTH // 2):  # each round takes away one level, or two of different brackets
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
    return "its periods are not in UTC" if not _are_utc([event.about]) else None


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


def _are_utc(abouts: Iterable[Any]) -> bool:
    """Whether all periods of many events are in UTC; None stands for an event without any."""
    found = chain.from_iterable([_periods(about) for about in abouts if about is not None])
    return set(map(_tzinfo, chain.from_iterable([period for period in found if period is not None]))) <= {dt.UTC}
