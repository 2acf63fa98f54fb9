"""The app on a real terminal, with foreign text in every field, and while others write."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import lives
import pytest
from driving import driven
from shell import Demo, tally

from tallystick import ledger
from tallystick.tui.app.reading.position import Moment

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = [sys.executable, "-c", "from tallystick.tui.cli.main import main; main()", "tui"]
HOSTILE = (
    " \x1b]0;owned\x07\x1b[31m\x9b2J [@click=app.quit]x[/] [bold red]y[/] \u202eback\u2066 \u200b\u200d \x00\x08\r\n\t "
    "🧨👩‍👩‍👧 漢字 e\u0301 \ufeff ％"
)


# In tmux ---------------------------------------------------------------------------------------------------


class Tmux:
    """A session of its own server."""

    def __init__(self, folder: Path, columns: int, lines: int, command: str) -> None:
        self.socket = str(folder / "tmux.socket")
        self("new-session", "-d", "-s", "t", "-x", str(columns), "-y", str(lines), command)

    def __call__(self, *arguments: str) -> str:
        command = ["tmux", "-S", self.socket, "-f", "/dev/null", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def keys(self, *keys: str) -> None:
        self("send-keys", "-t", "t", *keys)

    def until(self, *texts: str, seconds: float = 40) -> str:
        """The screen, once it shows all of the texts."""
        deadline = time.monotonic() + seconds
        while True:
            screen = self("capture-pane", "-p", "-t", "t")
            if all(text in screen for text in texts):
                return screen
            assert time.monotonic() < deadline, f"{texts} never came:\n{screen}"
            time.sleep(0.1)


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_a_session_in_a_terminal(demo: Demo, tmp_path: Path) -> None:
    """The story of the demo, walked through on a real terminal: a past date, an event, a receipt, a small window."""
    ended = tmp_path / "ended"
    given = " ".join(f"{name}='{value}'" for name, value in demo.environment.items())
    program = f"env {given} " + " ".join(f"'{part}'" for part in PROGRAM)
    tmux = Tmux(tmp_path, 140, 40, f"cd {ROOT} && {program} --ledger '{demo.folder}'; echo $? > {ended}; sleep 1")
    try:
        now = tmux.until("NOW", "REPLAYED CLOCK", "v1 logistic", "Back to the model that stands on its own gates")
        assert re.search(r"▶ late-arrivals +v1 logistic +2013-11-05 +EXPIRED 7 d ", now)
        tmux.keys("t")
        tmux.until("Go to which time?")
        tmux.keys("-l", "2013-10-15")
        tmux.keys("Enter")
        past = tmux.until("THE PAST · as of 2013-10-15 23:59 America/New_York", "read-only", "v2 small_trees")
        board, story = past.split("\n")[:6], " ".join(past.split())
        assert re.search(r"▶ late-arrivals +v2 small_trees +2013-10-07 +2013-12-02 +0/6 +1 \(16 d\) ", "\n".join(board))
        assert "promoted late-arrivals-v2 to champion of late-arrivals instead of late-arrivals-v1" in story
        assert "The level moved; recalibrating saves" in story
        assert "Nobody is chosen" not in story and "Back to the model" not in story
        tmux.keys("4")
        events = tmux.until("[4 Events]", "waiver.granted")
        assert re.search(r"▶ #\d+ +2013-10-07 09:00 +model.promoted +ben@example.org ", events)
        tmux.keys("Enter")
        event = tmux.until("sha256", "what led to it", "gate calibration_in_large of late-arrivals-v2 is waived")
        assert "recorded  2013-10-07 09:00:00 EDT by ben@example.org in c" in event
        assert "model:late-arrivals-v1" in event  # what it is about: both models
        tmux.keys("Escape")
        tmux.until("▶ #")
        tmux.keys("6")
        tmux.until("[6 Integrity]", "receipt tally-demo-")
        tmux("set-option", "-s", "set-clipboard", "on")
        tmux.keys("y")
        tmux.until("copied receipt tally-demo-")
        receipt = tmux("show-buffer").strip()
        checked = tally(tmp_path, "verify", "--against", receipt, "--ledger", str(demo.folder), **demo.environment)
        assert checked.code == 0, checked.err
        assert "c0 to c18 are what the receipt saw" in checked.out
        tmux("resize-window", "-t", "t", "-x", "80", "-y", "24")
        small = tmux.until("THE PAST · as of 2013-10-15 23:59", "End: back to now")
        assert len(small.rstrip("\n").split("\n")) == 24
        assert all(len(line) <= 80 for line in small.split("\n"))
        tmux.keys("1")
        tmux.until("[1 Board]", "v2 small_trees")
        tmux.keys("End")
        tmux.until("NOW", "v1 logistic")
        tmux.keys("q")
        deadline = time.monotonic() + 20
        while not ended.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert ended.read_text().strip() == "0"
    finally:
        tmux("kill-server")


# Foreign text ----------------------------------------------------------------------------------------------


def on_a_pty(folder: Path, script: list[tuple[str, bytes]], environment: dict[str, str]) -> bytes:
    """Everything that the app writes to its terminal while keys are pressed; each when a text has appeared."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))
    process = subprocess.Popen([*PROGRAM, "--ledger", str(folder)], stdin=follower, stdout=follower, stderr=follower,
                               cwd=ROOT, env={**os.environ, "TERM": "xterm-256color", **environment})  # fmt: skip
    os.close(follower)
    stream, since, pressed = b"", 0, b""
    deadline = time.monotonic() + 120
    try:
        for wanted, keys in script:
            again = time.monotonic() + 3
            while wanted.encode() not in stream[since:]:
                assert time.monotonic() < deadline, f"{wanted!r} never came: {stream[-3000:]!r}"
                if pressed == b"g" and time.monotonic() > again:
                    # A key that comes before the app listens is lost, as for people; this one may come twice.
                    os.write(leader, pressed)
                    again = time.monotonic() + 3
                if select.select([leader], [], [], 0.1)[0]:
                    stream += os.read(leader, 65_536)
            since, pressed = len(stream), keys
            os.write(leader, keys)
        while process.poll() is None:
            assert time.monotonic() < deadline
            if select.select([leader], [], [], 0.1)[0]:
                try:
                    stream += os.read(leader, 65_536)
                except OSError:
                    break
        assert process.wait(10) == 0
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
        os.close(leader)
    return stream


