"""Recording from a training loop: no trouble of the ledger ends the training, and nothing is lost or doubled."""

from __future__ import annotations

import fcntl
import math
import os
import signal
import subprocess
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shell import tally

from tallystick import ledger
from tallystick.ledger.events import types
from tallystick.ledger.query.trials import number_of
from tallystick.ledger.tracking import spool


def open_at(folder: Path) -> ledger.Ledger:
    return ledger.open(folder)


@pytest.fixture
def team(tmp_path: Path) -> Path:
    folder = tmp_path / "team"
    ledger.create(folder, timezone="UTC").close()
    return folder


def the_trial(folder: Path) -> types.Body:
    with open_at(folder) as book:
        (state,) = book.now().trials()
        return state  # type: ignore[return-value]


def numbers_of(folder: Path) -> dict[str, float]:
    """The newest number of each name of the one trial."""
    with open_at(folder) as book:
        now = book.now()
        return {state.name: number_of(state) for state in now.trial_metrics(now.trials()[0].trial)}


def files_of(folder: Path) -> tuple[str, ...]:
    """The names of the files of the one trial."""
    with open_at(folder) as book:
        now = book.now()
        return tuple(state.name for state in now.trial_files(now.trials()[0].trial))


def test_a_trial_is_recorded_with_all_that_it_said(team: Path) -> None:
    with ledger.run("churn notebook", params={"depth": 4, "rate": float("nan")}, folder=team) as run:
        for step in range(10):
            run.log(step=step, loss=1 / (step + 1))
        run.log(step=10, loss=float("inf"))
        run.store("model.bin", b"weights")
    state = the_trial(team)
    assert state.trial.startswith("churn-notebook/")
    assert (state.status, state.points, state.file_count) == ("finished", 11, 1)
    assert (numbers_of(team), files_of(team)) == ({"loss": math.inf}, ("model.bin",))
    assert state.params == {"depth": 4, "rate": "nan"}
    assert state.late_records == 0
    with open_at(team) as book:
        (kept,) = (e.event.body for e in book.events() if e.event.t == "trial.stored")
        assert book.objects.get(kept.artifact) == b"weights"
    assert tally(team, "verify", "--read-data").code == 0


def test_an_error_in_the_training_is_recorded_and_goes_on_to_the_caller(team: Path) -> None:
    with pytest.raises(ZeroDivisionError), ledger.run("x", folder=team):
        _ = 1 / 0
    assert the_trial(team).status == "failed"
    assert the_trial(team).error == "ZeroDivisionError: division by zero"


def test_a_ledger_that_comes_later_gets_everything_once(tmp_path: Path) -> None:
    folder = tmp_path / "team"
    with pytest.warns(RuntimeWarning, match="no ledger in") as caught, ledger.run("x", folder=folder) as run:
        run.log(loss=1.0)
        run.store("a", b"bytes")
    assert len(caught) == 1
    ledger.create(folder, timezone="UTC").close()
    for _ in range(2):
        assert tally(folder, "doctor").code == 0
    state = the_trial(folder)
    assert (state.status, state.points, files_of(folder)) == ("finished", 1, ("a",))
    assert state.late_records == 3  # what came before the end, which is late as well
    assert tally(folder, "verify", "--read-data").code == 0
    assert not list(spool.waiting())


