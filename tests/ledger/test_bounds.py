"""The bounds of the format: the quick look at many events never lets pass what a closer look names."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.ledger.events.event import encode_canonical
from tallystick.ledger.events.types import RELEASED
from tallystick.ledger.verify.bounds import are_within, event_words, repeated_key

KNOWN = RELEASED["schema.declared", 1]


def written(value: object, salt: bytes = bytes(16), at: str = "2026-11-23T12:00:00Z") -> bytes:
    return encode_canonical(
        {
            "body": {"json_schema": {"x": value}, "name": "x.y/1"},
            "occurred_at": at,
            "salt": base64.b64encode(salt).decode(),
            "t": "schema.declared",
            "v": 1,
        }
    )


def judged(data: bytes) -> tuple[bool, str | None]:
    """What the quick look says, and what the closer one does."""
    event = KNOWN.decoder.decode(data)
    return are_within([event], [data], KNOWN.free_fields), event_words(event, data, canonical=True)


def nested(depth: int, inner: object) -> object:
    value = inner
    for step in range(depth):
        value = [value, '] \\" [', -1.5] if step % 2 else {"}\\": value}
    return value


TEXTS = st.text(alphabet='[]{}"\\:,09-x', max_size=8)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers(-(1 << 63), 1 << 63) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


@given(depth=st.integers(0, 45), inner=VALUES)
def test_what_the_quick_look_lets_pass_is_within_every_bound(depth: int, inner: object) -> None:
    quick, words = judged(written(nested(depth, inner)))
    assert not (quick and words), words


@pytest.mark.parametrize("depth", [29, 30, 31, 32, 33])
def test_depth_is_counted_as_the_writer_counts_it(depth: int) -> None:
    _, words = judged(written(nested(depth, 1)))
    assert (words is not None) == (depth > 30)


def test_usual_events_pass_the_quick_look() -> None:
    usual = {
        "a": [0.1234567890123456, -12.5e-300, [1, 2], {"b": "[" * 50}],
        "c": [{"d": [index]} for index in range(99)],
    }
    assert judged(written(usual)) == (True, None)
    assert judged(written(1 << 53))[1] is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (written(1, salt=b""), "salt has 0 bytes"),
        (written(1, salt=bytes(17)), "salt has 17 bytes"),
        (written(1, at="2026-11-23T12:00:00+01:00"), "not in UTC"),
        (written((1 << 53) + 1), "2\\*\\*53"),
        (written("x" * (1 << 20)), "at most 1,048,576"),
    ],
)
def test_each_bound_is_seen_by_both(data: bytes, words: str) -> None:
    quick, said = judged(data)
    assert not quick
    with pytest.raises(ValueError, match=words):
        raise ValueError(said)


def test_a_key_that_stands_there_twice_is_found_at_any_depth() -> None:
    assert repeated_key(b'{"a":{"b":1},"b":[{"c":1,"c":2}]}') == "c"
    assert repeated_key(json.dumps({"a": {"a": {"a": 1}}}).encode()) is None
    assert repeated_key(b"no JSON") is None
    assert msgspec.json.decode(b'{"c":1,"c":2}') == {"c": 2}  # as our own reader would take it
