"""Windows in time: calendar periods in a zone, and never a label from the future."""

from __future__ import annotations

import datetime as dt
import itertools
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from orders import file_for

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events.commit import from_micros
from tallystick.pipeline.config.load import LoadedPipeline, read
from tallystick.pipeline.config.settings import Final, Rolling, Time
from tallystick.pipeline.config.windows import (
    all_windows,
    development_windows,
    midnight,
    period_window,
    periods_between,
    sealed_windows,
    window_said,
)

DAY = 86_400_000_000


def times(**changes: object) -> Time:
    settings: dict[str, object] = {
        "column": "t",
        "timezone": "America/New_York",
        "window": "1 month",
        "first_test": dt.date(2013, 4, 1),
        "last_test": dt.date(2013, 12, 1),
        "train": "expanding",
        "gap": "0d",
        "label_delay": "1d",
        "refit": "every window",
        "final": Final(test=["2013-11", "2013-12"], looks=1, why="one honest answer"),
        "why": "monthly",
    }
    return Time(**{**settings, **changes})  # type: ignore[arg-type]


def test_months_begin_at_local_midnight() -> None:
    windows = all_windows(times())
    assert [window.label for window in windows] == [f"2013-{month:02d}" for month in range(4, 13)]
    first, last = windows[0], windows[-1]
    assert from_micros(first.start).isoformat() == "2013-04-01T04:00:00+00:00"  # summer time
    assert from_micros(last.end).isoformat() == "2014-01-01T05:00:00+00:00"  # winter time
    november = windows[7]
    assert november.end - november.start == 30 * DAY + DAY // 24  # the clocks go back in it


def test_sealed_windows_are_kept_apart() -> None:
    assert [window.label for window in sealed_windows(times())] == ["2013-11", "2013-12"]
    assert len(development_windows(times())) == 7


def test_gap_and_rolling_training_move_the_cut_off_and_the_beginning() -> None:
    (window, *_) = all_windows(times(gap="2 weeks", train=Rolling(rolling="2 months")))
    assert window.start - window.cutoff == 14 * DAY
    assert (
        from_micros(window.cutoff).astimezone(ZoneInfo("America/New_York")).isoformat() == "2013-03-18T00:00:00-04:00"
    )
    assert window.train_start is not None
    local = from_micros(window.train_start).astimezone(ZoneInfo("America/New_York"))
    assert local.isoformat() == "2013-01-18T00:00:00-05:00"


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        ("America/New_York", dt.date(2013, 3, 10), "2013-03-10T05:00:00+00:00"),
        ("Europe/London", dt.date(2013, 10, 27), "2013-10-26T23:00:00+00:00"),
        # Midnight did not exist: the clocks went from 23:59:59 to 01:00.
        ("America/Sao_Paulo", dt.date(2018, 11, 4), "2018-11-04T03:00:00+00:00"),
        ("Asia/Beirut", dt.date(2013, 3, 31), "2013-03-30T22:00:00+00:00"),
        # Midnight came twice: the day begins at the first.
        ("America/Havana", dt.date(2013, 11, 3), "2013-11-03T04:00:00+00:00"),
        ("Australia/Lord_Howe", dt.date(2013, 4, 7), "2013-04-06T13:00:00+00:00"),
        # A whole day did not exist.
        ("Pacific/Apia", dt.date(2011, 12, 30), "2011-12-30T10:00:00+00:00"),
        ("UTC", dt.date(2016, 2, 29), "2016-02-29T00:00:00+00:00"),
    ],
)
def test_a_day_begins_at_the_first_moment_that_exists(zone: str, day: dt.date, expected: str) -> None:
    assert from_micros(midnight(day, ZoneInfo(zone))).isoformat() == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"window": "999999 months"},
        {"window": "999999 weeks"},
        {"gap": "999999 weeks"},
        {"train": Rolling(rolling="999999 weeks")},
        {"train": Rolling(rolling="2013 years")},
        {"first_test": dt.date(1, 1, 1), "last_test": dt.date(1, 2, 1), "timezone": "Asia/Kathmandu"},
        {"first_test": dt.date(9999, 12, 1), "last_test": dt.date(9999, 12, 1)},
    ],
)
def test_windows_outside_the_calendar_are_refused_in_words(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="outside the years 1 to 9999"):
        all_windows(times(**changes))


