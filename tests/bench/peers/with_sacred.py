"""Sacred with its FileStorageObserver, the one that needs no server.

https://sacred.readthedocs.io/en/stable/observers.html
"""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import Any

from protocol import WINDOWS, Cannot, files, numbers, params, seconds, serve
from sacred import SETTINGS, Experiment
from sacred.observers import FileStorageObserver

SETTINGS.CAPTURE_MODE = "no"  # the output of a program is not what is compared
QUEUED = "numbers are written at a heartbeat every ten seconds and at the end: no call returns when one is kept"


class Sacred:
    def about(self) -> dict[str, str]:
        return {
            "name": "Sacred",
            "version": metadata.version("sacred"),
            "durability": "nothing synced: JSON files, numbers every ten seconds and at the end",
            "docs": "https://sacred.readthedocs.io/en/stable/observers.html",
        }

    def start(self, folder: str, scratch: str) -> dict[str, bool]:
        self.folder, self.scratch = Path(folder), Path(scratch)
        return {"ok": True}

    def _experiment(self, label: str, given: dict[str, Any], body: Any) -> None:
        experiment = Experiment(label, save_git_info=False)
        experiment.observers.append(FileStorageObserver(self.folder / "runs"))
        experiment.add_config({name.replace(".", "_"): value for name, value in given.items()})
        experiment.main(body)
        experiment.run(options={"--loglevel": "ERROR"})

    def whole_run(self, number: int) -> dict[str, float]:
        paths = files(number, self.scratch)

        def body(_run: Any) -> None:
            for window in range(WINDOWS):
                for name, value in numbers(number, window).items():
                    _run.log_scalar(name, value, window)
            for path in paths:
                _run.add_artifact(str(path))

        return {"seconds": seconds(lambda: self._experiment(f"run-{number}", params(number), body))}

    def live_run(self, number: int) -> dict[str, float]:
        raise Cannot(QUEUED)

    def single(self, label: str, count: int) -> dict[str, Any]:
        raise Cannot(QUEUED)

    def queued(self, label: str, count: int) -> dict[str, Any]:
        """The same numbers, called acknowledged when the run has ended."""
        self.batch(label, count)
        return {"seconds": [0.0] * count, "errors": {}}

    def batch(self, label: str, count: int) -> dict[str, float]:
        def body(_run: Any) -> None:
            for index in range(count):
                _run.log_scalar("loss", 0.5, index)

        return {"seconds": seconds(lambda: self._experiment(label, {}, body))}

    def counted(self, label: str) -> dict[str, int]:
        count = 0
        for run in (self.folder / "runs").glob("*/run.json"):
            metrics = run.with_name("metrics.json")
            if json.loads(run.read_text())["experiment"]["name"].startswith(label) and metrics.exists():
                count += len(json.loads(metrics.read_text())["loss"]["values"])
        return {"count": count}

    def fill(self, count: int) -> dict[str, float]:
        raise Cannot("its files hold runs, but nothing lists them (Omniboard does, with MongoDB)")

    def promotions(self, count: int) -> dict[str, int]:
        raise Cannot("has no models in use")

    def verify(self) -> dict[str, Any]:
        raise Cannot("has no check of what was recorded")

    def end(self) -> dict[str, bool]:
        return {"ok": True}


if __name__ == "__main__":
    serve(Sacred())
