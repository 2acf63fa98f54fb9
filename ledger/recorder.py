"""Who records: what a process knows about itself and writes into the head of its commits."""

from __future__ import annotations

import getpass
import os
import platform
import subprocess
from functools import cache

import msgspec


class Recorder(msgspec.Struct, frozen=True, kw_only=True):
    """The actor, account, machine, program and working folder behind a commit (:class:`ledger.commit.Head`)."""

    actor: str
    user: str
    host: str
    tool: str
    git: str | None = None
    dirty: bool | None = None


@cache
def this_process(actor: str | None = None) -> Recorder:
    """Describe this process; asked once, because git takes longer to answer than a commit takes to write.

    The actor is the argument, else ``TALLY_ACTOR``, else git's ``user.email``, else the account's name.
    """
    from importlib import metadata

    user = _account()
    status = _git("status", "--porcelain", "--untracked-files=no")
    return Recorder(
        actor=actor or os.environ.get("TALLY_ACTOR") or _git("config", "user.email") or user,
        user=user,
        host=platform.node() or "unknown",
        tool=f"tallystick {metadata.version('tallystick')}",
        git=_git("rev-parse", "HEAD") or None,
        dirty=None if status is None else bool(status),
    )


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without an entry in the password file, as in containers
        return f"uid {os.getuid()}"


def _git(*arguments: str) -> str | None:
    """What git answers in the current folder, or None where there is no git or no repository."""
    try:
        done = subprocess.run(
            # Without optional locks: asking must not hold up, nor on a crash lock, somebody's repository.
            ["git", "--no-optional-locks", *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
