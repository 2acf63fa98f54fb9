"""Tallystick beside the limits of the machine and beside the programs that one would choose instead.

    python tests/bench/peers.py --cache ~/.cache/tally-peers --install     once: makes a virtual environment for each
    python tests/bench/peers.py --cache ~/.cache/tally-peers               measures those that are there
    python tests/bench/peers.py --quick --only tallystick,sqlite           a look, in seconds, that means nothing

Every peer runs in a virtual environment and a process of its own, driven by a small program in ``tests/bench/peers``
that uses it as its documentation recommends, in its fastest way that keeps what it was given. Within a round they take
turns, so that the ratios hold when the machine's speed drifts; the table gives the median and the range of the middle
half of all rounds. How durable each is, is told in its own line, and counted: system calls that sync, where ``strace``
is installed. What a peer does not do is told in words.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[1:1] = [str(ROOT / ".src"), str(HERE / "peers")]

from limits import limits  # noqa: E402
from protocol import FILE_BYTES, FILES, loss  # noqa: E402
from table import BATCH, table  # noqa: E402

ANSWER_SECONDS = 3_600
SYNCS = "fsync,fdatasync,sync_file_range,msync,sync,syncfs"
HELP, STATUS = "help", "where things stand"


class Peer(NamedTuple):
    """How a peer is installed, and what a person would type."""

    key: str
    packages: tuple[str, ...] = ()
    """Empty for what runs in this environment."""
    first: str = ""
    """How its documentation begins: the names that one needs, because some libraries put off importing the rest."""
    commands: tuple[tuple[str, str], ...] = ()

    @property
    def adapter(self) -> Path:
        return HERE / "peers" / f"with_{self.key}.py"

    def python(self, cache: Path) -> Path:
        return cache / self.key / "bin" / "python" if self.packages else Path(sys.executable)


PEERS = (
    Peer(
        "tallystick",
        (),
        "from tallystick import ledger; ledger.open, ledger.run",
        ((HELP, "tally --help"), (STATUS, "tally status")),
    ),
    Peer("sqlite", (), "import sqlite3"),
    Peer(
        "mlflow",
        ("mlflow",),
        "from mlflow import MlflowClient",
        ((HELP, "mlflow --version"), (STATUS, "mlflow experiments search")),
    ),
    Peer("eventsourcing", ("eventsourcing",), "from eventsourcing.application import Application"),
    Peer("model_ledger", ("model-ledger[cli]",), "from model_ledger import Ledger", ((HELP, "model-ledger --help"),)),
    Peer(
        "trackio",
        ("trackio",),
        "from trackio import init",
        ((HELP, "trackio --help"), (STATUS, "trackio list projects")),
    ),
    Peer("dvclive", ("dvclive",), "from dvclive import Live", ((HELP, "dvc --help"), (STATUS, "dvc status"))),
    Peer("sacred", ("sacred",), "from sacred import Experiment"),
)


class Scale(NamedTuple):
    """How much of everything."""

    rounds: int
    singles: int
    listed: int
    promotions: int
    questions: int
    race: int
    starts: int


FULL = Scale(rounds=15, singles=40, listed=10_000, promotions=200, questions=200, race=250, starts=5)
QUICK = Scale(rounds=2, singles=3, listed=20, promotions=3, questions=3, race=5, starts=1)


class Adapter:
    """A peer's process."""

    def __init__(self, peer: Peer, cache: Path, home: Path, trace: Path | None = None) -> None:
        self.peer = peer
        command = [str(peer.python(cache)), str(peer.adapter)]
        if trace is not None:
            command = ["strace", "-f", "-qq", "-e", "signal=none", "-e", f"trace={SYNCS}", "-o", str(trace), *command]
        self.said = (home / f"{peer.key}.said").open("ab")
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.said,
            env=environment(home),
            cwd=home,
            text=True,
        )

    def send(self, name: str, **more: Any) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"ask": name, **more}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended, which `receive` says

    def receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            words = Path(self.said.name).read_text(errors="replace").strip().splitlines()
            return {"failed": f"its process ended: {words[-1][:150] if words else 'without a word'}"}
        answer = json.loads(line)
        assert isinstance(answer, dict)
        return answer

    def ask(self, name: str, **more: Any) -> dict[str, Any]:
        self.send(name, **more)
        return self.receive()

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.said.close()


