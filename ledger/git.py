"""Asking git, as a reader of repositories that somebody else made.

A repository's own configuration names programs that git runs even while it only reads: filters that turn files into
text, a monitor of the file system, a checker of signatures, helpers that fetch what a partial clone lacks. Who sends
a ledger in such a folder must not have his programs run by whoever verifies it, nor the network used.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

SECONDS = 30
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
    return _answer(place, ["git", "--no-pager", *settings, *arguments], {**os.environ, **_ENVIRONMENT}, SECONDS)


def tell_git(place: Path, *arguments: str, timeout_seconds: int = SECONDS) -> str | None:
    """The same in the user's own repository, with its hooks and filters, because something is recorded there."""
    return _answer(place, ["git", *arguments], None, timeout_seconds)


def _answer(place: Path, command: list[str], environment: dict[str, str] | None, seconds: int) -> str | None:
    try:
        done = subprocess.run(
            command,
            cwd=place,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
