"""Printing never changes what was done: other encodings, pipes without a reader, full disks, closed outputs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from orders import file_for, orders
from shell import PROGRAM, tally

from tallystick import ledger
from tallystick.tui.output.progress import ProgressBar


class Ended(NamedTuple):
    code: int
    out: str
    err: str


def shell(folder: Path, line: str, **environment: str) -> Ended:
    """A line of bash in which ``$@`` is the command; standard error must never speak of a defect."""
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line, "bash", *PROGRAM],
        cwd=folder, capture_output=True, check=False, timeout=120, env={**os.environ, **environment},
    )  # fmt: skip
    err = done.stderr.decode("latin-1")
    assert "defect" not in err and "Traceback" not in err and "Exception ignored" not in err, err
    return Ended(done.returncode, done.stdout.decode("latin-1"), err)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    patch.setenv("XDG_STATE_HOME", str(folder / "state"))
    patch.setenv("TALLY_ACTOR", "Zoë – 東京")
    file_for(folder, orders())
    assert tally(folder, "init", "--timezone", "Europe/Berlin").code == 0
    assert tally(folder, "run", "orders.toml", "--workers", "1").code == 0
    patch.undo()
    return folder


@pytest.fixture
def home(shop: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(shop / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(shop / "state"))
    return shop


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "ascii:strict"])
@pytest.mark.parametrize("command", ["runs", "log", "show returns-v1", "explain returns-v1", "check orders.toml"])
def test_letters_that_an_output_does_not_have_are_replaced(home: Path, command: str, encoding: str) -> None:
    usual = shell(home, f'"$@" {command}')
    found = shell(home, f'"$@" {command}', PYTHONIOENCODING=encoding)
    assert found.code == usual.code == 0
    assert len(found.out) > 20
    if command == "log" and encoding == "latin-1":
        assert "Zoë ? ??" in found.out


def test_a_run_into_a_log_file_of_other_letters_ends_as_it_did(home: Path) -> None:
    with ledger.open(home) as book:
        before = len(book.now().runs())
    found = shell(home, '"$@" run orders.toml --workers 1 > out.txt 2>&1', PYTHONIOENCODING="latin-1")
    assert found.code == 0
    assert b"chosen for returns" in (home / "out.txt").read_bytes()
    with ledger.open(home) as book:
        assert [run.status for run in book.now().runs()][before:] == ["finished"]


@pytest.mark.parametrize(
    ("where", "code"),
    [(">&-", 0), ("2>&-", 0), (">&- 2>&-", 0), ("<&- >&- 2>&-", 0), ("> /dev/full", 0), ("| true", 0)],
)
def test_a_run_is_done_whatever_becomes_of_its_output(home: Path, where: str, code: int) -> None:
    with ledger.open(home) as book:
        before = len(book.now().runs())
    assert shell(home, f'"$@" run orders.toml --workers 1 {where}').code == code
    with ledger.open(home) as book:
        assert [run.status for run in book.now().runs()][before:] == ["finished"]
        assert tally(home, "verify").code == 0


def test_the_reader_of_an_answer_may_leave(home: Path) -> None:
    found = shell(home, '"$@" log -n 100 | head -1')
    assert (found.code, found.out.count("\n"), found.err) == (0, 1, "")
    assert shell(home, '"$@" log -n 100 | true') == Ended(0, "", "")
    assert shell(home, '"$@" champion nobody | true').code == 4


def test_an_answer_that_a_full_disk_swallowed_is_no_success(home: Path) -> None:
    found = shell(home, '"$@" log > /dev/full')
    assert found.code == 2
    assert "could not be written: No space left on device" in found.err
    assert "could not be written" in shell(home, '"$@" run orders.toml --workers 1 > /dev/full').err


def test_a_closed_output_is_an_answer_that_nobody_wanted(home: Path) -> None:
    assert shell(home, '"$@" log >&-') == Ended(0, "", "")


def test_a_log_file_gets_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("tallystick.tui.output.progress.time.monotonic", lambda: now)
    with ProgressBar() as progress:
        for done in range(1, 11):
            now += 20.0
            progress(f"judging {done}", done, 10)
    assert capsys.readouterr().err.splitlines() == [
        "3 of 10 done, about 2 minutes left: judging 3",
        "6 of 10 done, about 1 minute left: judging 6",
        "9 of 10 done, less than a minute left: judging 9",
    ]


def test_the_page_says_how_csv_files_are_read(home: Path) -> None:
    csv = '[data.csv]\ndecimal = ","\nthousands = "."\nmissing = ["n.a."]\nunits = ["€"]\ntext = ["shop"]\n\n[time]\n'
    file = file_for(
        home, name="csv.toml", **{"[time]\n": csv, 'why = "made for': 'infinite = "missing"\nwhy = "made for'}
    )
    said = " ".join(shell(home, f'"$@" check {file.name} --no-data').out.split())
    assert "CSV files decimal sign ','; '.' between thousands; missing where they say n.a.; " in said
    assert "text in shop" in said
    assert "infinite an infinite value of a feature is taken as missing" in said
