"""Walk-forward windows: calendar periods in a named zone, and which rows each may train and test on.

All bounds are microseconds since 1970-01-01 UTC, half-open. For a window ``[a, b)`` the cut-off is ``c = a - gap``:

    train = rows with t < c, whose label was known by c, and t >= c - length where the training set rolls
    test  = rows with a <= t < b
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias
from zoneinfo import ZoneInfo

import msgspec

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events.commit import from_micros, to_micros
from tallystick.pipeline.config.durations import LARGEST_STEP, STEP_MICROS, Span, parse_span
from tallystick.pipeline.config.settings import Rolling, Time

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Micros: TypeAlias = "npt.NDArray[np.int64]"
Mask: TypeAlias = "npt.NDArray[np.bool_]"
MOST_WINDOWS = 1_000
FIRST_DAY = dt.date(1970, 1, 1)
Labels = Literal["first day", "quarter", "week"]
QUARTER_MONTHS = 3
DAY_MICROS = 86_400_000_000
WEEK_MICROS = 7 * DAY_MICROS
AFTER_ALL_STEPS = 3 * LARGEST_STEP * STEP_MICROS
_QUARTER = re.compile(r"([0-9]{4})-Q([1-4])")
_WEEK = re.compile(r"([0-9]{4})-W([0-9]{2})")
_DAY_MONTH_YEAR = re.compile(r"[0-9]{4}(-[0-9]{2}){0,2}")


class Window(msgspec.Struct, frozen=True):
    """One walk-forward window; bounds in microseconds since 1970-01-01 UTC."""

    label: str
    """``2013-04`` for a month, ``2013`` for a year; ``2013-Q2`` and ``2013-W15`` where the file writes them so; the
    first day otherwise.

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
    """Every window from the first to the last tested one, sealed ones included, without those declared empty.

    Raises
    ------
    InvalidInput
        When there are over 1,000 of them, or a bound is no date of this calendar.
    """
    return [window for window in _calendar(time) if window.label not in time.skipped]


def empty_windows(time: Time) -> list[Window]:
    """The windows between the first and the last tested one that the file declares empty."""
    return [window for window in _calendar(time) if window.label in time.skipped]


def _calendar(time: Time) -> list[Window]:
    """Every window of the calendar, whether or not it has rows."""
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
        label = str((day - FIRST_DAY).days) if time.unit == "step" else _label(day, step, time.labels)
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
    try:
        day = int(label) if time.unit == "step" else first_day(label)
        found = _made(msgspec.structs.replace(time, first_test=day, last_test=day), ZoneInfo(time.timezone))[0]
    except (ValueError, OverflowError):
        found = None
    if found is None or (found.label != label and label not in _other_names(time, as_day(day))):
        raise InvalidInput(
            f"{label!r} is not a period of {time.window}.",
            f"Write it like {_calendar(time)[-1].label}, the last window of the file.",
        )
    return found


def _other_names(time: Time, day: dt.date) -> set[str]:
    """What a quarter or week is called beside its label: every spelling is understood, whichever the file uses."""
    if time.unit == "step":
        return set()
    step = parse_span(time.window)
    names: tuple[Labels, ...] = ("first day", "quarter", "week")
    named = step.months == QUARTER_MONTHS or step.micros == WEEK_MICROS
    return {_label(day, step, name) for name in names} if named else set()


def first_day(label: str) -> dt.date:
    """The first day of a day, month, quarter, ISO week or year as people write them.

    Examples
    --------
    >>> first_day("2017-Q3"), first_day("2017-W31"), first_day("2017-07")
    (datetime.date(2017, 7, 1), datetime.date(2017, 7, 31), datetime.date(2017, 7, 1))

    Raises
    ------
    ValueError
        For any other text.
    """
    if match := _QUARTER.fullmatch(label):
        return dt.date(int(match[1]), QUARTER_MONTHS * int(match[2]) - 2, 1)
    if match := _WEEK.fullmatch(label):
        return dt.date.fromisocalendar(int(match[1]), int(match[2]), 1)
    if not _DAY_MONTH_YEAR.fullmatch(label):
        raise ValueError(label)
    return dt.date.fromisoformat(f"{label}-01-01"[:10])


