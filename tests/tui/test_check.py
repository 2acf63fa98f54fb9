"""The page that `tally check` prints: everything that the file decides, for somebody who reads no code."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import msgspec
from given import FIXTURES
from hypothesis import example, given
from hypothesis import strategies as st
from shell import tally

from tallystick.pipeline.config.load import read
from tallystick.pipeline.config.settings import Final, Rolling, Time
from tallystick.pipeline.config.timeline import COLUMNS, SEALED, TEST, TRAIN, VALID, WAIT, timeline


def test_the_page_says_what_the_file_says(tmp_path: Path) -> None:
    answer = tally(tmp_path, "check", str(FIXTURES / "late-arrivals.toml"), COLUMNS="100")
    assert answer.code == 0
    told = " ".join(answer.out.split())
    settings = read(FIXTURES / "late-arrivals.toml").settings
    reasons = [settings.data.why, settings.time.why, settings.time.final.why, settings.selection.why]
    reasons += [settings.validity.why, settings.automation.why, settings.monitoring.why]
    reasons += [item.why for item in settings.candidates.values()]
    reasons += [item.why for item in settings.data.drop_rows]
    gates = [getattr(settings.gates, field.name) for field in msgspec.structs.fields(settings.gates)]
    reasons += [gate.why for gate in gates if gate is not None]
    for expected in (
        settings.questions.decision,
        settings.questions.cost_of_wrong,
        "late: arr_delay > 15",
        "3 hours before time_hour",
        "dep_time, dep_delay, arr_time, air_time",
        "7 windows of 1 month",
        "2013-11, 2013-12: shut until promotion, 1 look",
        "Predictions later than 62 days after the last label used",
        "A promotion while a gate does not hold",
        *settings.data.features.known_at,
        *settings.candidates,
        *reasons,
    ):
        assert expected in told, expected
    assert max(map(len, answer.out.splitlines())) <= 100
    assert not list(tmp_path.iterdir())


def test_the_json_is_one_document(tmp_path: Path) -> None:
    found = tally(tmp_path, "check", str(FIXTURES / "late-arrivals.toml"), "--json").json
    assert found["schema"] == "tally.check/1"
    assert found["sealed"] == ["2013-11", "2013-12"]


@example(windows=1, days=1, delay=0, gap=0, valid=356, rolling=None, sealed=0)
@given(
    windows=st.integers(1, 60),
    days=st.integers(1, 90),
    delay=st.integers(0, 60),
    gap=st.integers(0, 60),
    valid=st.integers(1, 400),
    rolling=st.none() | st.integers(1, 400),
    sealed=st.integers(0, 3),
)
def test_in_every_line_training_comes_before_the_wait_and_the_wait_before_the_test(
    windows: int, days: int, delay: int, gap: int, valid: int, rolling: int | None, sealed: int
) -> None:
    first = dt.date(2013, 1, 1)
    starts = [first + dt.timedelta(days=days * index) for index in range(windows)]
    shut = [day.isoformat() for day in starts[windows - min(sealed, windows) :]]
    time = Time(
        column="t", timezone="Europe/Berlin", window=f"{days} days", first_test=first, last_test=starts[-1],
        train=Rolling(rolling=f"{rolling} days") if rolling else "expanding", gap=f"{gap}d", label_delay=f"{delay}d",
        refit="every window", final=Final(test=shut, looks=1, why="w"), why="w",
    )  # fmt: skip
    lines = timeline(time, f"{valid} days")[1:]
    assert len(lines) <= 26
    for line in lines[:-1]:
        label, _, drawn = line.partition("  ")
        if label.strip() == "…":
            continue
        marks = drawn.replace(" ", "").replace("«", TRAIN)
        assert len(drawn) <= COLUMNS + 10
        order = [TRAIN, WAIT, SEALED if label.strip() in shut else TEST]
        assert list(marks) == sorted(marks, key=order.index)
        assert order[2] in marks
    assert lines[-1].endswith(VALID)