ALLOWED = re.compile(
    rb"\x1b\[[<>=?]?[0-9;:]*[ $\"']?[@-~]"  # control sequences of the terminal driver
    rb"|\x1b\](?:8|22|52);[^\x07\x1b]*(?:\x07|\x1b\\)"
    rb"|\x1bP[^\x1b]*\x1b\\|\x1b[()][A-Z0-9]|\x1b[=>78]"
)


def test_foreign_text_never_acts_on_the_terminal(tmp_path: Path) -> None:
    lives.live(tmp_path / "team", HOSTILE + "x" * 9_000).close()
    script = [
        ("trajectory", b"2"), ("[2 Runs]", b"3"), ("[3 Lineage]", b"4"), ("[4 Events]", b"\x1b[B\r"),
        ("sha256", b"6"), ("[6 Integrity]", b"d"), ("A is", b"g"), ("THE PAST", b"5"), ("[5 Difference]", b"G"),
        ("NOW", b"q"),
    ]  # fmt: skip
    # A terminal of sixteen colours, so that nothing but their few sequences may come.
    stream = on_a_pty(tmp_path / "team", script, {"TERM": "xterm", "COLORTERM": ""})
    assert b"38;2;" not in stream and b"38;5;" not in stream and b"\x1b[1;30;" in stream
    assert b"owned" in stream and b"\\x1b" in stream, "the text was on the screen, with its bytes made visible"
    left = ALLOWED.sub(b"", stream)
    assert b"\x1b" not in left, left[max(0, left.index(b"\x1b") - 40) :][:200]
    assert not set(left) & (set(range(32)) - {10, 13}) and b"\x7f" not in left
    text = left.decode()
    for character in ("\x9b", "\u202e", "\u2066", "\u200b", "\u200d", "\ufeff"):
        assert character not in text
    assert b"\x1b]0;" not in stream.replace(b"\x1b]0;tally", b"")


