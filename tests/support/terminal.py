"""A command on a real terminal: a pseudo-terminal of 100 columns, its output as a person would see it."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path


def on_a_terminal(command: list[str], folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Run a command with standard output and error on one pseudo-terminal; its exit code and the text."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
        env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "xterm", **environment},
    )
    os.close(follower)
    parts = []
    while True:
        try:
            part = os.read(leader, 65_536)
        except OSError:  # the other end is closed: Linux reports it as an input/output error
            break
        if not part:
            break
        parts.append(part)
    os.close(leader)
    return process.wait(), b"".join(parts).decode(errors="replace").replace("\r\n", "\n")
