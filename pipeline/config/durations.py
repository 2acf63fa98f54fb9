"""Lengths of time as people write them, and times relative to a column.

``"3h"``, ``"30d"``, ``"62 days"``, ``"1 month"``; ``"time_hour - 3h"``. Hours, minutes and seconds are exact; a
day is exactly 24 hours and a week seven of them (a delay is a length, not a date); a month or a year is a
calendar step in the pipeline's time zone and therefore cannot be used where an exact length is needed.

Where time is a whole number (``unit = "step"``: day 0 to 107 of a study) lengths are in steps: ``"7 steps"``. Step
``n`` is kept as ``n`` days after 1970-01-01 UTC, so that everything else computes with it as with any time; only
differences mean something.
"""

from __future__ import annotations

import re

import msgspec

from tallystick.ledger.errors import InvalidInput

_MICROS = {
    "second": 1_000_000,
    "minute": 60_000_000,
    "hour": 3_600_000_000,
    "day": 86_400_000_000,
    "week": 604_800_000_000,
    "step": 86_400_000_000,
}
STEP_MICROS = _MICROS["step"]
LARGEST_STEP = 700_000
"""As days from 1970 on either side these are dates that everything can show."""
_MONTHS = {"month": 1, "year": 12}
_SHORT = {"s": "second", "min": "minute", "h": "hour", "d": "day", "w": "week"}
_SPAN = re.compile(r"([0-9]{1,6})\s*([a-z]+)")
_EXPRESSION = re.compile(r"(?:([A-Za-z_]\w*+)|'([^']++)')(?:\s*+([+-])\s*+(.+))?")


class Span(msgspec.Struct, frozen=True):
    """A length of time: whole months, or exact microseconds; never both."""

    months: int
    micros: int
    text: str
    """As it was written."""

    @property
    def in_steps(self) -> bool:
        """Whether it counts whole-number time, not a clock or a calendar."""
        return "step" in self.text.lower()

    def exact_micros(self, what: str) -> int:
        """The length in microseconds; InvalidInput for months, whose length depends on the date."""
        if self.months:
            raise InvalidInput(f"{what} = {self.text!r}: months differ in length; say it in days.")
        return self.micros


def windows_between_looks(every: Span, window: Span) -> int | None:
    """After how many windows a model is watched again; None where ``every`` is no multiple of a window."""
    whole, part = (every.months, window.months) if window.months else (every.micros, window.micros)
    other = every.micros if window.months else every.months
    return None if other or not part or whole % part or not whole else whole // part


class TimeExpression(msgspec.Struct, frozen=True):
    """A column, moved by a span: ``time_hour - 3h``."""

    column: str
    offset_micros: int
    """Negative for "before"."""
    in_steps: bool = False


def parse_span(text: str) -> Span:
    """Read a length of time.

    Examples
    --------
    >>> parse_span("62 days").micros // 86_400_000_000
    62
    >>> parse_span("1 month").months
    1

    Raises
    ------
    InvalidInput
    """
    match = _SPAN.fullmatch(text.strip().lower())
    unit = "" if match is None else _SHORT.get(match[2], match[2].removesuffix("s"))
    if match is None or unit not in _MICROS | _MONTHS:
        raise InvalidInput(f"{text!r} is not a length of time. Examples: 3h, 30d, 62 days, 2 weeks, 1 month.")
    count = int(match[1])
    return Span(months=count * _MONTHS.get(unit, 0), micros=count * _MICROS.get(unit, 0), text=text)


def parse_time_expression(text: str) -> TimeExpression:
    """Read a time relative to a column; a name that is no single word stands in single quotes.

    Examples
    --------
    >>> parse_time_expression("time_hour - 3h").offset_micros
    -10800000000
    >>> parse_time_expression("'Order Date'").column
    'Order Date'

    Raises
    ------
    InvalidInput
    """
    match = _EXPRESSION.fullmatch(text.strip())
    if match is None:
        raise InvalidInput(f"{text!r} is not a time. Examples: time_hour, time_hour - 3h, ordered_at + 2 days.")
    column = match[1] or match[2]
    if match[3] is None:
        return TimeExpression(column, 0)
    span = parse_span(match[4])
    micros = span.exact_micros(text)
    return TimeExpression(column, micros if match[3] == "+" else -micros, span.in_steps)


def words(micros: int, *, in_steps: bool = False) -> str:
    """An exact length for people: ``3 hours``, ``30 days``, ``90 minutes``; or ``7 steps``."""
    if in_steps:
        count = micros // STEP_MICROS
        return f"{count:,} step{'' if count == 1 else 's'}"
    for unit in ("day", "hour", "minute", "second"):
        size = _MICROS[unit]
        if micros % size == 0:
            count = micros // size
            return f"{count:,} {unit}{'' if count == 1 else 's'}"
    return f"{micros / 1e6:g} seconds"
