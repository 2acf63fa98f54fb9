"""Many at once: is there one history, does anybody fail, how long does anybody wait, and does anything grow?

    python tests/campaigns/load.py             8 writing processes with 500 commits each, and 4 that begin at once
    python tests/campaigns/load.py --soak 30   afterwards 30 minutes of ten writes a second

Eight processes append as fast as they can: single events, batches of twelve, and every fiftieth commit signed. Two more
read: champions, runs and models now and at past commits, and each must see what it has seen before. The terminal app
is open on a terminal of its own and walks through time. Then there is one linear history: every event once, each
process's in its order, times that never go back, and everything verifies. The soak writes, signs, stores and reads with
the app open, and watches the memory of its processes and the size of the files: they may grow with what is recorded and
with nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import multiprocessing
import os
import pty
import random
import select
import signal
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / ".src"))
sys.path.insert(0, str(ROOT / "tests" / "support"))

from histories import failed, finished, registered, started  # noqa: E402
from shell import PROGRAM  # noqa: E402

from tallystick import ledger  # noqa: E402
from tallystick.ledger.errors import Refused  # noqa: E402
from tallystick.ledger.verify.report import Asked  # noqa: E402
from tallystick.ledger.verify.verify import verify  # noqa: E402
from tallystick.ledger.views.cache_file import account_file  # noqa: E402

PIPELINE = "late-arrivals"
LONGEST_WAIT_SECONDS = 0.5


class Load(NamedTuple):
    """What many at once came to."""

    commits: int
    seconds: float
    median_wait: float
    """Seconds from asking for an append until it was durable."""
    wait_99: float
    worst_wait: float
    reads: int
    worst_read: float
    screens: int
    """Bytes that the app wrote while the others wrote, in thousands."""
    errors: list[str]


def write(folder: str, name: str, commits: int, go: Any, told: Any) -> None:
    """Append as fast as possible; tell how long each took."""
    waits: list[float] = []
    draw = random.Random(name)
    try:
        with ledger.open(folder) as book:
            go.wait()
            for index in range(commits):
                run = f"{name}.{index}"
                bodies = [failed(f"{run}.{i}", PIPELINE) for i in range(12 if draw.random() < 0.2 else 1)]
                begun = time.perf_counter()
                book.append(*bodies, sign=index % 50 == 49)
                waits.append(time.perf_counter() - begun)
        told.put(("writer", waits, ""))
    except BaseException as error:  # noqa: BLE001 - a child that fails tells its parent
        told.put(("writer", waits, f"{name}: {type(error).__name__}: {error}"))


def read(folder: str, name: str, stop: Any, told: Any) -> None:
    """Ask for what is and what was until told to stop; what was seen once must be seen again."""
    waits: list[float] = []
    seen: dict[int, int] = {}
    draw = random.Random(name)
    try:
        with ledger.open(folder) as book:
            newest = 0
            while not stop.is_set():
                begun = time.perf_counter()
                now = book.now()
                runs = len(now.runs())
                waits.append(time.perf_counter() - begun)
                if runs < newest:
                    raise AssertionError(f"{newest} runs were seen, and then {runs}")
                newest = runs
                n = draw.randrange(book.log.size())
                at = len(book.at(f"c{n}").runs())
                if seen.setdefault(n, at) != at:
                    raise AssertionError(f"at c{n} there were {seen[n]} runs, and then {at}")
                time.sleep(0.02)
        told.put(("reader", waits, ""))
    except BaseException as error:  # noqa: BLE001 - as above
        told.put(("reader", waits, f"{name}: {type(error).__name__}: {error}"))


class App(threading.Thread):
    """The terminal app on a terminal of its own, with somebody who walks through time in it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))
        self.process = subprocess.Popen(
            [*PROGRAM, "tui", "--ledger", str(folder)], stdin=follower, stdout=follower, stderr=follower,
            env={**os.environ, "TERM": "xterm-256color"}, start_new_session=True,
        )  # fmt: skip
        os.close(follower)
        self.stop = threading.Event()
        self.written = 0
        self.text = b""

    def run(self) -> None:
        keys = iter(())
        pressed = time.monotonic()
        while not self.stop.is_set():
            if select.select([self.leader], [], [], 0.1)[0]:
                with contextlib.suppress(OSError):
                    part = os.read(self.leader, 1 << 16)
                    self.written += len(part)
                    self.text = (self.text + part)[-200_000:]
            if self.written and time.monotonic() - pressed > 0.3:
                keys = iter((b"\x1b[D", b"\x1b[D", b"\x1b[C", b"4", b"1")) if not (key := next(keys, b"")) else keys
                os.write(self.leader, key)
                pressed = time.monotonic()

    def close(self) -> str:
        """End it as people do; what is wrong, in words."""
        self.stop.set()
        self.join()
        alive = self.process.poll() is None
        os.write(self.leader, b"q")
        deadline = time.monotonic() + 10
        while self.process.poll() is None and time.monotonic() < deadline:
            if select.select([self.leader], [], [], 0.1)[0]:
                with contextlib.suppress(OSError):
                    os.read(self.leader, 1 << 16)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        os.close(self.leader)
        if not alive:
            return f"the app ended by itself: {self.text[-500:]!r}"
        return "" if self.written else "the app showed nothing"


