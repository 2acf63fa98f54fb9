"""Dates as people write them, brought to one spelling: ``Sept 2013``, ``15 Oct 2013``, ``2013/10/15``, ``last month``.

Only what can be read in one way is read. ``9/5/2013`` is a day in May here and in September there, so it is refused
with both readings.
"""

from __future__ import annotations

import datetime as dt
import re
from zoneinfo import ZoneInfo

from tallystick.ledger.errors import InvalidInput

_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
           "november", "december")  # fmt: skip
_WORD = r"([a-z]{3,9})\.?"
_DAY_MONTH_YEAR = re.compile(rf"([0-9]{{1,2}})(?:st|nd|rd|th|\.)? {_WORD},? ([0-9]{{4}})")
_MONTH_DAY_YEAR = re.compile(rf"{_WORD} ([0-9]{{1,2}})(?:st|nd|rd|th)?,? ([0-9]{{4}})")
_MONTH_YEAR = re.compile(rf"{_WORD},? ([0-9]{{4}})")
_SLASHES = re.compile(r"([0-9]{4})/([0-9]{1,2})(?:/([0-9]{1,2}))?")
_POINTS = re.compile(r"([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{4})")
_TWO_WAYS = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})")


def plain_date(text: str, today: dt.date) -> str:
    """A day, month or year as ``2013-10-15``, ``2013-10`` or ``2013``; any other text as it is.

    Examples
    --------
    >>> plain_date("15 Oct 2013", dt.date(2014, 1, 1)), plain_date("last month", dt.date(2014, 1, 1))
    ('2013-10-15', '2013-12')

    Raises
    ------
    InvalidInput
        For a date that may be two days.
    """
    words = " ".join(text.lower().split())
    if words in ("this month", "last month", "this year", "last year"):
        months = today.year * 12 + today.month - 1 - (words == "last month")
        year = str(today.year - (words == "last year"))
        return year if words.endswith("year") else f"{months // 12:04}-{months % 12 + 1:02}"
    if match := _SLASHES.fullmatch(words):
        return "-".join(f"{int(part):02}" for part in match.groups() if part)
    if match := _POINTS.fullmatch(words):
        return f"{match[3]}-{int(match[2]):02}-{int(match[1]):02}"
    if match := _TWO_WAYS.fullmatch(words):
        return _one_of_two(text, int(match[1]), int(match[2]), match[3])
    return _with_month_name(words) or text


def _with_month_name(words: str) -> str | None:
    if match := _DAY_MONTH_YEAR.fullmatch(words):
        return _written(match[3], match[2], match[1])
    if match := _MONTH_DAY_YEAR.fullmatch(words):
        return _written(match[3], match[1], match[2])
    if match := _MONTH_YEAR.fullmatch(words):
        return _written(match[2], match[1])
    return None


def _written(year: str, month: str, day: str = "") -> str | None:
    """A date in digits; None where the month is no month's name."""
    number = _month(month)
    return f"{year}-{number:02}" + (f"-{int(day):02}" if day else "") if number else None


def _month(word: str) -> int:
    """The number of a month by its name or a beginning of it; 0 for another word."""
    short = "sep" if word == "sept" else word
    return next((number for number, name in enumerate(_MONTHS, 1) if name.startswith(short)), 0)


def _one_of_two(text: str, first: int, second: int, year: str) -> str:
    readings = [f"{year}-{month:02}-{day:02}" for month, day in ((second, first), (first, second)) if month <= 12]
    if len(set(readings)) == 1:
        return readings[0]
    raise InvalidInput(
        f"{text!r} may be {' or '.join(readings) or 'no day at all'}.",
        f"Give the year first: {(readings or ['2013-06-30'])[0]}",
    )


def in_zone(wall: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    """A reading of the wall clock as a moment.

    Raises
    ------
    InvalidInput
        When clocks were put back and it was read twice, or put forward and it never was.
    """
    first, second = (wall.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return first
    exists = first.astimezone(dt.UTC).astimezone(zone).replace(tzinfo=None) == wall
    readings = [_with_offset(wall, moment) for moment in (first, second)]
    what = "was read twice" if exists else "was never read"
    raise InvalidInput(
        f"{wall:%Y-%m-%d %H:%M} {what} on the clocks of {zone.key}, which changed in that hour.",
        f"Say which moment is meant by its offset: {readings[0]} or {readings[1]}",
    )


def _with_offset(wall: dt.datetime, moment: dt.datetime) -> str:
    return wall.replace(tzinfo=dt.timezone(moment.utcoffset() or dt.timedelta())).isoformat(timespec="minutes")


def clock_words(moment: dt.datetime) -> str:
    """``2013-06-30 17:00:00``; with the offset where the clocks of the zone were read so twice."""
    twice = moment.replace(fold=0).utcoffset() != moment.replace(fold=1).utcoffset()
    return moment.strftime("%Y-%m-%d %H:%M:%S") + (moment.isoformat()[-6:] if twice else "")
