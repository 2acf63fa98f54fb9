"""What people mean by a date: from words to one commit.

A day, month or year means its *end* in the ledger's declared zone; "2 weeks ago" is counted from now; ``#812``
is the state right after the commit that holds event 812, ``c55`` right after commit 55, and ``before:`` one
commit earlier. Whatever was asked, the answer is a commit, so a date never splits one.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tallystick.ledger.errors import InvalidInput, NotFound
from tallystick.ledger.events.commit import commit_handle, commit_text, event_handle, from_micros, leaf_entry, to_micros
from tallystick.ledger.query.spelling import clock_words, in_zone, plain_date
from tallystick.ledger.storage.log import Commit, Log

FORMS = (
    "a date (2013-06-30), a month (2013-06), a year (2013), a time (2013-06-30 17:00), `now`, `yesterday`, "
    "`2 weeks ago`, an event (#812), a commit (c55), or before:#812"
)


class AsOf(NamedTuple):
    """A position in the ledger, and what it was called."""

    n: int
    """Commit, the last one that counts."""
    seq: int
    """Event, the last one that counts."""
    recorded_at: dt.datetime
    """When that commit was recorded, UTC."""
    moment: dt.datetime | None
    """The moment that was asked for, in the ledger's zone; None where a position was asked for."""
    handle: str
    """``c55-k3f9``."""
    supposed: str = ""
    """What makes this a what-if, or another axis of time than that of the commits."""

    @property
    def words(self) -> str:
        """``known on 2013-06-30 23:59:59 America/New_York (c812-k3f9)``."""
        if self.moment is None:
            words = f"known after {self.handle}, recorded {self.recorded_at:%Y-%m-%d %H:%M:%S} UTC"
        else:
            words = f"known on {clock_words(self.moment)} {self.moment.tzinfo} ({self.handle})"
        return f"{words}, {self.supposed}" if self.supposed else words


def resolve(text: str, log: Log, zone: ZoneInfo, now: dt.datetime) -> AsOf:
    """Find the commit that a date or handle means.

    Parameters
    ----------
    text : str
        See :data:`FORMS`.
    zone : ZoneInfo
        The ledger's zone, in which dates are read.
    now : datetime, time-zone aware
        What "ago" is counted from.

    Raises
    ------
    InvalidInput
        When the text means nothing.
    NotFound
        When it lies before the first commit or names what is not there (exit code 4).
    """
    text = text.strip()
    before = text.startswith("before:")
    position = _position(text.removeprefix("before:"), log)
    if position is not None:
        n = position.n - before
        if n < 0:
            raise NotFound(f"{text} is before the first commit: nothing was known yet.", "Ask for a later commit: c0")
        return as_of_commit(log, n, None)
    if before:
        raise InvalidInput(f"{text!r}: `before:` goes with an event or a commit.", f"Give {FORMS}.")
    text = plain_date(text, now.astimezone(zone).date())
    moment = parse_moment(text, zone, now)
    commit = log.last_commit_by(to_micros(moment))
    if commit is None:
        first = from_micros(log.commit(0).recorded_at).astimezone(zone)
        raise NotFound(
            f"On {clock_words(moment)} {zone.key} nothing was known yet: "
            f"the ledger begins on {first:%Y-%m-%d %H:%M:%S}.",
            "Ask for a later date.",
        )
    # A clock that went back, or one that was set for a replay, does not make recorded commits the future.
    newest = max(now, from_micros(log.commit(log.size() - 1).recorded_at))
    if moment <= newest:
        return as_of_commit(log, commit.n, moment)
    if _begin(text, moment) > newest:
        raise NotFound(
            f"{text!r} has not come yet: what the ledger knows ends now, {newest.astimezone(zone):%Y-%m-%d %H:%M:%S} "
            f"{zone.key}.",
            "Ask for an earlier date, or `now`.",
        )
    return as_of_commit(log, commit.n, moment)._replace(supposed="so far")


