"""Which windows a table can be judged on: length, first and last one, and how many stay sealed."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from tallystick.ledger.errors import InvalidInput

Floats = npt.NDArray[np.float64]

CALENDAR = ("1 month", "1 week", "3 months", "1 year", "1 day")
STEPS = (1, 7, 10, 30, 100)
_PERIODS = {"1 month": "M", "1 week": "W-SUN", "3 months": "Q-DEC", "1 year": "Y", "1 day": "D"}
_DAYS = {"1 month": 31, "1 week": 7, "3 months": 92, "1 year": 366, "1 day": 1}
FEWEST_TESTS = 4
"""Three windows to judge on and one that stays sealed."""
MOST_TESTS = 36
"""Older windows are for training only: a model that is made today is judged by how it would have done lately."""
MOST_EMPTY = 1.0
"""As many windows without any row as with rows at most: with more of them, another length describes the table."""
_GRADES = ((7, 30, 100, 0.0), (7, 36, 30, 0.0), (7, 36, 10, 0.2), (FEWEST_TESTS, 36, 10, 0.5))
"""Fewest windows, most windows, fewest rows in each, and the largest share of windows with only one answer: the first
line that some length fulfils decides."""


class WindowPlan(NamedTuple):
    """Windows in the words of a pipeline file."""

    window: str
    first_test: dt.date | int
    last_test: dt.date | int
    sealed: tuple[dt.date | int, ...]
    """The first day or step of each sealed window."""
    tests: int
    """All test windows that have rows, sealed ones included."""
    rows: int
    """Rows of the smallest test window that has any."""
    days: int
    """Different days in a usual window."""
    one_sided: int
    """Test windows that hold only one of the two answers."""
    empty: tuple[dt.date | int, ...] = ()
    """The first day or step of each window between the first and the last test window that has no row."""

    @property
    def length(self) -> int:
        """Days of the window at most, or steps."""
        return _DAYS[self.window] if self.window in _DAYS else int(self.window.partition(" ")[0])


def days_of(window: str) -> int | None:
    """The days of a usual length of a window at most; None for another length."""
    return _DAYS.get(window)


def plan(days: npt.NDArray[np.int64], answer: Floats, *, steps: bool, delay: int, window: str | None) -> WindowPlan:
    """The windows for rows on these days.

    Parameters
    ----------
    days : (n,) int64
        Days since 1970-01-01 where the pipeline is, or steps.
    answer : (n,) float64
        0 or 1, or a number; NaN where it is missing. A window must hold both a yes and a no.
    delay : int
        Days or steps, rounded up, after which an answer is known.
    window : str, optional
        The length, where a person decided it.

    Raises
    ------
    InvalidInput
        Where the table is too short for any.
    """
    lengths = [f"{count} step{'' if count == 1 else 's'}" for count in STEPS] if steps else list(CALENDAR)
    lengths = lengths if window is None else [window]
    plans = [found for length in lengths if (found := _planned(days, answer, length, delay)) is not None]
    for without_holes in (True, False):
        fitting = [found for found in plans if _fits_holes(found, without_holes)]
        for fewest, most, rows, one_sided in _GRADES:
            for found in fitting:
                fits = fewest <= found.tests <= most and found.rows >= rows
                if fits and found.one_sided <= one_sided * found.tests:
                    return found
    if window is not None and plans:
        return plans[0]
    unit = "steps" if steps else "days"
    best = max(plans, key=lambda found: (found.rows, -found.one_sided), default=None)
    thin = "" if best is None else f" With windows of {best.window} the smallest would have {best.rows:,} rows."
    raise InvalidInput(
        f"The table covers {int(days.max() - days.min()) + 1:,} {unit} with {len(days):,} rows. That gives no "
        f"{FEWEST_TESTS} test windows after a first training set that each have enough rows and both answers.{thin}",
        "Give a table of more time or without holes in it, a shorter --label-delay, or a --window of your own.",
    )


def _fits_holes(found: WindowPlan, without: bool) -> bool:
    return not found.empty if without else 0 < len(found.empty) <= MOST_EMPTY * found.tests


def _planned(days: npt.NDArray[np.int64], answer: Floats, window: str, delay: int) -> WindowPlan | None:
    known = np.isfinite(answer)
    starts, index = _windows(days, window)
    if starts is None or index is None or len(starts) > 2_000:
        return None
    rows = np.bincount(index, minlength=len(starts))
    first, last = 0, len(starts) - 1
    usual = np.median(rows[rows > 0])
    # A window that the table enters or leaves half-way would be judged on a part of it.
    first += int(rows[first] < usual / 2)
    last -= int(rows[last] < usual / 2)
    length = _DAYS[window] if window in _DAYS else int(window.partition(" ")[0])
    begin = first + max(1, (last - first + 1) // 4) + delay // length
    begin = max(begin, last - MOST_TESTS + 1)
    if begin > last:
        return None
    begin += int(np.argmax(rows[begin : last + 1] > 0))
    full, empty = (begin + np.flatnonzero((rows[begin : last + 1] > 0) == there) for there in (True, False))
    tests = len(full)
    if tests < FEWEST_TESTS:
        return None
    smallest, one_sided = int(rows[full].min()), 0
    if set(np.unique(answer[known])) <= {0.0, 1.0}:
        yes = np.bincount(index[known], weights=answer[known], minlength=len(starts))[full]
        all_known = np.bincount(index[known], minlength=len(starts))[full]
        one_sided = int(((yes == 0) | (yes == all_known)).sum())
    sealed = 2 if tests >= 10 else 1
    distinct = pd.Series(days).groupby(index).nunique().median()
    return WindowPlan(
        window,
        starts[begin],
        starts[last],
        tuple(starts[number] for number in full[-sealed:]),
        tests,
        smallest,
        int(distinct),
        one_sided,
        tuple(starts[number] for number in empty),
    )


def _windows(
    days: npt.NDArray[np.int64], window: str
) -> tuple[list[dt.date | int] | None, npt.NDArray[np.int64] | None]:
    """The first day of every window from the first row to the last, and the window of each row."""
    if window in _PERIODS:
        dates = pd.to_datetime(pd.Series(days), unit="D")
        periods = dates.dt.to_period(_PERIODS[window])
        ordinals = periods.astype("int64").to_numpy()
        span = pd.period_range(periods.min(), periods.max(), freq=_PERIODS[window])
        return [period.start_time.date() for period in span], ordinals - ordinals.min()
    from tallystick.pipeline.config.durations import parse_span

    span_ = parse_span(window)
    if span_.months or span_.micros % 86_400_000_000 or not span_.micros:
        return None, None
    length = span_.micros // 86_400_000_000
    index = (days - days.min()) // length
    begins = [int(days.min() + length * number) for number in range(int(index.max()) + 1)]
    if span_.in_steps:
        return list(begins), index
    return [dt.date(1970, 1, 1) + dt.timedelta(days=begin) for begin in begins], index
