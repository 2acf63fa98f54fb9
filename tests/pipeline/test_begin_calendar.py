"""The windows that a table can be judged on."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from tallystick.ledger.errors import InvalidInput
from tallystick.pipeline.begin.calendar import MOST_TESTS, plan

FIRST = (dt.date(2020, 1, 1) - dt.date(1970, 1, 1)).days


def answers(rows: int, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random(rows) < 0.5).astype(np.float64)


def test_two_years_are_judged_by_month_after_half_a_year_of_training() -> None:
    days = FIRST + np.arange(731).repeat(10)
    found = plan(days, answers(len(days)), steps=False, delay=0, window=None)
    assert (found.window, found.first_test, found.last_test) == ("1 month", dt.date(2020, 7, 1), dt.date(2021, 12, 1))
    assert found.sealed == (dt.date(2021, 11, 1), dt.date(2021, 12, 1))
    assert (found.tests, found.rows, found.one_sided) == (18, 280, 0)
    later = plan(days, answers(len(days)), steps=False, delay=62, window=None)
    assert later.first_test == dt.date(2020, 9, 1), "an answer that is known two months later costs two windows"


def test_a_month_that_the_table_enters_half_way_is_no_window() -> None:
    days = FIRST + 20 + np.arange(700).repeat(10)
    found = plan(days, answers(len(days)), steps=False, delay=0, window="1 month")
    assert found.last_test == dt.date(2021, 12, 1)
    cut_off = plan(
        days[days < FIRST + 700], answers(int((days < FIRST + 700).sum())), steps=False, delay=0, window=None
    )
    assert cut_off.last_test == dt.date(2021, 11, 1)


def test_old_windows_are_for_training() -> None:
    days = FIRST - 7_000 + np.arange(7_000).repeat(4)
    found = plan(days, answers(len(days)), steps=False, delay=0, window="1 month")
    assert found.tests == MOST_TESTS
    assert isinstance(found.first_test, dt.date)
    assert found.first_test.year >= 2016


def test_windows_with_one_answer_are_avoided_and_else_counted() -> None:
    days = FIRST + np.arange(1_461)
    month = np.array([(dt.date(1970, 1, 1) + dt.timedelta(days=int(day))).month for day in days])
    august = plan(days, np.where(month == 8, 0.0, answers(len(days))), steps=False, delay=0, window=None)
    assert (august.window, august.one_sided) == ("3 months", 0)
    summer = np.where((month >= 7) & (month <= 9), 0.0, answers(len(days)))
    found = plan(days, summer, steps=False, delay=0, window=None)
    assert (found.window, found.one_sided) == ("1 month", 9)


def test_steps_and_lengths_of_ones_own() -> None:
    days = np.arange(200).repeat(40)
    found = plan(days, answers(len(days)), steps=True, delay=0, window=None)
    assert found.window == "7 steps"
    assert plan(days, answers(len(days)), steps=True, delay=0, window="20 steps").first_test == 40


def test_a_table_that_is_too_short_says_what_it_has() -> None:
    days = FIRST + np.arange(3).repeat(100)
    with pytest.raises(InvalidInput, match="covers 3 days with 300 rows") as caught:
        plan(days, answers(300), steps=False, delay=0, window=None)
    assert "--window" in caught.value.hint
