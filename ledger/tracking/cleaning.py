"""Whatever people hand to a recorder, as an event can hold it. Nothing here raises, whatever it is given.

Objects of other libraries may raise when they are read, have no text, hold themselves, or be too big. What can be kept
is kept; what was changed or left out is told by name.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

MOST_LEVELS = 20
MOST_TEXT = 10_000
MOST_VALUE_BYTES = 20_000
MOST_ITEMS = 20_000
MOST_EVENT_BYTES = 400_000
MOST_NAME = 200
LARGEST_EXACT = 2**53
SHOWN = 200


class Cleaned(NamedTuple):
    """What is left of something, and what was changed or left out: name -> why."""

    values: dict[str, Any]
    odd: dict[str, str]


def text(value: object, most: int = MOST_TEXT) -> str:
    """The text of anything; signs that UTF-8 cannot hold become the replacement character."""
    try:
        words = value if type(value) is str else "".join([str(value)])
    except Exception:  # noqa: BLE001 - whatever its text raises
        words = f"<{type(value).__name__} without a text>"
    if len(words) > most:
        words = words[: most - 1] + "…"
    return words.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def error_words(error: BaseException) -> str:
    """``ValueError: boom``, on one line."""
    return f"{type(error).__name__}: {text(error, 2_000)}".strip(": ")


# Parameters ---------------------------------------------------------------------------------------------------


def params(given: object) -> Cleaned:
    """Parameters of a mapping, a namespace, a dataclass, or anything that can be read like one."""
    values: dict[str, Any] = {}
    odd: dict[str, str] = {}
    try:
        for key, value in _items(given, odd):
            name = text(key, MOST_NAME)
            while name in values:
                # 1 and "1" are two keys of a dictionary.
                name = f"{name} ({type(key).__name__})"
            values[name] = _parameter(name, value, odd)
    except Exception as error:  # noqa: BLE001 - keys that raise, mappings that are none
        odd["params"] = error_words(error)
    return Cleaned(values, odd)


def chunks(values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Parameters in parts that an event can hold."""
    part: dict[str, Any] = {}
    size = 0
    for name, value in values.items():
        more = len(msgspec.json.encode({name: value}))
        if part and size + more > MOST_EVENT_BYTES:
            yield part
            part, size = {}, 0
        part[name] = value
        size += more
    if part:
        yield part


def _items(given: object, odd: dict[str, str]) -> Iterator[tuple[object, object]]:
    if given is None:
        return
    if isinstance(given, argparse.Namespace):
        given = vars(given)
    elif dataclasses.is_dataclass(given) and not isinstance(given, type):
        given = {field.name: getattr(given, field.name, None) for field in dataclasses.fields(given)}
    elif not isinstance(given, Mapping) and not hasattr(given, "keys") and hasattr(given, "__dict__"):
        given = vars(given)
    for key in list(given.keys()) if hasattr(given, "keys") else list(dict(given)):  # type: ignore[call-overload]
        try:
            yield key, given[key]  # type: ignore[index]
        except Exception as error:  # noqa: BLE001 - a configuration with a mandatory value that nobody set
            words = f"could not be read: {error_words(error)}"
            odd[text(key, MOST_NAME)] = words
            yield key, words


def _parameter(name: str, value: object, odd: dict[str, str]) -> object:
    try:
        plain = _plain(value, MOST_LEVELS)
        if len(msgspec.json.encode(plain)) <= MOST_VALUE_BYTES:
            return plain
        odd[name] = f"it is too big and was cut to {SHOWN} characters"
    except Exception as error:  # noqa: BLE001 - whatever reading it raises
        odd[name] = error_words(error)
    size = f" of {len(value):,}" if isinstance(value, list | tuple | dict | set | str) else ""
    return f"{type(value).__name__}{size}, cut: {text(value, SHOWN)}"


def _plain(value: object, levels: int) -> object:
    value = single(value)
    if isinstance(value, bool | str | int | float) or value is None:
        return _plain_scalar(value)
    if levels and isinstance(value, Mapping):
        return {text(key, MOST_NAME): _plain(item, levels - 1) for key, item in list(value.items())[:MOST_ITEMS]}
    if levels and isinstance(value, list | tuple):
        return [_plain(item, levels - 1) for item in value[:MOST_ITEMS]]
    return text(value)


def _plain_scalar(value: bool | str | float | None) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return text(value, MOST_VALUE_BYTES * 2)
    if isinstance(value, int):
        return int(value) if abs(value) <= LARGEST_EXACT else text(int(value))
    return float(value) if math.isfinite(value) else text(float(value))


# Numbers ------------------------------------------------------------------------------------------------------


def single(value: object) -> object:
    """The one value in an array or tensor of one; anything else as it is."""
    with contextlib.suppress(Exception):
        item = getattr(value, "item", None)
        if callable(item) and not isinstance(value, Mapping) and getattr(value, "size", 1) in (1,):
            return item()
        if callable(item) and callable(getattr(value, "numel", None)) and value.numel() == 1:  # type: ignore[attr-defined]
            return item()
    return value


def numbers(given: Mapping[Any, object]) -> Cleaned:
    """Numbers by name, as floats that may be infinite or NaN; mappings in it are taken apart: ``val/loss``."""
    values: dict[str, Any] = {}
    odd: dict[str, str] = {}
    _numbers(given, "", values, odd, 3)
    return Cleaned(values, odd)


def _numbers(given: object, before: str, values: dict[str, Any], odd: dict[str, str], levels: int) -> None:
    for key, value in _items(given, odd):
        name = f"{before}{text(key, MOST_NAME)}"
        if isinstance(value, Mapping) and levels:
            _numbers(value, f"{name}/", values, odd, levels - 1)
            continue
        plain = single(value)
        try:
            if plain is None or isinstance(plain, complex | bytes | bytearray):
                raise TypeError
            values[name] = float(plain)  # type: ignore[arg-type]
        except Exception:  # noqa: BLE001 - whatever it is, it is no number
            odd[name] = f"{text(repr_of(value), 60)} is no number"


def repr_of(value: object) -> str:
    """How a value looks in Python; its type where that raises."""
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - whatever its text raises
        return f"<{type(value).__name__} without a text>"


def step(value: object) -> int | None:
    """A step as a whole number; None where it is none that an event can hold."""
    try:
        plain = single(value)
        number = int(plain)  # type: ignore[call-overload]
    except Exception:  # noqa: BLE001 - whatever it is, it is no step
        return None
    return number if abs(number) <= LARGEST_EXACT else None


def tags(given: object) -> dict[str, str]:
    """Tags as texts."""
    cleaned = params(given)
    return {name: text(value if isinstance(value, str) else repr_of(value)) for name, value in cleaned.values.items()}
