"""Whatever a training does to its recorder, the training goes on and what was acknowledged is there once."""

from __future__ import annotations

import argparse
import asyncio
import collections
import copy
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from shell import tally
from trial_worker import log_twice

import tallystick
from tallystick import ledger
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.views.entities import TrialState

KILL = "import os, signal, time; os.kill(os.getpid(), signal"
LONE = b"caf\xe9.csv".decode(errors="surrogateescape")


@pytest.fixture
def team(tmp_path: Path) -> Path:
    ledger.create(tmp_path / "team", timezone="UTC").close()
    return tmp_path / "team"


def asked(folder: Path, question: Callable[[Snapshot], object]) -> object:
    with ledger.open(folder) as book:
        return question(book.now())


def the_trial(folder: Path) -> TrialState:
    with ledger.open(folder) as book:
        (found,) = book.now().trials()
        return found


def values(folder: Path, metric: str) -> list[float]:
    with ledger.open(folder) as book:
        now = book.now()
        return [point.value for point in now.curve(now.trials()[0].trial, metric)]


def script(folder: Path, body: str, **options: object) -> subprocess.CompletedProcess[str]:
    text = f"import tallystick\nwith tallystick.run('it', folder={str(folder)!r}) as run:\n" + textwrap.indent(
        textwrap.dedent(body), "    "
    )
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=False)


# Numbers -----------------------------------------------------------------------------------------------------


def test_one_odd_value_does_not_sink_its_neighbours(team: Path) -> None:
    with pytest.warns(RuntimeWarning) as caught, tallystick.run("odd", folder=team) as run:
        run.log(step=1, loss=0.9, val_loss=None)
        run.log(step=2, loss=np.array([0.5]), val_loss=0.6)
        run.log({"loss": 0.4, "note": "lr lowered", "val": {"auc": 0.7}}, step=3)
        run.store("model.skops", team / "absent.skops")
        run.log(step=4, loss=[0.1, 0.2])
        run.log(step="four", extra=1)
    said = [str(one.message) for one in caught]
    for begin in ("val_loss was", "note was", "Tallystick could not", "loss was", "A step of"):
        assert sum(words.startswith(begin) for words in said) == 1, said
    assert len(said) == 5
    assert values(team, "loss") == [0.9, 0.5, 0.4]
    assert values(team, "val/auc") == [0.7]
    assert values(team, "extra") == [1.0]
    assert the_trial(team).status == "finished"


def test_a_trial_that_diverged_comes_last(team: Path) -> None:
    for name, loss in (("good", 0.2), ("diverged", float("nan")), ("fair", 0.3), ("endless", float("-inf"))):
        with tallystick.run(name, folder=team) as run:
            run.log(step=1, loss=0.01)
            run.log(step=2, loss=loss)
    smallest, biggest = ["endless", "good", "fair", "diverged"], ["fair", "good", "endless", "diverged"]
    for largest, expected in ((False, smallest), (True, biggest)):
        answer = tally(team, "trials", "--best", "loss", *(["--largest"] if largest else []), "--json")
        assert [trial["name"] for trial in answer.json["trials"]] == expected
    (diverged,) = [trial for trial in answer.json["trials"] if trial["name"] == "diverged"]
    assert (diverged["last"], diverged["not_finite"]) == ({"loss": None}, {"loss": "nan"})
    assert "nan" in tally(team, "trials", "--best", "loss").out


def test_conditions_find_trials_and_name_what_they_cannot_read(team: Path) -> None:
    for depth in range(4):
        with tallystick.run("search", params={"depth": depth}, tags={"team": "blue"}, folder=team) as run:
            run.log(loss=depth / 10)
    found = tally(team, "trials", "--where", "loss < 0.25 and params.depth > 0 and tags.team = blue", "--json").json
    assert sorted(trial["params"]["depth"] for trial in found["trials"]) == [1, 2]
    refused = tally(team, "trials", "--where", "loss <")
    assert refused.code != 0
    assert "params.depth = 4" in refused.err


# Texts and parameters ----------------------------------------------------------------------------------------


class Unreadable(collections.UserDict[str, object]):
    """As a configuration with a mandatory value that nobody set."""

    def __getitem__(self, key: str) -> object:
        if key == "path":
            raise LookupError("no value for path")
        return super().__getitem__(key)


