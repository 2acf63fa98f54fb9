"""The command as people run it: a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

PROGRAM = [sys.executable, "-c", "from tallystick.tui.cli.main import main; main()"]


class Answer:
    """What a command said, and how it ended."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    @property
    def json(self) -> Any:
        """Standard output, which must be exactly one JSON document."""
        return json.loads(self.out)


def tally(folder: Path, *arguments: str, given: str | None = None, **environment: str) -> Answer:
    """Run ``tally`` in a folder; no traceback may ever reach standard error."""
    done = subprocess.run(
        [*PROGRAM, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        input=given,
        check=False,
        env={**os.environ, **environment},
        timeout=300,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Answer(done)


class Demo(NamedTuple):
    """The story that `tally demo` made, once for all tests that look at it."""

    stand: Path
    """Where whoever gave the command stood."""
    folder: Path
    environment: dict[str, str]
    answer: Answer


Done = tuple[Path, dict[str, str], Answer]
"""A folder with a finished run, the environment of whoever made it, and what the run said."""


def copy_of(done: Done, tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """The finished run's ledger and home, to be changed freely."""
    folder, environment, _ = done
    shutil.copytree(folder, tmp_path / "team")
    shutil.copytree(Path(environment["XDG_CONFIG_HOME"]).parent, tmp_path / "home")
    return tmp_path / "team", home_in(tmp_path / "home")


def home_in(folder: Path) -> dict[str, str]:
    """The environment of Ann, whose keys and state are in that folder."""
    return {
        "XDG_CONFIG_HOME": str(folder / "c"),
        "XDG_STATE_HOME": str(folder / "s"),
        "TALLY_ACTOR": "ann@example.org",
    }