def named_by(label: str) -> Labels:
    """Which names a file asks for that writes its first window so."""
    return "quarter" if _QUARTER.fullmatch(label) else "week" if _WEEK.fullmatch(label) else "first day"


def window_said(time: Time, label: str) -> str:
    """A window in words, for labels that do not say how long it is: ``the quarter from July 2018``.

    Examples: ``the week from 30 July 2018``, ``step 98``, ``steps 98 to 104``. The label itself for days, months
    and calendar years, whose words follow from it.
    """
    step = parse_span(time.window)
    if time.unit == "step":
        last = int(label) + step.micros // STEP_MICROS - 1
        return f"step {label}" if last == int(label) else f"steps {label} to {last}"
    day = first_day(label)
    if step.months:
        if step.months == 1 or (step.months == 12 and day.month == 1):
            return label
        length = {QUARTER_MONTHS: "quarter", 12: "year"}.get(step.months, f"{step.months} months")
        return f"the {length} from {day:%B %Y}"
    days = step.micros // DAY_MICROS
    return label if days == 1 else f"the {'week' if days == 7 else f'{days} days'} from {day:%-d %B %Y}"


def window_names(time: Time, labels: Iterable[str]) -> dict[str, str]:
    """Label -> words, for the labels that do not say how long their window is."""
    said = {label: window_said(time, label) for label in labels}
    return {label: words for label, words in said.items() if words != label}


def label_order(label: str) -> tuple[int, str]:
    """Puts labels in the order of time: steps are whole numbers, all others sort as they are written."""
    return (int(label), "") if re.fullmatch("-?[0-9]+", label) else (0, label)


def with_empty(labels: Sequence[str], skipped: Iterable[str]) -> list[str]:
    """Labels of windows, with those declared empty that lie between the first and the last of them.

    Examples
    --------
    >>> with_empty(["2020-01", "2020-03"], ["2020-02", "2021-02"])
    ['2020-01', '2020-02', '2020-03']
    """
    if not labels:
        return []
    first, last = label_order(labels[0]), label_order(labels[-1])
    between = {label for label in skipped if first < label_order(label) < last}
    return sorted({*labels, *between}, key=label_order) if between else list(labels)


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
    if found[-1].label != end.label:
        raise InvalidInput(
            f"Counted in steps of {time.window} from {first}, no window begins at {last}.",
            f"The nearest is {found[-1].label}.",
        )
    return found


def labels_until(time: Time, moment: int) -> int:
    """The time that a label must be known by, as the rows count it; both in microseconds.

    Steps belong to no calendar, so no date tells which of them are over: every label that is there is known.
    """
    return AFTER_ALL_STEPS if time.unit == "step" else moment


def refuse_date_of_steps(time: Time, given: dt.datetime | None) -> None:
    """Refuse a date where steps are counted.

    Raises
    ------
    InvalidInput
    """
    if given is not None and time.unit == "step":
        raise InvalidInput(
            "labels_as_of is a date, and this pipeline counts time in steps: no date says which of them are over.",
            "Leave it out: every answer that the table holds is known. Or end the windows earlier.",
        )


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


def _label(day: dt.date, step: Span, labels: Labels) -> str:
    if labels == "quarter" and step.months == QUARTER_MONTHS and day.day == 1 and day.month % QUARTER_MONTHS == 1:
        return f"{day.year:04}-Q{day.month // QUARTER_MONTHS + 1}"
    if labels == "week" and step.micros == WEEK_MICROS and day.weekday() == 0:
        return f"{day:%G-W%V}"
    if step.months == 1:
        return f"{day:%Y-%m}"
    if step.months == 12 and day.month == 1:
        return f"{day:%Y}"
    return day.isoformat()
