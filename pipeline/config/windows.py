"""Walk-forward windows: calendar periods in a named zone, and which rows each may train and test on.

All bounds are microseconds since 1970-01-01 UTC, half-open. For a window ``[a, b)`` the cut-off is ``c = a - gap``:

    train = rows with t < c, whose label was known by c, and t >= c - length where the training set rolls
    test  = rows with a <= t < b
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, TypeAlias
from zoneinfo import ZoneInfo

import msgspec

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events.commit import from_micros, to_micros
from tallystick.pipeline.config.durations import Span, parse_span
from tallystick.pipeline.config.settings import Rolling, Time

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Micros: TypeAlias = "npt.NDArray[np.int64]"
Mask: TypeAlias = "npt.NDArray[np.bool_]"
MOST_WINDOWS = 1_000
FIRST_DAY = dt.date(1970, 1, 1)


class Window(msgspec.Struct, frozen=True):
    """One walk-forward window; bounds in microseconds since 1970-01-01 UTC."""

    label: str
    """``2013-04`` for a month, ``2013-04-05`` for a day or week, ``2013`` for a year; the first day otherwise.

    The number of the first step where time is a whole number.
    """
    start: int
    end: int
    cutoff: int
    train_start: int | None
    """None where the training set expands from the beginning."""

    def train_rows(self, time: Micros, label_known: Micros) -> Mask:
        """Rows that may train: before the cut-off, with a label that was known by then."""
        rows = (time < self.cutoff) & (label_known <= self.cutoff)
        return rows if self.train_start is None else rows & (time >= self.train_start)

    def test_rows(self, time: Micros) -> Mask:
        """Rows of the window itself."""
        return (time >= self.start) & (time < self.end)


def all_windows(time: Time) -> list[Window]:
    """Every window from the first to the last tested one, sealed ones included.

    Raises
    ------
    InvalidInput
        When there are over 1,000 of them, or a bound is no date of this calendar.
    """
    try:
        return _made(time, ZoneInfo(time.timezone))
    except (ValueError, OverflowError):
        lengths = [time.window, time.gap] + ([time.train.rolling] if isinstance(time.train, Rolling) else [])
        raise InvalidInput(
            "Some window begins, ends or trains outside the years 1 to 9999. Too long is one of: "
            f"{', '.join(map(repr, lengths))}."
        ) from None


def _made(time: Time, zone: ZoneInfo) -> list[Window]:
    step = parse_span(time.window)
    gap = parse_span(time.gap).exact_micros("gap")
    windows, day, last = [], as_day(time.first_test), as_day(time.last_test)
    while day <= last:
        following = _advance(day, step)
        start, end = midnight(day, zone), midnight(following, zone)
        cutoff = start - gap
        train_start = None
        if isinstance(time.train, Rolling):
            train_start = _before(cutoff, parse_span(time.train.rolling), zone)
        # Every bound is shown as a date sooner or later; one that is none is refused here.
        from_micros(cutoff), from_micros(cutoff if train_start is None else train_start)
        label = str((day - FIRST_DAY).days) if time.unit == "step" else _label(day, step)
        windows.append(Window(label, start, end, cutoff, train_start))
        day = following
        if len(windows) > MOST_WINDOWS:
            raise InvalidInput(f"From {time.first_test} to {time.last_test} there are over {MOST_WINDOWS} windows.")
    return windows


def development_windows(time: Time) -> list[Window]:
    """The windows that candidates are judged on: all but the sealed ones."""
    return [window for window in all_windows(time) if window.label not in time.final.test]


def sealed_windows(time: Time) -> list[Window]:
    """The windows that stay shut until promotion."""
    return [window for window in all_windows(time) if window.label in time.final.test]


def as_day(value: dt.date | int) -> dt.date:
    """The day of a date, or of a step: step ``n`` is kept as ``n`` days after 1970-01-01.

    Raises
    ------
    OverflowError
        For a step that is no day of this calendar.
    """
    return value if isinstance(value, dt.date) else FIRST_DAY + dt.timedelta(days=value)


def period_window(time: Time, label: str) -> Window:
    """The window that a label means, wherever it lies: a live period has the length of a window.

    Raises
    ------
    InvalidInput
        When no window can have that label.
    """
    forms = {4: f"{label}-01-01", 7: f"{label}-01"}
    try:
        day = int(label) if time.unit == "step" else dt.date.fromisoformat(forms.get(len(label), label))
        found = _made(msgspec.structs.replace(time, first_test=day, last_test=day), ZoneInfo(time.timezone))[0]
    except (ValueError, OverflowError):
        found = None
    if found is None or found.label != label:
        raise InvalidInput(
            f"{label!r} is not a period of {time.window}.",
            f"Write it like {all_windows(time)[-1].label}, the last window of the file.",
        )
    return found


def periods_between(time: Time, first: str, last: str) -> list[Window]:
    """The windows from one label to another, both included.

    Raises
    ------
    InvalidInput
        When a label is none, or the last lies before the first or on no window that follows from it.
    """
    begin, end = period_window(time, first), period_window(time, last)
    if end.start < begin.start:
        raise InvalidInput(f"{last} lies before {first}.", "Name the earlier one first.")
    found = [begin]
    zone = ZoneInfo(time.timezone)
    while found[-1].start < end.start:
        day = from_micros(found[-1].end).astimezone(zone).date()
        step = (day - FIRST_DAY).days if time.unit == "step" else day
        found += _made(msgspec.structs.replace(time, first_test=step, last_test=step), zone)
        if len(found) > MOST_WINDOWS:
            raise InvalidInput(f"From {first} to {last} there are over {MOST_WINDOWS} windows.")
    if found[-1].label != last:
        raise InvalidInput(
            f"Counted in steps of {time.window} from {first}, no window begins at {last}.",
            f"The nearest is {found[-1].label}.",
        )
    return found


def midnight(day: dt.date, zone: ZoneInfo) -> int:
    """The first moment of a day in a zone, in microseconds UTC.

    Where midnight is skipped by a clock change the day begins at the first moment that exists; where it occurs
    twice, at the first of the two.
    """
    wall = dt.datetime.combine(day, dt.time(), tzinfo=zone)
    moment = wall.astimezone(dt.UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == wall.replace(tzinfo=None):
        return to_micros(moment)
    # Read with the offset before the change, a skipped wall time points as far behind the change as midnight
    # is into the skipped stretch; read with the offset after, right at or before it. Search between the two.
    low, high = to_micros(wall.replace(fold=1).astimezone(dt.UTC)), to_micros(moment)
    low, high = min(low, high), max(low, high)
    while high - low > 1:
        middle = (low + high) // 2
        if from_micros(middle).astimezone(zone).date() < day:
            low = middle
        else:
            high = middle
    return high


def _advance(day: dt.date, step: Span) -> dt.date:
    if step.months:
        index = day.year * 12 + day.month - 1 + step.months
        return dt.date(index // 12, index % 12 + 1, day.day)
    return day + dt.timedelta(microseconds=step.micros)


def _before(micros: int, span: Span, zone: ZoneInfo) -> int:
    """A moment earlier by a span: exact, or by calendar months in the zone."""
    if not span.months:
        return micros - span.micros
    local = from_micros(micros).astimezone(zone)
    index = local.year * 12 + local.month - 1 - span.months
    year, month = divmod(index, 12)
    last_day = (dt.date(year + (month + 1) // 12, (month + 1) % 12 + 1, 1) - dt.timedelta(days=1)).day
    earlier = local.replace(year=year, month=month + 1, day=min(local.day, last_day))
    return to_micros(earlier.astimezone(dt.UTC))


def _label(day: dt.date, step: Span) -> str:
    if step.months == 1:
        return f"{day:%Y-%m}"
    if step.months == 12 and day.month == 1:
        return f"{day:%Y}"
    return day.isoformat()
