"""Bare SQLite by hand at the same durability: the limit, not a peer. No hashes, no lock, no past.

https://www.sqlite.org/pragma.html#pragma_synchronous
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any

from protocol import WINDOWS, Cannot, files, loss, numbers, params, repeated, seconds, serve


class Bare:
    def about(self) -> dict[str, str]:
        return {
            "name": "bare SQLite",
            "version": sqlite3.sqlite_version,
            "durability": "every commit synced (WAL, synchronous FULL); files copied and synced",
            "docs": "https://www.sqlite.org/pragma.html#pragma_synchronous",
        }

    def start(self, folder: str, scratch: str) -> dict[str, bool]:
        self.folder, self.scratch = Path(folder), Path(scratch)
        self.connection = sqlite3.connect(self.folder / "bare.db", isolation_level=None, timeout=10)
        for setting in ("journal_mode = WAL", "synchronous = FULL"):
            self.connection.execute(f"PRAGMA {setting}")
        self.connection.execute("CREATE TABLE IF NOT EXISTS facts(seq INTEGER PRIMARY KEY, run TEXT, body TEXT)")
        return {"ok": True}

    def _insert(self, *rows: tuple[str, dict[str, Any]]) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        texts = [(run, json.dumps(body)) for run, body in rows]
        self.connection.executemany("INSERT INTO facts(run, body) VALUES(?, ?)", texts)
        self.connection.execute("COMMIT")

    def _copy(self, number: int, paths: list[Path]) -> None:
        kept = self.folder / f"files-{number}"
        kept.mkdir()
        for path in paths:
            shutil.copyfile(path, kept / path.name)
            for name in (kept / path.name, kept):
                descriptor = os.open(name, os.O_RDONLY)
                os.fsync(descriptor)
                os.close(descriptor)

    def whole_run(self, number: int) -> dict[str, float]:
        paths = files(number, self.scratch)

        def record() -> None:
            self._copy(number, paths)
            told = [{"step": window, **numbers(number, window)} for window in range(WINDOWS)]
            self._insert((f"run-{number}", {"params": params(number)}), *((f"run-{number}", body) for body in told))

        return {"seconds": seconds(record)}

    def live_run(self, number: int) -> dict[str, float]:
        paths = files(number, self.scratch)

        def record() -> None:
            self._insert((f"run-{number}", {"params": params(number)}))
            for window in range(WINDOWS):
                self._insert((f"run-{number}", {"step": window, **numbers(number, window)}))
            self._copy(number, paths)
            self._insert((f"run-{number}", {"files": [path.name for path in paths]}))

        return {"seconds": seconds(record)}

    def single(self, label: str, count: int) -> dict[str, Any]:
        return repeated(count, lambda index: self._insert((label, {"step": index, "loss": 0.5})))

    def batch(self, label: str, count: int) -> dict[str, float]:
        return {"seconds": seconds(lambda: self._insert(*((label, {"step": i, "loss": 0.5}) for i in range(count))))}

    def counted(self, label: str) -> dict[str, int]:
        query = "SELECT count(*) FROM facts WHERE run LIKE ? || '%'"
        return {"count": self.connection.execute(query, (label,)).fetchone()[0]}

    def fill(self, count: int) -> dict[str, float]:
        given = [(f"fill-{n}", {"params": {f"p{i}": n for i in range(5)}, "loss": loss(n)}) for n in range(count)]
        return {"seconds": seconds(lambda: self._insert(*given))}

    def best(self, count: int) -> dict[str, Any]:
        query = "SELECT run, json_extract(body, '$.loss') AS loss FROM facts WHERE run LIKE 'fill-%' ORDER BY loss"
        started = time.perf_counter()
        rows = self.connection.execute(f"{query} LIMIT ?", (count,)).fetchall()
        return {"seconds": time.perf_counter() - started, "losses": [row[1] for row in rows]}

    def promotions(self, count: int) -> dict[str, int]:
        raise Cannot("a table of facts has no past")

    def verify(self) -> dict[str, Any]:
        raise Cannot("integrity_check knows pages, not what was written")

    def end(self) -> dict[str, bool]:
        self.connection.close()
        return {"ok": True}


if __name__ == "__main__":
    serve(Bare())