def test_foreign_text_is_no_markup_and_clicks_do_nothing(tmp_path: Path) -> None:
    lives.live(tmp_path / "team", HOSTILE).close()

    async def go() -> None:
        async with driven(tmp_path / "team" / ".tally", (140, 40)) as app:
            text = app.text
            assert "[@click=app.quit]x[/]" in text and "[bold red]y[/]" in text and "\\u202eback" in text
            place = next((x, y) for y, line in enumerate(text.split("\n")) if (x := line.find("[@click")) >= 0)
            await app.pilot.click(offset=(place[0] + 18, place[1]))
            await app.settle()
            assert app.app.is_running
            for key in "23456":
                await app.press(key, "enter", "escape")
            await app.press("4", "/")
            await app.type("[@click")
            await app.press("escape")

    asyncio.run(go())


def test_no_color_is_honoured(tmp_path: Path) -> None:
    lives.live(tmp_path / "team").close()
    stream = on_a_pty(tmp_path / "team", [("trajectory", b"g"), ("THE PAST", b"q")], {"NO_COLOR": "1"})
    colours = set()
    for found in re.findall(rb"\x1b\[([0-9;]+)m", stream):
        numbers = re.findall(rb"38;2;(\d+);(\d+);(\d+)|48;2;(\d+);(\d+);(\d+)", found)
        colours |= {tuple(n for n in number if n) for number in numbers}
    assert all(len(set(colour)) == 1 for colour in colours), "only shades of grey"


def test_it_runs_in_a_browser(lived: Path) -> None:
    """What `textual serve` does: no terminal at all, but pipes with packets, which it passes to the page."""
    environment = {
        **os.environ,
        "TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver",
        "COLUMNS": "90",
        "ROWS": "30",
    }
    process = subprocess.Popen([*PROGRAM, "--ledger", str(lived)], cwd=ROOT, env=environment, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    try:
        seen = b""
        for wanted, key in ((b"level moved", b"g"), (b"THE PAST", b"q")):
            while wanted not in seen:
                seen += (read := os.read(process.stdout.fileno(), 65_536))
                assert read, seen[-2_000:]
            process.stdin.write(b"D" + struct.pack(">I", len(key)) + key)
            process.stdin.flush()
            seen = b""
        while os.read(process.stdout.fileno(), 65_536):
            pass
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


# While others write ----------------------------------------------------------------------------------------

WRITER = """
import sys, time
sys.path[:0] = [{support!r}]
import histories
from tallystick import ledger
from pathlib import Path
with ledger.open(Path({folder!r})) as book:
    for count in range(10_000):  # ended by the test long before
        book.append(histories.registered(f"p-{{count}}"))
        time.sleep(0.01)
"""


def test_it_follows_a_busy_writer_and_keeps_still_in_the_past(tmp_path: Path) -> None:
    with ledger.create(tmp_path / "team", timezone="UTC", key_home="file") as book:
        folder = book.folder
    code = WRITER.format(support=str(ROOT / "tests" / "support"), folder=str(folder))

    async def go() -> None:
        async with driven(folder) as app:

            def shown() -> Moment:
                assert app.app.moment is not None
                return app.app.moment

            writer = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
            try:
                for _ in range(3):
                    newest = shown().newest
                    await app.until(lambda newest=newest: shown().as_of.n > newest + 5)  # type: ignore[misc]
                app.send("left")
                await app.until(lambda: app.app.cursor.n is not None and shown().as_of.n == app.app.cursor.n)
                here, newest = shown().as_of.n, shown().newest
                await app.until(lambda: shown().newest > newest + 20)
                assert shown().as_of.n == app.app.cursor.n == here and f"c{here}-" in app.banner
            finally:
                writer.kill()
                writer.wait()
            with ledger.open(folder) as book:
                newest = book.log.size() - 1
            app.send("G")
            await app.until(lambda: shown().at.is_now and shown().as_of.n == newest)

    asyncio.run(go())


def test_it_ends_with_its_terminal(lived: Path) -> None:
    """Also where nobody sends a signal: a terminal that is gone reads as empty at once, for ever."""
    leader, follower = pty.openpty()
    code = "from tallystick.tui.cli.main import main; main()"
    app = subprocess.Popen(
        [sys.executable, "-c", code, "tui", "--ledger", str(lived)], stdin=follower, stdout=follower, stderr=follower
    )
    os.close(follower)
    try:
        seen = b""
        while b"Board" not in seen:
            seen += os.read(leader, 65_536)
        os.close(leader)
        # Who runs the tests may ignore the signal, as `nohup` does, and the app inherits that.
        is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert app.wait(60) == (129 if is_ignored else -signal.SIGHUP)
    finally:
        app.kill()
        app.wait()
