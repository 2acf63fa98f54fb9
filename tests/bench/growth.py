"""How time grows with the ledger: each question at 1,000 to 1,000,000 events, side by side.

    python tests/bench/growth.py [EVENTS ...]        10,000,000 too, where there are 15 minutes and 20 GB

What counts is the last column, how many times the largest ledger takes what the smallest took. Appending, the past and
lists of what there is now should not know how long the history is; verification reads all of it, so its row is seconds
of one processor for a million events. The ledgers are those of ``travel.py``. ``TALLY_BENCH_KEEP`` names a folder to
keep them in.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

from sized import compare
from travel import MODELS, PIPELINES, ROOT, make, median_ms

from tallystick import ledger
from tallystick.ledger.verify.report import Asked
from tallystick.ledger.verify.verify import verify

sys.path.insert(0, str(ROOT / "tests" / "support"))

from histories import finished

QUESTIONS = 100
APPENDS = 300
COMMANDS = 5


def append_ms(book: ledger.Ledger) -> float:
    """Median of single appends, durable."""
    took = []
    for index in range(APPENDS):
        body = finished(f"2026-11-25.{index % 50}", f"pipeline-{index % PIPELINES}")
        started = time.perf_counter()
        book.append(body)
        took.append(time.perf_counter() - started)
    return statistics.median(took) * 1_000


def command_ms(folder: Path, *words: str) -> float:
    """Median of a whole process."""
    program = [
        sys.executable,
        "-c",
        "from tallystick.tui.cli.main import main; main()",
        *words,
        "--ledger",
        str(folder),
    ]
    took = []
    for _ in range(COMMANDS):
        started = time.perf_counter()
        subprocess.run(program, check=True, capture_output=True, cwd=ROOT)
        took.append(time.perf_counter() - started)
    return statistics.median(took) * 1_000


def measure(folder: Path) -> dict[str, float]:
    with ledger.open(folder) as book:
        found = {"append of one event, ms": append_ms(book)}
        last, chance = book.now().as_of.seq, random.Random(1)
        places = [chance.randrange(last // 2, last - APPENDS) for _ in range(QUESTIONS)]
        snapshots = {place: book.at(f"#{place}") for place in places}
        dates = {place: snapshots[place].as_of.recorded_at for place in places}
        found["champion at a past date, ms"] = median_ms(
            lambda place: book.at(dates[place]).champion(f"pipeline-{place % PIPELINES}"), places
        )
        found[f"list of {MODELS} models at a past date, ms"] = median_ms(
            lambda place: snapshots[place].models(), places[:30]
        )
        found[f"list of {MODELS} models now, ms"] = median_ms(lambda _: book.now().models(), places[:30])
        one = finished("2026-11-25.0", "pipeline-0")
        found["append and see it, ms"] = median_ms(lambda _: (book.append(one), book.now().pipelines()), places[:50])
        found["tally status, ms"] = command_ms(folder, "status")
        found["tally champion --as-of, ms"] = command_ms(folder, "champion", "pipeline-7", "--as-of", f"#{places[0]}")
        started = time.process_time()
        verdict = verify(book, Asked(workers=1))
        assert {finding.kind for finding in verdict.findings} <= {"ARTIFACT"}, verdict.findings[:3]
        found["verify, processor s a million"] = (time.process_time() - started) / (last + 1) * 1e6
        found["ledger, bytes an event"] = book.log.path.stat().st_size / (last + 1)
    return found


if __name__ == "__main__":
    compare(__doc__ or "", [1_000, 10_000, 100_000, 1_000_000], make, measure)