def _begin(text: str, end: dt.datetime) -> dt.datetime:
    """When the day, month or year began that a text names by its end; a moment is its own beginning."""
    if text == "today" or re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return end.replace(hour=0, minute=0, second=0, microsecond=0)
    if re.fullmatch(r"[0-9]{4}(-[0-9]{2})?", text):
        return dt.datetime.combine(_first_day(text), dt.time(), end.tzinfo)
    return end


def as_of_commit(log: Log, n: int, moment: dt.datetime | None) -> AsOf:
    """The position right after commit ``n``."""
    commit = log.commit(n)
    return AsOf(n, commit.last_seq, from_micros(commit.recorded_at), moment, handle_of(log, commit))


def handle_of(log: Log, commit: Commit) -> str:
    """``c55-k3f9`` for a commit of this log."""
    hashes = log.hashes(commit.first_seq, commit.last_seq)
    return commit_handle(commit.n, leaf_entry(commit_text(commit.head, hashes)))


def _position(text: str, log: Log) -> Commit | None:
    match = re.fullmatch(r"([#c])([0-9]{1,15})(?:-([0-9a-z]{4}))?", text)
    if match is None:
        return None
    kind, number, letters = match[1], int(match[2]), match[3]
    try:
        if kind == "#":
            event = log.event(number)
            found = event_handle(number, event.id)
            commit = log.commit_of(number)
        else:
            commit = log.commit(number)
            found = handle_of(log, commit)
    except IndexError:
        newest = log.commit(log.size() - 1)
        raise NotFound(
            f"There is no {kind}{number}: the ledger ends with c{newest.n}, event #{newest.last_seq}.",
            "`tally log` lists what there is.",
        ) from None
    if letters and not found.endswith(f"-{letters}"):
        raise NotFound(
            f"{text} is not in this ledger: {kind}{number} is {found} here.",
            "The handle comes from another ledger, or the ledger was rewritten since: run `tally verify`.",
        )
    return commit


def parse_period(text: str, zone: ZoneInfo) -> tuple[dt.datetime, dt.datetime]:
    """A day, ISO week, month, quarter or year, or two of them with ``..`` between, as ``[from, to)`` in a zone.

    Examples
    --------
    >>> first, end = parse_period("2013-04..2013-05", ZoneInfo("UTC"))
    >>> print(first, end)
    2013-04-01 00:00:00+00:00 2013-06-01 00:00:00+00:00
    """
    first, dots, last = text.strip().partition("..")
    try:
        start = _first_day(first.strip())
        end = _last_day((last if dots else first).strip(), start) + dt.timedelta(days=1)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(
            f"{text!r} is not a period.",
            "Give a day (2013-09-05), a week (2013-W36), a month (2013-09), a quarter (2013-Q3), a year (2013), or "
            "2013-04..2013-06",
        ) from error
    if end <= start:
        raise InvalidInput(f"{text!r} ends before it begins.", "Give the earlier one first: 2013-04..2013-06")
    return dt.datetime.combine(start, dt.time(), zone), dt.datetime.combine(end, dt.time(), zone)


def _first_day(text: str) -> dt.date:
    if re.fullmatch(r"[0-9]{4}(-[0-9]{2})?", text):
        return dt.date.fromisoformat(f"{text}-01-01"[:10])
    if (match := _QUARTER.fullmatch(text)) is not None:
        return dt.date(int(match[1]), 3 * int(match[2]) - 2, 1)
    if (match := _WEEK.fullmatch(text)) is not None:
        return dt.date.fromisocalendar(int(match[1]), int(match[2]), 1)
    return _day(text)


def _day(text: str) -> dt.date:
    # Python reads more, such as 20130905.
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text, re.ASCII):
        raise ValueError(text)
    return dt.date.fromisoformat(text)


