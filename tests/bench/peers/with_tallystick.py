"""Tallystick, as a notebook uses it (``ledger.run``), and as a program does (``Ledger.append``)."""

from __future__ import annotations

import datetime as dt
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent.parent
sys.path[1:1] = [str(ROOT / ".src"), str(ROOT / "tests" / "support")]

from histories import promoted, refitted, registered  # noqa: E402
from protocol import WINDOWS, files, loss, numbers, params, repeated, seconds, serve  # noqa: E402

from tallystick import ledger  # noqa: E402
from tallystick.ledger.events import types as say  # noqa: E402
from tallystick.ledger.events.types import Point  # noqa: E402
from tallystick.ledger.system.provenance import this_program  # noqa: E402
from tallystick.ledger.verify.report import Asked  # noqa: E402
from tallystick.ledger.verify.verify import verify  # noqa: E402

PIPELINE = "late-arrivals"


def begun(trial: str, given: dict[str, Any]) -> say.TrialStarted:
    return say.TrialStarted(trial=trial, name="bench", params=given, host="here", process=os.getpid(), program="bench")


def measured(trial: str, step: int, values: dict[str, float]) -> say.TrialMeasured:
    point = Point(at=dt.datetime.now(dt.UTC), step=step, values=values, not_finite={})
    return say.TrialMeasured(trial=trial, points=[point])


def ended(trial: str) -> say.TrialFinished:
    return say.TrialFinished(trial=trial, status="finished", error=None, seconds=1.0, late_records=0)


class Tallystick:
    def about(self) -> dict[str, str]:
        return {
            "name": "tallystick",
            "version": this_program().split()[-1],
            "durability": "every commit synced (WAL, synchronous FULL), artifacts and their folders synced",
            "docs": "ledger/storage/log.py",
        }

    def start(self, folder: str, scratch: str) -> dict[str, bool]:
        self.folder, self.scratch = Path(folder), Path(scratch)
        state = self.folder.parent / "tally-state"
        os.environ.update(XDG_STATE_HOME=str(state), XDG_CONFIG_HOME=str(state), TALLY_ACTOR="bench")
        os.environ.pop("SSH_AUTH_SOCK", None)
        if not (self.folder / ".tally").exists():
            ledger.create(self.folder, timezone="UTC").close()
        self.book = ledger.open(self.folder)
        return {"ok": True}

    def whole_run(self, number: int) -> dict[str, float]:
        paths = files(number, self.scratch)

        def record() -> None:
            with ledger.run("bench", params=params(number), folder=self.folder) as run:
                for window in range(WINDOWS):
                    run.log(step=window, **numbers(number, window))
                for path in paths:
                    run.store(path.name, path)

        return {"seconds": seconds(record)}

    def live_run(self, number: int) -> dict[str, float]:
        paths, book = files(number, self.scratch), self.book

        def record() -> None:
            trial = f"bench/live-{number}"
            book.append(begun(trial, params(number)))
            for window in range(WINDOWS):
                book.append(measured(trial, window, numbers(number, window)))
            for path in paths:
                kept = book.store(path.read_bytes())
                name, size = kept.hash, kept.size_bytes
                book.append(
                    say.ArtifactStored(
                        artifact=name, size_bytes=size, media_type="application/octet-stream", role="trial", run=None
                    ),
                    say.TrialStored(trial=trial, artifact=name, name=path.name, size_bytes=size),
                )
            book.append(ended(trial))

        return {"seconds": seconds(record)}

    def single(self, label: str, count: int) -> dict[str, Any]:
        return repeated(count, lambda index: self.book.append(measured(f"bench/{label}", index, {"loss": 0.5})))

    def batch(self, label: str, count: int) -> dict[str, float]:
        def record() -> None:
            self.book.append(*(measured(f"bench/{label}", index, {"loss": 0.5}) for index in range(count)))

        return {"seconds": seconds(record)}

    def counted(self, label: str) -> dict[str, int]:
        wanted = f"bench/{label}"
        bodies = (entry.event.body for entry in self.book.events())
        return {"count": sum(isinstance(body, say.TrialMeasured) and body.trial.startswith(wanted) for body in bodies)}

    def fill(self, count: int) -> dict[str, float]:
        def record() -> None:
            for number in range(count):
                trial, given = f"bench/fill-{number}", {f"p{index}": number for index in range(5)}
                self.book.append(begun(trial, given), measured(trial, 0, {"loss": loss(number)}), ended(trial))

        return {"seconds": seconds(record)}

    def best(self, count: int) -> dict[str, Any]:
        """As ``tally trials --best loss -n 50`` does."""
        started = time.perf_counter()
        now = self.book.now()
        losses = {metric.trial: metric.value for metric in now.trial_metrics() if metric.name == "loss"}
        trials = [trial for trial in now.trials() if trial.trial in losses]
        found = sorted(trials, key=lambda trial: losses[trial.trial])[:count]
        return {"seconds": time.perf_counter() - started, "losses": [losses[trial.trial] for trial in found]}

    def promotions(self, count: int) -> dict[str, int]:
        self.book.append(registered(PIPELINE))
        self.moments: list[dt.datetime] = []
        for number in range(count):
            model, before = f"model-{number}", f"model-{number - 1}" if number else None
            made = self.book.append(refitted(model, "2013-01-01.0", PIPELINE))
            evidence = self.book.event(made.last_seq)
            stored = self.book.log.event(evidence.seq)
            self.book.append(ledger.Draft(promoted(model, PIPELINE, before), cause=(stored.id.hex(),)))
            self.moments.append(dt.datetime.now(dt.UTC))
        return {"count": count}

    def champion(self, questions: int) -> dict[str, Any]:
        chance, took = random.Random(1), []
        for _ in range(questions):
            place = chance.randrange(len(self.moments))
            started = time.perf_counter()
            champion = self.book.at(self.moments[place]).champion(PIPELINE)
            took.append(time.perf_counter() - started)
            assert champion is not None and champion.model == f"model-{place}", champion
        return {"seconds": took}

    def verify(self) -> dict[str, Any]:
        started = time.perf_counter()
        verdict = verify(self.book, Asked())
        assert verdict.verified, verdict.findings[:3]
        return {"seconds": time.perf_counter() - started, "says": "every byte, signature and view"}

    def end(self) -> dict[str, bool]:
        self.book.now().trials()  # so that the views, which a reader makes, are in the folder that is weighed
        self.book.close()
        return {"ok": True}


if __name__ == "__main__":
    serve(Tallystick())
