"""What works without the extra ``pipeline``, command by command: each works, or names the line that installs it."""

from __future__ import annotations

import datetime as dt
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import without_extra
from shell import Answer, Demo, Done, copy_of, tally
from tiny import tiny

from tallystick import ledger
from tallystick.ledger.events import types
from tallystick.pipeline import extra
from tallystick.tui.cli.main import COMMANDS

MODEL = "late-arrivals-v1"
NEEDS = {
    "demo": ("demo", "elsewhere"),
    "diff": ("diff", "RUN", "RUN"),
    "final-test": ("final-test", MODEL),
    "monitor": ("monitor", "tiny.toml", "--period", "2013-10"),
    "new": ("new", "late-arrivals.parquet", "--target", "arr_delay"),
    "predict": ("predict", MODEL, "late-arrivals.parquet", "-o", "answers.csv"),
    "refit": ("refit", "RUN", "logistic", "--reason", "the team can read it"),
    "replay": ("replay", "tiny.toml", "--from", "2013-09", "--to", "2013-10"),
    "reproduce": ("reproduce", "RUN"),
    "run": ("run", "tiny.toml"),
}
"""The commands that train, judge or read data, and one use of each that must name the extra."""

READS: tuple[tuple[str, ...], ...] = (
    ("check", "tiny.toml"),
    ("check", "tiny.toml", "--no-data"),
    ("diff", "tiny.toml", "tiny.toml"),
    ("diff", "c2", "c4"),
    ("doctor",),
    ("help",),
    ("help", "as", "of"),
    ("help", "run"),
    ("audit",),
    ("automation", "late-arrivals"),
    ("status",),
    ("champion", "late-arrivals"),
    ("runs",),
    ("models",),
    ("trials",),
    ("log",),
    ("show", "RUN"),
    ("show", MODEL),
    ("show", "#5"),
    ("why", f"{MODEL}.status"),
    ("story", MODEL),
    ("explain", MODEL),
    ("lineage", MODEL),
    ("know", "late-arrivals", "--about", "2013-10"),
    ("sql", "select run, status from runs"),
    ("verify", "--full"),
    ("receipt",),
    ("anchors",),
    ("prove", MODEL, "-o", "bundle"),
    ("check-proof", "bundle"),
    ("export", "tiles", "site"),
    ("audit-tiles", "site", "--key", "KEY"),
    ("key", "show"),
    ("backup", "copy"),
    ("seal",),
    ("rebuild",),
)
WATCHED: tuple[tuple[str, ...], ...] = (
    ("report", "late-arrivals"),
    ("report", "late-arrivals", "--html", "page.html"),
    ("explain", "late-arrivals/2013-11"),
    ("explain", "late-arrivals-v2", "--as-of", "2013-09-05"),
)
"""What is asked of a ledger that holds watched periods, which is the one of `tally demo`."""

UNTIL = (dt.date.today() + dt.timedelta(days=30)).isoformat()
WRITES: tuple[tuple[str, ...], ...] = (
    ("confirm", "tiny.toml", "--all"),
    ("answer", "RUN", "seats", "--why", "Read from the register of aircraft, a month before."),
    ("approve", "RUN"),
    *(
        ("waive", gate, "--model", MODEL, "--reason", "three windows are too few for this gate", "--owner",
         "ann@example.org", "--approver", "ben@example.org", "--until", UNTIL)
        for gate in ("calibration_in_large", "reproduced", "leakage")
    ),
    ("promote", MODEL, "--reason", "steady in all three windows"),
    ("retire", MODEL, "--reason", "it was a trial of the commands"),
    ("correct", "#9", "--reason", "it did not happen so"),
    ("redact", "#9", "--reason", "it names a person", "--authority", "the privacy office", "--yes"),
    ("anchor", "RECEIPT", "--where", "a ticket"),
    ("import", "other", "--as", "laptop"),
    ("key", "rotate", "--reason", "yearly"),
    ("verify", "--full"),
)  # fmt: skip
ELSEWHERE = {"init", "adopt", "tui"}
"""Commands with a test of their own below."""


