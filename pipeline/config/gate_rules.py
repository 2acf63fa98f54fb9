"""What the words of a gate mean: ``"8 of 9 windows"``, ``"2 standard errors"``, and a threshold in words."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec

from tallystick.ledger.errors import InvalidInput
from tallystick.pipeline.config.settings import Gates, Setting

EVERY_WINDOW = "every window"
GATE_NAMES = tuple(name for name in Gates.__struct_fields__ if name != "why")
_SHARE = re.compile(r"(\d{1,6}) of (\d{1,6}) windows")
_STANDARD_ERRORS = re.compile(r"(\d{1,6}(?:\.\d{1,15})?) standard errors?")


class Share(NamedTuple):
    """A number of windows, of how many."""

    won: int
    of: int


def parse_share(text: str) -> Share | None:
    """The share in ``8 of 9 windows``; None for ``every window``; InvalidInput for other words."""
    if text == EVERY_WINDOW:
        return None
    match = _SHARE.fullmatch(text)
    if match is None:
        raise InvalidInput(f'at_least = {text!r}: say "{EVERY_WINDOW}" or "8 of 9 windows".')
    return Share(int(match[1]), int(match[2]))


def parse_standard_errors(text: str) -> float:
    """The number in ``2 standard errors``; InvalidInput for other words."""
    match = _STANDARD_ERRORS.fullmatch(text)
    if match is None:
        raise InvalidInput(f'drop_at_most = {text!r}: say "2 standard errors".')
    return float(match[1])


def check_gates(gates: Gates) -> None:
    """Raise InvalidInput where the words of a gate mean nothing."""
    if gates.beats_reference_in is not None:
        parse_share(gates.beats_reference_in.at_least)
    if gates.final_test is not None:
        parse_standard_errors(gates.final_test.drop_at_most)


def asked(gates: Gates) -> list[str]:
    """Names of the gates that a configuration asks for."""
    return [name for name in GATE_NAMES if getattr(gates, name) is not None]


def threshold_words(rule: Setting) -> str:
    """A threshold as the file says it, settings by name: ``at_most 0.05, metric roc_auc``."""
    content: dict[str, Any] = msgspec.to_builtins(rule)
    return ", ".join(f"{key} {value}" for key, value in sorted(content.items()) if key != "why" and value is not None)
