"""Things that a ledger needs and that are really taken away: space, rights, locks, the clock, the program's version.

Each cause is a context manager that gets a team's place and a folder to work in, and gives the place as commands meet
it while the cause lasts. It raises :class:`Left` where this machine cannot have the cause.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from shell import PROGRAM

from tallystick.ledger.views.cache_file import account_file

ROOT = Path(__file__).resolve().parent.parent.parent
MIB = 1 << 20


class Left(Exception):
    """Why a cause cannot be made here."""


class Place(NamedTuple):
    """Where a team works, and how its commands are started."""

    team: Path
    home: Path
    prefix: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()


def environment(place: Place) -> dict[str, str]:
    left_out = ("SSH_AUTH_SOCK", "TALLY_LEDGER", "TALLY_SHARED", "TALLY_POLICY", "TALLY_ALLOW_JUMP")
    inherited = {name: value for name, value in os.environ.items() if name not in left_out}
    own = {"XDG_CONFIG_HOME": str(place.home / "c"), "XDG_STATE_HOME": str(place.home / "s"), "TALLY_ACTOR": "ann"}
    return {**inherited, **own, **dict(place.variables)}


def needs(program: str) -> None:
    if shutil.which(program) is None:
        raise Left(f"{program} is not here")


@contextlib.contextmanager
def mounted(place: Place, folder: Path, size_bytes: int) -> Iterator[Place]:
    """The team's folder on a small file system of its own."""
    disk = folder / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(disk)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Left(f"mounting is not allowed: {done.stderr.strip()}")
    try:
        shutil.copytree(place.team, disk / "team")
        yield place._replace(team=disk / "team")
    finally:
        shutil.rmtree(place.team)
        if (disk / "team").exists():
            shutil.copytree(disk / "team", place.team)
        subprocess.run(["umount", str(disk)], check=True)


def fill(folder: Path, leave_bytes: int) -> Path:
    """Write a file until only so much space is left."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    os.truncate(filler, max(filler.stat().st_size - leave_bytes, 0))
    return filler


@contextlib.contextmanager
def full_disk(place: Place, folder: Path) -> Iterator[Place]:
    with mounted(place, folder, 2 * MIB) as moved:
        filler = fill(moved.team.parent, 0)
        yield moved
        filler.unlink()


def views_file(place: Place) -> Path:
    """Where the account keeps the views of the team's ledger."""
    return place.home / "s" / "tallystick" / "views" / account_file(place.team / ".tally").name


@contextlib.contextmanager
def no_space_for_views(place: Place, folder: Path) -> Iterator[Place]:
    """Room for what is recorded and none for the views, which are ten times as large."""
    disk = folder / "state"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if done.returncode:
        raise Left("mounting is not allowed")
    try:
        shutil.copytree(place.home / "s", disk / "s", ignore=shutil.ignore_patterns("views"))
        fill(disk, 100 * 1024)
        yield place._replace(variables=(("XDG_STATE_HOME", str(disk / "s")),))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@contextlib.contextmanager
def full_home(place: Place, folder: Path) -> Iterator[Place]:
    """No space where this account remembers how far it has seen."""
    disk = folder / "state"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if done.returncode:
        raise Left("mounting is not allowed")
    try:
        shutil.copytree(place.home / "s", disk / "s", ignore=shutil.ignore_patterns("views"))
        fill(disk, 0)
        yield place._replace(variables=(("XDG_STATE_HOME", str(disk / "s")),))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@contextlib.contextmanager
def read_only_mount(place: Place, folder: Path) -> Iterator[Place]:
    seen = folder / "seen"
    seen.mkdir()
    done = subprocess.run(["mount", "--bind", str(place.team), str(seen)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Left(f"mounting is not allowed: {done.stderr.strip()}")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(seen)], check=True)
        yield place._replace(team=seen)
    finally:
        subprocess.run(["umount", str(seen)], check=True)


def plain_rights() -> tuple[str, ...]:
    """How to start a program for which the modes of files count; they do not for root."""
    if os.getuid():
        return ()
    needs("setpriv")
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


@contextlib.contextmanager
def without(paths: Sequence[Path], prefix: tuple[str, ...], place: Place, keep: int) -> Iterator[Place]:
    """Some of the rights of some files taken away, and given back."""
    before = {path: path.stat().st_mode for path in paths}
    for path, mode in before.items():
        path.chmod(mode & keep)
    try:
        yield place._replace(prefix=prefix)
    finally:
        for path, mode in reversed(before.items()):
            path.chmod(mode)


def no_right_to_write(place: Place, folder: Path) -> AbstractContextManager[Place]:
    return without([place.team, *sorted(place.team.rglob("*"))], plain_rights(), place, ~0o222)


def no_right_to_read(place: Place, folder: Path) -> AbstractContextManager[Place]:
    return without([place.team / ".tally" / "ledger.db"], plain_rights(), place, ~0o777)


def no_right_to_enter(place: Place, folder: Path) -> AbstractContextManager[Place]:
    return without([place.team / ".tally"], plain_rights(), place, ~0o777)


def home_not_writable(place: Place, folder: Path) -> AbstractContextManager[Place]:
    return without([place.home, *sorted(place.home.rglob("*"))], plain_rights(), place, ~0o222)


def home_not_readable(place: Place, folder: Path) -> AbstractContextManager[Place]:
    return without([place.home / "s"], plain_rights(), place, ~0o777)


@contextlib.contextmanager
def kept(code: str, *arguments: str) -> Iterator[None]:
    """Another process that keeps a lock until it is told to go."""
    process = subprocess.Popen(
        [sys.executable, "-c", f"{code}\nprint('kept', flush=True)\ninput()", *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "kept\n"
    try:
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        process.stdin.close()


FLOCK = "import fcntl, sys\nfile = open(sys.argv[1], 'a')\nfcntl.flock(file, fcntl.LOCK_EX)"
SQLITE = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], isolation_level=None)\nc.execute('BEGIN IMMEDIATE')"


