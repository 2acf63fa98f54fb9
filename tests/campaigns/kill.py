"""Kill a process that works on a ledger at random moments: is anything lost, does anything need repair?

    python tests/campaigns/kill.py                1,000 kills
    python tests/campaigns/kill.py --kills 50     fewer
    python tests/campaigns/kill.py --commands 20  besides, each command of `tally` that records, killed 20 times

A child appends, signs, promotes, redacts, seals and rebuilds, and says on a pipe what it has been told is done. It is
ended by SIGKILL somewhere in between. Then, with nothing repaired by hand: every event that was acknowledged is there,
`verify` reads everything and finds nothing wrong, every receipt that was printed holds, and the next child can go on.

With ``--commands`` real commands are killed the same way: a whole run of a small pipeline on real data, promote,
retire, correct, waive, receipt, redact, seal, rebuild, key rotate, init, import. Of each only the process itself is
killed; those that it started must be gone soon after. Each is given again afterwards and must succeed, or say no
because the killed one had done it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple, NoReturn

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / ".src"))
sys.path.insert(0, str(ROOT / "tests" / "support"))

from histories import failed, finished, promoted, refitted, registered, started  # noqa: E402
from shell import PROGRAM  # noqa: E402

from tallystick import ledger  # noqa: E402
from tallystick.ledger.amend.redaction import redact  # noqa: E402
from tallystick.ledger.errors import Refused  # noqa: E402
from tallystick.ledger.publish.segments import seal  # noqa: E402
from tallystick.ledger.tlog.note import parse_receipt, receipt_line  # noqa: E402
from tallystick.ledger.verify.report import Asked  # noqa: E402
from tallystick.ledger.verify.verify import verify  # noqa: E402

ACTIONS = ("append", "batch", "run", "checkpoint", "promote", "redact", "seal", "rebuild", "artifact")
LONGEST_LIFE_SECONDS = 0.25


class Outcome(NamedTuple):
    """What a campaign came to."""

    kills: int
    acknowledged: int
    receipts: int
    lost: int
    not_verified: int
    repairs: int
    during: Counter[str]
    """Kills by what the child was doing."""


def _work(folder: Path, seed: int, pipe: int) -> NoReturn:
    """The child: work until killed; ``>`` before each action, ``+`` with what it was told when it is done."""

    def say(text: str) -> None:
        os.write(pipe, f"{text}\n".encode())

    draw = random.Random(seed)
    with ledger.open(folder) as book:
        while True:
            action = draw.choice(ACTIONS)
            name = f"{seed}.{draw.getrandbits(40):x}"
            say(f"> {action}")
            if action == "append":
                appended = book.append(failed(name, "late-arrivals"))
                say(f"+ {book.log.event(appended.last_seq).id.hex()}")
            elif action == "batch":
                appended = book.append(*(failed(f"{name}.{i}", "late-arrivals") for i in range(draw.randint(2, 200))))
                say(f"+ {book.log.event(appended.last_seq).id.hex()}")
            elif action == "run":
                for body in (started(name, "late-arrivals"), finished(name, "late-arrivals")):
                    appended = book.append(body, sign=True)
                    say(f"+ {book.log.event(appended.last_seq).id.hex()}")
            elif action == "checkpoint":
                say(f"r {receipt_line(parse_receipt(book.checkpoint()).checkpoint)}")
            elif action == "promote":
                model = f"late-arrivals-{name}"
                book.append(refitted(model, name, "late-arrivals"))
                book.append(promoted(model, "late-arrivals", None), sign=True)
            elif action == "redact":
                with contextlib.suppress(Refused):
                    seqs = [s.seq for s in book.log.events() if s.data is not None and s.type == "run.failed"]
                    if seqs:
                        redact(book, draw.choice(seqs), "a campaign", "nobody")
            elif action == "seal":
                with contextlib.suppress(Refused):
                    seal(book)
            elif action == "rebuild":
                book.views.rebuild()
                book.now().pipelines()
            else:
                book.store(draw.randbytes(50_000))


def campaign(folder: Path, kills: int, seed: int = 1) -> Outcome:
    """Kill ``kills`` children one after the other on one ledger that is begun anew every 50."""
    draw = random.Random(seed)
    during: Counter[str] = Counter()
    lost = not_verified = repairs = acknowledged = receipts = 0
    team = folder / "team"
    kept: list[str] = []
    seen: list[str] = []
    for number in range(kills):
        if number % 50 == 0:
            shutil.rmtree(team, ignore_errors=True)
            with ledger.create(team, timezone="UTC") as book:
                book.append(registered("late-arrivals"))
            kept, seen = [], []
        lines = _one(team, draw)
        during[next((line[2:] for line in reversed(lines) if line.startswith("> ")), "starting")] += 1
        new = [line[2:] for line in lines if line.startswith("+ ")]
        seen += new
        acknowledged += len(new)
        new_receipts = [line[2:] for line in lines if line.startswith("r ")]
        kept += new_receipts
        receipts += len(new_receipts)
        try:
            with ledger.open(team) as book:
                ids = {stored.id.hex() for stored in book.log.events()}
                lost += sum(event not in ids for event in seen)
                book.append(failed(f"after.{number}", "late-arrivals"))
                asked = Asked(read_data=True, against=[parse_receipt(text) for text in kept[-5:]])
                verdict = verify(book, asked)
                if verdict.exit_code:
                    not_verified += 1
                    print(f"kill {number}, during {during.most_common(1)}: {verdict.findings}", file=sys.stderr)
        except ledger.TallyError as error:
            repairs += 1
            print(f"kill {number}: {error}", file=sys.stderr)
    return Outcome(kills, acknowledged, receipts, lost, not_verified, repairs, during)


def _one(team: Path, draw: random.Random) -> list[str]:
    """Let one child live for a random time; what it said."""
    reading, writing = os.pipe()
    seed = draw.getrandbits(32)
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            _work(team, seed, writing)
        except BaseException as error:  # noqa: BLE001 - a child that ends by itself is told to the parent
            os.write(writing, f"! {type(error).__name__}: {error}\n".encode())
            os._exit(9)
    os.close(writing)
    time.sleep(draw.uniform(0.0, LONGEST_LIFE_SECONDS))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as pipe:
        lines = pipe.read().decode().split("\n")[:-1]
    if os.WIFEXITED(status):
        raise SystemExit(f"The child ended by itself: {lines[-1:]}")
    return lines


# Commands --------------------------------------------------------------------------------------------------

WAIVE = (
    "waive", "calibration_in_large", "--model", "late-arrivals-v1", "--until", "30 days", "--owner", "ann",
    "--approver", "ben", "--reason", "three months are a small sample",
)  # fmt: skip
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("run", "tiny.toml"),
    ("promote", "late-arrivals-v1", "--reason", "steady"),
    ("retire", "late-arrivals-v1", "--reason", "not wanted"),
    ("correct", "#FINISHED", "--reason", "by mistake"),
    WAIVE,
    ("receipt",),
    ("redact", "#FINISHED", "--reason", "why", "--authority", "who", "--yes"),
    ("seal",),
    ("rebuild",),
    ("key", "rotate", "--reason", "a new year"),
    ("init", "elsewhere"),
    ("import", "../laptop"),
)  # fmt: skip
DONE = "already|nothing new|Nothing new|does not count any more|There is a ledger"


def prepare_commands(folder: Path) -> int:
    """A ledger with one whole run of a small pipeline whose model may be promoted; the position of the run's end."""
    from tiny import done, tiny

    (folder / "team").mkdir(parents=True)
    file = tiny(folder / "team")
    with ledger.create(folder / "team", timezone="America/New_York", key_home="file") as book:
        done(book, file)
        (finished_at,) = (entry.seq for entry in book.events() if entry.event.t == "run.finished")
    with ledger.create(folder / "laptop", timezone="UTC", key_home="file") as book:
        for number in range(400):
            book.append(started(f"laptop.{number}", "laptop"), finished(f"laptop.{number}", "laptop"))
        book.checkpoint()
    for words in (("reproduce", "late-arrivals-v1"), WAIVE):
        subprocess.run([*PROGRAM, *words], cwd=folder / "team", check=True, capture_output=True)
    return finished_at