def campaign(folder: Path, writers: int, commits: int, readers: int = 2, with_app: bool = True) -> Load:
    """Let processes write at once while others read and the app is open."""
    with ledger.create(folder / "team", timezone="UTC", key_home="file") as book:
        book.append(registered(PIPELINE), started("0.0", PIPELINE))
    path = str(folder / "team")
    # Not forked: each is a process of its own, as it would be elsewhere.
    context = multiprocessing.get_context("spawn")
    go, stop, told = context.Event(), context.Event(), context.Queue()
    processes = [context.Process(target=write, args=(path, f"w{w}", commits, go, told)) for w in range(writers)]
    processes += [context.Process(target=read, args=(path, f"r{r}", stop, told)) for r in range(readers)]
    for process in processes:
        process.start()
    app = App(folder / "team" / ".tally") if with_app else None
    if app is not None:
        app.start()
        while not app.written and app.process.poll() is None:
            time.sleep(0.05)
    begun = time.perf_counter()
    go.set()
    answers = [told.get(timeout=600) for _ in range(writers)]
    seconds = time.perf_counter() - begun
    stop.set()
    answers += [told.get(timeout=60) for _ in range(readers + writers - len(answers))]
    errors = [error for _, _, error in answers if error]
    if app is not None and (trouble := app.close()):
        errors.append(trouble)
    for process in processes:
        process.join()
        if process.exitcode:
            errors.append(f"a process ended with {process.exitcode}")
    waits = sorted(wait for kind, all_, _ in answers if kind == "writer" for wait in all_)
    reads = [wait for kind, all_, _ in answers if kind == "reader" for wait in all_]
    errors += what_is_wrong(folder / "team", writers, commits)
    return Load(
        len(waits), seconds, statistics.median(waits), waits[int(len(waits) * 0.99)], waits[-1], len(reads),
        max(reads, default=0.0), 0 if app is None else app.written // 1000, errors,
    )  # fmt: skip


def what_is_wrong(folder: Path, writers: int, commits: int) -> list[str]:
    """Whether there is one linear history with everything in it, once."""
    wrong = []
    with ledger.open(folder) as book:
        runs = [entry.event.body.run for entry in book.events() if entry.event.t == "run.failed"]
        if len(runs) != len(set(runs)):
            wrong.append("an event is there twice")
        for w in range(writers):
            order = [int(run.split(".")[1]) for run in runs if run.startswith(f"w{w}.")]
            if order != sorted(order) or set(order) != set(range(commits)):
                wrong.append(f"what w{w} wrote is not all there in its order")
        all_commits = list(book.log.commits())
        if [commit.n for commit in all_commits] != list(range(len(all_commits))):
            wrong.append("commits are not numbered one after the other")
        recorded = [commit.recorded_at for commit in all_commits]
        if recorded != sorted(recorded):
            wrong.append("time goes back")
        verdict = verify(book, Asked(read_data=True))
        wrong += [f"{finding.kind}: {finding.words}" for finding in verdict.findings]
    return wrong


