"""Conditions on trials as people type them: ``loss < 0.5 and params.depth = 4``.

A condition compares one thing with one value: a metric by its name, ``params.NAME``, ``tags.NAME``, or ``name``,
``status``, ``user``, ``experiment``, ``started``. Names with blanks or signs stand in backquotes. Conditions are joined
by ``and``.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tallystick.ledger.errors import InvalidInput

FIELDS = ("name", "status", "user", "experiment", "started", "trial", "by")
_TOKEN = re.compile(
    r"""\s*(?:(?P<sign><=|>=|!=|==|=|<|>|~)|(?P<text>'[^']*'|"[^"]*")|(?P<name>`[^`]+`|[^\s<>=!~'"`]+))"""
)
_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "~": lambda found, wanted: str(wanted).lower() in str(found).lower(),
}


class TrialCondition(NamedTuple):
    """One comparison."""

    of: str
    """``metric``, ``params``, ``tags`` or ``field``."""
    name: str
    sign: str
    value: str

    def holds(self, values: Mapping[str, Mapping[str, Any]]) -> bool:
        """Whether it holds for one trial; what was not recorded fulfils no condition."""
        found = values[self.of].get(self.name)
        if found is None:
            return False
        left, right = _comparable(found, self.value)
        try:
            return bool(_SIGNS[self.sign](left, right))
        except TypeError:
            return False


def parse(text: str) -> list[TrialCondition]:
    """The conditions in a text.

    Raises
    ------
    InvalidInput
        Names the place at which it cannot be read.
    """
    tokens = _tokens(text)
    found: list[TrialCondition] = []
    while tokens:
        if len(tokens) < 3 or tokens[0][0] != "name" or tokens[1][0] != "sign" or tokens[2][0] == "sign":
            raise _unreadable(text, " ".join(token for _, token in tokens[:3]))
        found.append(_condition(tokens[0][1], tokens[1][1], tokens[2][1]))
        tokens = tokens[3:]
        if tokens:
            if tokens[0][1].lower() != "and" or len(tokens) == 1:
                raise _unreadable(text, tokens[0][1])
            tokens = tokens[1:]
    return found


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _unreadable(text, text[at : at + 20])
        kind = str(match.lastgroup)
        tokens.append((kind, match[kind]))
        at = match.end()
    return tokens


def _condition(name: str, sign: str, value: str) -> TrialCondition:
    quoted = name.startswith("`")
    name = name.strip("`")
    value = value[1:-1] if value[0] in "'\"" else value
    if quoted:
        return TrialCondition("metric", name, sign, value)
    kind, dot, rest = name.partition(".")
    of = {"params": "params", "param": "params", "tags": "tags", "tag": "tags", "metrics": "metric"}.get(kind)
    if dot and of:
        return TrialCondition(of, rest.strip("`"), sign, value)
    return TrialCondition("field" if name in FIELDS else "metric", name, sign, value)


def _comparable(found: Any, wanted: str) -> tuple[Any, Any]:
    """Both as numbers where both are; else both as texts."""
    if not isinstance(found, bool):
        try:
            left, right = float(found), float(wanted)
        except (TypeError, ValueError):
            pass
        else:
            # Not a number fulfils no comparison, not even with itself; "!=" would call a diverged trial different.
            return (None, right) if math.isnan(left) else (left, right)
    return str(found).lower() if isinstance(found, bool) else str(found), wanted


def _unreadable(text: str, at: str) -> InvalidInput:
    return InvalidInput(
        f"The condition {text!r} cannot be read at {at!r}.",
        "Write a name, a sign and a value, joined by and: loss < 0.5 and params.depth = 4",
    )
