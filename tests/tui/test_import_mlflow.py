"""`tally import mlflow` as people type it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow_stores import a_store

from tallystick import ledger


def tally(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    code = "from tallystick.tui.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=place, capture_output=True, text=True, check=False,
        env={**os.environ, "COLUMNS": "120"},
    )  # fmt: skip


@pytest.fixture
def team(tmp_path: Path) -> Path:
    ledger.create(tmp_path / "team", timezone="UTC", key_home="file").close()
    return tmp_path / "team"


def test_a_store_is_imported_once_and_shown_like_everything_else(team: Path, tmp_path: Path) -> None:
    store = a_store("mlflow.db", tmp_path / "theirs")
    dry = tally(team, "import", "mlflow", str(store), "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "Would import a database of MLflow" in dry.stdout
    done = tally(team, "import", "mlflow", str(store))
    assert done.returncode == 0, done.stderr
    assert re.search(r"experiments: +3 new\n  runs: +6 new\n", done.stdout), done.stdout
    assert re.search(r"numbers: +35\n  files: +2 \(", done.stdout), done.stdout
    assert "recorded as absent:\n  logged:m-" in done.stdout
    assert "Unknown, because MLflow does not record it:\n  since when aliases" in done.stdout
    assert re.search(r"^receipt ", done.stdout, re.MULTILINE)
    again = json.loads(tally(team, "import", "mlflow", str(store), "--json").stdout)
    assert (again["events"], again["commit"], again["entities"]["run"]["unchanged"]) == (0, None, 6)
    listed = tally(team, "trials", "--json")
    assert {"first", "0123"} <= {trial["name"] for trial in json.loads(listed.stdout)["trials"]}
    assert tally(team, "verify", "--read-data").returncode == 0


def test_the_import_of_a_ledger_is_what_it_was(team: Path, tmp_path: Path) -> None:
    """Also that of one in a folder which is called ``mlflow``."""
    ledger.create(team / "mlflow", timezone="UTC", key_home="file").close()
    done = tally(team, "import", "mlflow", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "Would import c0 of mlflow-" in done.stdout
    helped = tally(team, "import", "mlflow", "--help").stdout
    assert "Usage: tally import mlflow [OPTIONS] PATH" in helped
    assert "tally import mlflow" in tally(team, "import", "--help").stdout


def test_hints_help(team: Path, tmp_path: Path) -> None:
    both = a_store("mlflow.db", tmp_path / "theirs").parent
    a_store("mlruns", both)
    refused = tally(team, "import", "mlflow", str(both))
    assert refused.returncode == 2
    hint = re.search(r"tally import mlflow PATH(/\S+)", refused.stderr)
    assert hint, refused.stderr
    command = shlex.split(hint[0].replace("PATH", str(both)))
    assert tally(team, *command[1:], "--artifacts", "none").returncode == 0
    # Its names mean something else here now: into a ledger of its own, as the hint says.
    clash = tally(team, "import", "mlflow", str(both / "mlruns"))
    assert clash.returncode == 1
    assert "tally init" in clash.stderr
    (tmp_path / "other").mkdir()
    assert tally(tmp_path / "other", "init").returncode == 0
    assert tally(tmp_path / "other", "import", "mlflow", str(both / "mlruns")).returncode == 0
    missing = tally(team, "import", "mlflow", str(tmp_path / "nothing"))
    assert missing.returncode == 4
