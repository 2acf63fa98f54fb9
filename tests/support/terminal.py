"""A command on a real terminal: a pseudo-terminal of 100 columns, its output as a person would see it."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Sequence
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


def typed_on_a_terminal(
    command: list[str], folder: Path, environment: dict[str, str], answers: Sequence[tuple[str, str]]
) -> tuple[int, str]:
    """Run a command whose input is the terminal, too; each answer is typed once its question has appeared."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
        env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "xterm", **environment},
    )
    os.close(follower)
    text, waiting, read_to = "", list(answers), 0
    while True:
        try:
            part = os.read(leader, 65_536)
        except OSError:
            break
        if not part:
            break
        text += part.decode(errors="replace").replace("\r\n", "\n")
        # The question, and after it the prompt that ends in a colon.
        while waiting and (at := text.find(waiting[0][0], read_to)) >= 0 and text.rstrip(" ").endswith(":"):
            read_to = at + len(waiting[0][0])
            os.write(leader, f"{waiting.pop(0)[1]}\n".encode())
            break
    os.close(leader)
    assert not waiting, f"never asked: {waiting[0][0]}; it said {text[-2000:]}"
    return process.wait(), text
