"""Appending, against bare SQLite that writes the same rows at the same durability.

    python tests/bench/append.py

Both sides take turns in one run on the same disk, so that the ratio holds when the machine's speed drifts. The
bare side prepares its rows beforehand and has no triggers, hashes, lock or reading back.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tallystick import ledger
from tallystick.ledger.events import types
from tallystick.ledger.storage.sqlite import SCHEMA

TARGETS = {1: 0.8, 12: 0.6, 1000: 0.4}
ROUNDS = {1: 1500, 12: 600, 1000: 60}


def body(index: int) -> types.RunFinished:
    return types.RunFinished(
        run=f"2026-11-23.{index % 50}",
        pipeline="late-arrivals",
        decision=f"2026-11-23.{index % 50}",
        result_hash="ab" * 32,
        same_result_as=None,
        differs_from=None,
        seconds=1.5,
    )


class Bare:
    """The same three tables without anything around them."""

    def __init__(self, path: Path, book: ledger.Ledger) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        for setting in ("journal_mode = WAL", "synchronous = FULL", "fullfsync = ON", "checkpoint_fullfsync = ON"):
            self.connection.execute(f"PRAGMA {setting}")
        for name in ("events", "commits", "entities"):
            self.connection.execute(SCHEMA[name])
        newest = book.log.commit(book.log.size() - 1)
        data = book.log.event(newest.last_seq).data
        assert data is not None
        self.text, self.head, self.seq, self.n = data.decode(), newest.head, 0, 0

    def append(self, count: int) -> float:
        rows = [(self.seq + i, self.text, os.urandom(32), os.urandom(32), "run.finished") for i in range(count)]
        last_seqs: dict[str, int] = {}
        for i in range(count):
            seq, run = self.seq + i, f"2026-11-23.{i % 50}"
            last_seqs.update({f"run:{run}": seq, "pipeline:late-arrivals": seq, f"decision:{run}": seq})
        commit = (self.n, self.seq, self.seq + count - 1, time.time_ns(), self.head, os.urandom(32))
        started = time.perf_counter()
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.executemany("INSERT INTO events VALUES(?,?,?,?,?)", rows)
        self.connection.executemany(
            "INSERT INTO entities VALUES(?,?) ON CONFLICT(entity) DO UPDATE SET last_seq = excluded.last_seq",
            last_seqs.items(),
        )
        self.connection.execute("INSERT INTO commits VALUES(?,?,?,?,?,?)", commit)
        self.connection.execute("COMMIT")
        self.seq, self.n = self.seq + count, self.n + 1
        return time.perf_counter() - started


def ours(book: ledger.Ledger, count: int) -> float:
    bodies = [body(i) for i in range(count)]
    started = time.perf_counter()
    book.append(*bodies)
    return time.perf_counter() - started


def measure(folder: Path, rounds: Mapping[int, int]) -> Iterator[tuple[int, list[float], list[float]]]:
    """Seconds of each commit, bare and ours, taking turns, for each number of events a commit."""
    os.environ["XDG_CONFIG_HOME"] = os.environ["XDG_STATE_HOME"] = str(folder)
    with ledger.create(folder / "bench", timezone="UTC") as book:
        book.append(body(0))
        bare = Bare(folder / "bare.db", book)
        for count, times in rounds.items():
            pairs = [(bare.append(count), ours(book, count)) for _ in range(times)]
            yield count, [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(f"{'events a commit':>15} {'bare SQLite':>12} {'tallystick':>12} {'ratio':>7} {'target':>7}")
        for count, bare, ours_ in measure(Path(folder), ROUNDS):
            one, two = statistics.median(bare), statistics.median(ours_)
            print(f"{count:>15} {one * 1e6:>9.0f} µs {two * 1e6:>9.0f} µs {one / two:>7.2f} {TARGETS[count]:>7.2f}")


if __name__ == "__main__":
    main()
