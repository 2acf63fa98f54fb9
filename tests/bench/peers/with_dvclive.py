"""DVCLive in a Git and DVC repository: numbers in text files, artifacts in DVC's cache, the run saved as an experiment.

https://dvc.org/doc/dvclive and https://dvc.org/doc/dvclive/live/log_metric
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from protocol import WINDOWS, Cannot, files, numbers, params, repeated, seconds, serve

os.environ.update(DVC_NO_ANALYTICS="1", DVCLIVE_LOGLEVEL="ERROR")


class Dvclive:
    def about(self) -> dict[str, str]:
        return {
            "name": "DVCLive",
            "version": metadata.version("dvclive"),
            "durability": "numbers and files not synced (markers and DVC's caches are); the run saved as a Git ref",
            "docs": "https://dvc.org/doc/dvclive",
        }

    def start(self, folder: str, scratch: str) -> dict[str, bool]:
        self.folder, self.scratch = Path(folder), Path(scratch)
        os.chdir(self.folder)
        if not Path(".dvc").exists():
            who = {"GIT_AUTHOR_NAME": "b", "GIT_AUTHOR_EMAIL": "b@b", "GIT_COMMITTER_NAME": "b"}
            os.environ.update(who, GIT_COMMITTER_EMAIL="b@b")
            from dvc.repo import Repo

            subprocess.run(["git", "init", "-q"], check=True)
            Repo.init().close()
            subprocess.run(["git", "add", "-A"], check=True)
            subprocess.run(["git", "commit", "-qm", "begin"], check=True)
        from dvclive import Live

        self.live = Live
        logging.disable(logging.WARNING)
        self.open: dict[str, Any] = {}
        return {"ok": True}

    def _run(self, number: int) -> dict[str, float]:
        paths = files(number, self.scratch)

        def record() -> None:
            with self.live(exp_name=f"run-{number}") as live:
                live.log_params(params(number))
                for window in range(WINDOWS):
                    for name, value in numbers(number, window).items():
                        live.log_metric(name, value)
                    live.next_step()
                for path in paths:
                    live.log_artifact(path, copy=True)

        return {"seconds": seconds(record)}

    def whole_run(self, number: int) -> dict[str, float]:
        return self._run(number)

    def live_run(self, number: int) -> dict[str, float]:
        raise Cannot("as above: its text files are written at every step, unsynced, whoever waits")

    def _live(self, label: str) -> Any:
        if label not in self.open:
            self.open[label] = self.live(dir=f"live-{label}", save_dvc_exp=False, dvcyaml=None)
        return self.open[label]

    def single(self, label: str, count: int) -> dict[str, Any]:
        live = self._live(label)

        def one(_index: int) -> None:
            live.log_metric("loss", 0.5)
            live.next_step()

        return repeated(count, one)

    def batch(self, label: str, count: int) -> dict[str, float]:
        raise Cannot("has no batch: each number is a line of a file, opened and closed")

    def counted(self, label: str) -> dict[str, int]:
        found = self.folder.glob(f"live-{label}*/plots/metrics/loss.tsv")
        return {"count": sum(len(path.read_text().splitlines()) - 1 for path in found)}

    def fill(self, count: int) -> dict[str, float]:
        raise Cannot(f"`dvc exp show` lists Git refs; {count:,} runs at the time of one above would take hours")

    def promotions(self, count: int) -> dict[str, int]:
        raise Cannot("Git tags through another tool, GTO")

    def verify(self) -> dict[str, Any]:
        raise Cannot("`dvc status` compares data files with their MD5, numbers not at all")

    def end(self) -> dict[str, bool]:
        shutil.rmtree(self.folder / "dvclive", ignore_errors=True)
        return {"ok": True}


if __name__ == "__main__":
    serve(Dvclive())