@contextlib.contextmanager
def lock_kept(place: Place, folder: Path) -> Iterator[Place]:
    with kept(FLOCK, str(place.team / ".tally" / "lock")):
        yield place


@contextlib.contextmanager
def database_locked(place: Place, folder: Path) -> Iterator[Place]:
    with kept(SQLITE, str(place.team / ".tally" / "ledger.db")):
        yield place


@contextlib.contextmanager
def views_locked(place: Place, folder: Path) -> Iterator[Place]:
    """Before the views are made, so that every command has to."""
    views_file(place).unlink(missing_ok=True)
    views_file(place).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with kept(SQLITE, str(views_file(place))):
        yield place


@contextlib.contextmanager
def mark_locked(place: Place, folder: Path) -> Iterator[Place]:
    (lock,) = (place.home / "s" / "tallystick" / "seen").glob("team*.lock")
    with kept(FLOCK, str(lock)):
        yield place


@contextlib.contextmanager
def clock(shift: str, place: Place) -> Iterator[Place]:
    needs("faketime")
    yield place._replace(prefix=("faketime", "-f", shift))


def clock_ahead(place: Place, folder: Path) -> AbstractContextManager[Place]:
    return clock("+10y", place)


def clock_behind(place: Place, folder: Path) -> AbstractContextManager[Place]:
    return clock("-10y", place)


NEWER = """
import sys
sys.path[:0] = [{root!r}]
from tallystick import ledger
from tallystick.ledger.events.types.schema import Body, ModelRef, PipelineRef, Words, released
# What a later version of the program may bring: a second version of a word, and a word of its own.
@released("model.promoted", 2)
class Promoted(Body, frozen=True, kw_only=True):
    model: ModelRef
    pipeline: PipelineRef
    ring: Words
@released("model.paused", 1)
class Paused(Body, frozen=True, kw_only=True):
    model: ModelRef
with ledger.open({team!r}) as book:
    for body in {bodies}:
        book.append(body, sign=True)
"""


def written_by_a_newer_program(place: Place, bodies: str) -> None:
    """Let a program that knows more types record events of them, for ever."""
    code = NEWER.format(root=str(ROOT / ".src"), team=str(place.team), bodies=bodies)
    subprocess.run([sys.executable, "-c", code], check=True, env=environment(place))


@contextlib.contextmanager
def newer_version(place: Place, folder: Path) -> Iterator[Place]:
    """The cause goes away with the installation of the newer program; here, with the copy from before."""
    before = folder / "before"
    shutil.copytree(place.team, before)
    shutil.copytree(place.home, folder / "home before")
    written_by_a_newer_program(place, "(Promoted(model='p-v1', pipeline='p', ring='gold'),)")
    yield place
    for now, was in ((place.team, before), (place.home, folder / "home before")):
        shutil.rmtree(now)
        shutil.copytree(was, now)


@contextlib.contextmanager
def newer_type(place: Place, folder: Path) -> Iterator[Place]:
    written_by_a_newer_program(place, "(Paused(model='p-v1'),)")
    yield place


@contextlib.contextmanager
def newer_format(place: Place, folder: Path) -> Iterator[Place]:
    with sqlite3.connect(place.team / ".tally" / "ledger.db") as connection:
        connection.execute("PRAGMA user_version = 3")
    connection.close()
    yield place
    with sqlite3.connect(place.team / ".tally" / "ledger.db") as connection:
        connection.execute("PRAGMA user_version = 1")
    connection.close()


@contextlib.contextmanager
def views_of_another_version(place: Place, folder: Path) -> Iterator[Place]:
    """As another version of the program would have left them: with another fingerprint, and wrong by our rules."""
    subprocess.run([*PROGRAM, "status"], cwd=place.team, check=True, capture_output=True, env=environment(place))
    connection = sqlite3.connect(views_file(place), isolation_level=None)
    connection.execute("UPDATE cursors SET fingerprint = '1-of another version'")
    connection.execute("DELETE FROM models_rows")
    connection.close()
    yield place


@contextlib.contextmanager
def network(place: Place, folder: Path) -> Iterator[Place]:
    """The folder as another computer would serve it: over SSH's file protocol, which knows no shared memory."""
    needs("sshfs")
    server = next((path for path in map(Path, ("/usr/lib/openssh/sftp-server", "/usr/libexec/sftp-server"))
                   if path.exists()), None)  # fmt: skip
    if server is None or not Path("/dev/fuse").exists():
        raise Left("no sftp-server, or no /dev/fuse")
    seen = folder / "served"
    seen.mkdir()
    done = subprocess.run(
        # `sftp_server` over a pipe: no daemon and no port, the same file system.
        ["sshfs", "-o", f"ssh_command={folder / 'ssh'}", f"here:{place.team}", str(seen)],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": f"{pretended_ssh(folder, server)}:{os.environ['PATH']}"},
    )  # fmt: skip
    if done.returncode:
        raise Left(f"sshfs: {done.stderr.strip()}")
    try:
        yield place._replace(team=seen)
    finally:
        subprocess.run(["fusermount3" if shutil.which("fusermount3") else "fusermount", "-u", str(seen)], check=True)


def pretended_ssh(folder: Path, server: Path) -> Path:
    """A program in place of ssh that starts the file server right here."""
    script = folder / "ssh"
    script.write_text(f"#!/bin/sh\nexec {server}\n")
    script.chmod(0o755)
    return folder
