"""Who records: what a process knows about itself and writes into the head of its commits."""

from __future__ import annotations

import getpass
import os
import platform
from functools import cache
from pathlib import Path

import msgspec

from tallystick import __version__
from tallystick.ledger.system.git import Changed, ask_git, changed

GIT_SECONDS = 5
"""How long git may take to say what a commit's head records; without an answer it records less."""


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
    return Recorder(
        actor=actor or os.environ.get("TALLY_ACTOR") or git_answer("config", "user.email") or user,
        user=user,
        host=platform.node() or "unknown",
        tool=this_program(),
        git=git_answer("rev-parse", "HEAD") or None,
        dirty=_is_dirty(changed(Path(), GIT_SECONDS)),
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
    return ask_git(Path(), *arguments, seconds=GIT_SECONDS)


def _is_dirty(changes: Changed | None) -> bool | None:
    """Whether tracked files differ from the commit; None if that is not known."""
    if changes is None or (changes.unclear and not changes.files):
        return None
    return bool(changes.files)
