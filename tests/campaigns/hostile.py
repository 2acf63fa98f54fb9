"""Every parser of foreign text against inputs that are led by which lines of the parser they reach.

    pip install '.[campaigns]'          (atheris: libFuzzer for Python, ready-made for Linux on x86-64)
    python tests/campaigns/hostile.py [--inputs 1000000] [--seconds 120] [--only NAME] [--corpus DIR]

The parsers and the law are those of `fuzz_parsers.py`: nothing but a `TallyError` comes out, within half a second of
the processor, within 64 MiB, and nothing is started, unpickled or written elsewhere. Each parser runs in a process of
its own that may use 2 GiB. An input that breaks the law is printed once for each place and kind of error, and the exit
code is 1. Inputs end at whichever limit is met first.

With --corpus the inputs that reached something new stay in DIR, and every later call goes on from them and adds to the
counts until each parser has had --inputs, so that the full form can be spread over many sittings; `--seconds 0` prints
the table alone. A parser whose own files have changed since begins again from 0 with the inputs that were kept.
Inputs are at most twice as long as the longest valid text: long ones are the part of `fuzz_parsers.py`.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PACKAGES = ("ledger", "pipeline", "tui")
MOST_ADDRESS_BYTES = 2 << 30
HANG_SECONDS = 10.0
LONGEST_INPUT = 200_000
SHORTEST_LIMIT = 256
SECONDS_BETWEEN_REPORTS = 5.0


class Hang(BaseException):
    """An input that is still being read after ten seconds of the processor."""


class Watch:
    """One parser under the law: counts, extremes, and the first input of every finding, summed over sittings."""

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        from foreign import target
        from fuzz_parsers import change

        self.target = target(name)
        self.change = self.target.change or change
        self.folder = Path(options.corpus)
        self.kept = self._begin(name)
        self.inputs, self.end = options.inputs, time.monotonic() + options.seconds
        self.known = sum(1 for _ in (self.folder / "inputs").iterdir())
        """Inputs that libFuzzer reads again at the beginning; they have been counted."""
        self.begun = self.told = time.monotonic()
        self.before = self.kept["seconds"]

    def _begin(self, name: str) -> dict[str, Any]:
        """The counts so far, which hold for the parser as it is now; the valid texts become the first inputs."""
        inputs = self.folder / "inputs"
        inputs.mkdir(parents=True, exist_ok=True)
        for number, text in enumerate(self.target.corpus):
            (inputs / f"valid-{number}").write_bytes(text.encode(errors="surrogateescape"))
        now = fingerprint(self.target)
        with suppress(FileNotFoundError):
            kept: dict[str, Any] = json.loads((self.folder / "kept.json").read_text())
            if kept["fingerprint"] == now:
                return kept
        return {"name": name, "fingerprint": now, "inputs": 0, "accepted": 0, "seconds": 0.0, "longest_ms": 0.0,
                "most_bytes": 0, "reached": 0, "findings": {}}  # fmt: skip

    def look(self, data: bytes) -> None:
        """Put one input to the parser."""
        from fuzz_parsers import LONG_CHARACTERS, LONGEST_SECONDS, MOST_BYTES
        from law import bounded

        from tallystick.ledger.errors import TallyError

        kept = self.kept
        text = data.decode(errors="surrogateescape")
        is_new = self.known <= 0
        if is_new:
            kept["inputs"] += 1
        else:
            self.known -= 1
        traced = self.target.counted and (kept["inputs"] % 50 == 0 or len(text) > LONG_CHARACTERS)
        if traced:
            tracemalloc.start()
        signal.setitimer(signal.ITIMER_VIRTUAL, HANG_SECONDS)
        started = time.thread_time()
        try:
            with bounded():
                self.target.parse(text)
            kept["accepted"] += is_new
        except TallyError:
            pass
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - whatever else comes out is what is looked for
            self.note(f"{type(error).__name__} at {place(error)}", data)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        taken = time.thread_time() - started
        if traced:
            used = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            kept["most_bytes"] = max(kept["most_bytes"], used)
            if used > MOST_BYTES:
                self.note(f"more than {MOST_BYTES:,} bytes", data)
        else:
            kept["longest_ms"] = max(kept["longest_ms"], taken * 1000)
        # Counting bytes costs time of its own.
        if taken > LONGEST_SECONDS * (4 if traced else 1):
            self.note(f"more than {LONGEST_SECONDS} s", data)
        now = time.monotonic()
        if kept["inputs"] >= self.inputs or now > self.end:
            self.tell(now)
            os._exit(0)  # libFuzzer does not return
        if now > self.told + SECONDS_BETWEEN_REPORTS:
            self.tell(now)

    def note(self, what: str, data: bytes) -> None:
        """Keep the first input of a finding."""
        self.kept["findings"].setdefault(what, base64.b64encode(data).decode())

    def tell(self, now: float) -> None:
        """Write down what was counted and found so far."""
        self.told = now
        self.kept["seconds"] = self.before + now - self.begun
        whole = self.folder / "kept.json"
        half = whole.with_suffix(".new")
        half.write_text(json.dumps(self.kept))
        half.replace(whole)

    def mutated(self, data: bytes, longest: int, seed: int) -> bytes:
        """Half of the time a change that knows what such texts are made of, half of the time libFuzzer's own."""
        import atheris

        source = random.Random(seed)
        if source.random() < 0.5:
            return bytes(atheris.Mutate(data, longest))
        text = self.change(source, data.decode(errors="surrogateescape"), self.target.corpus)
        return text.encode(errors="surrogatepass")[:longest]


