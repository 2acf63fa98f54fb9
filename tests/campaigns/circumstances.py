"""Take away what a ledger needs, one thing at a time: what does each command say, and is anything lost?

    python tests/campaigns/circumstances.py              every cause with every command
    python tests/campaigns/circumstances.py --only clock  causes with that word in their name

The causes are real ones: a small file system that is filled, one that is mounted read-only, rights taken away, locks
that another process keeps, a clock that is set elsewhere, a ledger that a newer program has written to, a folder that
another computer serves. For each, and for each command: no traceback, an exit code that the cause explains, two lines
that say what is wrong and what to do, and the same as JSON; what was recorded is still there, and nothing was recorded
by a command that said no. When the cause is gone the same command works, and the ledger verifies.

Mounting needs root; other causes need `setpriv`, `faketime` or `sshfs`. What cannot be made here is listed as left out.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / ".src"))
sys.path.insert(0, str(ROOT / "tests" / "support"))

from causes import (  # noqa: E402
    Left,
    Place,
    clock_ahead,
    clock_behind,
    database_locked,
    environment,
    full_disk,
    full_home,
    home_not_readable,
    home_not_writable,
    lock_kept,
    mark_locked,
    network,
    newer_format,
    newer_type,
    newer_version,
    no_right_to_enter,
    no_right_to_read,
    no_right_to_write,
    no_space_for_views,
    read_only_mount,
    views_locked,
    views_of_another_version,
)
from shell import PROGRAM  # noqa: E402
from stories import told  # noqa: E402

from tallystick import ledger  # noqa: E402
from tallystick.tui.cli.main import main as tally_main  # noqa: E402

READS: tuple[tuple[str, ...], ...] = (
    ("status",), ("champion", "p"), ("log",), ("models",), ("why", "p.champion"), ("sql", "select model from models"),
    ("show", "#18"), ("lineage", "p-v1"), ("diff", "c3", "c5"),
)  # fmt: skip
APPENDS: tuple[tuple[str, ...], ...] = (
    ("retire", "p-v1", "--reason", "it is not wanted any more"), ("correct", "#16", "--reason", "by mistake"),
    ("receipt",), ("redact", "#6", "--reason", "why", "--authority", "who", "--yes"), ("seal",),
    ("key", "rotate", "--reason", "a new year"), ("import", "OTHER", "--as", "other"),
)  # fmt: skip


class Law(NamedTuple):
    """What a cause does to commands: the exit codes that they may have, and words that must be said."""

    read: frozenset[int]
    append: frozenset[int]
    verify: frozenset[int]
    words: str = ""
    """A pattern that what an append says on standard error must match."""
    told: str = ""
    """A pattern that what a read says on standard error must match."""


Cause = Callable[[Place, Path], AbstractContextManager[Place]]
GOOD, NO, UNUSABLE, BUSY = frozenset({0}), frozenset({1}), frozenset({2}), frozenset({5})


CAUSES: dict[str, tuple[Cause, Law]] = {
    "full disk": (full_disk, Law(GOOD, UNUSABLE, GOOD, "no space|No space")),
    "no space for the views": (no_space_for_views, Law(GOOD, GOOD, GOOD, "", "no space left for .*views")),
    "no space to remember in": (full_home, Law(GOOD, UNUSABLE, GOOD, "cannot remember .*No space")),
    "read-only file system": (read_only_mount, Law(GOOD, UNUSABLE, GOOD, "cannot be written|cannot be opened")),
    "no right to write": (no_right_to_write, Law(GOOD, UNUSABLE, GOOD, "cannot be written|cannot be opened")),
    "no right to read": (no_right_to_read, Law(UNUSABLE, UNUSABLE, UNUSABLE, "may not be read", "may not be read")),
    "no right to enter": (no_right_to_enter, Law(UNUSABLE, UNUSABLE, UNUSABLE, "not be entered", "not be entered")),
    "home not writable": (home_not_writable, Law(GOOD, UNUSABLE, GOOD, "cannot remember|cannot be kept")),
    "home not readable": (
        home_not_readable, Law(GOOD, UNUSABLE, UNUSABLE, "cannot be read|cannot remember", "cannot be read")
    ),
    "lock kept for ever": (lock_kept, Law(GOOD, BUSY, GOOD, "has held")),
    "database locked": (database_locked, Law(GOOD, BUSY, GOOD, "keeps .* locked")),
    "views locked": (views_locked, Law(GOOD, GOOD, GOOD, "", "keeps .*views/.* locked")),
    "mark locked": (mark_locked, Law(GOOD, BUSY, GOOD, "keeps .* another process|another process keeps")),
    "clock 10 years ahead": (clock_ahead, Law(GOOD, NO, GOOD, "more than 366 days")),
    "clock 10 years behind": (clock_behind, Law(GOOD, GOOD, GOOD, "Set the clock", "Set the clock")),
    "newer version of a type": (newer_version, Law(GOOD, UNUSABLE, GOOD, "newer tallystick", "Newer than this")),
    "newer type": (newer_type, Law(GOOD, GOOD, GOOD, "Newer than", "Newer than this program")),
    "newer format": (newer_format, Law(UNUSABLE, UNUSABLE, UNUSABLE, "newer tallystick", "newer tallystick")),
    "views of another version": (views_of_another_version, Law(GOOD, GOOD, GOOD)),
    "network file system": (network, Law(GOOD, UNUSABLE, GOOD, "network file system")),
}  # fmt: skip
SLOW = frozenset({"lock kept for ever", "database locked", "views locked", "mark locked"})
"""Causes that are waited for, by design, before anybody is refused."""


Run = Callable[..., "subprocess.CompletedProcess[str]"]


def run(place: Place, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command as people run it."""
    return subprocess.run(
        [*place.prefix, *PROGRAM, *told_where(place, arguments)], cwd=working_folder(place), text=True,
        capture_output=True, check=False, env=environment(place), timeout=120,
    )  # fmt: skip