class Textless:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("params", "kept"),
    [
        ({"data": LONE}, {"data": "caf\ufffd.csv"}),
        ({LONE: 1}, {"caf\ufffd.csv": 1}),
        ({1: "whole", "1": "text"}, {"1": "whole", "1 (str)": "text"}),
        (Unreadable(rate=1, path="?"), {"rate": 1, "path": "could not be read: LookupError: no value for path"}),
        ({"x": Textless()}, {"x": "<Textless without a text>"}),
        (argparse.Namespace(rate=0.1), {"rate": 0.1}),
        ({"seed": 2**63, "nan": float("nan")}, {"seed": str(2**63), "nan": "nan"}),
        (7, {}),
        ({"rate": 0.1, "ids": list(range(100_000))}, None),
        ({f"p{i}": "x" * 1_000 for i in range(1_200)}, None),
    ],
)  # fmt: skip
def test_parameters_of_any_kind_are_kept_as_far_as_they_can_be(team: Path, params: object, kept: object) -> None:
    with tallystick.run("x", params=params, folder=team):
        pass
    found = asked(team, lambda now: now.trial_params(now.trials()[0].trial))
    assert isinstance(found, dict)
    if kept is not None:
        assert found == kept
    else:
        assert len(found) == len(params)  # type: ignore[arg-type]
        assert found.get("rate", 0.1) == 0.1
    assert tally(team, "verify").code == 0


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", [LONE, None, Path("train.py"), Textless(), "", "x" * 10_000, "\x00\x1b[31m"])
def test_any_name_will_do(team: Path, name: object) -> None:
    with tallystick.run(name, folder=team) as run:
        run.log({name: 1.0}, loss=1.0)
        run.store(name, b"abc")
        run.tag({str(type(name)): name})
        run.note(name)
    assert values(team, "loss") == [1.0]
    assert tally(team, "verify", "--read-data").code == 0
    assert tally(team, "trials").code == 0


def test_everything_is_kept_in_its_usual_format(team: Path, tmp_path: Path) -> None:
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "a.txt").write_text("a")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with tallystick.run("files", folder=team) as run:
            run.store("bytes.bin", b"1")
            run.store("path", tmp_path / "plots" / "a.txt")
            run.store("text path", str(tmp_path / "plots" / "a.txt"))
            run.store("folder", tmp_path / "plots")
            run.store("array", np.arange(3))
            run.store("table", pd.DataFrame({"a": [1]}))
            run.store("settings", {"a": [1, 2]})
    files = asked(team, lambda now: {file.path for file in now.filed(f"trial:{now.trials()[0].trial}")})
    assert files == {"bytes.bin", "path", "text path", "folder/a.txt", "array.npy", "table.parquet", "settings.json"}


# Ends --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ("import sys; sys.exit(0)", "finished", None),
        ("import sys; sys.exit()", "finished", None),
        ("import sys; sys.exit(3)", "failed", "exit code 3"),
        (f"{KILL}.SIGINT); time.sleep(9)", "interrupted", "KeyboardInterrupt"),
        (f"{KILL}.SIGTERM); time.sleep(9)", "terminated", "told to end by SIGTERM"),
        ("raise ValueError('boom')", "failed", "ValueError: boom"),
    ],
)  # fmt: skip
def test_how_a_training_ends_is_recorded_with_its_last_number(
    team: Path, body: str, status: str, error: str | None
) -> None:
    script(team, f"run.log(loss=0.5)\n{body}")
    state = the_trial(team)
    assert (state.status, state.error) == (status, error)
    assert values(team, "loss") == [0.5]


def test_a_training_that_is_told_to_end_does_end_by_that_signal(team: Path) -> None:
    # A sort of a long list answers no handler of Python until it is done.
    done = script(
        team, "import os, signal\nrun.log(loss=1)\nos.kill(os.getpid(), signal.SIGTERM)\nsorted(range(10**8))"
    )
    assert done.returncode == -signal.SIGTERM


def test_a_killed_training_is_said_to_have_ended_without_a_word(team: Path) -> None:
    script(team, "import os, signal\nrun.log(loss=1)\nrun.flush()\nos.kill(os.getpid(), signal.SIGKILL)")
    assert the_trial(team).status == "running"
    assert "ended without a word" in tally(team, "trials").out
    assert tally(team, "doctor").code == 0
    assert tally(team, "doctor").code == 0
    assert the_trial(team).status == "vanished"
    events = asked(team, lambda now: [event.type for event in now.events(0)])
    assert isinstance(events, list)
    assert events.count("trial.changed") == 1


def test_a_script_that_ends_without_ending_its_run_ends_it(team: Path) -> None:
    for ending, status in (("", "finished"), ("raise ValueError('boom')", "failed")):
        text = f"import tallystick\nrun = tallystick.run('it', folder={str(team)!r})\nrun.log(loss=1)\n{ending}"
        subprocess.run([sys.executable, "-c", text], capture_output=True, timeout=60, check=False)
        with ledger.open(team) as book:
            last = book.now().trials()[-1]
        assert (last.status, last.points) == (status, 1)


def test_a_number_before_a_long_epoch_is_written_in_time(team: Path) -> None:
    with tallystick.run("long", folder=team) as run:
        run.log(step=0, baseline=0.7)
        until = time.monotonic() + 20
        while time.monotonic() < until and the_trial(team).points == 0:
            time.sleep(0.2)
        assert the_trial(team).points == 1


