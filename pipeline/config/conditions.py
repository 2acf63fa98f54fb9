"""The small language of conditions in a pipeline file: ``COLUMN is missing``, ``COLUMN OP VALUE``, ``OP VALUE``.

It is parsed, never evaluated as code.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Literal

import msgspec

from tallystick.ledger.errors import InvalidInput

if TYPE_CHECKING:
    import pandas as pd

Operator = Literal["==", "!=", "<", "<=", ">", ">="]
# Possessive: giving a word back letter by letter to look at the rest again takes the square of its length.
_COMPARISON = re.compile(r"(==|!=|<=|>=|<|>)\s*+(.+)")
_COLUMN = re.compile(r"(?:([A-Za-z_]\w*+)|'([^']++)')\s*+(.*)")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


class Rule(msgspec.Struct, frozen=True):
    """``> 15`` or ``== 'yes'``."""

    operator: Operator
    value: float | str

    def holds(self, column: pd.Series) -> pd.Series:
        """Row by row; rows without a value never fulfil a rule.

        Raises
        ------
        InvalidInput
            When text is compared with a number, or the other way round, or texts by size.
        """
        import pandas as pd

        numeric = pd.api.types.is_numeric_dtype(column.dtype)
        if numeric != isinstance(self.value, float):
            kind = "numbers" if numeric else "text"
            raise InvalidInput(f"{column.name} holds {kind}; it cannot be compared with {self.value!r}.")
        if not numeric and self.operator not in ("==", "!="):
            raise InvalidInput(f"{column.name} holds text; it can be == or != something, not {self.operator}.")
        compared = {
            "==": column.eq,
            "!=": column.ne,
            "<": column.lt,
            "<=": column.le,
            ">": column.gt,
            ">=": column.ge,
        }[self.operator](self.value)
        return compared.fillna(False).astype(bool) & column.notna()


class Condition(msgspec.Struct, frozen=True):
    """A condition on one column: it is missing, or a rule holds."""

    column: str
    rule: Rule | None
    """None: the value is missing."""

    def holds(self, column: pd.Series) -> pd.Series:
        """Row by row."""
        return column.isna() if self.rule is None else self.rule.holds(column)


def parse_rule(text: str) -> Rule:
    """Read ``OP VALUE``; a value is a number, or text in single or double quotes.

    Examples
    --------
    >>> parse_rule("> 15")
    Rule(operator='>', value=15.0)

    Raises
    ------
    InvalidInput
    """
    match = _COMPARISON.fullmatch(text.strip())
    if match is None:
        raise InvalidInput(f"{text!r} is not a rule. Examples: > 15, >= 0.5, == 'yes'.")
    value = match[2].strip()
    if _NUMBER.fullmatch(value):
        if not math.isfinite(float(value)):
            raise InvalidInput(f"{text!r}: {value} is larger than any number that can be stored.")
        return Rule(match[1], float(value))  # type: ignore[arg-type]  # the pattern allows no other operator
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        return Rule(match[1], value[1:-1])  # type: ignore[arg-type]
    raise InvalidInput(f"{text!r}: {value} is neither a number nor text in quotes. Examples: > 15, == 'yes'.")


def parse_condition(text: str) -> Condition:
    """Read ``COLUMN is missing`` or ``COLUMN OP VALUE``; a name that is no single word stands in single quotes.

    Examples
    --------
    >>> parse_condition("arr_delay is missing").column
    'arr_delay'

    Raises
    ------
    InvalidInput
    """
    match = _COLUMN.fullmatch(text.strip())
    if match is None:
        raise InvalidInput(f"{text!r} is not a condition. Examples: arr_delay is missing, year < 1990.")
    column = match[1] or match[2]
    if match[3].strip() == "is missing":
        return Condition(column, None)
    try:
        return Condition(column, parse_rule(match[3]))
    except InvalidInput:
        raise InvalidInput(
            f"{text!r} is not a condition. Examples: arr_delay is missing, year < 1990, state == 'void'."
        ) from None