ZONES = st.sampled_from(
    ["UTC", "America/New_York", "Europe/London", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kathmandu"]
)
STEPS = st.sampled_from(["1 day", "3 days", "1 week", "1 month", "2 months", "1 year"])


@given(ZONES, STEPS, st.integers(1990, 2035), st.integers(1, 12), st.integers(0, 200), st.integers(0, 40))
def test_windows_follow_each_other_without_gap_or_overlap(
    zone: str, step: str, year: int, month: int, length_days: int, gap_days: int
) -> None:
    first = dt.date(year, month, 1)
    last = (first + dt.timedelta(days=length_days)).replace(day=1)
    made = all_windows(
        times(timezone=zone, window=step, first_test=first, last_test=last, gap=f"{gap_days}d",
              final=Final(test=[], looks=1, why="none"))
    )  # fmt: skip
    assert made[0].start == midnight(first, ZoneInfo(zone))
    for before, after in itertools.pairwise(made):
        assert before.start < before.end == after.start
    assert len({window.label for window in made}) == len(made)
    assert all(window.cutoff == window.start - gap_days * DAY for window in made)


@given(st.lists(st.integers(0, 400), min_size=1, max_size=60), st.integers(0, 30), st.integers(0, 30), st.booleans())
def test_nothing_that_was_known_later_is_trained_on(days: list[int], delay: int, gap: int, rolling: bool) -> None:
    start = midnight(dt.date(2013, 1, 1), ZoneInfo("America/New_York"))
    time = np.array([start + day * DAY for day in days], dtype=np.int64)
    known = time + delay * DAY
    train = Rolling(rolling="60 days") if rolling else "expanding"
    for window in all_windows(times(gap=f"{gap}d", train=train)):
        trains, tests = window.train_rows(time, known), window.test_rows(time)
        assert not (trains & tests).any()
        assert (time[trains] < window.start - gap * DAY + 1).all()
        assert (known[trains] <= window.cutoff).all()
        assert ((time[tests] >= window.start) & (time[tests] < window.end)).all()
        if rolling:
            assert (time[trains] >= window.cutoff - 60 * DAY).all()
        # Whatever is left out was too late, too old, or not known in time.
        left = ~trains & (time < window.cutoff)
        assert all(
            known[i] > window.cutoff or (window.train_start is not None and time[i] < window.train_start)
            for i in np.flatnonzero(left)
        )


# Quarters and weeks -----------------------------------------------------------------------------------------

JANUARY = dt.date(2018, 1, 1)


def written_as(folder: Path, window: str, first: str, last: str, final: str = "") -> LoadedPipeline:
    """The orders' file with windows of some length, the first and last one as they are written."""
    return read(
        file_for(
            folder,
            **{
                'window = "1 month"': f'window = "{window}"',
                "first_test = 2024-03-01": f"first_test = {first}",
                "last_test = 2024-07-01": f"last_test = {last}",
                "test = []": f"test = [{final}]",
                '"3 of 5 windows"': '"every window"',
                'every = "1 month"': f'every = "{window}"',
            },
        )
    )


@pytest.mark.parametrize(
    ("window", "first", "last", "labels"),
    [
        ("3 months", '"2017-Q3"', '"2018-Q2"', ["2017-Q3", "2017-Q4", "2018-Q1", "2018-Q2"]),
        ("3 months", "2017-07-01", "2018-04-01", ["2017-07-01", "2017-10-01", "2018-01-01", "2018-04-01"]),
        ("1 week", '"2020-W52"', '"2021-W02"', ["2020-W52", "2020-W53", "2021-W01", "2021-W02"]),
        ("7 days", '"2020-W52"', "2021-01-11", ["2020-W52", "2020-W53", "2021-W01", "2021-W02"]),
        ("1 month", '"2017-11"', '"2018-02"', ["2017-11", "2017-12", "2018-01", "2018-02"]),
    ],
)
def test_windows_are_named_as_the_file_writes_the_first(
    tmp_path: Path, window: str, first: str, last: str, labels: list[str]
) -> None:
    time = written_as(tmp_path, window, first, last).settings.time
    found = all_windows(time)
    assert [item.label for item in found] == labels
    assert [one.end for one in found[:-1]] == [one.start for one in found[1:]]
    assert [period_window(time, label) for label in labels] == found
    assert periods_between(time, labels[0], labels[-1]) == found


@pytest.mark.parametrize("sealed", ["2018-Q2", "2018-04-01"])
@pytest.mark.parametrize("notation", [('"2017-Q3"', '"2018-Q2"'), ("2017-07-01", "2018-04-01")])
def test_a_sealed_quarter_is_understood_in_both_spellings(
    tmp_path: Path, notation: tuple[str, str], sealed: str
) -> None:
    time = written_as(tmp_path, "3 months", *notation, f'"{sealed}"').settings.time
    assert len(sealed_windows(time)) == 1
    assert period_window(time, "2018-Q2") == period_window(time, "2018-04-01") == sealed_windows(time)[0]


def test_a_file_with_dates_means_what_it_always_meant(tmp_path: Path) -> None:
    """Names of windows that came later are no part of a configuration without them."""
    by_date = written_as(tmp_path, "3 months", "2017-07-01", "2018-04-01")
    assert "labels" not in by_date.meaning["time"]
    assert "time.labels" not in by_date.defaulted
    by_quarter = written_as(tmp_path, "3 months", '"2017-Q3"', '"2018-Q2"')
    assert by_quarter.meaning["time"] == {**by_date.meaning["time"], "labels": "quarter"}


@pytest.mark.parametrize(
    ("window", "label", "words"),
    [
        ("3 months", "2018-Q3", "the quarter from July 2018"),
        ("3 months", "2018-07-01", "the quarter from July 2018"),
        ("3 months", "2018-02-01", "the quarter from February 2018"),
        ("1 week", "2018-W31", "the week from 30 July 2018"),
        ("10 days", "2018-07-30", "the 10 days from 30 July 2018"),
        ("1 year", "2018-07-01", "the year from July 2018"),
        ("1 month", "2018-07", "2018-07"),
        ("1 day", "2018-07-30", "2018-07-30"),
    ],
)
def test_windows_in_words(window: str, label: str, words: str) -> None:
    made = times(window=window, first_test=JANUARY, last_test=JANUARY)
    assert window_said(made, label) == words


@pytest.mark.parametrize("label", ["2017-Q5", "2017-W54", "2017-W60", "2017-q3", "2017-Q3 ", "17-Q3", "2017-Q30"])
def test_what_is_no_quarter_or_week_is_refused(tmp_path: Path, label: str) -> None:
    with pytest.raises(InvalidInput):
        written_as(tmp_path, "3 months", f'"{label}"', '"2018-Q2"')
    made = times(window="3 months", first_test=JANUARY, last_test=JANUARY)
    with pytest.raises(InvalidInput, match="is not a period of 3 months"):
        period_window(made, label)
