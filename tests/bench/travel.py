"""How quickly the past answers, in ledgers of 10,000 to 1,000,000 events.

    python tests/bench/travel.py [EVENTS ...]

Each ledger holds runs of 20 pipelines as they really are (12 windows, 4 candidates, their artifacts; bodies
shortened), 200 models that are refitted again and again, and promotions. Prints the median of many questions at
random places in the past, in milliseconds; the ratio of each to the smallest ledger; events a second of a rebuild,
with that of reading and decoding the same events and nothing else beside it; and the time of one command, with that
of a bare Python.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / ".src"))
sys.path.insert(0, str(ROOT / "tests" / "support"))

from histories import decided, described, evaluated, finished, promoted, refitted, registered, started, taken  # noqa: E402
from sized import compare  # noqa: E402

from tallystick import ledger  # noqa: E402
from tallystick.ledger.events import types as say  # noqa: E402
from tallystick.ledger.events.encoding import Draft  # noqa: E402
from tallystick.ledger.storage.append import Appended  # noqa: E402
from tallystick.ledger.storage.entries import entries  # noqa: E402
from tallystick.ledger.views.fold import READ_TYPES  # noqa: E402

PIPELINES, MODELS, WINDOWS, CANDIDATES = 20, 200, 12, 4
QUESTIONS = 200


def stored(number: int) -> say.ArtifactStored:
    name = f"{number:064x}"
    return say.ArtifactStored(artifact=name, size_bytes=1, media_type="x/y", role="predictions", run="r")


def ids(book: ledger.Ledger, appended: Appended, event_type: str) -> list[str]:
    return [e.id.hex() for e in book.log.events(appended.first_seq, appended.last_seq) if e.type == event_type]


def make(folder: Path, events: int) -> None:
    """A ledger of about ``events`` events."""
    with ledger.create(folder, timezone="UTC") as book:
        # The benchmark is about reading; durability of its making is nobody's concern.
        book.writer.connection.execute("PRAGMA synchronous = OFF")
        written = number = 0
        champions: dict[str, str] = {}
        names = [f"pipeline-{index}" for index in range(PIPELINES)]
        book.append(*map(registered, names))
        # Every model from the beginning, so that ledgers of all sizes hold the same number of them.
        book.append(*(refitted(f"model-{n}", "2013-01-01.0", names[n % PIPELINES]) for n in range(MODELS)))
        written += PIPELINES + MODELS
        while written < events:
            number += 1
            model = f"model-{number % MODELS}"
            pipeline, run = f"pipeline-{number % MODELS % PIPELINES}", f"2013-01-01.{number}"
            commits: list[list[Draft | say.Body]] = [[started(run, pipeline)], [taken(run, pipeline)]]
            for window in range(WINDOWS):
                label = f"2013-{window + 1:02d}"
                judged = [evaluated(run, pipeline, label, f"candidate-{index}") for index in range(CANDIDATES)]
                files = [stored(number * 100 + window * CANDIDATES + index) for index in range(CANDIDATES)]
                commits.append([described(run, pipeline, label), *files, *judged])
            evidence: list[str] = []
            for commit in commits:
                evidence += ids(book, book.append(*commit), "window.evaluated")
                written += len(commit)
            made = book.append(
                refitted(model, run, pipeline)._replace(cause=tuple(evidence)),
                Draft(decided(run, pipeline, model), cause=tuple(evidence)),
                finished(run, pipeline),
            )
            written += 3
            if number % 7 == 0 and champions.get(pipeline) != model:
                cause = tuple(ids(book, made, "candidate.refitted") + ids(book, made, "decision.taken"))
                book.append(Draft(promoted(model, pipeline, champions.get(pipeline)), cause=cause))
                champions[pipeline] = model
                written += 1
        book.now().pipelines()


def median_ms(ask: Callable[[int], object], places: list[int]) -> float:
    ask(places[0])
    took = []
    for place in places:
        start = time.perf_counter()
        ask(place)
        took.append(time.perf_counter() - start)
    return statistics.median(took) * 1_000


def measure(folder: Path) -> dict[str, float]:
    with ledger.open(folder) as book:
        last = book.now().as_of.seq
        chance = random.Random(1)
        places = [chance.randrange(last // 2, last) for _ in range(QUESTIONS)]
        snapshots = {place: book.at(f"#{place}") for place in places}
        name = f"model-{7}"
        found = {
            "champion": median_ms(lambda place: snapshots[place].champion("pipeline-7"), places),
            "all 200 models": median_ms(lambda place: snapshots[place].models(), places[:50]),
            "diff of 1,000 events": median_ms(
                lambda place: book.at(f"#{max(0, place - 1_000)}").diff(snapshots[place]), places[:50]
            ),
            "why": median_ms(lambda place: snapshots[place].why("pipeline:pipeline-7.champion"), places[:50]),
            "lineage, one step": median_ms(
                lambda place: snapshots[place].lineage(f"model:{name}", depth=1, most=50), places[:50]
            ),
            "at a date": median_ms(lambda place: book.at(snapshots[place].as_of.recorded_at), places),
        }
        start = time.perf_counter()
        count = sum(1 for _ in entries(book.log, 0, last, READ_TYPES))
        decoding = (last + 1) / (time.perf_counter() - start)
        book.views.discard()
        start = time.perf_counter()
        book.now().pipelines()
        found["rebuild, events/s"] = (last + 1) / (time.perf_counter() - start)
        found["only decoding, events/s"] = decoding
        found["events that views read"] = count
        program = [sys.executable, "-c", "from tallystick.tui.cli.main import main; main()"]
        asked = [*program, "champion", "pipeline-7", "--as-of", f"#{places[0]}", "--ledger", str(folder)]
        for title, command in (("command", asked), ("bare python", [sys.executable, "-c", "pass"])):
            took = []
            for _ in range(7):
                start = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
                took.append(time.perf_counter() - start)
            found[f"{title}, ms"] = statistics.median(took) * 1_000
        found["views, bytes/event"] = book.views.path.stat().st_size / (last + 1)
        return found


if __name__ == "__main__":
    compare(__doc__ or "", [10_000, 100_000, 1_000_000], make, measure)