def run_forked(place: Place, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The same in a copy of this process, which has imported everything: a tenth of the time. For samples."""
    if place.prefix:
        return run(place, *arguments)
    words = told_where(place, arguments)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            try:
                os.dup2(out.fileno(), 1)
                os.dup2(err.fileno(), 2)
                sys.stdin, sys.stdout, sys.stderr = open(os.devnull), open(1, "w"), open(2, "w")  # noqa: SIM115, PTH123
                os.environ.clear()
                os.environ.update(environment(place))
                os.chdir(working_folder(place))
                sys.argv = ["tally", *words]
                tally_main()
            except SystemExit as end:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(end.code if isinstance(end.code, int) else 1)
            finally:
                os._exit(99)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said = [(file.seek(0), file.read().decode())[1] for file in (out, err)]
    return subprocess.CompletedProcess(words, code, *said)


def told_where(place: Place, arguments: tuple[str, ...]) -> list[str]:
    other = str(_template["at"] / "other")
    return [*(other if word == "OTHER" else word for word in arguments), "--ledger", str(place.team / ".tally")]


def working_folder(place: Place) -> Path:
    return place.team if os.access(place.team, os.X_OK) else place.team.parent


def events(place: Place) -> list[str]:
    """What is recorded, read without the program."""
    connection = sqlite3.connect(place.team / ".tally" / "ledger.db")
    try:
        return [row[0] for row in connection.execute("SELECT hex(id) FROM events ORDER BY seq")]
    finally:
        connection.close()


def judge(done: subprocess.CompletedProcess[str], allowed: frozenset[int], pattern: str) -> list[str]:
    """What is wrong with how a command ended."""
    wrong = []
    if "Traceback" in done.stderr or "unexpected error" in done.stderr:
        wrong.append("not a sentence")
    if done.returncode not in allowed:
        wrong.append(f"exit code {done.returncode}")
    if done.returncode and len([line for line in done.stderr.splitlines() if line.startswith("       ")]) < 1:
        wrong.append("no next step")
    if pattern and not re.search(pattern, re.sub(r"\s+", " ", done.stderr)):
        wrong.append(f"not said: {pattern}")
    return [f"{words}: {done.args[-4:]} {done.stderr.strip()[-300:]}" for words in wrong]


def one(
    name: str, folder: Path, reads: Sequence[tuple[str, ...]], appends: Sequence[tuple[str, ...]], start: Run = run,
    apart: bool = True,
) -> list[str]:  # fmt: skip
    """One cause with some commands, and what came of it afterwards; what is wrong, in words.

    Parameters
    ----------
    apart : bool
        Whether each command meets a ledger of its own.

    Raises
    ------
    Left
        Where this machine cannot have the cause.
    """
    commands = [*reads, ("verify",), *appends]
    wrong: list[str] = []
    for group in [[command] for command in commands] if apart else [commands]:
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            wrong += together(name, Path(temporary), group, appends, start)
    return wrong


def together(
    name: str, folder: Path, group: Sequence[tuple[str, ...]], appends: Sequence[tuple[str, ...]], start: Run
) -> list[str]:
    """Commands on one ledger while a cause lasts, and those that were refused again when it is gone."""
    cause, law = CAUSES[name]
    wrong: list[str] = []
    place = prepared(folder)
    before = events(place)
    refused: list[tuple[str, ...]] = []
    with cause(place, folder) as troubled:
        begun = events(place)
        for arguments in group:
            kind = "verify" if arguments == ("verify",) else "append" if arguments in appends else "read"
            done = start(troubled, *arguments)
            allowed = {"read": law.read, "append": law.append, "verify": law.verify}[kind]
            words = {"append": law.words, "read": law.told}.get(kind, "")
            if arguments == ("receipt",) and name in ("clock 10 years ahead", "newer version of a type"):
                allowed, words = GOOD, ""  # a checkpoint carries no time, and vouches for bytes, understood or not
            wrong += judge(done, allowed, words)
            if done.returncode:
                refused.append(arguments)
                if kind != "verify":
                    wrong += as_json(start(troubled, *arguments, "--json"), done.returncode)
    after = events(place)
    if after[: len(before)] != before:
        wrong.append(f"LOST: {group}")
    if not [arguments for arguments in group if arguments in appends and arguments not in refused] and (
        after not in (begun, before)
    ):
        wrong.append(f"RECORDED although nothing was to be: {group}")
    for arguments in refused:
        done = start(place, *arguments)
        if done.returncode:
            wrong.append(f"AFTERWARDS {arguments}: {done.returncode} {done.stderr.strip()}")
    if events(place)[: len(before)] != before:
        wrong.append(f"LOST: {group}")
    done = start(place, "verify", "--full")
    if done.returncode:
        wrong.append(f"NOT VERIFIED after {group}: {done.stdout.strip()[:500]} {done.stderr.strip()}")
    return wrong


def as_json(done: subprocess.CompletedProcess[str], code: int) -> list[str]:
    """An error for programs: the last line of standard error, with what happened and what to do."""
    try:
        error = json.loads(done.stderr.strip().splitlines()[-1])["error"]
    except (ValueError, KeyError, IndexError):
        return [f"no JSON: {done.args[-4:]} {done.stderr[-300:]}"]
    if done.returncode != code or not error["message"] or not error["hint"]:
        return [f"JSON differs: {done.returncode} {error}"]
    return []


_template: dict[str, Path] = {}


def prepared(folder: Path) -> Place:
    """A copy of one small ledger with something of everything, and of the home of who made it."""
    if "at" not in _template or not _template["at"].exists():
        at = Path(tempfile.mkdtemp(prefix="tally-circumstances-"))
        before = {name: os.environ.get(name) for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME")}
        os.environ.update(XDG_CONFIG_HOME=str(at / "home" / "c"), XDG_STATE_HOME=str(at / "home" / "s"))
        try:
            with ledger.create(at / "team", timezone="UTC", key_home="file") as book:
                told(book)
            with ledger.create(at / "other", timezone="UTC", key_home="file") as book:
                told(book)
            at.chmod(0o755)  # some commands are given by another account
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name)
                else:
                    os.environ[name] = value
        _template["at"] = at
    for name in ("team", "home"):
        shutil.copytree(_template["at"] / name, folder / name)
    return Place(folder / "team", folder / "home")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="WORD")
    asked = parser.parse_args()
    outcomes: Counter[str] = Counter()
    print(f"{'cause':26}{'commands':>9}{'wrong':>7}{'seconds':>9}", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        for name in CAUSES:
            if asked.only not in name:
                continue
            begun = time.monotonic()
            try:
                wrong = one(name, Path(temporary), READS, APPENDS)
            except Left as why:
                print(f"{name:26}{'left out:':>9} {why}", flush=True)
                outcomes["left out"] += 1
                continue
            number = len(READS) + 1 + len(APPENDS)
            outcomes["commands"] += number
            outcomes["wrong"] += len(wrong)
            print(f"{name:26}{number:9}{len(wrong):7}{time.monotonic() - begun:9.0f}", flush=True)
            for words in wrong:
                print(f"    {words}", file=sys.stderr)
    shutil.rmtree(_template.get("at", Path(temporary)), ignore_errors=True)
    print(f"{outcomes['commands']} commands, {outcomes['wrong']} wrong, {outcomes['left out']} causes left out")
    sys.exit(1 if outcomes["wrong"] else 0)


if __name__ == "__main__":
    main()
