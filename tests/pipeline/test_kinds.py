"""Other kinds of time, target and value than the example has: steps, minutes, unknown levels, gaps in the data."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from given import FIXTURES
from hypothesis import given
from hypothesis import strategies as st

from tallystick import ledger
from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events.commit import to_micros
from tallystick.pipeline.config.durations import STEP_MICROS
from tallystick.pipeline.config.load import ConfigurationError, read
from tallystick.pipeline.config.settings import Final, Rolling, Time
from tallystick.pipeline.config.windows import all_windows, development_windows
from tallystick.pipeline.data.slice import cut
from tallystick.pipeline.evaluate import backtest
from tallystick.pipeline.evaluate.backtest import Cell
from tallystick.pipeline.evaluate.fitting import Recipe
from tallystick.pipeline.runs.run import RunReport, run

FLIGHTS = "late-arrivals.parquet"
NUMBER = {
    ', rule = "> 15", positive = "late"': "",
    'metric     = "log_loss"': 'metric     = "absolute_error"',
    "sklearn.dummy:DummyClassifier": "sklearn.dummy:DummyRegressor",
    'strategy = "prior"': 'strategy = "median"',
    ', metric = "roc_auc"': "",
}
DAYS = {
    'key           = ["time_hour", "carrier", "flight", "origin"]': 'key = ["row"]',
    'column      = "time_hour"': 'column = "day"',
    '"America/New_York"': '"UTC"',
    "time_hour - ": "day - ",
    '"hour band"]': "]",
    ", ]": "]",
    'test  = ["2013-11", "2013-12"]': "test = []",
    re.search(r"final_test .*\n", (FIXTURES / "late-arrivals.toml").read_text())[0]: "",  # type: ignore[index]
}  # fmt: skip
STEPS = {
    **DAYS,
    "time_hour - 30d": "day - 30 steps",
    "time_hour - 3h": "day - 1 step",
    'window      = "1 month"': 'window = "30 steps"\nunit = "step"',
    "2013-04-01": "90",
    "2013-12-01": "210",
    '"0d"': '"0 steps"',
    '"1d"': '"1 step"',
    '"62 days"': '"62 steps"',
    'every      = "1 month"': 'every = "30 steps"',
}
DATES = {
    **DAYS,
    "time_hour - 3h": "day - 1d",
    'window      = "1 month"': 'window = "30 days"',
    'every      = "1 month"': 'every = "60 days"',
    "2013-12-01": "2013-07-30",
}


def written(folder: Path, flights: pd.DataFrame | None = None, texts: dict[str, str] | None = None) -> Path:
    """The sample's pipeline with the quickest of its trees; longest texts are replaced first."""
    text = (FIXTURES / "late-arrivals.toml").read_text()
    text = re.sub(r"\[candidates\.big_trees\].*?(?=\[selection\])", "", text, flags=re.DOTALL)
    text = re.sub(r"rows_expected = .*\n", "", text).replace("max_iter = 80", "max_iter = 20")
    for old, new in sorted((texts or {}).items(), key=lambda pair: -len(pair[0])):
        text = text.replace(old, new)
    folder.mkdir(exist_ok=True)
    (folder / "pipeline.toml").write_text(text)
    found = pd.read_parquet(FIXTURES / FLIGHTS) if flights is None else flights
    found.to_parquet(folder / FLIGHTS, index=False)
    return folder / "pipeline.toml"


def by_day(*, as_steps: bool) -> pd.DataFrame:
    flights = pd.read_parquet(FIXTURES / FLIGHTS)
    day = flights["time_hour"].dt.floor("D")
    steps = (day - pd.Timestamp("2013-01-01", tz="UTC")).dt.days
    return flights.assign(row=np.arange(len(flights)), day=steps if as_steps else day)


def done(folder: Path, path: Path) -> RunReport:
    with ledger.create(folder / "team", timezone="UTC") as book:
        return run(book, read(path), workers=2, on_outline=lambda _: None, on_progress=lambda *_: None)


