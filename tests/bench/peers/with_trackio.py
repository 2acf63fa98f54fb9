"""Trackio, local: ``log`` queues, a thread writes twice a second, ``finish`` waits for it.

https://huggingface.co/docs/trackio
"""

from __future__ import annotations

import os
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from protocol import WINDOWS, Cannot, files, loss, numbers, params, seconds, serve

QUEUED = "log() queues and a thread writes twice a second: there is no call that returns when one is kept"


class Trackio:
    def about(self) -> dict[str, str]:
        return {
            "name": "Trackio",
            "version": metadata.version("trackio"),
            "durability": "not synced at a commit (WAL, synchronous NORMAL), written by a thread twice a second",
            "docs": "https://huggingface.co/docs/trackio",
        }

    def start(self, folder: str, scratch: str) -> dict[str, bool]:
        self.scratch = Path(scratch)
        os.environ.update(TRACKIO_DIR=folder, HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1")
        import trackio

        self.trackio = trackio
        return {"ok": True}

    def _init(self, name: str, config: dict[str, Any]) -> None:
        self.trackio.init(
            project="bench", name=name, config=config, embed=False, auto_log_gpu=False, auto_log_cpu=False
        )

    def whole_run(self, number: int) -> dict[str, float]:
        paths = files(number, self.scratch)

        def record() -> None:
            self._init(f"run-{number}", params(number))
            for window in range(WINDOWS):
                self.trackio.log(numbers(number, window), step=window)
            for path in paths:
                self.trackio.log_artifact(path)
            self.trackio.finish()

        return {"seconds": seconds(record)}

    def live_run(self, number: int) -> dict[str, float]:
        raise Cannot(QUEUED)

    def single(self, label: str, count: int) -> dict[str, Any]:
        raise Cannot(QUEUED)

    def queued(self, label: str, count: int) -> dict[str, Any]:
        """The same numbers, called acknowledged when ``finish`` returned."""
        self._init(label, {})
        for index in range(count):
            self.trackio.log({"loss": 0.5}, step=index)
        self.trackio.finish()
        return {"seconds": [0.0] * count, "errors": {}}

    def batch(self, label: str, count: int) -> dict[str, float]:
        def record() -> None:
            self._init(label, {})
            for index in range(count):
                self.trackio.log({"loss": 0.5}, step=index)
            self.trackio.finish()

        return {"seconds": seconds(record)}

    def _query(self, text: str) -> list[dict[str, Any]]:
        from trackio.sqlite_storage import SQLiteStorage  # what `trackio query project` calls

        return list(SQLiteStorage.query_project("bench", text)["rows"])

    def counted(self, label: str) -> dict[str, int]:
        return {"count": self._query(f"SELECT count(*) AS n FROM metrics WHERE run_name LIKE '{label}%'")[0]["n"]}

    def fill(self, count: int) -> dict[str, float]:
        from trackio.sqlite_storage import SQLiteStorage  # one run a call takes half a second: too long for thousands

        def record() -> None:
            for number in range(count):
                SQLiteStorage.bulk_log(
                    "bench",
                    f"fill-{number}",
                    [{"loss": loss(number)}],
                    steps=[0],
                    config={f"p{index}": number for index in range(5)},
                )

        return {"seconds": seconds(record)}

    def best(self, count: int) -> dict[str, Any]:
        query = "SELECT run_name, json_extract(metrics, '$.loss') AS loss FROM metrics WHERE loss IS NOT NULL"
        started = time.perf_counter()
        rows = self._query(f"{query} ORDER BY loss LIMIT {count}")
        return {"seconds": time.perf_counter() - started, "losses": [row["loss"] for row in rows]}

    def promotions(self, count: int) -> dict[str, int]:
        raise Cannot("an alias of an artifact says what it is now; dates are not asked")

    def verify(self) -> dict[str, Any]:
        raise Cannot("has no check of what was recorded")

    def end(self) -> dict[str, bool]:
        return {"ok": True}


if __name__ == "__main__":
    serve(Trackio())