def test_a_lock_that_is_held_for_ever_does_not_hold_the_training(team: Path) -> None:
    with (team / ".tally" / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        begun = time.monotonic()
        with pytest.warns(RuntimeWarning, match="has held"), ledger.run("x", folder=team) as run:
            for step in range(2_000):
                run.log(step=step, loss=0.0)
        # Two waits of at most half a second and five seconds; the rest is the spool.
        assert time.monotonic() - begun < 30
        assert tally(team, "log").code == 0
    assert tally(team, "doctor").code == 0
    assert the_trial(team).points == 2_000


def test_what_waited_is_delivered_at_the_end_where_it_can_be(team: Path) -> None:
    with (team / ".tally" / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.warns(RuntimeWarning, match="has held"):
            run = ledger.run("x", folder=team)
        run.store("a", b"1")
    with run:
        run.log(loss=3.0)
    assert not list(spool.waiting())
    state = the_trial(team)
    assert (files_of(team), numbers_of(team), state.late_records) == (("a",), {"loss": 3.0}, 3)


def test_a_broken_ledger_does_not_break_the_training(team: Path) -> None:
    whole = (team / ".tally" / "ledger.db").read_bytes()
    (team / ".tally" / "ledger.db").write_bytes(b"no database" * 100)
    with pytest.warns(RuntimeWarning), ledger.run("x", folder=team) as run:
        run.log(loss=2.0)
    answer = tally(team, "doctor")
    assert answer.code == 1
    assert "BAD" in answer.out
    (team / ".tally" / "ledger.db").write_bytes(whole)
    assert tally(team, "doctor").code == 0
    assert numbers_of(team) == {"loss": 2.0}


FULL_DISK = """
import resource, sys, warnings
from tallystick import ledger
# No file of this process may grow beyond this size: a full disk, as far as writing goes.
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with ledger.run("full", folder=sys.argv[1]) as run:
    for step in range(100):
        run.log(step=step, loss=1.0)
print("trained to the end")
"""


def test_a_full_disk_for_the_ledger_fills_the_spool(team: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(team), "20000"], capture_output=True, text=True, check=False
    )
    assert done.stdout == "trained to the end\n"
    assert done.returncode == 0
    assert done.stderr.count("RuntimeWarning") == 1
    assert tally(team, "doctor").code == 0
    assert the_trial(team).points == 100
    assert tally(team, "verify").code == 0


def test_a_disk_that_takes_nothing_at_all_says_so_and_trains_on(team: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(team), "0"], capture_output=True, text=True, check=False
    )
    assert done.stdout == "trained to the end\n", done.stderr
    assert "are lost" in done.stderr
    assert tally(team, "verify").code == 0


KILLED = """
import sys, time, warnings
from tallystick import ledger
warnings.simplefilter("ignore")
with ledger.run("killed", folder=sys.argv[1]) as run:
    run.store("a", b"1")
    print("stored", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("exists", [True, False])
def test_what_was_said_before_a_kill_is_there(exists: bool, tmp_path: Path) -> None:
    folder = tmp_path / "team"
    if exists:
        ledger.create(folder, timezone="UTC").close()
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "stored\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    if not exists:
        ledger.create(folder, timezone="UTC").close()
    assert tally(folder, "doctor").code == 0
    assert files_of(folder) == ("a",)


def _deliver(folder: str) -> int:
    delivered = 0
    for waits in spool.waiting():
        with ledger.open(folder) as book:
            delivered += spool.empty(book, waits)
    return delivered


def test_two_that_deliver_at_once_write_everything_once(tmp_path: Path) -> None:
    folder = tmp_path / "team"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with ledger.run("x", folder=folder) as run:
            for step in range(20):
                run.store(f"file {step}", os.urandom(10))
    ledger.create(folder, timezone="UTC").close()
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(_deliver, [str(folder)] * 2))
    assert len(files_of(folder)) == 20
    with open_at(folder) as book:
        assert sum(e.event.t == "trial.begun" for e in book.events()) == 1


def test_a_delivery_that_breaks_off_anywhere_is_taken_up_again(tmp_path: Path) -> None:
    folder = tmp_path / "team"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with ledger.run("x", folder=folder) as run:
            run.store("a", b"1")
    ledger.create(folder, timezone="UTC").close()
    (waits,) = spool.waiting()
    with open_at(folder) as book:
        spool.deliver(book, waits.records[0], 1.0)  # written, and killed before it was crossed out
    (waits.folder / "records.jsonl").open("ab").write(b'{"key":"torn')
    assert tally(folder, "doctor").code == 0
    with open_at(folder) as book:
        names = [e.event.t for e in book.events() if e.event.t.startswith("trial.")]
    assert names == ["trial.begun", "trial.stored", "trial.changed"]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    params=st.dictionaries(
        st.text(max_size=10),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner) | st.tuples(inner),
            max_leaves=10,
        ),
    ),
    values=st.dictionaries(st.text(min_size=1, max_size=10), st.floats() | st.integers() | st.text(), max_size=4),
)
def test_whatever_is_given_the_training_goes_on(
    team: Path, params: dict[str, object], values: dict[str, object]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with ledger.run("x", params=params, folder=team) as run:
            run.log(**{f"n{name}": value for name, value in values.items()})  # type: ignore[arg-type]
    with open_at(team) as book:
        assert book.now().trials()[-1].status == "finished"
    assert not list(spool.waiting())


def test_trials_are_listed_best_first(team: Path) -> None:
    for loss in (0.3, 0.1, 0.2):
        with ledger.run("x", params={"lr": loss}, folder=team) as run:
            run.log(loss=loss)
    lines = tally(team, "trials", "--best", "loss").out.splitlines()
    assert [line.split("\t")[4] for line in lines[1:]] == ["0.1", "0.2", "0.3"]
    assert tally(team, "trials", "--best", "auc").code == 4
    assert tally(team, "trials", "--as-of", "c0").out == ""