def core(folder: Path, *arguments: str, **environment: str) -> Answer:
    """The command in a process where the extra's libraries cannot be imported."""
    done = subprocess.run(
        [sys.executable, str(Path(without_extra.__file__)), *arguments],
        cwd=folder, capture_output=True, text=True, check=False, timeout=120, env={**os.environ, **environment},
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return Answer(done)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A ledger with one small run, made with everything installed."""
    folder, home = tmp_path_factory.mktemp("team"), tmp_path_factory.mktemp("home")
    tiny(folder)
    own = {"XDG_CONFIG_HOME": str(home / "c"), "XDG_STATE_HOME": str(home / "s"), "TALLY_ACTOR": "ann@example.org"}
    done = tally(folder, "run", "tiny.toml", **own)
    assert done.code == 0, done.err
    return folder, own, done


def run_of(folder: Path) -> str:
    with ledger.open(folder) as book:
        return book.now().runs()[0].run


def filled(arguments: tuple[str, ...], run: str, receipt: str = "", key: str = "") -> list[str]:
    return [{"RUN": run, "RECEIPT": receipt, "KEY": key}.get(word, word) for word in arguments]


def files_of(folder: Path) -> list[str]:
    """What lies in a folder; SQLite's own files come and go with whoever reads."""
    return sorted(str(path) for path in folder.rglob("*") if not path.name.endswith(("-wal", "-shm")))


def test_every_command_is_tried() -> None:
    tried = {uses[0] for uses in (*NEEDS.values(), *READS, *WATCHED, *WRITES)} | ELSEWHERE
    assert tried == set(COMMANDS)


def test_the_libraries_that_are_forbidden_here_are_those_of_the_extra() -> None:
    assert without_extra.FORBIDDEN - {"dask", "distributed"} == set(extra.DISTRIBUTIONS)


@pytest.mark.parametrize("name", NEEDS)
def test_what_needs_the_extra_names_the_line_that_installs_it(name: str, made: Done) -> None:
    folder, own, _ = made
    before = files_of(folder)
    answer = core(folder, *filled(NEEDS[name], run_of(folder)), **own)
    assert answer.code == 2
    assert f"`tally {name}` needs " in answer.err
    assert "which is not installed here." in answer.err
    assert shlex.split(answer.err.split("Type: ")[1]) == [
        sys.executable, "-m", "pip", "install", "tallystick[pipeline]"
    ]  # fmt: skip
    assert files_of(folder) == before  # nothing was begun


def test_the_line_that_installs_it_can_be_typed(made: Done) -> None:
    """A shell takes it as it stands, and the installer finds that tallystick itself is here already."""
    folder, own, _ = made
    line = core(folder, "run", "tiny.toml", **own).err.split("Type: ")[1].strip()
    done = subprocess.run(
        ["sh", "-c", f"{line} --no-index --quiet"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr  # this environment has all of it: nothing is fetched


def test_without_metadata_the_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installer that knows nothing of tallystick here would look for it elsewhere."""
    monkeypatch.setattr(extra, "_has_metadata", lambda: False)
    assert shlex.split(extra.install_line("pipeline"))[4:] == sorted(extra.DISTRIBUTIONS.values())


def test_json_names_it_as_well(made: Done) -> None:
    folder, own, _ = made
    answer = core(folder, "diff", *filled(("RUN", "RUN"), run_of(folder)), "--json", **own)
    assert '"code": "missing-extra"' in answer.err


def test_what_only_reads_works_without(made: Done, tmp_path: Path) -> None:
    team, own = copy_of(made, tmp_path)
    run = run_of(team)
    with ledger.open(team) as book:
        key = book.identity.key.format()
    for arguments in READS:
        answer = core(team, *filled(arguments, run, key=key), **own)
        assert answer.code == 0, (arguments, answer.err)


@pytest.mark.parametrize("arguments", WATCHED)
def test_a_watched_period_is_told_without(arguments: tuple[str, ...], demo: Demo, tmp_path: Path) -> None:
    answer = core(tmp_path, *arguments, "--ledger", str(demo.folder), **demo.environment)
    assert answer.code == 0, answer.err


def test_what_records_works_without(made: Done, tmp_path: Path) -> None:
    team, own = copy_of(made, tmp_path)
    (team / "other").mkdir()
    assert core(team / "other", "init", **own).code == 0
    run = run_of(team)
    question = types.LeakQuestion(
        subject="seats", checks=["a value tells"], sentence="seats tells.", left=None, left_error=None, answers=[],
        open_because=None,
    )  # fmt: skip
    with ledger.open(team) as book:
        book.append(
            types.LeakageJudged(
                run=run, pipeline="late-arrivals", result="look", checks=[], rule=2, questions=[question]
            )
        )
    receipt = core(team, "receipt", **own).out.strip()
    for arguments in WRITES:
        answer = core(team, *filled(arguments, run, receipt), **own)
        assert answer.code == 0, (arguments, answer.err)
    with ledger.open(team) as book:
        assert book.now().model(MODEL).status == "retired"
    shutil.rmtree(team / ".tally")
    shutil.copytree(made[0] / ".tally", team / ".tally")
    assert core(team, "adopt", "--reason", "the disk went back to a copy", **own).code == 0


def test_a_trial_is_recorded_without(tmp_path: Path) -> None:
    code = (
        "import without_extra; without_extra.forbid()\nimport tallystick\n"
        "with tallystick.run('notebook', params={'depth': 4}) as run:\n    run.log(step=1, loss=0.25)\n"
    )
    assert core(tmp_path, "init").code == 0
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(without_extra.__file__).parent)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with ledger.open(tmp_path) as book:
        assert [trial.status for trial in book.now().trials()] == ["finished"]


def test_every_screen_of_the_app_is_shown_without(lived: Path) -> None:
    code = (
        "import without_extra; without_extra.forbid()\nimport asyncio, sys\nfrom pathlib import Path\nimport pictures\n"
        "drawn = asyncio.run(pictures.scenes(Path(sys.argv[1]), (80, 24), False))\n"
        "print(' '.join(picture.name for picture in drawn))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(lived.parent)], capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "PYTHONPATH": str(Path(without_extra.__file__).parent)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    names = done.stdout.split()
    assert len(names) > 10
    assert not [name for name in names if name.startswith("broken")]
