"""A run done again: in another process, with other workers, with other data, without its data."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shell import tally
from tiny import done, silent, table, tiny

from tallystick import ledger
from tallystick.ledger.errors import NotFound
from tallystick.ledger.events.commit import to_micros
from tallystick.pipeline.config.load import read
from tallystick.pipeline.data.slice import cut
from tallystick.pipeline.runs.reproduce import REFIT, CandidateDifference, Found, Reproduced, reproduce
from tallystick.pipeline.runs.run import _Running
from tallystick.pipeline.runs.start import begin


@pytest.fixture(scope="module")
def run_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder with a finished run, and its name; copied by whoever changes it."""
    folder = tmp_path_factory.mktemp("reproduce")
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    patch.setenv("XDG_STATE_HOME", str(folder / "state"))
    (folder / "team").mkdir()
    patch.chdir(folder / "team")
    with ledger.create(folder / "team", timezone="America/New_York") as book:
        report = done(book, tiny(folder / "team"))
    patch.undo()
    yield folder, report.outline.run


@pytest.fixture
def team(run_once: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder, _ = run_once
    shutil.copytree(folder, tmp_path / "copy")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "copy" / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "copy" / "state"))
    return tmp_path / "copy" / "team"


def again(team: Path, workers: int = 1, data: Path | None = None) -> Reproduced:
    with ledger.open(team) as book:
        run = book.now().runs()[0].run
        return reproduce(book, run, workers=workers, data=data, on_progress=silent)


def changed(column: str, month: int, by: float, which: int = 3) -> pa.Table:
    """The table with one value of one row in a month of 2013 moved."""
    whole = table()
    frame = whole.to_pandas()
    rows = frame.index[(frame["time_hour"].dt.month == month) & frame[column].notna() & frame["arr_delay"].notna()]
    frame.loc[rows[which], column] += by
    return pa.Table.from_pandas(frame, schema=whole.schema, preserve_index=False)


def test_it_is_identical_in_a_new_process_and_with_other_workers(team: Path) -> None:
    answer = tally(team, "reproduce", "2", "--workers", "2", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["verdict"] == "identical"
    assert (answer.json["largest_difference"], answer.json["changed_decisions"]) == (0.0, 0)
    assert answer.json["facts"]["environment"] == []
    with ledger.open(team) as book:
        now = book.now()
        assert now.runs()[0].reproduced == "identical"
        assert now.runs()[0].result_hash == answer.json["result_hash"]
        assert [item.workers for item in now.reproductions()] == [2]
    told = tally(team, "story", f"run:{answer.json['run']['name']}").out
    assert "done again: identical: All 6 predictions of 3 windows are the same to the last bit." in " ".join(
        told.split()
    )


def test_one_changed_row_is_different_and_names_its_window_and_column(team: Path) -> None:
    tiny(team, changed("temp", 9, 1.0))
    answer = tally(team, "reproduce", "2", "--workers", "1", "--json")
    assert answer.code == 1, answer.err
    found = answer.json
    assert (found["verdict"], found["first_window"], found["first_candidate"]) == ("different", "2013-09", None)
    assert found["sentence"].startswith("The data of window 2013-09 is not what it was: test rows changed in temp")
    assert found["facts"]["columns"] == ["temp"]
    assert list(found["facts"]["data"]) == ["2013-09", "2013-10"]
    assert found["largest_difference"] > 0


def test_a_changed_row_before_all_windows_is_found_in_the_first_ones_training_rows(team: Path) -> None:
    tiny(team, changed("temp", 2, 1.0))
    found = again(team).body
    assert (found.verdict, found.first_window) == ("different", "2013-08")
    assert "training rows changed" in found.sentence


def test_a_row_beyond_the_windows_shows_in_the_refitted_model(team: Path) -> None:
    tiny(team, changed("distance", 12, 500.0))
    found = again(team)
    assert (found.body.verdict, found.body.first_window, found.body.first_candidate) == ("different", REFIT, "logistic")
    assert "outside the windows" in found.remarks[0]


def test_without_the_data_it_says_where_it_looked_and_how_to_help(team: Path, tmp_path: Path) -> None:
    (team / "late-arrivals.parquet").unlink()
    answer = tally(team, "reproduce", "2")
    assert answer.code == 3, answer.err
    assert "cannot compare" in answer.out
    assert "--data FILE.toml" in answer.out
    (tmp_path / "elsewhere").mkdir()
    found = again(team, data=tiny(tmp_path / "elsewhere")).body
    assert found.verdict == "identical"


def test_the_moment_of_the_labels_is_the_recorded_one(tmp_path: Path) -> None:
    """On 30 October the labels of the month's end were not known; done again years later they must not be used."""
    moment = to_micros(dt.datetime(2013, 10, 30, 12, tzinfo=dt.UTC))
    with ledger.create(tmp_path) as book:
        loaded = read(tiny(tmp_path))
        outline, cause = begin(book, loaded, cut(loaded.settings, tmp_path, tmp_path), 1, moment)
        report = _Running(book, outline, moment, cause, silent, 0.0, None).go()
        assert report.described[-1].immature_rows > 0
        found = reproduce(book, outline.run, workers=1, on_progress=silent).body
    assert found.verdict == "identical"
    assert found.result_hash == report.result_hash


def test_what_was_stored_and_is_gone_is_only_missed_where_it_is_needed(team: Path) -> None:
    """Hashes tell that predictions are the same; how far they are apart needs the stored ones."""
    shutil.rmtree(team / ".tally" / "objects")
    assert again(team).body.verdict == "identical"
    with ledger.open(team) as book, pytest.raises(NotFound):
        reproduce(book, "nothing", workers=1, on_progress=silent)


def test_a_run_that_did_not_finish_cannot_be_compared(book: ledger.Ledger) -> None:
    from histories import registered, started, taken

    book.append(registered("p"), started("r1", "p"), taken("r1", "p"))
    found = reproduce(book, "r1", workers=1, on_progress=silent).body
    assert found.verdict == "cannot compare"
    assert found.missing


# Laws of the verdict ---------------------------------------------------------------------------------------

DIFFERENCES = st.builds(
    CandidateDifference,
    window=st.sampled_from(["a", "b", "c"]),
    candidate=st.sampled_from(["x", "y"]),
    largest=st.sampled_from([0.0, 1e-12, 1e-9, 2e-9, 0.1]),
    share_over=st.just(0.0),
    changed=st.sampled_from([None, 0, 1]),
    metrics=st.just({}),
)


@given(st.lists(DIFFERENCES, max_size=6), st.sets(st.sampled_from(["a", "b", "c"])))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_verdict_never_forgives_and_names_the_first_place(
    candidates: list[CandidateDifference], data: set[str]
) -> None:
    found = Found(1e-9)
    found.windows = ["a", "b", "c"]
    found.candidates, found.data = candidates, {label: ["changed"] for label in data}
    beyond = [item for item in candidates if (item.largest or 0.0) > 1e-9 or item.changed]
    expected = "different" if data or beyond else "equal" if candidates else "identical"
    assert found.verdict() == expected
    places = [*data, *(item.window for item in (beyond or candidates))]
    assert found.first()[0] == min(places, default=None)
    if data and found.first()[0] in data:
        assert found.first()[1] is None


def test_last_bits_are_equal_and_not_identical() -> None:
    found = Found(1e-9)
    found.windows = ["a"]
    found.candidates = [CandidateDifference("a", "x", float(np.spacing(0.5)), 0.0, 0, {})]
    assert found.verdict() == "equal"
