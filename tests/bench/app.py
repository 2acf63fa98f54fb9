"""How quick the terminal app is on a ledger of a million events, seen from its terminal.

    python tests/bench/app.py [LEDGER [starting stepping jumping filtering following]]

Without LEDGER a ledger is generated first, as in ``tests/bench/travel.py``, which takes minutes. The app runs as a
process of its own on a pseudo-terminal. Prints the time from its start to its first screen and to the first screen
with something of the ledger on it, beside that of an empty Textual app; CPU of 100 steps of the cursor on each pane;
the time from a key to what it brings, for jumps to dates and for filters; CPU of an idle second at NOW; resident
memory; and, on a small ledger to which another process appends 100 commits a second, how late the app shows them and
the writer's waits, with the app and without it.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import random
import re
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / ".src"))
sys.path.insert(0, str(ROOT / "tests" / "support"))

EMPTY = """
from textual.app import App
from textual.widgets import Static
class Empty(App):
    def compose(self):
        yield Static("READY")
Empty().run()
"""
TALLY = "from tallystick.tui.cli.main import main; main()"
FILTERS = ("promoted", "type:decision", "pipeline-7 type:promoted", "actor:nobody", "entity:2013-01-01.77")
JUMPS = 30
STEPS = 100


class Terminal:
    """A process on a pseudo-terminal of 120 × 40."""

    def __init__(self, *code: str) -> None:
        self.leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.begun = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-c", *code], stdin=follower, stdout=follower, stderr=follower, cwd=ROOT,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}, start_new_session=True,
        )  # fmt: skip
        os.close(follower)
        self.seen = self.matched = b""

    def until(self, wanted: bytes, seconds: float = 60) -> float:
        """Seconds until a pattern comes out, counted from this call or from the start; what came is forgotten."""
        begun = time.perf_counter()
        while (found := re.search(wanted, self.seen)) is None:
            if time.perf_counter() - begun > seconds:
                raise SystemExit(f"{wanted!r} never appeared: {self.seen[-2_000:]!r}")
            if select.select([self.leader], [], [], 0.1)[0]:
                self.seen = self.seen[-200_000:] + os.read(self.leader, 65_536)
        self.matched, self.seen = found[0], self.seen[found.end() :]
        return time.perf_counter() - begun

    def rest(self, seconds: float = 0.3) -> None:
        """Until nothing has come out for a while; a blinking cursor never rests, so not for ever."""
        end = time.perf_counter() + 4 * seconds
        while select.select([self.leader], [], [], seconds)[0] and time.perf_counter() < end:
            os.read(self.leader, 65_536)
        self.seen = b""

    def press(self, keys: str) -> None:
        os.write(self.leader, keys.encode())

    def cpu_seconds(self) -> float:
        """What its threads have used; what a busy machine made them wait for is not in it."""
        threads = Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9

    def resident_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1_000  # type: ignore[index]

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        os.close(self.leader)


def tally(folder: Path) -> Terminal:
    return Terminal(TALLY, "tui", "--ledger", str(folder))


def at_rest(folder: Path) -> Terminal:
    """The app with everything painted."""
    terminal = tally(folder)
    terminal.until(b"NOW")
    terminal.rest(1.0)
    return terminal


def line(name: str, value: float) -> None:
    print(f"{name:58}{value:>10.3f}", flush=True)


def starting(folder: Path) -> None:
    seen: dict[str, list[tuple[float, float]]] = {"empty": [], "frame": [], "board": []}

    def note(name: str, terminal: Terminal) -> None:
        seen[name].append((time.perf_counter() - terminal.begun, terminal.cpu_seconds()))

    for _ in range(9):  # side by side, so that whatever else the machine does weighs on both
        terminal = Terminal(EMPTY)
        terminal.until(b"READY")
        note("empty", terminal)
        terminal.end()
        terminal = tally(folder)
        terminal.until(b"Integrity")
        note("frame", terminal)
        terminal.until(rb"model-\d+|pipeline-\d+ ")
        note("board", terminal)
        terminal.end()
    for at, unit in enumerate(("s", "CPU s")):
        line(f"empty Textual app, first paint, {unit}", statistics.median(one[at] for one in seen["empty"]))
        for name, words in (("frame", "first paint"), ("board", "board with its contents")):
            more = [one[at] - empty[at] for empty, one in zip(seen["empty"], seen[name], strict=True)]
            line(f"{words}, {unit} more than the empty one, median of pairs", statistics.median(more))


def stepping(folder: Path) -> None:
    from tallystick import ledger

    with ledger.open(folder) as book:
        newest = book.log.size() - 1
    terminal = at_rest(folder)
    begun = terminal.cpu_seconds()
    time.sleep(5)
    line("an idle second at NOW, CPU s", (terminal.cpu_seconds() - begun) / 5)
    for key, name in enumerate(("board", "runs", "lineage", "events"), 1):
        terminal.press(f"{key}\x1b[F")
        terminal.rest()
        begun = terminal.cpu_seconds()
        for step in range(1, STEPS + 1):
            terminal.press("\x1b[D")
            terminal.until(b"c%d-" % (newest - step))
        terminal.rest()
        line(f"{STEPS} steps on {name}, CPU s of the whole process", terminal.cpu_seconds() - begun)
    line("resident memory, MB", terminal.resident_mb())
    terminal.end()


def jumping(folder: Path) -> None:
    from tallystick import ledger

    chance, wanted = random.Random(1), []
    with ledger.open(folder) as book:
        first, last = (book.at(f"c{n}").as_of.recorded_at for n in (book.log.size() // 10, book.log.size() - 1))
        for _ in range(JUMPS):
            text = f"{(first + (last - first) * chance.random()).astimezone(book.zone):%Y-%m-%dT%H:%M:%S}"
            wanted.append((text, book.at(text).as_of.n))
    terminal = at_rest(folder)
    took, used = [], []
    for text, n in wanted:
        terminal.press("t")
        terminal.until(b"Go to which time")
        terminal.rest()
        terminal.press(text)
        terminal.rest()
        begun = terminal.cpu_seconds()
        terminal.press("\r")
        took.append(terminal.until(b"c%d-" % n))
        terminal.rest()
        used.append(terminal.cpu_seconds() - begun)
    line("jump to a date, ms from Enter to the screen, median", statistics.median(took) * 1_000)
    line("jump to a date, ms from Enter to the screen, worst", max(took) * 1_000)
    line("jump to a date, CPU ms of the whole process, median", statistics.median(used) * 1_000)
    terminal.end()


def filtering(folder: Path) -> None:
    terminal = at_rest(folder)
    terminal.press("4")
    terminal.rest()
    for text in FILTERS:
        first, whole = [], []
        for _ in range(3):
            terminal.press("/")
            terminal.rest()
            terminal.press(text[:-1])
            terminal.until(b"[0-9] found", 120)  # what the text so far finds, so that nothing of it is taken for more
            terminal.rest()
            terminal.press(text[-1])
            begun = time.perf_counter()
            terminal.until(b"filter: (?:[1-9][0-9,]* |0 found)", 120)
            first.append(time.perf_counter() - begun)
            if b"found" not in terminal.matched:
                terminal.until(b"found", 120)
            whole.append(time.perf_counter() - begun)
            terminal.press("\x1b")
            terminal.rest(0.5)
        line(f"filter {text!r}, ms to the first rows", statistics.median(first) * 1_000)
        line(f"filter {text!r}, ms until all are counted", statistics.median(whole) * 1_000)
    line("resident memory, MB", terminal.resident_mb())
    terminal.end()


WRITER = """
import json, sys, time
sys.path[:0] = [{support!r}]
import histories
from tallystick import ledger
from pathlib import Path
waits = []
with ledger.open(Path({folder!r})) as book:
    end = time.monotonic() + 12
    while time.monotonic() < end:
        begun = time.monotonic()
        book.append(histories.registered("p"))
        waits.append(time.monotonic() - begun)
        time.sleep(max(0, 0.01 - waits[-1]))