def resolve_event(text: str, log: Log) -> int:
    """The position of ``#812`` or ``#812-k3f9``; InvalidInput for other texts, NotFound where it is not there."""
    if not text.startswith("#") or _position(text, log) is None:
        raise InvalidInput(f"{text!r} is not an event.", "Give its number, as `tally log` shows it: #12")
    return int(text[1:].partition("-")[0])


_QUARTER = re.compile(r"([0-9]{4})-Q([1-4])", re.ASCII)
_WEEK = re.compile(r"([0-9]{4})-W([0-9]{2})", re.ASCII)
_UNITS = {"minute": "minutes", "hour": "hours", "day": "days", "week": "weeks"}


def parse_moment(text: str, zone: ZoneInfo, now: dt.datetime) -> dt.datetime:
    """The last moment of what a text names, in ``zone``.

    Examples
    --------
    >>> noon = dt.datetime(2013, 7, 1, 12, tzinfo=dt.UTC)
    >>> print(parse_moment("2013-06", ZoneInfo("America/New_York"), noon))
    2013-06-30 23:59:59.999999-04:00
    >>> print(parse_moment("2 weeks ago", ZoneInfo("UTC"), noon))
    2013-06-17 12:00:00+00:00
    """
    local_now = now.astimezone(zone)
    if text == "now":
        return local_now
    text = plain_date(text, local_now.date())
    try:
        if match := re.fullmatch(r"([0-9]{1,6}|an?) (minute|hour|day|week|month|year)s? ago", text):
            return _ago(local_now, int(match[1]) if match[1].isdigit() else 1, match[2])
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}.*", text):
            moment = dt.datetime.fromisoformat(text)
            return moment.astimezone(zone) if moment.tzinfo else in_zone(moment, zone)
        return _end_of_day(_last_day(text, local_now.date()), zone)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"{text!r} is not a date that I understand.", f"Give {FORMS}.") from error


def _ago(now: dt.datetime, count: int, unit: str) -> dt.datetime:
    if unit in _UNITS:
        # Counted on the world's clock, not on the wall's: an hour ago is an hour ago in October too.
        return (now.astimezone(dt.UTC) - dt.timedelta(**{_UNITS[unit]: count})).astimezone(now.tzinfo)
    return _months_before(now, count * (12 if unit == "year" else 1))


def _last_day(text: str, today: dt.date) -> dt.date:
    """The last day of a day, ISO week, month, quarter or year; ValueError for any other text."""
    if text in ("today", "yesterday"):
        return today - dt.timedelta(days=text == "yesterday")
    if re.fullmatch(r"[0-9]{4}", text):
        return dt.date(int(text), 12, 31)
    if match := re.fullmatch(r"([0-9]{4})-([0-9]{2})", text):
        year, month = int(match[1]), int(match[2])
        if not 1 <= month <= 12:
            raise ValueError(text)
        return dt.date(year + month // 12, month % 12 + 1, 1) - dt.timedelta(days=1)
    if (match := _QUARTER.fullmatch(text)) is not None:
        return _last_day(f"{match[1]}-{3 * int(match[2]):02}", today)
    if _WEEK.fullmatch(text) is not None:
        return _first_day(text) + dt.timedelta(days=6)
    return _day(text)


def _end_of_day(day: dt.date, zone: ZoneInfo) -> dt.datetime:
    # Midnight of the next day minus one microsecond, taken in UTC, is right on days of 23 and 25 hours too.
    midnight = dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), tzinfo=zone)
    return (midnight.astimezone(dt.UTC) - dt.timedelta(microseconds=1)).astimezone(zone)


def _months_before(moment: dt.datetime, months: int) -> dt.datetime:
    index = moment.year * 12 + moment.month - 1 - months
    year, month = divmod(index, 12)
    following = dt.date(year + (month + 1) // 12, (month + 1) % 12 + 1, 1)
    last_day = (following - dt.timedelta(days=1)).day
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last_day))
