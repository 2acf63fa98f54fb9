"""Cut the power at random moments of a recorded session: is anything lost that was acknowledged, is anything torn?

    python tests/campaigns/power.py                3,000 cuts
    python tests/campaigns/power.py --cuts 100     fewer
    python tests/campaigns/power.py --lying        on a disk whose syncs do nothing: is the loss noticed?

Needs `strace`, which writes down every write, sync, truncation, rename and removal of a process that appends, signs,
stores and redacts; and what it was told is done. Before most artifacts a second process stores the same bytes and is
killed between the rename and the sync of the folder, so that the first finds a name that is not durable. A cut is a
moment in that record. What had been synced by then is there. Each write that had not been is there, is not, or is torn
at a sector; of the names that no sync had fixed a random beginning of their order is there, as a journalling file
system keeps them. On what is then on the disk, the ledger must open without any repair, hold everything that was
acknowledged, verify, and keep every printed receipt.

On a disk that lies nobody can keep that. There the law is: what a printed receipt covered is not lost in silence. What
was acknowledged after the newest receipt, nothing outside the disk knows of; its loss is counted as LOST UNSIGNED.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / ".src"))
sys.path.insert(0, str(ROOT / "tests" / "support"))

from histories import registered  # noqa: E402

from tallystick import ledger  # noqa: E402
from tallystick.ledger.errors import TallyError  # noqa: E402
from tallystick.ledger.tlog.note import parse_receipt  # noqa: E402
from tallystick.ledger.tlog.pins import state_home  # noqa: E402
from tallystick.ledger.verify.report import Asked  # noqa: E402
from tallystick.ledger.verify.verify import verify  # noqa: E402

SECTOR_BYTES = 512
CALLS = "openat,creat,write,pwrite64,fsync,fdatasync,ftruncate,rename,renameat,renameat2,unlink,unlinkat,mkdir"

CHILD = """
import os, signal, sys
sys.path[:0] = [{root!r}, {support!r}]
from histories import failed
from tallystick import ledger
from tallystick.ledger.tlog.note import parse_receipt, receipt_line
from tallystick.ledger.amend.redaction import redact
from tallystick.ledger.events.types import ArtifactStored
from tallystick.ledger.system import files
said = os.open({said!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.write(said, b"begin\\n")

def stored_by_one_that_is_killed(book, data):
    child = os.fork()
    if child == 0:
        files.sync_folder = lambda folder: os.kill(os.getpid(), signal.SIGKILL)
        book.objects.put(data)
        os._exit(1)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != -signal.SIGKILL:
        sys.exit("the process that stores was not killed")

for session in range(3):
    with ledger.open({team!r}) as book:
        for n in range(6):
            artifact = f"artifact {{session}} {{n}}".encode() * 500
            if n:  # by then the write-ahead log is there, whose first sync would make every earlier name durable
                stored_by_one_that_is_killed(book, artifact)
            kept = book.store(artifact)
            named = ArtifactStored(
                artifact=kept.hash, size_bytes=kept.size_bytes, media_type="text/plain", role="model", run=None
            )
            runs = [failed(f"{{session}}.{{n}}.{{i}}", "late-arrivals") for i in range(1 + 7 * n)]
            appended = book.append(named, *runs)
            os.write(said, f"+ {{book.log.event(appended.last_seq).id.hex()}}\\n".encode())
            if n % 2:
                os.write(said, f"r {{receipt_line(parse_receipt(book.checkpoint()).checkpoint)}}\\n".encode())
        redact(book, appended.last_seq, "a campaign", "nobody")
"""


class Op(NamedTuple):
    """One recorded call that matters."""

    kind: str
    path: str
    data: bytes = b""
    offset: int = -1
    """-1: at the end of what the file holds then."""
    other: str = ""


def record(folder: Path) -> tuple[list[Op], Path]:
    """Run the session under strace; what it did, and a copy of the folders as they were before."""
    team = folder / "team"
    with ledger.create(team, timezone="UTC") as book:
        book.append(registered("late-arrivals"), sign=True)
    before = folder / "before"
    shutil.copytree(team, before / "team")
    shutil.copytree(state_home(), before / "state")
    trace = folder / "trace.txt"
    program = CHILD.format(
        root=str(ROOT / ".src"), support=str(ROOT / "tests" / "support"), said=str(folder / "said"), team=str(team)
    )
    # Every process, one line each: whoever starts one here waits for it, so their calls do not overlap.
    command = ["strace", "-f", "-y", "-xx", "-s", "4000000", "-e", f"trace={CALLS}", "-o", str(trace)]
    done = subprocess.run(
        [*command, sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"The session failed: {done.stderr}")
    return list(_ops(trace.read_text(), folder)), before


QUOTED = r'"((?:\\x[0-9a-f]{2})*)"'
FD = r"(?:\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)>"


def _ops(text: str, folder: Path) -> list[Op]:
    """The calls of a trace that touch the folder and the account's memory."""
    ops: list[Op] = []
    roots = (str(folder / "team"), str(state_home()), str(folder / "said"))

    def plain(hexed: str) -> bytes:
        return bytes.fromhex(hexed.replace("\\x", ""))

    def path_of(hexed: str) -> str:
        return plain(hexed).decode()

    for line in text.splitlines():
        if not re.search(r"\) += \d+", line):
            continue  # failed, or still on its way
        name, _, rest = re.sub(r"^\d+ +", "", line).partition("(")
        match name:
            case "openat" if "O_CREAT" in rest and (m := re.match(rf"{FD}, {QUOTED}", rest)):
                ops.append(Op("create", str(Path(path_of(m[1])) / path_of(m[2]))))
            case "write" if m := re.match(rf"{FD}, {QUOTED}", rest):
                ops.append(Op("write", path_of(m[1]), plain(m[2])))
            case "pwrite64" if m := re.match(rf"{FD}, {QUOTED}, \d+, (\d+)", rest):
                ops.append(Op("write", path_of(m[1]), plain(m[2]), int(m[3])))
            case "fsync" | "fdatasync" if m := re.match(FD, rest):
                ops.append(Op("sync", path_of(m[1])))
            case "ftruncate" if m := re.match(rf"{FD}, (\d+)", rest):
                ops.append(Op("truncate", path_of(m[1]), offset=int(m[2])))
            case "rename" if m := re.match(rf"{QUOTED}, {QUOTED}", rest):
                ops.append(Op("rename", path_of(m[1]), other=path_of(m[2])))
            case "unlink" if m := re.match(QUOTED, rest):
                ops.append(Op("remove", path_of(m[1])))
            case "mkdir" if m := re.match(QUOTED, rest):
                ops.append(Op("folder", path_of(m[1])))
            case "creat" | "renameat" | "renameat2" | "unlinkat":
                raise SystemExit(f"This campaign does not know how to read: {line[:200]}")
    begin = next(i for i, op in enumerate(ops) if op.path == roots[2] and op.data == b"begin\n")
    return [op for op in ops[begin:] if op.path.startswith(roots)]


class Disk:
    """Files as content by name: what a process sees, and from what a power cut leaves follows."""

    def __init__(self, before: dict[str, bytes]) -> None:
        self.files: dict[str, int] = {name: number for number, name in enumerate(before)}
        """Name -> inode, as the process sees it."""
        self.durable_names = dict(self.files)
        self.names: list[Op] = []
        """Changes of names that no sync has fixed."""
        self.synced: dict[int, bytearray] = {self.files[name]: bytearray(data) for name, data in before.items()}
        self.pending: dict[int, list[Op]] = {}
        self.sizes: dict[int, int] = {number: len(data) for number, data in self.synced.items()}

    def apply(self, op: Op) -> None:
        if op.kind == "create":
            if op.path not in self.files:
                inode = len(self.sizes)
                self.files[op.path] = inode
                self.synced[inode], self.sizes[inode] = bytearray(), 0
                self.names.append(op._replace(offset=inode))
        elif op.kind == "sync" and op.path not in self.files:
            self._fix_names()  # a folder
        elif op.kind == "sync":
            inode = self.files[op.path]
            for write in self.pending.pop(inode, []):
                _write(self.synced[inode], write)
            # A journalling file system that syncs a new file has written its name before.
            if any(name.offset == inode for name in self.names):
                self._fix_names()
        elif op.kind in ("write", "truncate"):
            inode = self.files[op.path]
            at = self.sizes[inode] if op.kind == "write" and op.offset < 0 else op.offset
            self.pending.setdefault(inode, []).append(op._replace(offset=at))
            self.sizes[inode] = at if op.kind == "truncate" else max(self.sizes[inode], at + len(op.data))
        elif op.kind in ("rename", "remove"):
            _rename(self.files, op)
            self.names.append(op)

    def _fix_names(self) -> None:
        for op in self.names:
            _rename(self.durable_names, op)
        self.names = []

    def cut(self, draw: random.Random) -> dict[str, bytes]:
        """What is on the disk after the power went."""
        names = dict(self.durable_names)
        for op in self.names[: draw.randint(0, len(self.names))]:
            _rename(names, op)
        left = {}
        for name, inode in names.items():
            data = bytearray(self.synced[inode])
            for op in self.pending.get(inode, []):
                fate = draw.random()
                if op.kind == "truncate" or fate < 0.4:
                    if op.kind != "truncate" or fate < 0.5:
                        _write(data, op)
                elif fate < 0.6:
                    keep = draw.randrange(0, len(op.data) + SECTOR_BYTES, SECTOR_BYTES)
                    _write(data, op._replace(data=op.data[:keep]))
            left[name] = bytes(data)
        return left


def _rename(names: dict[str, int], op: Op) -> None:
    if op.kind == "create":
        names[op.path] = op.offset
    elif op.kind == "remove":
        names.pop(op.path, None)
    elif op.path in names:
        names[op.other] = names.pop(op.path)


def _write(data: bytearray, op: Op) -> None:
    if op.kind == "truncate":
        del data[op.offset :]
        data.extend(bytes(op.offset - len(data)))
        return
    if len(data) < op.offset:
        data.extend(bytes(op.offset - len(data)))
    data[op.offset : op.offset + len(op.data)] = op.data


def campaign(folder: Path, cuts: int, seed: int = 1, lying: bool = False) -> Counter[str]:
    """Record one session, cut its power ``cuts`` times; counts of what was found.

    With ``lying`` the disk forgets what it was asked to sync in the log; everything else it keeps.
    """
    ops, before = record(folder)
    draw = random.Random(seed)
    team, state, said = folder / "team", state_home(), str(folder / "said")
    start = {
        str(root / path.relative_to(before / part)): path.read_bytes()
        for part, root in (("team", team), ("state", state))
        for path in sorted((before / part).rglob("*"))
        if path.is_file() and not path.name.endswith("-shm")
    }
    # Every other cut comes right after something was acknowledged, when a missing sync shows.
    told = [number for number, op in enumerate(ops, 1) if op.path == said and number < len(ops)]
    moments = sorted(draw.choice(told) if cut % 2 else draw.randrange(1, len(ops)) for cut in range(cuts))
    disk, outcomes, done = Disk(start), Counter[str](), 0
    acknowledged: list[str] = []
    receipts: list[str] = []
    covered = 0
    for moment in moments:
        for op in ops[done:moment]:
            if op.path == said:
                line = op.data.decode().strip()
                acknowledged += [line[2:]] if line.startswith("+ ") else []
                if line.startswith("r "):
                    receipts.append(line[2:])
                    covered = len(acknowledged)
            elif not (lying and op.kind == "sync" and "ledger.db" in op.path):
                disk.apply(op)
        done = moment
        outcome = _after(disk.cut(draw), team, state, acknowledged, receipts, covered)
        if outcome == "LOST IN SILENCE" or (outcome != "whole" and not lying):
            print(f"cut before call {moment} of {len(ops)} ({ops[moment].kind} {ops[moment].path}): {outcome}",
                  file=sys.stderr)  # fmt: skip
        outcomes[outcome.split(":")[0]] += 1
    return outcomes


def _after(
    left: dict[str, bytes], team: Path, state: Path, acknowledged: list[str], receipts: list[str], covered: int
) -> str:
    """What is found when the power is back; the newest receipt covers the first ``covered`` acknowledged events."""
    for root in (team, state):
        shutil.rmtree(root, ignore_errors=True)
    for name, data in left.items():
        path = Path(name)
        if path.name.startswith("ledger.db-shm") or path.name.endswith("-shm"):
            continue  # memory of running processes; it does not outlive them
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    try:
        with ledger.open(team) as book:
            ids = {stored.id.hex() for stored in book.log.events() if stored.id}
            against = [parse_receipt(text) for text in receipts[-2:]]
            verdict = verify(book, Asked(read_data=True, against=against))
            if not set(acknowledged) <= ids:
                if verdict.exit_code:
                    return "LOST AND NOTICED"
                return "LOST UNSIGNED" if set(acknowledged[:covered]) <= ids else "LOST IN SILENCE"
            return f"NOT VERIFIED: {verdict.findings}" if verdict.exit_code else "whole"
    except (TallyError, sqlite3.DatabaseError) as error:
        return f"NEEDS REPAIR: {error}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=3_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lying", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve()
        os.environ.update(XDG_CONFIG_HOME=str(folder / "config"), XDG_STATE_HOME=str(folder / "state"))
        os.environ.pop("SSH_AUTH_SOCK", None)
        begun = time.monotonic()
        outcomes = campaign(folder, asked.cuts, asked.seed, asked.lying)
    print(f"{asked.cuts:,} cuts in {time.monotonic() - begun:,.0f} s: "
          + ", ".join(f"{name} {number:,}" for name, number in outcomes.most_common()))  # fmt: skip
    held = outcomes["LOST IN SILENCE"] == 0 if asked.lying else set(outcomes) == {"whole"}
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
