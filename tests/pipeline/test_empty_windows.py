"""Windows without any row: declared ones are skipped and shown, all others are refused with the line to write."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from given import Ticking
from orders import STEPS, by_step, file_for, orders
from shell import tally
from tiny import done, promoted, silent

from tallystick import ledger
from tallystick.ledger.errors import InvalidInput
from tallystick.pipeline.config.load import ConfigurationError, read
from tallystick.pipeline.monitoring.monitor import Watched, monitor
from tallystick.pipeline.runs.check_data import check_data
from tallystick.pipeline.runs.reproduce import reproduce

SEPTEMBER = dt.datetime(2024, 9, 5, 12, tzinfo=dt.UTC)
WHY = "the shop was flooded"
WINDOWS = 'why = "orders are planned'
CLOSED = {WINDOWS: f'empty_windows = {{ skip = ["2024-05"], why = "{WHY}" }}\n{WINDOWS}', "3 of 5": "2 of 4"}
SENTENCE = f"No rows in May 2024, as declared: {WHY}."


def without(frame: pd.DataFrame, *months: str) -> pd.DataFrame:
    return frame[~frame["ordered_at"].dt.strftime("%Y-%m").isin(months)].reset_index(drop=True)


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ledger.Ledger]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    with ledger.create(tmp_path, timezone="Europe/Berlin", clock=Ticking(SEPTEMBER)) as made:
        yield made


def watch(book: ledger.Ledger, file: Path, label: str) -> Watched:
    return monitor(book, read(file), label)


def problems(file: Path) -> str:
    """What `tally check` finds in the data."""
    _, found = check_data(read(file), candidates=False)
    return " ".join(item.words for item in found)


def follow(file: Path, hint: str) -> None:
    """Write the line that a message says, with a reason, where it says."""
    line = re.search(r"empty_windows = \{.*?\}", hint)
    assert line is not None, hint
    text = file.read_text().replace("3 of 5", "2 of 4")
    assert "[time]\n" in text
    file.write_text(text.replace("[time]\n", f"[time]\n{line[0].replace('…', WHY)}\n"))


def test_a_hole_is_refused_by_check_and_run_and_the_line_they_print_helps(book: ledger.Ledger, tmp_path: Path) -> None:
    file = file_for(tmp_path, without(orders(), "2024-05"))
    assert "1 of 5 windows without any row, between others with rows: 2024-05." in problems(file)
    with pytest.raises(InvalidInput, match="between others with rows: 2024-05") as caught:
        done(book, file)
    assert not book.now().runs(), "something was recorded"
    assert caught.value.hint in problems(file)
    follow(file, caught.value.hint)
    assert problems(file) == ""
    assert [item.window.label for item in done(book, file).described] == ["2024-03", "2024-04", "2024-06", "2024-07"]


def test_a_second_hole_is_written_beside_the_first(tmp_path: Path) -> None:
    file = file_for(tmp_path, without(orders(), "2024-04", "2024-05"), **CLOSED)
    assert 'skip = ["2024-04", "2024-05"]' in problems(file)


def test_a_window_beyond_the_table_is_no_hole(tmp_path: Path) -> None:
    said = problems(file_for(tmp_path, orders(last="2024-06-30")))
    assert "1 window without any row: 2024-07. The table covers 2024-01-01 to 2024-06-30." in said
    assert "empty_windows" not in said


def test_rows_in_a_window_declared_empty_are_refused(book: ledger.Ledger, tmp_path: Path) -> None:
    file = file_for(tmp_path, orders(), **CLOSED)
    words = "2024-05 is declared empty in [time.empty_windows], and has 186 rows."
    assert words in problems(file)
    with pytest.raises(InvalidInput, match=re.escape(words)):
        done(book, file)


def test_every_page_shows_the_hole(book: ledger.Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLY_ALLOW_JUMP", "1")
    file = file_for(tmp_path, without(orders(), "2024-05"), **CLOSED)
    checked = tally(tmp_path, "check", file.name)
    assert checked.code == 0, checked.err
    assert f"no rows in 2024-05, as declared. Why: {WHY}" in checked.out
    assert "2024-05  (no rows, as declared)" in checked.out
    ran = tally(tmp_path, "run", file.name, "--labels-as-of", "2024-09-05", "--workers", "1")
    assert ran.code == 0, ran.err
    assert ran.out.count(SENTENCE) == 2, "not both before the run and beside its result"
    run = book.now().runs()[-1]
    assert run.windows == 4
    for shown in (ran, tally(tmp_path, "explain", run.run)):
        table = next(part for part in shown.out.split("\n\n") if "by window" in part)
        header = next(line for line in table.splitlines() if "trajectory" in line)
        assert header.split()[-5:] == ["03", "04", "05", "06", "07"], shown.out
        assert table.count("no rows") == 2, "not a line a candidate"
        assert SENTENCE in shown.out
    assert json.loads(tally(tmp_path, "explain", run.run, "--json").out)["empty_windows"] == ["2024-05"]
    assert reproduce(book, run.run, workers=1, on_progress=silent).body.verdict == "identical"


def test_a_period_declared_empty_is_no_alarm_and_its_neighbours_show_it(
    book: ledger.Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLY_ALLOW_JUMP", "1")
    live = {'compare_to = "same windows of the model\'s own back-test"':
            'compare_to = "same windows of the model\'s own back-test and live periods"'}  # fmt: skip
    file = file_for(tmp_path, without(orders(last="2024-07-31"), "2024-05"), **CLOSED, **live)
    promoted(book, done(book, file))
    text = file.read_text()
    without(orders(last="2024-09-04"), "2024-05").to_parquet(tmp_path / "orders.parquet", index=False)
    august = watch(book, file, "2024-08").body
    assert august.facts["empty_windows"] == ["2024-05"]
    plot = tally(tmp_path, "report", "returns", "--period", "2024-08", "--plot").out
    assert "No rows in 2024-05, as declared; a dot stands for them" in plot
    assert re.search(r"loss +..·..", plot), plot
    assert tally(tmp_path, "report", "returns", "--period", "2024-08", "--html", "page.html").code == 0
    assert "<title>2024-05: no rows, as declared</title>" in (tmp_path / "page.html").read_text()
    without(orders(last="2024-09-04"), "2024-05", "2024-08").to_parquet(tmp_path / "orders.parquet", index=False)
    assert watch(book, file, "2024-08").body.status == "alarm", "silence that nobody declared is no alarm"
    file.write_text(text.replace('skip = ["2024-05"]', 'skip = ["2024-05", "2024-08"]'))
    watched = watch(book, file, "2024-08").body
    assert (watched.status, watched.decision) == ("not judged", "nothing")
    assert watched.headline == f"No rows in August 2024, as declared: {WHY}."


def test_steps_and_weeks_have_holes_too(book: ledger.Ledger, tmp_path: Path) -> None:
    frame = by_step(orders(last="2024-07-28"))
    frame = frame[~frame["day"].between(90, 119)]
    file = file_for(tmp_path, frame, **STEPS)
    with pytest.raises(InvalidInput) as caught:
        done(book, file)
    follow(file, caught.value.hint)
    report = done(book, file)
    assert [item.window.label for item in report.described] == ["60", "120", "150", "180"]
    assert any(remark.startswith("No rows in steps 90 to 119, as declared:") for remark in report.remarks)


@pytest.mark.parametrize(
    ("skip", "words"),
    [
        ('["2024-03"]', "first_test is in a window that is declared empty"),
        ('["2024-07"]', "last_test is in a window that is declared empty"),
        ('["2024-02"]', "'2024-02' is neither one of the test windows nor a period after them"),
        ('["May"]', "'May' is not a period of 1 month"),
        ('["2024-05", "2024-05"]', "'2024-05' is listed twice"),
        ("[]", "empty_windows"),
    ],
)
def test_what_cannot_be_declared_empty_is_named(tmp_path: Path, skip: str, words: str) -> None:
    file = file_for(tmp_path, **CLOSED | {'skip = ["2024-05"]': f"skip = {skip}"})
    with pytest.raises(ConfigurationError) as caught:
        read(file)
    assert any(words in f"{item.path} {item.words}" for item in caught.value.mistakes), caught.value.mistakes


def test_a_file_without_holes_means_what_it_always_meant(tmp_path: Path) -> None:
    assert "empty_windows" not in read(file_for(tmp_path)).meaning["time"]
    assert read(file_for(tmp_path, **CLOSED)).meaning["time"]["empty_windows"] == {"skip": ["2024-05"]}