# Beginning at once -----------------------------------------------------------------------------------------


def begin(folder: str, name: str, go: Any, told: Any) -> None:
    """Make a ledger or find that somebody has, and write into it."""
    try:
        go.wait()
        try:
            book = ledger.create(folder, timezone="UTC", key_home="file")
        except Refused:
            book = ledger.open(folder)
        with book:
            for index in range(10):
                book.append(finished(f"{name}.{index}", PIPELINE), sign=index == 9)
        told.put("")
    except BaseException as error:  # noqa: BLE001 - a child that fails tells its parent
        told.put(f"{name}: {type(error).__name__}: {error}")


def beginnings(folder: Path, times: int, processes: int = 4) -> list[str]:
    """So many times, processes that start at once where no ledger is; what is wrong, in words."""
    context = multiprocessing.get_context("spawn")
    wrong: list[str] = []
    for number in range(times):
        go, told = context.Event(), context.Queue()
        path = folder / f"begun {number}"
        started_ = [context.Process(target=begin, args=(str(path), f"b{b}", go, told)) for b in range(processes)]
        for process in started_:
            process.start()
        go.set()
        wrong += [error for error in (told.get(timeout=120) for _ in started_) if error]
        for process in started_:
            process.join()
        with ledger.open(path) as book:
            runs = [entry.event.body.run for entry in book.events() if entry.event.t == "run.finished"]
            if sorted(runs) != sorted(f"b{b}.{i}" for b in range(processes) for i in range(10)):
                wrong.append(f"{len(runs)} of {processes * 10} events are there")
            if verify(book).exit_code:
                wrong.append("it does not verify")
        if [entry.name for entry in path.iterdir()] != [".tally"]:
            wrong.append(f"left behind: {sorted(entry.name for entry in path.iterdir())}")
    return wrong


# Soak ------------------------------------------------------------------------------------------------------


class Sample(NamedTuple):
    """A moment of a soak."""

    minutes: float
    events: int
    writer_mb: float
    reader_mb: float
    app_mb: float
    ledger_mb: float
    wal_mb: float
    views_mb: float
    views_wal_mb: float
    files: int
    """Open files of the writer and the reader together."""


def soaking(folder: str, name: str, rate: float, stop: Any, told: Any) -> None:
    """Write or read gently until told to stop."""
    draw = random.Random(name)
    try:
        with ledger.open(folder) as book:
            index = 0
            while not stop.is_set():
                if name == "writer":
                    book.append(failed(f"{name}.{index}", PIPELINE), sign=index % 20 == 19)
                    if index % 50 == 49:
                        book.store(draw.randbytes(1000))
                else:
                    book.now().pipelines()
                    book.at(f"c{draw.randrange(book.log.size())}").models()
                index += 1
                stop.wait(rate)
        told.put("")
    except BaseException as error:  # noqa: BLE001 - as above
        told.put(f"{name}: {type(error).__name__}: {error}")


def soak(folder: Path, minutes: float, rate: float = 0.1) -> Iterator[Sample | str]:
    """Samples as they are taken, then what is wrong, in words."""
    with ledger.create(folder / "soak", timezone="UTC", key_home="file") as book:
        book.append(registered(PIPELINE), started("0.0", PIPELINE))
    context = multiprocessing.get_context("spawn")
    stop, told = context.Event(), context.Queue()
    pair = [
        context.Process(target=soaking, args=(str(folder / "soak"), name, rate, stop, told))
        for name in ("writer", "reader")
    ]
    for process in pair:
        process.start()
    app = App(folder / "soak" / ".tally")
    app.start()
    begun = time.monotonic()
    every = max(minutes * 60 / 15, 2.0)
    try:
        while (passed := time.monotonic() - begun) < minutes * 60 and told.empty():
            time.sleep(min(every, minutes * 60 - passed + 0.01))
            yield sample(
                folder / "soak" / ".tally", [p.pid or 0 for p in pair], app.process.pid, time.monotonic() - begun
            )
    finally:
        stop.set()
    for process in pair:
        if error := told.get(timeout=60):
            yield error
        process.join()
    if trouble := app.close():
        yield trouble
    with ledger.open(folder / "soak") as book:
        if verify(book).exit_code:
            yield "it does not verify"


