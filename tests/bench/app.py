"""How quick the terminal app is on a ledger of a million events.

    python tests/bench/app.py [LEDGER]

Without LEDGER a ledger is generated first, as in ``tests/bench/travel.py``, which takes minutes. Prints, on a
pseudo-terminal, the time from the start of the process to the first screen with something of the ledger on it, beside
that of an empty Textual app; then, inside one process: CPU of 100 steps of the cursor on each pane, the time of jumps
to dates, of the first page of a filter and of an idle second at NOW; and resident memory.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import random
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tests" / "support"))

EMPTY = """
from textual.app import App
from textual.widgets import Static
class Empty(App):
    def compose(self):
        yield Static("READY")
Empty().run()
"""
TALLY = "from tui.cli import main; main()"


def first_paint(code: list[str], wanted: bytes) -> float:
    """Seconds from starting a process until ``wanted`` comes out of its terminal."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", *code], stdin=follower, stdout=follower, stderr=follower, cwd=ROOT,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}, start_new_session=True,
    )  # fmt: skip
    os.close(follower)
    seen = b""
    try:
        while wanted not in seen:
            if time.perf_counter() - start > 60:
                raise SystemExit(f"{wanted!r} never appeared")
            if select.select([leader], [], [], 0.1)[0]:
                seen = seen[-100_000:] + os.read(leader, 65_536)
        return time.perf_counter() - start
    finally:
        process.terminate()
        process.wait()
        os.close(leader)


def resident_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    return 0


async def inside(folder: Path) -> dict[str, float]:
    from driving import driven

    from tui.desk import Job
    from tui.moment import At, read_moment
    from tui.screens.events import read_these, search

    found: dict[str, float] = {}
    async with driven(folder, (120, 40)) as app:
        moment = app.app.moment
        assert moment is not None
        chance = random.Random(1)
        pane_names = ("board", "runs", "lineage", "events")

        def read(target: int) -> object:
            """What one step asks of the ledger, in this thread, so that its CPU can be told."""
            pane = app.app.pane
            question = pane.question()

            def work(book, job):  # type: ignore[no-untyped-def]
                begun = time.thread_time()
                at = read_moment(book, At(target, False))
                question(book, at, job)
                return time.thread_time() - begun

            return work

        for name in pane_names:
            app.app.action_show(name)
            await app.settle()
            place = moment.newest - 500
            cpu = time.process_time()
            for step in range(100):
                app.app.go(place - step)
                await app.settle()
            found[f"100 steps, {name}, CPU s (whole app)"] = time.process_time() - cpu
            reads = [await app.app.wait_for("bench", read(place - step)) for step in range(100)]
            found[f"100 steps, {name}, CPU s (reading)"] = sum(reads)
        app.app.action_show("board")
        await app.settle()
        jumps = [await app.app.wait_for("bench", read(chance.randrange(moment.newest))) for _ in range(30)]
        found["jump to any commit, ms (median, reading)"] = statistics.median(jumps) * 1_000
        found["jump to any commit, ms (worst, reading)"] = max(jumps) * 1_000
        for text in ("promoted", "type:decision", "pipeline-7 type:promoted", "actor:bench", "2013-01-01.77"):

            def page(book, _job: Job, text: str = text) -> float:  # type: ignore[no-untyped-def]
                begun = time.perf_counter()
                query, values = search(text, moment.as_of.seq)
                rows = [row[0] for row in book.log.reader.execute(query, values).fetchmany(40)]
                read_these(book, rows, moment.as_of.seq)
                return time.perf_counter() - begun

            took = [await app.app.wait_for("bench", page) for _ in range(3)]
            found[f"filter {text!r}, first page, ms"] = statistics.median(took) * 1_000
        found["resident memory, MB"] = resident_bytes() / 1e6
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(temporary) / "book"
        if len(sys.argv) < 2:
            import travel

            os.environ.update(XDG_STATE_HOME=f"{temporary}/state", XDG_CONFIG_HOME=f"{temporary}/config")
            travel.make(folder, 1_000_000)
        folder = folder / ".tally" if (folder / ".tally").exists() else folder
        empty, full = [], []
        for _ in range(7):  # side by side, so that whatever else the machine does weighs on both
            empty.append(first_paint([EMPTY], b"READY"))
            full.append(first_paint([TALLY, "tui", "--ledger", str(folder)], b"trajectory"))
        print(f"{'empty Textual app, first paint, s':45}{statistics.median(empty):>10.3f}")
        print(f"{'tally tui, board painted, s':45}{statistics.median(full):>10.3f}")
        print(f"{'more than the empty one, s (median of pairs)':45}"
              f"{statistics.median(b - a for a, b in zip(empty, full, strict=True)):>10.3f}")  # fmt: skip
        for name, value in asyncio.run(inside(folder)).items():
            print(f"{name:45}{value:>10.3f}")


if __name__ == "__main__":
    main()
