"""How the views grow with the events about one entity, for every kind of entity.

    python tests/bench/views_size.py [EVENTS]        1,000 where nothing is said

Each kind begins with 100 kB of text or many names, where its events can hold that, and then has many events that
change little. What counts is the last column: how many bytes of views a byte of the ledger makes, once the history is
long. A kind that copies what does not change, or that copies a list which grows, shows it there: the number is then
in the hundreds, or rises with the number of events.
"""

from __future__ import annotations

import datetime as dt
import os
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / ".src"))
sys.path.insert(0, str(ROOT / "tests" / "support"))

import msgspec  # noqa: E402
from histories import (  # noqa: E402
    HASH,
    PERIOD,
    approved,
    decided,
    described,
    evaluated,
    finished,
    promoted,
    refitted,
    registered,
    started,
    taken,
)  # fmt: skip
from living import reproduced  # noqa: E402

from tallystick import ledger  # noqa: E402
from tallystick.ledger.events import types as say  # noqa: E402
from tallystick.ledger.events.encoding import Draft  # noqa: E402
from tallystick.ledger.events.event import About  # noqa: E402

TEXT = "the same words " * 7_000
NAMES = tuple(f"candidate-{number:044d}" for number in range(2_000))
MOMENT = dt.datetime(2026, 11, 25, tzinfo=dt.UTC)
MOST_BYTES = 4.0
"""Views of a byte of the ledger. A row names its entity twice, in the table and in the index, and an event may make
several rows."""

Event = Draft | say.Body
replaced = msgspec.structs.replace


def changed(draft: Draft, **changes: Any) -> Draft:
    """The same draft with another body."""
    return draft._replace(body=replaced(draft.body, **changes))


class Kind(NamedTuple):
    """A kind of entity: how it begins, and what happens to it again and again."""

    begin: list[Event]
    then: Callable[[int], Event]


def gate(number: int, sentence: str) -> say.GateEvaluated:
    return say.GateEvaluated(
        gate="m/stable", name="stable", model="m", pipeline="p", run="r", verdict="failed", value=float(number),
        threshold="at most 1", sentence=sentence, meaning_hash=HASH, loosened=[], facts={},
    )  # fmt: skip


def waiver(number: int, reason: str = "why not") -> say.WaiverGranted:
    return say.WaiverGranted(
        waiver=f"w{number}", gate="m/stable", name="stable", model="m", pipeline="p", reason=reason, owner="ann",
        approver="ben", until=MOMENT, ends_when=None, evidence=None, renewal=0,
    )  # fmt: skip


def ended(number: int) -> say.WaiverEnded:
    return say.WaiverEnded(waiver="w0", gate="m/stable", model="m", pipeline="p", reason=f"reason {number}")


def look(command: str) -> say.FinalLooked:
    return say.FinalLooked(
        look="l", pipeline="p", run="r", model="m", windows=NAMES, number=1, budget=3, command=command, candidates=(),
        waiver=None,
    )  # fmt: skip


def answer(number: int) -> say.FinalEvaluated:
    return say.FinalEvaluated(
        look="l", pipeline="p", run="r", model="m", windows=[], gain=float(number), development_gain=None,
        standard_error=None, drop=None, discount=0.0, discounted=None, prediction_hash=HASH, predictions=HASH,
        losses=HASH, facts={}, sentence="It holds.",
    )  # fmt: skip


def period(number: int, headline: str = "all is quiet") -> Draft:
    body = say.PeriodMonitored(
        period="p/2013-04", label=f"2013-{number}", pipeline="p", model="m", labels_as_of=MOMENT, source="csv:x.csv",
        fingerprint=HASH, rows=1, immature_rows=0, status="quiet", decision="nothing", metrics={}, reference={},
        history=(), estimate=None, facts={}, reliability=[], histograms={}, columns={}, losses=None, headline=headline,
        suggestion="",
    )  # fmt: skip
    return Draft(body, about=About(observed_in=PERIOD))


def again(number: int) -> say.RunReproduced:
    return reproduced("r", "p", number, "identical")


def trial() -> say.TrialStarted:
    return say.TrialStarted(trial="t", name="t", params={"text": TEXT}, host="h", process=1, program="p")


def measured(number: int) -> say.TrialMeasured:
    values = {"loss": 1 / (number + 1), f"metric-{number}": float(number)}
    return say.TrialMeasured(trial="t", points=[say.Point(at=MOMENT, step=number, values=values, not_finite={})])


def series(number: int) -> say.TrialSeries:
    made = say.Series(key="loss", steps=[number], at_ms=[number], values=[1 / (number + 1)])
    return say.TrialSeries(trial="t", series=[made])


def stored(number: int) -> say.TrialStored:
    return say.TrialStored(trial="t", artifact=f"{number:064x}", name=f"epoch-{number}/weights.bin", size_bytes=1)


def rotated(number: int) -> say.KeyRotated:
    """What a stranger's program may write: rotations of one key to itself and back."""
    return say.KeyRotated(
        old="00000000", new="11111111", old_key="a+00000000+x", new_key="a+11111111+y", reason=f"reason {number}",
        signed_by_old=True, compromised_from=None,
    )  # fmt: skip


