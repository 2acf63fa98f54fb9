"""Asking git, as a reader of repositories that somebody else made.

A repository's own configuration names programs that git runs even while it only reads: filters that turn files into
text, a monitor of the file system, a checker of signatures, helpers that fetch what a partial clone lacks. Who sends
a ledger in such a folder must not have his programs run by whoever verifies it, nor the network used.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from threading import Timer

SECONDS = 30
LARGEST_ANSWER_BYTES = 64 << 20
_RUN_NOTHING = (
    ("core.fsmonitor", "false"),
    ("core.hooksPath", os.devnull),
    ("log.showSignature", "false"),
)
# An empty list of allowed protocols: nothing is fetched, not even by a helper that the repository names.
_ENVIRONMENT = {"GIT_ALLOW_PROTOCOL": "", "GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0"}
AS_STORED = ("--no-ext-diff", "--no-textconv", "--no-color")
"""For every command that shows differences: the bytes themselves, not what a configured program makes of them."""


def ask_git(place: Path, *arguments: str) -> str | None:
    """What git answers in a folder, running no program that a repository names; None where it fails or is not there.

    Only for commands that neither look at the working tree's content (its filters would run) nor change anything.
    """
    settings = [word for name, value in _RUN_NOTHING for word in ("-c", f"{name}={value}")]
    command = ["git", "--no-pager", *settings, *arguments]
    try:
        with subprocess.Popen(
            command,
            cwd=place,
            env={**os.environ, **_ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as git:
            assert git.stdout is not None
            # A few kilobytes of a repository can unpack to a file that fills the memory.
            late = Timer(SECONDS, git.kill)
            late.start()
            data = bytearray()
            # In pieces, because reading sets memory aside for all that is asked for.
            while len(data) <= LARGEST_ANSWER_BYTES and (piece := git.stdout.read(1 << 20)):
                data += piece
            late.cancel()
            if len(data) > LARGEST_ANSWER_BYTES:
                git.kill()
                return None
    except (OSError, ValueError):
        return None
    return data.decode(errors="replace").strip() if git.returncode == 0 else None


def tell_git(place: Path, *arguments: str, timeout_seconds: int = SECONDS) -> str | None:
    """The same in the user's own repository, with its hooks and filters, because something is recorded there."""
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=place,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_seconds,
            check=False,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
