"""Quarters, ISO weeks and months that a table writes as text: read as the start of the period, or refused."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events.commit import from_micros
from tallystick.pipeline.begin.new import new
from tallystick.pipeline.config.windows import all_windows, sealed_windows
from tallystick.pipeline.data.timestamps import utc_micros
from tallystick.pipeline.runs.check_data import check_data


def read_times(*texts: str | None, timezone: str = "UTC") -> list[dt.datetime | None]:
    column = pa.chunked_array([pa.array(texts, pa.string())])
    micros = utc_micros(column, name="period", timezone=timezone, ambiguous="refuse").to_pylist()
    return [None if one is None else from_micros(one).astimezone(ZoneInfo(timezone)) for one in micros]


def day(*parts: int, timezone: str = "UTC") -> dt.datetime:
    return dt.datetime(*parts, tzinfo=ZoneInfo(timezone))  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("1974Q1", (1974, 1, 1)), ("1974-Q4", (1974, 10, 1)), ("1974 q2", (1974, 4, 1)),
        ("2018-W31", (2018, 7, 30)), ("2018W31", (2018, 7, 30)), ("2020-W53", (2020, 12, 28)),
        ("2019W1", (2018, 12, 31)),
        ("2013M04", (2013, 4, 1)), ("2013-M12", (2013, 12, 1)), ("2013m4", (2013, 4, 1)),
    ],
)  # fmt: skip
def test_a_period_is_read_as_its_first_moment_where_the_pipeline_is(text: str, first: tuple[int, int, int]) -> None:
    for timezone in ("UTC", "Europe/Berlin", "America/New_York"):
        assert read_times(text, None, timezone=timezone) == [day(*first, timezone=timezone), None]


def test_a_month_that_begins_when_clocks_are_put_forward_begins_at_the_first_moment_that_exists() -> None:
    # Asuncion skipped the first hour of 1 October 2023; a wall-clock time of 00:00 would be refused.
    assert read_times("2023M10", timezone="America/Asuncion") == [day(2023, 10, 1, 1, timezone="America/Asuncion")]


@given(st.dates(dt.date(1900, 1, 1), dt.date(2100, 12, 31)))
def test_every_week_and_quarter_agrees_with_the_calendar(one: dt.date) -> None:
    week, quarter = read_times(f"{one:%G-W%V}")[0], read_times(f"{one.year}Q{(one.month + 2) // 3}")[0]
    assert week is not None and quarter is not None
    assert week.date() == one - dt.timedelta(days=one.weekday())
    assert quarter.date() == dt.date(one.year, (one.month - 1) // 3 * 3 + 1, 1)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["1974Q1", "1974M02"], "1 quarter (for example '1974Q1')"),
        (["1974Q1", "1974-04-01"], "1 no period (for example '1974-04-01')"),
        (["2018-W31", "2018-W54"], "1 no period (for example '2018-W54')"),
        (["2019-W52", "2019-W53"], "1 no period (for example '2019-W53')"),
    ],
)
def test_what_is_no_single_kind_of_period_is_refused_with_counts(texts: list[str], said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_times(*texts)
    assert said in str(refused.value)


def test_other_spellings_are_refused_and_the_hint_helps() -> None:
    with pytest.raises(InvalidInput) as refused:
        read_times("Q3 2018", "Q4 2018")
    spelling = refused.value.hint.partition("written as ")[2].partition(" or ")[0]
    assert read_times(spelling) == [day(2018, 7, 1)]


def panel(periods: list[str], per_period: int = 40, seed: int = 0) -> pd.DataFrame:
    """A number by shop and period."""
    chance = np.random.default_rng(seed)
    rows = len(periods) * per_period
    size = chance.normal(0, 1, rows)
    return pd.DataFrame(
        {
            "quarter": np.repeat(periods, per_period),
            "shop_no": np.tile(np.arange(per_period), len(periods)),
            "size": size,
            "sold": 10 + 2 * size + chance.normal(0, 1, rows),
        }
    )


@pytest.mark.parametrize(
    ("periods", "window", "last", "delay"),
    [
        ([f"{year}Q{quarter}" for year in range(2010, 2016) for quarter in range(1, 5)], "3 months", "2015-Q4", "92d"),
        ([f"{year}-W{week:02}" for year in (2017, 2018) for week in range(1, 53, 1)], "1 month", None, "7d"),
        ([f"{year}M{month:02}" for year in (2012, 2013) for month in range(1, 13)], "1 month", "2013-12", "31d"),
    ],
)
def test_a_new_file_finds_periods_and_says_how_they_are_read(
    periods: list[str], window: str, last: str | None, delay: str, tmp_path: Path
) -> None:
    loaded = new(panel(periods), tmp_path / "shops.toml", target="sold", owner="ann")
    time = loaded.settings.time
    assert (time.column, time.window, time.label_delay, time.unit) == ("quarter", window, delay, "calendar")
    assert last is None or sealed_windows(time)[-1].label == last
    assert "is read as the first moment of a" in (tmp_path / "shops.toml").read_text()
    assert not check_data(loaded, candidates=False)[1]


def test_holes_are_proposed_as_empty_windows_and_count_as_unconfirmed(tmp_path: Path) -> None:
    months = [f"{year}M{month:02}" for year in (2012, 2013) for month in range(1, 13)]
    for missing in ("2013M05", "2013M06", "2013M12"):
        months.remove(missing)
    loaded = new(panel(months), tmp_path / "shops.toml", target="sold", owner="ann", window="1 month")
    time = loaded.settings.time
    assert sorted(time.skipped) == ["2013-05", "2013-06"]
    assert loaded.settings.proposed is not None and "time.empty_windows" in loaded.settings.proposed.settings
    assert "2013-05" not in [window.label for window in all_windows(time)]
    assert sealed_windows(time)[-1].label == "2013-11"
    assert not check_data(loaded, candidates=False)[1]


def test_a_hole_before_the_sealed_windows_seals_windows_with_rows(tmp_path: Path) -> None:
    months = [f"{year}M{month:02}" for year in (2012, 2013) for month in range(1, 13) if (year, month) != (2013, 11)]
    loaded = new(panel(months), tmp_path / "shops.toml", target="sold", owner="ann", window="1 month")
    assert [window.label for window in sealed_windows(loaded.settings.time)] == ["2013-10", "2013-12"]
    assert not check_data(loaded, candidates=False)[1]


def test_without_holes_nothing_is_declared_empty(tmp_path: Path) -> None:
    months = [f"{year}M{month:02}" for year in (2012, 2013) for month in range(1, 13)]
    loaded = new(panel(months), tmp_path / "shops.toml", target="sold", owner="ann", window="1 month")
    assert not loaded.settings.time.skipped
    assert loaded.settings.proposed is not None
    assert "time.empty_windows" not in loaded.settings.proposed.settings


def test_steps_with_holes_are_declared_by_their_numbers(tmp_path: Path) -> None:
    frame = panel([f"x{n}" for n in range(60)]).assign(day=np.repeat(np.arange(60), 40)).drop(columns="quarter")
    frame = frame[~frame["day"].isin([40, 41])]
    loaded = new(
        frame, tmp_path / "shops.toml", target="sold", owner="ann", time="day", window="1 step", label_delay="1 step"
    )
    assert sorted(loaded.settings.time.skipped) == ["40", "41"]
    assert not check_data(loaded, candidates=False)[1]
