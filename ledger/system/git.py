"""git, asked without running any program that a repository names.

A repository's own configuration names programs that git runs even while it only reads: a monitor of the file system,
hooks, filters and converters of files, checkers of signatures, helpers that fetch what a partial clone lacks. Whoever
sends a ledger in such a folder must not have programs run by those who read it. So every question goes through
:func:`git`, with all of that off, with no network, and without the variables that tell git to look elsewhere.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Timer
from typing import NamedTuple

SECONDS = 30
LARGEST_ANSWER_BYTES = 64 << 20
_RUN_NOTHING = {
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.pager": "cat",
    "core.editor": "false",
    "core.askPass": "",
    "core.sshCommand": "false",
    "core.gitProxy": "",
    "core.alternateRefsCommand": "",
    "credential.helper": "",
    "protocol.allow": "never",
    "log.showSignature": "false",
    "commit.gpgSign": "false",
    "gpg.program": "false",
    "gpg.ssh.program": "false",
    "gpg.x509.program": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "submodule.recurse": "false",
    "diff.submodule": "short",
}
"""Settings of one name each, which win over those of every file of configuration."""
_ENVIRONMENT = {
    "GIT_ALLOW_PROTOCOL": "",  # an empty list: nothing is fetched, not even by a helper that the repository names
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
}
_KEPT = frozenset(
    {"GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM"}
    | {f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL", "DATE")}
)
"""Variables of git that name no program and no other repository."""
_AS_STORED = ("--no-ext-diff", "--no-textconv", "--no-color")
_SHOWS_DIFFERENCES = frozenset({"diff", "log", "show"})
# The folder of a submodule has a configuration of its own, so it is never looked into.
_NOT_INSIDE_SUBMODULES = "--ignore-submodules=dirty"


class Answer(NamedTuple):
    """How git ended, and what it printed."""

    code: int
    text: str


def ask_git(place: Path, *arguments: str, seconds: float = SECONDS) -> str | None:
    """The answer of git in a folder; None if it fails, takes too long, or is not installed."""
    answer = git(place, *arguments, seconds=seconds)
    return answer.text if answer is not None and answer.code == 0 else None


def git(place: Path, *arguments: str, seconds: float = SECONDS, with_errors: bool = False) -> Answer | None:
    """Run git in a folder with every setting off that could run a program or use the network.

    Parameters
    ----------
    with_errors : bool
        Whether the text holds what git prints on standard error too.

    Returns
    -------
    Answer or None
        None where git could not be run, was stopped after ``seconds``, printed more than 64 MiB, or the repository
        names a filter that cannot be turned off.
    """
    program = _program()
    filters = None if program is None else _filters(program, place, seconds)
    if program is None or filters is None:
        return None
    command = [program, "--no-pager", *_settings(), *filters, arguments[0]]
    if arguments[0] in _SHOWS_DIFFERENCES:
        # The bytes themselves, not what a configured program makes of them.
        command += _AS_STORED
    if arguments[0] in ("diff", "status"):
        command.append(_NOT_INSIDE_SUBMODULES)
    return _run([*command, *arguments[1:]], place, seconds, with_errors)


class Changed(NamedTuple):
    """Tracked files that differ from the newest commit, by their paths from the top of the repository."""

    files: list[str]
    unclear: list[str]
    """Files whose content git would pass through a filter first; since none is run, they may be unchanged."""


def changed(place: Path, seconds: float = SECONDS) -> Changed | None:
    """What differs from the newest commit in the repository around a folder; None if git does not say."""
    status = ("status", "--porcelain", "-z", "--no-renames", "--untracked-files=no")
    listed = ask_git(place, *status, seconds=seconds)
    top = ask_git(place, "rev-parse", "--show-toplevel", seconds=seconds)
    if listed is None or top is None:
        return None
    files = [line[3:] for line in listed.split("\0") if line]
    if not files:
        return Changed([], [])
    # Three words for each file; the filter of a file that has none is `unspecified`.
    words = (ask_git(Path(top), "check-attr", "-z", "filter", "--", *files, seconds=seconds) or "").split("\0")
    through = {
        name for name, value in zip(words[0::3], words[2::3], strict=False) if value not in ("unspecified", "unset")
    }
    return Changed([name for name in files if name not in through], [name for name in files if name in through])


def _program() -> str | None:
    """git itself, from the absolute folders of PATH: with `.` in it, a foreign folder could bring a git of its own."""
    folders = [folder for folder in os.environ.get("PATH", os.defpath).split(os.pathsep) if Path(folder).is_absolute()]
    return shutil.which("git", path=os.pathsep.join(folders))


def _settings() -> Iterator[str]:
    for name, value in _RUN_NOTHING.items():
        yield from ("-c", f"{name}={value}")


def _filters(program: str, place: Path, seconds: float) -> list[str] | None:
    """Settings that turn off every filter that any configuration names; None if one cannot be turned off."""
    # Reading the configuration runs nothing.
    listed = _run([program, *_settings(), "config", "--list", "--name-only", "-z"], place, seconds, False)
    if listed is None or listed.code != 0:
        return None
    found: list[str] = []
    for name in listed.text.split("\0"):
        section, _, rest = name.partition(".")
        driver, _, key = rest.rpartition(".")
        if section != "filter" or key not in ("clean", "smudge", "process", "required"):
            continue
        if "=" in driver:
            return None  # `-c` cannot name it
        found += ["-c", f"filter.{driver}.{key}={'false' if key == 'required' else ''}"]
    return found


def _run(command: list[str], place: Path, seconds: float, with_errors: bool) -> Answer | None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name in _KEPT}
    try:
        with subprocess.Popen(
            command,
            cwd=place,
            env={**clean, **_ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if with_errors else subprocess.DEVNULL,
        ) as process:
            assert process.stdout is not None
            late = Timer(seconds, process.kill)
            late.start()
            data = bytearray()
            # A few kilobytes of a repository can unpack to a file that fills the memory. In pieces, because reading
            # sets memory aside for all that is asked for.
            while len(data) <= LARGEST_ANSWER_BYTES and (piece := process.stdout.read(1 << 20)):
                data += piece
            late.cancel()
            if len(data) > LARGEST_ANSWER_BYTES:
                process.kill()
                return None
    except (OSError, ValueError):
        return None
    return Answer(process.returncode, data.decode(errors="replace").rstrip("\n"))