def test_what_comes_after_the_end_is_refused_once_and_can_go_on(team: Path) -> None:
    with tallystick.run("twice", folder=team) as run:
        run.log(a=1.0)
    with pytest.warns(RuntimeWarning, match="has ended") as caught:
        run.log(a=2.0)
        run.tag(x="y")
    assert len(caught) == 1
    with tallystick.run(resume=run.name, folder=team) as again:
        again.log(a=3.0)
    assert values(team, "a") == [1.0, 3.0]
    assert the_trial(team).status == "finished"


# Travels -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_processes_write_into_the_run_they_were_handed(team: Path, method: str) -> None:
    context = multiprocessing.get_context(method)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        with tallystick.run("forked", folder=team) as run:
            run.log(step=1, parent=1.0)
            children = [context.Process(target=log_twice, args=(run, number)) for number in (1, 2)]
            for child in children:
                child.start()
            for child in children:
                child.join()
            run.log(step=2, parent=2.0)
    assert [child.exitcode for child in children] == [0, 0]
    assert sorted(values(team, "x")) == [1.0, 1.0, 2.0, 2.0]
    assert values(team, "parent") == [1.0, 2.0]
    assert the_trial(team).status == "finished"
    assert tally(team, "doctor").code == 0


def test_a_fork_takes_no_number_of_its_parent_with_it(team: Path) -> None:
    done = script(
        team,
        "import os\nrun.log(a=1)\nchild = os.fork()\nrun.log(b=1)\nrun.flush()\nif child:\n    os.waitpid(child, 0)",
    )
    assert done.returncode == 0, done.stderr
    assert (values(team, "a"), values(team, "b")) == ([1.0], [1.0, 1.0])


def test_threads_and_tasks_share_a_run(team: Path) -> None:
    with tallystick.run("threads", folder=team) as run:
        threads = [
            threading.Thread(target=lambda k=k: [run.log(step=i, **{f"t{k}": i}) for i in range(300)]) for k in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        async def tasks() -> None:
            await asyncio.gather(*(asyncio.to_thread(log_twice, run, number) for number in range(20)))

        asyncio.run(tasks())
    assert the_trial(team).points == 6 * 300 + 40
    assert all(values(team, f"t{k}") == [float(i) for i in range(300)] for k in range(6))


def test_copies_are_the_run_itself_or_a_way_back_to_it(team: Path) -> None:
    with tallystick.run("copies", folder=team) as run:
        assert copy.deepcopy({"callback": run})["callback"] is run
        other = pickle.loads(pickle.dumps(run))
        other.log(a=1.0)
        other.finish()
        run.log(a=2.0)
    assert sorted(values(team, "a")) == [1.0, 2.0]
    assert the_trial(team).status == "finished"


def test_parts_of_a_trial_are_trials_that_name_it(team: Path) -> None:
    with tallystick.run("search", folder=team, experiment="churn") as run:
        for fold in range(2):
            with run.child(f"fold {fold}", params={"fold": fold}) as part:
                part.log(loss=fold)
    with ledger.open(team) as book:
        now = book.now()
        assert [trial.parent for trial in now.trials()] == [None, run.name, run.name]
        assert [experiment.name for experiment in now.experiments()] == ["churn"]
        edges = now.lineage(f"trial:{run.name}").edges
    assert len(edges) == 3


# Waiting records ---------------------------------------------------------------------------------------------


def test_records_that_wait_find_their_ledger_and_no_other(tmp_path: Path) -> None:
    project = tmp_path / "project"
    ledger.create(project, timezone="UTC").close()
    done = script(project, f"""
        import sqlite3, warnings
        warnings.simplefilter("ignore")
        held = sqlite3.connect({str(project / ".tally" / "ledger.db")!r})
        held.execute("BEGIN IMMEDIATE")
        run.log(loss=0.5)
        run.flush()
        """)  # fmt: skip
    assert done.returncode == 0, done.stderr
    renamed = tmp_path / "renamed"
    project.rename(renamed)
    ledger.create(project, timezone="UTC").close()
    elsewhere = tally(project, "doctor")
    assert elsewhere.code == 0
    assert "wait in" in elsewhere.out
    assert asked(project, lambda now: now.trials()) == []
    assert tally(renamed, "doctor").code == 0
    assert values(renamed, "loss") == [0.5]
    assert the_trial(renamed).status == "finished"


def test_a_ledger_reads_back_what_was_recorded(team: Path) -> None:
    with tallystick.run("curve", folder=team, params={"depth": 4}) as run:
        for step in range(50):
            run.log(step=step, loss=1 / (step + 1))
        assert [point.value for point in run.series("loss")] == [1 / (step + 1) for step in range(50)]
        run.note("the rate was lowered by hand")
    with ledger.open(team) as book:
        now = book.now()
        (row,) = now.table("trials")
        assert row["params.depth"] == 4
        assert row["metrics.loss"] == 1 / 50
        assert [note.text for note in now.notes(run.name)] == ["the rate was lowered by hand"]
        assert now.trials(where="loss < 0.5 and params.depth = 4", order="loss")[0].trial == run.name
    assert os.environ.get("TALLY_LEDGER") is None