def test_a_year_counted_in_steps_is_judged_as_the_same_year_in_dates(tmp_path: Path) -> None:
    steps = done(tmp_path / "a", written(tmp_path / "a", by_day(as_steps=True), STEPS))
    dates = done(tmp_path / "b", written(tmp_path / "b", by_day(as_steps=False), DATES))
    assert [item.window.label for item in steps.described] == ["90", "120", "150", "180", "210"]
    assert [item.train_rows for item in steps.described] == [item.train_rows for item in dates.described]
    for one, other in zip(steps.judged, dates.judged, strict=True):
        assert one.candidate == other.candidate
        assert np.allclose(one.predictions, other.predictions, atol=1e-12)
    assert steps.selection.chosen == dates.selection.chosen is not None
    assert [check.result for check in steps.checks] == [check.result for check in dates.checks]


@given(
    first=st.integers(-1000, 1000),
    length=st.integers(1, 40),
    windows=st.integers(1, 12),
    gap=st.integers(0, 50),
    delay=st.integers(0, 50),
    rolling=st.none() | st.integers(1, 200),
)
def test_steps_tile_time_and_never_train_on_a_later_label(
    first: int, length: int, windows: int, gap: int, delay: int, rolling: int | None
) -> None:
    time = Time(
        column="t", timezone="UTC", unit="step", window=f"{length} steps", first_test=first,
        last_test=first + length * (windows - 1), train=Rolling(rolling=f"{rolling} steps") if rolling else "expanding",
        gap=f"{gap} steps", label_delay=f"{delay} steps", refit="every window",
        final=Final(test=[], looks=1, why="w"), why="w",
    )  # fmt: skip
    made = all_windows(time)
    assert [window.label for window in made] == [str(first + length * index) for index in range(windows)]
    steps = np.arange(first - 300, first + length * windows + 10, dtype=np.int64)
    known = (steps + delay) * STEP_MICROS
    tested = np.zeros(len(steps), dtype=int)
    for index, window in enumerate(made):
        start = first + length * index
        test = window.test_rows(steps * STEP_MICROS)
        tested += test
        assert steps[test].tolist() == list(range(start, start + length))
        train = steps[window.train_rows(steps * STEP_MICROS, known)]
        oldest = start - gap - rolling if rolling else steps[0]
        assert train.tolist() == [
            step for step in steps if oldest <= step < start - gap and step + delay <= start - gap
        ]
    assert tested.max() == 1


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"30 steps"\n', '"30 days"\n', "time is counted in steps; write 7 steps"),
        ("first_test  = 90", "first_test = 2013-04-01", "whole numbers with unit"),
        ('unit = "step"', "", "both dates, or both whole numbers"),
        ('"UTC"', '"America/New_York"', "steps belong to no zone"),
        ("first_test  = 90", "first_test = 900_000_000", "steps between"),
        ("day - 1 step", "day - 1 hour", "time is counted in steps"),
        ('valid_for = "62 steps"', 'valid_for = "62 days"', "time is counted in steps"),
        ('"carrier"]', '"carrier", "hour band"]', "a step has no hours"),
    ],
)
def test_steps_and_dates_are_not_mixed(old: str, new: str, expected: str, tmp_path: Path) -> None:
    path = written(tmp_path, None, STEPS)
    read(path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigurationError, match=re.escape(expected)):
        read(path)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda day: day + 0.5, "not whole numbers"),
        (lambda day: day.where(day != 7), "rows have no time"),
        (lambda day: day * 1_000_000, "not whole numbers between"),
        (lambda day: pd.Timestamp("2013-01-01") + pd.to_timedelta(day, unit="D"), "the time is a whole number"),
    ],
)
def test_steps_that_are_none_are_refused(change: object, expected: str, tmp_path: Path) -> None:
    flights = by_day(as_steps=True)
    flights["day"] = change(flights["day"])  # type: ignore[operator]
    path = written(tmp_path, flights, STEPS)
    with pytest.raises(InvalidInput, match=expected):
        cut(read(path).settings, tmp_path, tmp_path)