waits.sort()
print(json.dumps([len(waits), waits[len(waits) // 2], waits[-len(waits) // 100], waits[-1]]))
"""


def following(place: Path) -> None:
    from tallystick import ledger

    with ledger.create(place, timezone="UTC", key_home="file") as book:
        folder = book.folder
        from histories import registered

        book.append(registered("p"))
    code = WRITER.format(support=str(ROOT / "tests" / "support"), folder=str(folder))
    for watched in (False, True, False, True):
        terminal = at_rest(folder) if watched else None
        late: list[float] = []
        if terminal is not None:
            terminal.rest(1.0)
        writer = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        if terminal is not None:
            with ledger.open(folder) as book:
                newest = book.log.size() - 1
                while writer.poll() is None:
                    time.sleep(0.05)
                    if (following := book.log.size() - 1) == newest:
                        continue
                    newest, begun = following, time.perf_counter()
                    while writer.poll() is None and time.perf_counter() - begun < 10:
                        found = re.findall(rb"NOW \xc2\xb7 c(\d+)-", terminal.seen)
                        if found and int(found[-1]) >= newest:
                            late.append(time.perf_counter() - begun)
                            break
                        if select.select([terminal.leader], [], [], 0.02)[0]:
                            terminal.seen = terminal.seen[-20_000:] + os.read(terminal.leader, 65_536)
            terminal.end()
        count, median, slow, worst = json.loads(writer.communicate()[0])
        name = "with the app" if watched else "alone"
        line(f"writer {name}: commits a second", count / 12)
        line(f"writer {name}: ms a commit, median", median * 1_000)
        line(f"writer {name}: ms a commit, 99 of 100", slow * 1_000)
        line(f"writer {name}: ms a commit, worst", worst * 1_000)
        if late:
            line("a commit is shown after s, median", statistics.median(late))
            line("a commit is shown after s, worst", max(late))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="a ledger [default: one of a million events is made]")
    parser.add_argument("parts", nargs="*", help="starting, stepping, jumping, filtering, following [default: all]")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        os.environ.setdefault("XDG_STATE_HOME", f"{temporary}/state")
        os.environ.setdefault("XDG_CONFIG_HOME", f"{temporary}/config")
        folder = asked.folder or Path(temporary) / "book"
        if asked.folder is None:
            import travel

            travel.make(folder, 1_000_000)
        folder = folder / ".tally" if (folder / ".tally").exists() else folder
        parts = {"starting": starting, "stepping": stepping, "jumping": jumping, "filtering": filtering}
        for name in asked.parts or [*parts, "following"]:
            if name == "following":
                following(Path(temporary) / "small")
            else:
                parts[name](folder)


if __name__ == "__main__":
    main()
