"""pyeventsourcing on its SQLite recorder: an aggregate a run, ``save`` after each event or once for many.

https://eventsourcing.readthedocs.io/en/stable/topics/persistence.html#sqlite
"""

from __future__ import annotations

import random
import time
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.domain import Aggregate, event
from protocol import WINDOWS, Cannot, numbers, params, repeated, seconds, serve


class Run(Aggregate):
    """As the project's tutorial writes one."""

    @event("Begun")
    def __init__(self, label: str, given: dict[str, Any]) -> None:
        self.label, self.given, self.told = label, given, 0
        self.champion = ""

    @staticmethod
    def create_id(label: str, given: dict[str, Any]) -> UUID:
        return uuid5(NAMESPACE_URL, f"/runs/{label}")

    @event("Measured")
    def measure(self, step: int, values: dict[str, float]) -> None:
        self.told += 1

    @event("Promoted")
    def promote(self, model: str) -> None:
        self.champion = model


class Eventsourcing:
    def about(self) -> dict[str, str]:
        return {
            "name": "eventsourcing",
            "version": metadata.version("eventsourcing"),
            "durability": "every save synced (WAL, SQLite's default synchronous FULL); keeps no files",
            "docs": "https://eventsourcing.readthedocs.io/en/stable/topics/persistence.html",
        }

    def start(self, folder: str, scratch: str) -> dict[str, bool]:
        self.app: Application[UUID] = Application(
            env={"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(Path(folder) / "events.db")}
        )
        self.runs: dict[str, Run] = {}
        return {"ok": True}

    def _run(self, label: str) -> Run:
        if label not in self.runs:
            self.runs[label] = Run(label, {})
            self.app.save(self.runs[label])
        return self.runs[label]

    def whole_run(self, number: int) -> dict[str, float]:
        def record() -> None:
            run = Run(f"run-{number}", params(number))
            for window in range(WINDOWS):
                run.measure(window, numbers(number, window))
            self.app.save(run)

        return {"seconds": seconds(record), "without": "files"}

    def live_run(self, number: int) -> dict[str, float]:
        def record() -> None:
            run = Run(f"live-{number}", params(number))
            self.app.save(run)
            for window in range(WINDOWS):
                run.measure(window, numbers(number, window))
                self.app.save(run)

        return {"seconds": seconds(record), "without": "files"}

    def single(self, label: str, count: int) -> dict[str, Any]:
        run = self._run(label)

        def one(index: int) -> None:
            run.measure(index, {"loss": 0.5})
            self.app.save(run)

        return repeated(count, one)

    def batch(self, label: str, count: int) -> dict[str, float]:
        run = self._run(label)

        def record() -> None:
            for index in range(count):
                run.measure(index, {"loss": 0.5})
            self.app.save(run)

        return {"seconds": seconds(record)}

    def counted(self, label: str) -> dict[str, int]:
        count = 0
        for index in range(16):
            with suppress(AggregateNotFoundError):
                run: Run = self.app.repository.get(Run.create_id(f"{label}-{index}", {}))
                count += run.told
        return {"count": count}

    def fill(self, count: int) -> dict[str, float]:
        raise Cannot("a library for events; a list of runs is a projection that one writes")

    def promotions(self, count: int) -> dict[str, int]:
        pipeline = Run("pipeline", {})
        for number in range(count):
            pipeline.promote(f"model-{number}")
            self.app.save(pipeline)
        self.pipeline, self.count = pipeline.id, count
        return {"count": count}

    def champion(self, questions: int) -> dict[str, Any]:
        chance, took = random.Random(1), []
        for _ in range(questions):
            place = chance.randrange(self.count)
            started = time.perf_counter()
            then: Run = self.app.repository.get(self.pipeline, version=place + 2)
            took.append(time.perf_counter() - started)
            assert then.champion == f"model-{place}", then.champion
        return {"seconds": took, "without": "dates: by version number"}

    def verify(self) -> dict[str, Any]:
        raise Cannot("has no check of what was recorded")

    def end(self) -> dict[str, bool]:
        self.app.close()
        return {"ok": True}


if __name__ == "__main__":
    serve(Eventsourcing())