def environment(home: Path) -> dict[str, str]:
    """No peer may read or write what belongs to the person who runs this."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "DVC_NO_ANALYTICS": "1"}
    quiet["DVC_SITE_CACHE_DIR"] = f"{home}/dvc"
    return {**kept, **quiet, "HOME": str(home), "XDG_STATE_HOME": f"{home}/state", "XDG_CONFIG_HOME": f"{home}/config"}


# Measuring -------------------------------------------------------------------------------------------------


class Bench:
    """One measurement of some peers; ``found`` holds every value by measure and peer, or the words why not."""

    def __init__(self, peers: list[Peer], cache: Path, work: Path, scale: Scale) -> None:
        self.peers, self.cache, self.work, self.scale = peers, cache, work, scale
        self.found: dict[str, dict[str, list[float] | str]] = {}
        self.cpu: dict[str, dict[str, list[float]]] = {}
        self.notes: dict[str, dict[str, str]] = {}
        self.about: dict[str, dict[str, str]] = {}

    def note(self, measure: str, peer: Peer, answer: dict[str, Any]) -> None:
        """Keep what an adapter answered."""
        kept = self.found.setdefault(measure, {})
        if words := answer.get("cannot") or answer.get("failed"):
            kept[peer.key] = f"{'cannot' if 'cannot' in answer else 'FAILED'}: {words}"
            return
        values = answer["seconds"] if isinstance(answer["seconds"], list) else [answer["seconds"]]
        had = kept.setdefault(peer.key, [])
        if isinstance(had, list):
            had.extend(values)
        if "cpu" in answer:
            self.cpu.setdefault(measure, {}).setdefault(peer.key, []).append(answer["cpu"])
        if "without" in answer:
            self.notes.setdefault(measure, {})[peer.key] = f"without {answer['without']}"

    @contextmanager
    def open(self, place: str, peers: list[Peer] | None = None) -> Iterator[list[Adapter]]:
        """A process for each peer, each in a store of its own."""
        with ExitStack() as stack:
            adapters = []
            for peer in self.peers if peers is None else peers:
                adapter = Adapter(peer, self.cache, self.work)
                stack.callback(adapter.close)
                answer = adapter.ask("start", **self._place(place, peer))
                if "failed" in answer:
                    self.found.setdefault("starting", {})[peer.key] = f"FAILED: {answer['failed']}"
                adapters.append(adapter)
            yield adapters

    def _place(self, place: str, peer: Peer) -> dict[str, str]:
        folder, scratch = self.work / f"{peer.key}-{place}" / "store", self.work / f"{peer.key}-{place}" / "scratch"
        for path in (folder, scratch):
            path.mkdir(parents=True, exist_ok=True)
        return {"folder": str(folder), "scratch": str(scratch)}

    def who(self) -> None:
        """Name, version and durability of each."""
        with self.open("who") as adapters:
            for adapter in adapters:
                self.about[adapter.peer.key] = adapter.ask("about")

    def runs(self) -> None:
        """Whole runs, in turns; then what they weigh."""
        with self.open("runs") as adapters:
            for adapter in adapters:
                adapter.ask("whole_run", number=0)
                adapter.ask("end")
        empty = {peer.key: self._weight(peer) for peer in self.peers}
        with self.open("runs") as adapters:
            for adapter in adapters:
                adapter.ask("whole_run", number=1)  # the first of a process reads git and imports the rest
            for number in range(2, self.scale.rounds + 2):
                for adapter in adapters:
                    self.note("whole run", adapter.peer, adapter.ask("whole_run", number=number))
            for adapter in adapters:
                adapter.ask("end")
        for peer in self.peers:
            before, after = empty[peer.key], self._weight(peer)
            held = 0 if "files" in self.notes.get("whole run", {}).get(peer.key, "") else FILES * FILE_BYTES
            runs = self.scale.rounds + 1
            self.note("bytes", peer, {"seconds": (after[0] - before[0]) / runs - held})
            self.note("files", peer, {"seconds": (after[1] - before[1]) / runs})

    def _weight(self, peer: Peer) -> tuple[int, int]:
        """Bytes and files of a store that nobody has open."""
        paths = [path for path in Path(self._place("runs", peer)["folder"]).rglob("*") if path.is_file()]
        return sum(path.stat().st_size for path in paths), len(paths)

    def events(self) -> None:
        """Events one by one and many at once, in turns."""
        with self.open("events") as adapters:
            for adapter in adapters:
                adapter.ask("live_run", number=0)
                adapter.ask("single", label="first", count=2)
                adapter.ask("batch", label="first-many", count=BATCH)
            for number in range(1, self.scale.rounds + 1):
                for adapter in adapters:
                    self.note("live run", adapter.peer, adapter.ask("live_run", number=number))
                for adapter in adapters:
                    self.note("single", adapter.peer, adapter.ask("single", label="one-0", count=self.scale.singles))
                for adapter in adapters:
                    self.note("batch", adapter.peer, adapter.ask("batch", label=f"many-{number}", count=BATCH))
            for adapter in adapters:
                adapter.ask("end")

    def list_and_verify(self) -> None:
        """The best 50 of many runs; then the check of them all."""
        most = min(50, self.scale.listed)
        right = sorted(map(loss, range(self.scale.listed)))[:most]
        for peer in self.peers:
            if self._filled(peer).exists():
                shutil.copytree(self._filled(peer), self._place("list", peer)["folder"], dirs_exist_ok=True)
        with self.open("list") as adapters:
            listing = []
            for adapter in adapters:
                peer = adapter.peer
                answer = {"seconds": 0.0} if self._filled(peer).exists() else self._fill(adapter)
                if "seconds" in answer:
                    listing.append(adapter)
                else:
                    self.note("best", peer, answer)
            for again in range(self.scale.starts + 1):
                for adapter in listing:
                    answer = adapter.ask("best", count=most)
                    if "seconds" in answer and answer["losses"] != right:
                        answer = {"failed": "it listed other runs than the best"}
                    self.note("best" if again else "best, first time", adapter.peer, answer)
            for _ in range(min(3, self.scale.rounds)):
                for adapter in adapters:
                    self.note("verify", adapter.peer, adapter.ask("verify"))
            for adapter in adapters:
                adapter.ask("end")

    def _filled(self, peer: Peer) -> Path:
        """Where a store with the runs is kept for the next time: some peers need half an hour to record them."""
        version = self.about.get(peer.key, {}).get("version", "unknown")
        return self.cache / "filled" / f"{peer.key}-{version}-{self.scale.listed}"

    def _fill(self, adapter: Adapter) -> dict[str, Any]:
        answer = adapter.ask("fill", count=self.scale.listed)
        if "seconds" in answer and adapter.peer.packages:
            shutil.copytree(self._place("list", adapter.peer)["folder"], self._filled(adapter.peer))
        return answer

    def past(self) -> None:
        """Who was champion at a past date."""
        with self.open("past") as adapters:
            asked = []
            for adapter in adapters:
                answer = adapter.ask("promotions", count=self.scale.promotions)
                if "count" in answer:
                    asked.append(adapter)
                else:
                    self.note("past", adapter.peer, answer)
            for again in range(4):
                for adapter in asked:
                    answer = adapter.ask("champion", questions=self.scale.questions)
                    if again:
                        self.note("past", adapter.peer, answer)

    def race(self, writers: int = 4) -> None:
        """Processes that write at once: what was acknowledged and is not there, and what was refused."""
        for peer in self.peers:
            with self.open("race", [peer]) as first:
                first[0].ask("single", label="before", count=1)  # makes the tables; that is not what is raced for
                first[0].ask("end")
            with self.open("race", [peer] * writers) as adapters:
                answers = self._together(adapters, "single")
                if all("cannot" in answer for answer in answers):
                    answers = self._together(adapters, "queued")
            with self.open("race", [peer]) as reader:
                counted = reader[0].ask("counted", label="race")
            self._judge(peer, answers, counted)

    def _together(self, adapters: list[Adapter], ask: str) -> list[dict[str, Any]]:
        started = time.perf_counter()
        for index, adapter in enumerate(adapters):
            adapter.send(ask, label=f"race-{index}", count=self.scale.race)
        answers = [adapter.receive() for adapter in adapters]
        self.took = time.perf_counter() - started
        return answers

    def _judge(self, peer: Peer, answers: list[dict[str, Any]], counted: dict[str, Any]) -> None:
        failed = [answer.get("failed") for answer in answers if "failed" in answer]
        if failed or "count" not in counted:
            self.found.setdefault("race", {})[peer.key] = f"FAILED: {failed[0] if failed else counted}"
            return
        acknowledged = sum(len(answer["seconds"]) for answer in answers)
        asked = self.scale.race * len(answers)
        refused = {words: times for answer in answers for words, times in answer["errors"].items()}
        worst = max((max(answer["seconds"], default=0.0) for answer in answers), default=0.0)
        words = f"{acknowledged - counted['count']} lost of {acknowledged:,} acknowledged"
        words += f", {asked - acknowledged} refused; {acknowledged / self.took:,.0f} a second"
        words += f", longest wait {worst * 1_000:,.0f} ms" if worst else ", acknowledged at the end only"
        if refused:
            words += f" ({next(iter(refused))})"
        self.found.setdefault("race", {})[peer.key] = words

    def starts(self) -> None:
        """What a person waits for when typing, and a program when importing."""
        for turn in range(self.scale.starts + 1):
            for peer in self.peers:
                python = peer.python(self.cache)
                timed = [("import", [str(python), "-c", peer.first])]
                timed += [(title, f"{python.parent}/{words}".split()) for title, words in peer.commands]
                for title, command in timed:
                    answer = self._start(peer, command)
                    if turn:  # the first run of each only warms the page cache
                        self.note(title, peer, answer)

    def _start(self, peer: Peer, command: list[str]) -> dict[str, Any]:
        store = Path(self._place("runs", peer)["folder"])
        place = {"MLFLOW_TRACKING_URI": f"sqlite:///{store}/mlflow.db", "TRACKIO_DIR": str(store)}
        state = {name: str(store.parent / "tally-state") for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME")}
        started = time.perf_counter()
        done = subprocess.run(
            command,
            check=False,
            cwd=store,
            env={**environment(self.work), **place, **state},
            capture_output=True,
            text=True,
        )
        took = time.perf_counter() - started
        if done.returncode:
            return {"failed": f"{Path(command[0]).name} ended with {done.returncode}: {done.stderr.strip()[-120:]}"}
        return {"seconds": took}

    def syncs(self) -> None:
        """System calls that wait for the disk, for one event and for one run."""
        for peer in self.peers:
            self._syncs(peer, "single", few=5, many=25)
            self._syncs(peer, "whole run", few=1, many=4)

    def _syncs(self, peer: Peer, what: str, few: int, many: int) -> None:
        counts, measure = [], f"syncs, {what}"
        for times in (few, many):
            trace = self.work / f"{peer.key}.trace"
            adapter = Adapter(peer, self.cache, self.work, trace)
            adapter.ask("start", **self._place(f"syncs-{what}-{times}", peer))
            if what == "single":
                answer = adapter.ask("single", label="one-0", count=times)
            else:
                answer = [adapter.ask("whole_run", number=number) for number in range(times)][-1]
            adapter.close()
            if "seconds" not in answer:
                self.note(measure, peer, answer)
                return
            # A call that another thread interrupts has a second line, which says that it was resumed.
            counts.append(sum("resumed" not in line for line in trace.read_text().splitlines()))
        self.note(measure, peer, {"seconds": (counts[1] - counts[0]) / (many - few)})


# Installing ------------------------------------------------------------------------------------------------


def install(peer: Peer, cache: Path) -> str | None:
    """A virtual environment with the peer in it; the reason where that does not work."""
    print(f"installing {', '.join(peer.packages)}", flush=True)
    venv.create(cache / peer.key, with_pip=True, clear=True)
    command = [str(peer.python(cache)), "-m", "pip", "install", "-q", "--disable-pip-version-check", *peer.packages]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode == 0:
        return None
    shutil.rmtree(cache / peer.key)
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    return f"pip said: {errors[-1][:150] if errors else done.stderr[-150:]}"


def present(wanted: list[Peer], cache: Path, installs: bool) -> tuple[list[Peer], dict[str, str]]:
    """The peers that can run, and why the others cannot."""
    absent: dict[str, str] = {}
    for peer in wanted:
        if not peer.python(cache).exists():
            words = install(peer, cache) if installs else "it is not installed in the cache (--install does it)"
            if words:
                absent[peer.key] = words
    return [peer for peer in wanted if peer.key not in absent], absent


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cache", type=Path, help="Where the environments are; its disk is measured.")
    parser.add_argument("--install", action="store_true", help="Install the peers that are not there.")
    parser.add_argument("--only", default="", help="Some of them: tallystick,sqlite,mlflow.")
    parser.add_argument("--quick", action="store_true", help="A few of everything, to see that it works.")
    parser.add_argument("--rounds", type=int, default=FULL.rounds)
    parser.add_argument("--listed", type=int, default=FULL.listed, help="Runs of which the 50 best are listed.")
    parser.add_argument("--json", type=Path, help="Also write every value to this file.")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    scale = QUICK if given.quick else FULL._replace(rounds=given.rounds, listed=given.listed)
    names = [name for name in given.only.split(",") if name]
    if unknown := set(names) - {peer.key for peer in PEERS}:
        raise SystemExit(f"There is no {', '.join(sorted(unknown))}. There are {', '.join(p.key for p in PEERS)}.")
    cache = (given.cache or Path(tempfile.gettempdir()) / "tally-peers").absolute()
    cache.mkdir(parents=True, exist_ok=True)
    peers, absent = present([peer for peer in PEERS if not names or peer.key in names], cache, given.install)
    with tempfile.TemporaryDirectory(dir=cache, prefix="measuring-") as folder:
        bench = Bench(peers, cache, Path(folder), scale)
        steps = [bench.who, bench.runs, bench.events, bench.past, bench.starts, bench.race, bench.list_and_verify]
        if shutil.which("strace"):
            steps.append(bench.syncs)
        for step in steps:
            print(f"… {step.__name__.replace('_', ' ')}", file=sys.stderr, flush=True)
            step()
        print(f"Limits of this machine, {os.cpu_count()} processors")
        print("\n".join(limits(Path(folder), scale.rounds)), end="\n\n")
        print("\n".join(table(bench, absent)))
    if given.json:
        given.json.write_text(
            json.dumps({"about": bench.about, "found": bench.found, "cpu": bench.cpu, "notes": bench.notes})
        )


if __name__ == "__main__":
    main()
