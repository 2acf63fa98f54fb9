"""Who records: what a process knows about itself and writes into the head of its commits."""

from __future__ import annotations

import getpass
import os
import platform
from functools import cache
from pathlib import Path

import msgspec

from tallystick import __version__
from tallystick.ledger.system.git import tell_git


class Recorder(msgspec.Struct, frozen=True, kw_only=True):
    """The actor, account, machine, program and working folder behind a commit (:class:`ledger.events.commit.Head`)."""

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
    user = _account()
    status = git_answer("status", "--porcelain", "--untracked-files=no")
    return Recorder(
        actor=actor or os.environ.get("TALLY_ACTOR") or git_answer("config", "user.email") or user,
        user=user,
        host=platform.node() or "unknown",
        tool=this_program(),
        git=git_answer("rev-parse", "HEAD") or None,
        dirty=None if status is None else bool(status),
    )


def this_program() -> str:
    """Name and version, as commits record them; known without git and without the package's metadata."""
    return f"tallystick {__version__}"


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without an entry in the password file, as in containers
        return f"uid {os.getuid()}"


def git_answer(*arguments: str) -> str | None:
    """What git answers in the current folder, or None where there is no git or no repository."""
    # Without optional locks: asking must not hold up, nor in a crash leave locked, somebody's repository.
    return tell_git(Path(), "--no-optional-locks", *arguments, timeout_seconds=5)