def sample(folder: Path, pids: list[int], app: int, seconds: float) -> Sample:
    views = account_file(folder)

    def size(path: Path) -> float:
        return path.stat().st_size / 1e6 if path.exists() else 0.0

    def resident(pid: int) -> float:
        status = Path(f"/proc/{pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1e3

    connection = sqlite3.connect(f"file:{folder / 'ledger.db'}?mode=ro", uri=True)
    events = connection.execute("SELECT max(seq) + 1 FROM events").fetchone()[0]
    connection.close()
    return Sample(
        seconds / 60, events, resident(pids[0]), resident(pids[1]), resident(app), size(folder / "ledger.db"),
        size(folder / "ledger.db-wal"), size(views), size(views.with_name(f"{views.name}-wal")),
        sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids),
    )  # fmt: skip


def flat(samples: list[Sample]) -> list[str]:
    """What grew by itself between the first third and the end: memory, the logs before the files, open files."""
    settled, last = samples[len(samples) // 3], samples[-1]
    wrong = []
    for name, most in (
        ("writer_mb", 8.0),
        ("reader_mb", 16.0),
        ("app_mb", 30.0),
        ("wal_mb", 8.0),
        ("views_wal_mb", 16.0),
    ):
        grown = getattr(last, name) - getattr(settled, name)
        if grown > most:
            wrong.append(f"{name} grew by {grown:.1f} from {getattr(settled, name):.1f}")
    if last.files > settled.files + 4:
        wrong.append(f"open files grew from {settled.files} to {last.files}")
    return wrong


def print_load(load: Load, writers: int) -> None:
    rate = load.commits / load.seconds
    print(f"{writers} writers, {load.commits:,} commits in {load.seconds:.1f} s ({rate:,.0f} a second)")
    print(f"wait      median {load.median_wait * 1e3:.1f} ms, 99 of 100 within {load.wait_99 * 1e3:.0f} ms, "
          f"worst {load.worst_wait * 1e3:.0f} ms")  # fmt: skip
    print(f"readers   {load.reads:,} answers, worst {load.worst_read * 1e3:.0f} ms; the app wrote {load.screens:,} kB")
    print(f"errors    {len(load.errors)}")
    for error in load.errors:
        print(f"    {error}", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--commits", type=int, default=500)
    parser.add_argument("--beginnings", type=int, default=20)
    parser.add_argument("--soak", type=float, default=0.0, metavar="MINUTES")
    asked = parser.parse_args()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ.update(XDG_CONFIG_HOME=str(folder / "c"), XDG_STATE_HOME=str(folder / "s"), TALLY_ACTOR="load")
        os.environ.pop("SSH_AUTH_SOCK", None)
        if asked.commits:
            load = campaign(folder, asked.writers, asked.commits)
            print_load(load, asked.writers)
            wrong += load.errors
            if load.worst_wait > LONGEST_WAIT_SECONDS:
                wrong.append(f"somebody waited {load.worst_wait:.2f} s")
        if asked.beginnings:
            found = beginnings(folder, asked.beginnings)
            print(f"beginning {asked.beginnings} times 4 processes at once on no ledger: {len(found)} errors")
            wrong += found
        if asked.soak:
            samples: list[Sample] = []
            print("".join(f"{name:>13}" for name in Sample._fields), flush=True)
            for item in soak(folder, asked.soak):
                if isinstance(item, str):
                    wrong.append(item)
                    continue
                samples.append(item)
                print(
                    "".join(f"{value:13,.1f}" if isinstance(value, float) else f"{value:13,}" for value in item),
                    flush=True,
                )
            wrong += flat(samples)
    for words in wrong:
        print(f"WRONG: {words}", file=sys.stderr)
    print(f"{len(wrong)} wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