def test_minutes_of_delay_are_judged_as_numbers(tmp_path: Path) -> None:
    report = done(tmp_path, written(tmp_path, None, NUMBER))
    assert {item.candidate for item in report.judged} == {"base_rate", "logistic", "small_trees"}
    for item in report.judged:
        assert set(item.metrics) == {"squared_error", "absolute_error", "calibration_in_large"}
        assert np.isfinite(item.predictions).all()
    flights = pd.read_parquet(FIXTURES / FLIGHTS).dropna(subset=["arr_delay"])
    may = flights[flights["time_hour"].dt.tz_convert("America/New_York").dt.month == 5]
    before = flights[
        (flights["time_hour"].dt.tz_convert("America/New_York") < pd.Timestamp("2013-05-01", tz="America/New_York"))
        & (flights["time_hour"] + pd.Timedelta(days=1) <= pd.Timestamp("2013-05-01", tz="America/New_York"))
    ]
    naive = float((may["arr_delay"] - before["arr_delay"].median()).abs().mean())
    (base,) = [item for item in report.judged if (item.label, item.candidate) == ("2013-05", "base_rate")]
    assert base.metrics["absolute_error"].value == pytest.approx(naive)
    assert all(check.result != "fail" for check in report.checks)


def test_unknown_levels_and_missing_values_are_counted_and_predicted(tmp_path: Path) -> None:
    flights = pd.read_parquet(FIXTURES / FLIGHTS)
    summer = flights["time_hour"] >= pd.Timestamp("2013-07-01", tz="America/New_York")
    flights.loc[summer & (flights["carrier"] == "UA"), "carrier"] = "ZZ"
    flights.loc[summer, "visib"] = np.nan
    flights.loc[summer & (flights["origin"] == "JFK"), "dest"] = None
    path = written(tmp_path, flights)
    settings = read(path).settings
    slice_ = cut(settings, tmp_path, tmp_path)
    july = development_windows(settings.time)[3]
    plan = backtest.make_plan(settings, slice_, july, as_of=to_micros(dt.datetime.now(dt.UTC)))
    described = backtest.describe(plan, july)
    rows = flights.dropna(subset=["arr_delay"])
    month = rows["time_hour"].dt.tz_convert("America/New_York").dt.month == 7
    assert described.test_rows == int(month.sum())
    assert described.new_levels["carrier"] == pytest.approx(float((rows[month]["carrier"] == "ZZ").mean()))
    assert described.missing["visib"] == 1.0
    assert described.missing["dest"] == pytest.approx(float((rows[month]["origin"] == "JFK").mean()))
    for name in ("logistic", "small_trees"):
        item = settings.candidates[name]
        recipe = Recipe(name, item.estimator, dict(item.params), item.complexity, slice_.features, plan.task)
        predicted = backtest.judge(plan, Cell(july, recipe)).predictions
        assert np.isfinite(predicted).all()
        assert ((predicted > 0) & (predicted < 1)).all()


def test_the_hours_of_a_changed_clock_belong_to_exactly_one_window(tmp_path: Path) -> None:
    """Weekly windows over both changes of 2013 in New York: no flight is tested twice, none is lost."""
    texts = {
        'window      = "1 month"': 'window = "1 week"',
        'every      = "1 month"': 'every = "1 week"',
        "2013-04-01": "2013-02-24",
        "2013-12-01": "2013-11-24",
        'test  = ["2013-11", "2013-12"]': 'test = ["2013-11-24"]',
    }
    path = written(tmp_path, None, texts)
    settings = read(path).settings
    windows = all_windows(settings.time)
    hours = {(window.end - window.start) // 3_600_000_000 for window in windows}
    assert hours == {167, 168, 169}
    cut(settings, tmp_path, tmp_path)
    flights = pd.read_parquet(FIXTURES / FLIGHTS)
    times = flights["time_hour"].astype("int64").to_numpy()
    tested = sum(window.test_rows(times).astype(int) for window in windows)
    local = flights["time_hour"].dt.tz_convert("America/New_York")
    begin, end = pd.Timestamp("2013-02-24", tz="America/New_York"), pd.Timestamp("2013-12-01", tz="America/New_York")
    assert tested.tolist() == ((local >= begin) & (local < end)).astype(int).tolist()
