"""The command as people run it: a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PROGRAM = [sys.executable, "-c", "from tui.cli import main; main()"]


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
