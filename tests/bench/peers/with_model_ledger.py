"""model-ledger on its SQLite back end: a model with its snapshots.

https://block.github.io/model-ledger/
"""

from __future__ import annotations

import datetime as dt
import random
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from model_ledger import Ledger
from protocol import WINDOWS, Cannot, loss, numbers, params, repeated, seconds, serve

BATCH = "has no batch: each record is a commit of its own"


class ModelLedger:
    def about(self) -> dict[str, str]:
        return {
            "name": "model-ledger",
            "version": metadata.version("model-ledger"),
            "durability": "every record synced (WAL, SQLite's default synchronous FULL); keeps no files",
            "docs": "https://block.github.io/model-ledger/",
        }

    def start(self, folder: str, scratch: str) -> dict[str, bool]:
        self.ledger = Ledger.from_sqlite(str(Path(folder) / "inventory.db"))
        return {"ok": True}

    def _model(self, name: str, **more: Any) -> Any:
        return self.ledger.register(
            name=name, owner="bench", model_type="ml_model", tier="low", purpose="bench", **more
        )

    def whole_run(self, number: int) -> dict[str, float]:
        def record() -> None:
            model = self._model(f"run-{number}", payload=params(number))
            told = {f"{window}": numbers(number, window) for window in range(WINDOWS)}
            self.ledger.record(model, event="measured", payload=told, actor="bench")

        return {"seconds": seconds(record), "without": "files"}

    def live_run(self, number: int) -> dict[str, float]:
        def record() -> None:
            model = self._model(f"live-{number}", payload=params(number))
            for window in range(WINDOWS):
                payload = {"step": window, **numbers(number, window)}
                self.ledger.record(model, event="measured", payload=payload, actor="bench")

        return {"seconds": seconds(record), "without": "files"}

    def single(self, label: str, count: int) -> dict[str, Any]:
        model = self._model(label)
        return repeated(
            count,
            lambda index: self.ledger.record(
                model, event="measured", payload={"step": index, "loss": 0.5}, actor="bench"
            ),
        )

    def batch(self, label: str, count: int) -> dict[str, float]:
        raise Cannot(BATCH)

    def counted(self, label: str) -> dict[str, int]:
        models = [model for model in self.ledger.list() if model.name.startswith(label)]
        histories = (self.ledger.history(model) for model in models)
        return {"count": sum(one.event_type == "measured" for history in histories for one in history)}

    def fill(self, count: int) -> dict[str, float]:
        def record() -> None:
            for number in range(count):
                self._model(f"fill-{number}", metadata={"loss": loss(number), **{f"p{i}": number for i in range(5)}})

        return {"seconds": seconds(record)}

    def best(self, count: int) -> dict[str, Any]:
        started = time.perf_counter()
        found = sorted(self.ledger.list(), key=lambda model: model.metadata.get("loss", 9))[:count]
        took = time.perf_counter() - started
        return {"seconds": took, "losses": [model.metadata["loss"] for model in found], "without": "order: sorted here"}

    def promotions(self, count: int) -> dict[str, int]:
        pipeline = self._model("pipeline")
        self.moments: list[dt.datetime] = []
        for number in range(count):
            self.ledger.record(pipeline, event="promoted", payload={"champion": f"model-{number}"}, actor="bench")
            self.moments.append(dt.datetime.now(dt.UTC))
        self.pipeline = pipeline.model_hash
        return {"count": count}

    def champion(self, questions: int) -> dict[str, Any]:
        chance, took = random.Random(1), []
        for _ in range(questions):
            place = chance.randrange(len(self.moments))
            started = time.perf_counter()
            # What its own `inventory_at` asks for one model; the newest of all that came before.
            found = self.ledger.backend.list_snapshots_before(self.pipeline, self.moments[place])
            champion = found[-1].payload["champion"]
            took.append(time.perf_counter() - started)
            assert champion == f"model-{place}", champion
        return {"seconds": took}

    def verify(self) -> dict[str, Any]:
        raise Cannot("snapshots are named by a hash, but nothing checks them")

    def end(self) -> dict[str, bool]:
        return {"ok": True}


if __name__ == "__main__":
    serve(ModelLedger())