def commands(folder: Path, kills: int, seed: int = 1, only: str = "") -> Counter[str]:
    """Kill every command ``kills`` times; counts by command and what came of it, what is wrong in capitals."""
    draw = random.Random(seed)
    template = folder / "template"
    before = {name: os.environ[name] for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME")}
    home = {"XDG_CONFIG_HOME": "c", "XDG_STATE_HOME": "s"}
    os.environ.update({name: str(template / part) for name, part in home.items()})
    finished_at = prepare_commands(template)
    os.environ.update(before)
    outcomes: Counter[str] = Counter()
    for command in COMMANDS:
        if only and command[0] != only:
            continue
        arguments = tuple(word.replace("FINISHED", str(finished_at)) for word in command)
        whole = _command(template, folder, arguments, None)[1]
        for _ in range(kills):
            outcome, _ = _command(template, folder, arguments, draw.uniform(0.0, whole * 1.05))
            if outcome.isupper() or outcome[:2].isupper():
                print(f"{arguments}: {outcome}", file=sys.stderr)
            outcomes[f"{arguments[0]:8} {outcome.partition(':')[0]}"] += 1
    return outcomes


def _command(  # noqa: PLR0911 - each is another end
    template: Path, folder: Path, arguments: tuple[str, ...], at: float | None
) -> tuple[str, float]:
    """Give a command, kill it after some seconds, look, and give it again; what came of it, and how long it took."""
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        place = Path(temporary) / "w"
        shutil.copytree(template, place)
        environment = {**os.environ, "XDG_CONFIG_HOME": str(place / "c"), "XDG_STATE_HOME": str(place / "s")}

        def given(*words: str) -> subprocess.Popen[str]:
            return subprocess.Popen(
                [*PROGRAM, *words], cwd=place / "team", env=environment, text=True, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip

        events = set(_ids(place))
        begun = time.monotonic()
        process = given(*arguments)
        out = err = ""
        with contextlib.suppress(subprocess.TimeoutExpired):
            out, err = process.communicate(timeout=at)
        seconds = time.monotonic() - begun
        killed = process.returncode is None
        if killed:
            process.kill()  # alone: the processes that it has begun must notice
            process.wait()
            if left := _left_after(process.pid):
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                return f"PROCESSES LEFT: {left}", seconds
            out, err = process.communicate()
        elif process.returncode:
            return f"FAILED unkilled: {err}", seconds
        if not events <= set(_ids(place)):
            return "LOST", seconds
        checked = given("verify", "--full", "--read-data")
        words, trouble = checked.communicate()
        if checked.returncode:
            return f"NOT VERIFIED: {words} {trouble}", seconds
        if receipts := re.findall(r"^receipt \S+ \S+$", out, re.MULTILINE):
            checked = given("verify", "--against", receipts[-1])
            words, trouble = checked.communicate()
            if checked.returncode:
                return f"RECEIPT DOES NOT HOLD: {words} {trouble}", seconds
        again = given(*arguments)
        words, trouble = again.communicate()
        if again.returncode and not re.search(DONE, words + trouble):
            return f"NEEDS REPAIR: {again.returncode} {words} {trouble}", seconds
        if not killed:
            return "was quicker", seconds
        return "killed, was done" if again.returncode else "killed, done again", seconds


SECONDS_TO_END = 10.0


def _left_after(session: int) -> list[str]:
    """The processes of a session that are there when their time to end is over."""
    end = time.monotonic() + SECONDS_TO_END
    while (left := processes_of(session)) and time.monotonic() < end:
        time.sleep(0.05)
    return left


def processes_of(session: int) -> list[str]:
    """The processes of a session that live, by number and name; proc_pid_stat(5)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:
            continue  # it has ended
        name, _, rest = text.rpartition(")")
        state, _parent, _group, of = rest.split()[:4]
        if int(of) == session and state not in "ZX":
            found.append(f"{name})")
    return found


def _ids(place: Path) -> list[str]:
    connection = sqlite3.connect(f"file:{place / 'team' / '.tally' / 'ledger.db'}?mode=ro", uri=True)
    try:
        return [row[0] for row in connection.execute("SELECT hex(id) FROM events")]
    finally:
        connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--commands", type=int, default=0, metavar="KILLS")
    parser.add_argument("--only", default="", help="one command")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ.update(XDG_CONFIG_HOME=str(folder / "config"), XDG_STATE_HOME=str(folder / "state"))
        os.environ.pop("SSH_AUTH_SOCK", None)
        begun = time.monotonic()
        outcome = campaign(folder, asked.kills, asked.seed)
        outcomes = commands(folder, asked.commands, asked.seed, asked.only) if asked.commands else Counter[str]()
    print(f"kills {outcome.kills:,} in {time.monotonic() - begun:,.0f} s")
    print(f"acknowledged events {outcome.acknowledged:,}, receipts {outcome.receipts:,}")
    print(f"lost {outcome.lost}, not verified {outcome.not_verified}, repairs needed {outcome.repairs}")
    print("killed during: " + ", ".join(f"{name} {number}" for name, number in outcome.during.most_common()))
    for words, number in sorted(outcomes.items()):
        print(f"{words}  {number}")
    harmed = any(words[9:11].isupper() for words in outcomes)
    sys.exit(1 if harmed or outcome.lost or outcome.not_verified or outcome.repairs else 0)


if __name__ == "__main__":
    main()