def kinds() -> dict[str, Kind]:
    """Every kind of entity that has more than one event."""
    question = replaced(registered("p"), questions={"decision": TEXT})
    automatic = replaced(registered("p"), meaning={"automation": {"level": "suggest", "relock_on": list(NAMES)}})
    run = replaced(started("r", "p"), candidates=NAMES)
    chosen = replaced(decided("r", "p", "m"), headline=TEXT)
    return {
        "pipelines, by runs": Kind([question], lambda n: started(f"r{n}", "p")),
        "pipelines, by promotions": Kind([question], lambda n: promoted("m", "p", None, f"reason {n}")),
        "runs, by windows": Kind([run], lambda n: described("r", "p", f"w{n}")),
        "runs, by slices": Kind([run, chosen, finished("r", "p")], lambda n: taken("r", "p", f"{n:012d}")),
        "runs, by repetitions": Kind([run, chosen, finished("r", "p")], again),
        "models, by runs": Kind(
            [refitted("m", "r", "p"), promoted("m", "p", None, TEXT[:10_000])], lambda n: refitted("m", f"r{n}", "p")
        ),
        "models, by promotions": Kind(
            [changed(refitted("m", "r", "p"), candidate=TEXT)], lambda n: promoted("m", "p", None, f"reason {n}")
        ),
        "slices, by runs": Kind([changed(taken("r", "p"), source=TEXT)], lambda n: taken(f"r{n}", "p")),
        "windows, by runs": Kind([described("r", "p", "w")], lambda n: described(f"r{n}", "p", "w")),
        "evaluations, by runs": Kind([evaluated("r", "p", "w", "c")], lambda n: evaluated(f"r{n}", "p", "w", "c")),
        "decisions, by approvals": Kind([chosen], lambda n: approved("r", f"person-{n:06d}@example.org")),
        "gates, by waivers": Kind([gate(0, TEXT)], waiver),
        "gates, by evaluations": Kind([gate(0, TEXT)], lambda n: gate(n, "no")),
        "waivers, by ends": Kind([gate(0, "no"), waiver(0, TEXT[:10_000])], ended),
        "looks, by answers": Kind(
            [look(TEXT)],
            answer,
        ),
        "automations, by periods": Kind([automatic, gate(0, TEXT)], period),
        "periods, by looks at them": Kind([period(0, TEXT)], period),
        "trials, by metrics": Kind([trial()], measured),
        "trials, by files": Kind([trial()], stored),
        "trials, by series": Kind([trial()], series),
        "experiments, by renames": Kind(
            [say.ExperimentCreated(experiment="e", name="e")],
            lambda n: say.ExperimentChanged(experiment="e", name=f"name {n}"),
        ),
        "logged_models, by tags": Kind(
            [say.LoggedCreated(logged="m-1", name="m", params={"text": TEXT})],
            lambda n: say.LoggedChanged(logged="m-1", tags={f"tag-{n}": "1"}),
        ),
        "registered_models, by tags": Kind(
            [say.RegisteredCreated(registered="m", name="m", description=TEXT)],
            lambda n: say.RegisteredChanged(registered="m", tags={f"tag-{n}": "1"}),
        ),
        "model_versions, by tags": Kind(
            [say.VersionCreated(version="m/1", registered="m", number=1, source="s", description=TEXT)],
            lambda n: say.VersionChanged(version="m/1", registered="m", tags={f"tag-{n}": "1"}),
        ),
        "keys, by rotations": Kind([rotated(0)], rotated),
    }  # fmt: skip


def views_bytes(book: ledger.Ledger) -> int:
    """What the views take, free pages left out."""
    connection: sqlite3.Connection = book.views.caught_up()
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def ledger_bytes(book: ledger.Ledger) -> int:
    pages, size = (book.log.reader.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    return int(pages * size)


def sizes(kind: Kind, folder: Path, counts: list[int]) -> Iterator[tuple[int, int]]:
    """Bytes of the ledger and of its views after so many events."""
    with ledger.create(folder, timezone="UTC") as book:
        book.writer.connection.execute("PRAGMA synchronous = OFF")
        for body in kind.begin:
            book.append(body)
        done = 0
        for count in counts:
            for number in range(done, count):
                book.append(kind.then(number))
                if number % 10 == 0:
                    book.views.caught_up()  # as it is while others look: some events at a time
            done = count
            yield ledger_bytes(book), views_bytes(book)


def marginal(kind: Kind, folder: Path, events: int) -> float:
    """Bytes of views that a byte of the ledger makes, between half of the events and all of them."""
    (ledger_half, views_half), (ledger_all, views_all) = sizes(kind, folder, [events // 2, events])
    return (views_all - views_half) / (ledger_all - ledger_half)


if __name__ == "__main__":
    events = int(sys.argv[1].replace(",", "")) if len(sys.argv) > 1 else 1_000
    os.environ.pop("SSH_AUTH_SOCK", None)
    worst = 0.0
    print(f"{'':28}{'events':>8}{'ledger':>14}{'views':>16}{'views a ledger byte':>22}")
    for name, kind in kinds().items():
        with tempfile.TemporaryDirectory() as temporary:
            os.environ.update(
                XDG_STATE_HOME=f"{temporary}/s", XDG_CONFIG_HOME=f"{temporary}/c", XDG_CACHE_HOME=f"{temporary}/k"
            )
            half, whole = sizes(kind, Path(temporary) / "team", [events // 2, events])
            slope = (whole[1] - half[1]) / (whole[0] - half[0])
            worst = max(worst, slope)
            print(f"{name:28}{events:>8,}{whole[0]:>14,}{whole[1]:>16,}{slope:>22.2f}", flush=True)
    if worst > MOST_BYTES:
        raise SystemExit(f"Some views grow by more than {MOST_BYTES} bytes a byte of the ledger.")