def fingerprint(target: Any) -> str:
    """A hash of those of our files that the parser's valid texts pass through."""
    from tallystick.ledger.errors import TallyError

    files: set[str] = set()

    def parse_all() -> None:
        for text in target.corpus:
            with suppress(TallyError):
                target.parse(text)

    parse_all()  # what is made at the first call only, such as a ledger to ask, is no part of the parser
    sys.setprofile(lambda frame, _event, _argument: files.add(frame.f_code.co_filename))
    parse_all()
    sys.setprofile(None)
    # What is imported lies below links to the packages.
    resolved = {Path(file).resolve() for file in files if not file.startswith("<")}
    ours = sorted(file for file in resolved if any(file.is_relative_to(ROOT / package) for package in PACKAGES))
    together = b"".join(f"{file.relative_to(ROOT)}\n".encode() + file.read_bytes() for file in ours)
    return hashlib.sha256(together).hexdigest()[:16]


def place(error: BaseException) -> str:
    """File and line of our own code where an error came from."""
    found, trace = "?", error.__traceback__
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.parts[-2:-1] and {*PACKAGES} & set(path.parts):
            found = f"{path.parent.name}/{path.name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def child(options: argparse.Namespace) -> None:
    """One parser, in this process, to the end."""
    import atheris

    sys.path[:0] = [str(HERE), str(ROOT / ".src")]
    # The product's own lines lead; those of the libraries below it would cost more time than they tell.
    with atheris.instrument_imports(include=["tallystick"]):
        import foreign

        foreign.target(options.child)  # now, so that what it imports is instrumented
    resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESS_BYTES, MOST_ADDRESS_BYTES))

    def hang(_number: int, _frame: object) -> None:
        raise Hang

    signal.signal(signal.SIGVTALRM, hang)
    watch = Watch(options.child, options)
    if options.seconds <= 0:
        watch.tell(watch.begun)
        return
    longest = min(LONGEST_INPUT, max(SHORTEST_LIMIT, *(2 * len(text) for text in watch.target.corpus)))
    limits = [f"-max_len={longest}", "-timeout=60", "-rss_limit_mb=1900", f"-seed={options.seed}"]
    # libFuzzer keeps slow inputs as files where it stands; what matters is in the report.
    limits += [f"-artifact_prefix={watch.folder}/", str(watch.folder / "inputs")]
    atheris.Setup([sys.argv[0], *limits], watch.look, custom_mutator=watch.mutated)
    atheris.Fuzz()


def run(name: str, corpus: Path, options: argparse.Namespace) -> bool:
    """One parser in a process of its own; prints its row and its findings, and says whether there were none."""
    folder = corpus / name.replace(" ", "-")
    whole = folder / "kept.json"
    kept = json.loads(whole.read_text()) if whole.exists() else None
    died = ""
    if options.seconds > 0 or kept is not None:
        with tempfile.TemporaryDirectory(dir=memory()) as scratch:
            # Another seed each time, or the second sitting would do again what the first one did.
            seed = options.seed + (kept["inputs"] if kept else 0) % 2**31
            command = [sys.executable, __file__, "--child", name, "--corpus", str(folder), "--inputs",
                       str(options.inputs), "--seconds", str(options.seconds), "--seed", str(seed)]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, errors="replace",
                                  env={**os.environ, "TMPDIR": scratch}, check=False)  # fmt: skip
        if done.returncode != 0:
            died = f"ended by itself ({done.returncode}): {done.stderr[-2000:]}"
        if whole.exists():
            kept = json.loads(whole.read_text())
            kept["reached"] = max(kept["reached"], *map(int, re.findall(r"cov: (\d+)", done.stderr)), 0)
            whole.write_text(json.dumps(kept))
    if kept is not None:
        print(row(kept), flush=True)
        for what, data in kept["findings"].items():
            print(f"    {what}\n    {base64.b64decode(data)[:300]!r}", flush=True)
    if died:
        print(f"    {name} {died}", flush=True)
    return kept is None or (not kept["findings"] and not died)


def row(kept: dict[str, Any]) -> str:
    """One line of the table."""
    a_second = kept["inputs"] / kept["seconds"] if kept["seconds"] else 0
    return (
        f"{kept['name']:18}{kept['inputs']:11,}{a_second:9,.0f}{kept['accepted']:11,}{kept['reached']:9,}"
        f"{kept['longest_ms']:12.1f}{kept['most_bytes'] // 1024:10,}{len(kept['findings']):10}"
    )


def memory() -> Path | None:
    """A folder in memory, where the machine has one: files are made and thrown away by the million."""
    shared = Path("/dev/shm")
    return shared if os.access(shared, os.W_OK) else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=120.0, help="for each parser, in this sitting")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", help="a parser by name; may be given several times")
    parser.add_argument("--corpus", type=Path, metavar="DIR", help="keep inputs and counts here, and go on from them")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options)
        return
    sys.path.insert(0, str(HERE))
    from foreign import names

    print(
        f"{'parser':18}{'inputs':>11}{'a second':>9}{'accepted':>11}{'reached':>9}{'longest ms':>12}{'most KiB':>10}"
        f"{'findings':>10}"
    )
    with tempfile.TemporaryDirectory(dir=memory()) as passing:
        corpus = options.corpus or Path(passing)
        clean = [run(name, corpus, options) for name in options.only or names()]
    sys.exit(0 if all(clean) else 1)


if __name__ == "__main__":
    main()
