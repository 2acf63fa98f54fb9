"""Every parser of foreign text against inputs that are led by which lines of the parser they reach.

    pip install '.[campaigns]'          (atheris: libFuzzer for Python, ready-made for Linux on x86-64)
    python tests/campaigns/hostile.py [--inputs 1000000] [--seconds 120] [--only NAME]

The parsers and the law are those of `fuzz_parsers.py`: nothing but a `TallyError` comes out, within half a second of
the processor, within 64 MiB. Each parser runs in a process of its own that may use 2 GiB. An input that breaks the law
is printed once for each place and kind of error, and the exit code is 1. Inputs end at whichever limit is met first.
"""

from __future__ import annotations

import argparse
import base64
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
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MOST_ADDRESS_BYTES = 2 << 30
HANG_SECONDS = 10.0
LONGEST_INPUT = 200_000


class Hang(BaseException):
    """An input that is still being read after ten seconds of the processor."""


class Watch:
    """One parser under the law: counts, extremes, and the first input of every finding."""

    def __init__(self, name: str, inputs: int, seconds: float, report: Path) -> None:
        from foreign import targets
        from fuzz_parsers import change

        self.target = targets()[name]
        self.change = change
        self.inputs, self.end = inputs, time.monotonic() + seconds
        self.report = report
        self.count = self.accepted = self.most_bytes = 0
        self.longest = 0.0
        self.findings: dict[str, str] = {}
        self.begun = time.monotonic()

    def look(self, data: bytes) -> None:
        """Put one input to the parser."""
        from fuzz_parsers import LONG_CHARACTERS, LONGEST_SECONDS, MOST_BYTES

        from ledger.errors import TallyError

        text = data.decode(errors="surrogateescape")
        self.count += 1
        traced = self.count % 50 == 0 or len(text) > LONG_CHARACTERS
        if traced:
            tracemalloc.start()
        signal.setitimer(signal.ITIMER_VIRTUAL, HANG_SECONDS)
        started = time.thread_time()
        try:
            self.target.parse(text)
            self.accepted += 1
        except TallyError:
            pass
        except (Exception, Hang) as error:  # noqa: BLE001 - whatever else comes out is what is looked for
            self.note(f"{type(error).__name__} at {place(error)}", data)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        taken = time.thread_time() - started
        if traced:
            used = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            self.most_bytes = max(self.most_bytes, used)
            if used > MOST_BYTES:
                self.note(f"more than {MOST_BYTES:,} bytes", data)
        else:
            self.longest = max(self.longest, taken)
        # Counting bytes costs time of its own.
        if taken > LONGEST_SECONDS * (4 if traced else 1):
            self.note(f"more than {LONGEST_SECONDS} s", data)
        if self.count >= self.inputs or time.monotonic() > self.end:
            self.finish()

    def note(self, what: str, data: bytes) -> None:
        self.findings.setdefault(what, base64.b64encode(data[:4_000]).decode())

    def finish(self) -> None:
        """Write what was found, and end: libFuzzer does not return."""
        kept = {
            "inputs": self.count,
            "accepted": self.accepted,
            "seconds": time.monotonic() - self.begun,
            "longest_ms": self.longest * 1000,
            "most_bytes": self.most_bytes,
            "findings": self.findings,
        }
        self.report.write_text(json.dumps(kept))
        os._exit(0)

    def mutated(self, data: bytes, longest: int, seed: int) -> bytes:
        """Half of the time a change that knows what such texts are made of, half of the time libFuzzer's own."""
        import atheris

        source = random.Random(seed)
        if source.random() < 0.5:
            return bytes(atheris.Mutate(data, longest))
        text = self.change(source, data.decode(errors="surrogateescape"), self.target.corpus)
        return text.encode(errors="surrogatepass")[:longest]


def place(error: BaseException) -> str:
    """File and line of our own code where an error came from."""
    found, trace = "?", error.__traceback__
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.parts[-2:-1] and {"ledger", "pipeline", "tui"} & set(path.parts):
            found = f"{path.parent.name}/{path.name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def child(options: argparse.Namespace) -> None:
    """One parser, in this process, to the end."""
    import atheris

    os.nice(19)
    sys.path[:0] = [str(HERE), str(HERE.parent.parent)]
    with atheris.instrument_imports(include=["ledger", "pipeline", "tui", "tomllib"]):
        import foreign  # noqa: F401 - imported here so that what it imports is instrumented
    resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESS_BYTES, MOST_ADDRESS_BYTES))

    def hang(_number: int, _frame: object) -> None:
        raise Hang

    signal.signal(signal.SIGVTALRM, hang)
    watch = Watch(options.child, options.inputs, options.seconds, Path(options.report))
    with tempfile.TemporaryDirectory() as corpus:
        for number, text in enumerate(watch.target.corpus):
            Path(corpus, str(number)).write_bytes(text.encode(errors="surrogatepass"))
        limits = [f"-max_len={LONGEST_INPUT}", "-timeout=60", "-rss_limit_mb=1900", f"-seed={options.seed}"]
        # libFuzzer keeps slow inputs as files where it stands; what matters is in the report.
        limits += [f"-artifact_prefix={corpus}/", corpus]
        atheris.Setup([sys.argv[0], *limits], watch.look, custom_mutator=watch.mutated)
        atheris.Fuzz()


def run(name: str, options: argparse.Namespace) -> bool:
    """One parser in a process of its own; prints its row and its findings, and says whether there were none."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report")
        environment = {**os.environ, "TMPDIR": folder}
        command = [sys.executable, __file__, "--child", name, "--report", str(report), "--inputs", str(options.inputs),
                   "--seconds", str(options.seconds), "--seed", str(options.seed)]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment, check=False)
        if not report.exists():
            print(f"{name:18} ended by itself ({done.returncode}): {done.stderr[-2000:]}", flush=True)
            return False
        row: dict[str, Any] = json.loads(report.read_text())
    reached = re.findall(r"cov: (\d+)", done.stderr)
    print(
        f"{name:18}{row['inputs']:11,}{row['inputs'] / row['seconds']:9,.0f}{row['accepted']:11,}"
        f"{int(reached[-1]) if reached else 0:9,}{row['longest_ms']:12.1f}{row['most_bytes'] // 1024:10,}"
        f"{len(row['findings']):10}",
        flush=True,
    )
    for what, data in row["findings"].items():
        print(f"    {what}\n    {base64.b64decode(data)[:300]!r}", flush=True)
    return not row["findings"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=120.0, help="for each parser")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", help="a parser by name; may be given several times")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--report", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options)
        return
    sys.path.insert(0, str(HERE))
    from foreign import targets

    print(
        f"{'parser':18}{'inputs':>11}{'a second':>9}{'accepted':>11}{'reached':>9}{'longest ms':>12}{'most KiB':>10}"
        f"{'findings':>10}"
    )
    clean = [run(name, options) for name in options.only or targets()]
    sys.exit(0 if all(clean) else 1)


if __name__ == "__main__":
    main()
