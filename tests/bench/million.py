"""A whole run on 1,000,000 rows × 20 columns, three candidates and ten windows, against the bare fits.

    python tests/bench/million.py [--rows 1000000] [--workers 1]

Time: the bare side has the table in memory, cut and sorted, and does nothing but fit and predict: the same recipes on
the same windows, the same random splits, the same refit. Memory: the largest resident size of a process that runs the
pipeline, less that of one that has only imported the program; held against twice the table as Arrow and what one fit
takes by itself. Each side is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

TIME_RATIO, TABLES = 1.05, 2
MONTHS = 14
"""Of data: the first four are for training only."""
CANDIDATES = {
    "reference": ("sklearn.dummy:DummyClassifier", '{ strategy = "prior" }'),
    "small_trees": ("pipeline.recipes:trees", "{ max_iter = 40, max_leaf_nodes = 15 }"),
    "trees": ("pipeline.recipes:trees", "{ max_iter = 80, max_leaf_nodes = 31 }"),
}
FILE = """
schema = 1
name   = "million"
owner  = "bench@example.org"

[questions]
decision      = "?"
unit          = "one row"
prediction_at = "time"
cost_of_wrong = "?"

[data]
source = "parquet:million.parquet"
target = { column = "y", rule = "== 1", positive = "yes" }
key    = ["id"]
why    = "Made up."

[data.features]
"FEATURES" = { known_at = "time" }

[time]
column      = "time"
timezone    = "UTC"
window      = "1 month"
first_test  = 2020-05-01
last_test   = 2021-02-01
label_delay = "0d"
why         = "?"

[time.final]
test  = []
looks = 1
why   = "?"

[selection]
metric     = "log_loss"
rule       = "stable_among_equals"
margin     = 0.005
confidence = 0.9
resample   = "day"
seed       = 1
why        = "?"
"""


def write(folder: Path, rows: int) -> Path:
    """A table of 20 columns: key, time, target, 14 numbers and 3 categories; and its pipeline file."""
    chance = np.random.default_rng(1)
    begin, end = np.datetime64("2020-01-01", "s"), np.datetime64("2021-03-01", "s")
    moments = begin + (np.sort(chance.random(rows)) * (end - begin).astype(int)).astype("timedelta64[s]")
    numbers = {f"n{index:02}": chance.normal(size=rows) for index in range(14)}
    categories = {f"c{index}": chance.integers(0, 8, rows) for index in range(3)}
    odds = 0.5 * sum(numbers[f"n{index:02}"] for index in range(4)) - 1.0 + 0.1 * categories["c0"]
    y = (chance.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    texts = {name: pa.array(np.array(list("abcdefgh"), dtype=object)[codes]) for name, codes in categories.items()}
    table = pa.table({"id": np.arange(rows), "time": moments, "y": y, **numbers, **texts})
    pq.write_table(table, folder / "million.parquet")
    text = FILE.replace("FEATURES", ", ".join([*numbers, *texts]))
    for place, (name, (estimator, params)) in enumerate(CANDIDATES.items()):
        text += (
            f'\n[candidates.{name}]\nestimator = "{estimator}"\nparams = {params}\ncomplexity = {place}\nwhy = "?"\n'
        )
        text += 'role = "reference"\n' if name == "reference" else ""
    path = folder / "million.toml"
    path.write_text(text)
    return path


class Peak:
    """The largest resident size of this process and its children together, looked at ten times a second."""

    def __init__(self) -> None:
        self.bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.bytes = max(self.bytes, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            self.bytes = max(self.bytes, _private(os.getpid()))


def _private(process: int) -> int:
    """Resident bytes of a process and its children, files that are mapped left out: several map the same slice."""
    total = 0
    try:
        fields = dict(
            line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines() if ":" in line
        )
        total = int(fields["RssAnon"].split()[0]) * 1024
        for task in Path(f"/proc/{process}/task").iterdir():
            children = (task / "children").read_text().split()
            total += sum(_private(int(child)) for child in children)
    except (OSError, KeyError):
        pass
    return total


def _cpu() -> float:
    """Seconds of the processor that this process and its ended children have used; fair on a machine that is shared."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(item.ru_utime + item.ru_stime for item in used)


def imported() -> dict[str, float]:
    """A process that has imported what a run needs, and nothing else."""
    import sklearn.dummy
    import sklearn.ensemble  # noqa: F401

    from tallystick.pipeline.runs import run  # noqa: F401

    return {"seconds": 0.0, "cpu": 0.0, "peak": float(_private(os.getpid()))}


def ours(path: Path, workers: int) -> dict[str, float]:
    from tallystick import ledger
    from tallystick.pipeline.config.load import read
    from tallystick.pipeline.runs.run import run

    loaded = read(path)
    with tempfile.TemporaryDirectory() as folder, Peak() as peak:
        with ledger.create(Path(folder), timezone="UTC") as book:
            started, cpu = time.perf_counter(), _cpu()
            done = run(book, loaded, workers=workers, on_outline=lambda _: None, on_progress=_progress)
            seconds, cpu = time.perf_counter() - started, _cpu() - cpu
        arrow = float(done.outline.slice.data_bytes)
    return {"seconds": seconds, "cpu": cpu, "peak": float(peak.bytes), "arrow": arrow}


class _Total:
    last: int | None = None


def _progress(what: str, done: int, total: int) -> None:
    assert _Total.last in (None, total), f"the total moved from {_Total.last} to {total}: {what}"
    assert done <= total
    _Total.last = total


def fits(path: Path, workers: int, most: int | None = None) -> dict[str, float]:
    """The fits and predictions alone; with ``most`` only the largest so many of them, to see what memory they take."""
    from joblib import Parallel, delayed

    from tallystick.pipeline import recipes
    from tallystick.pipeline.config.load import read
    from tallystick.pipeline.config.windows import development_windows
    from tallystick.pipeline.data.slice import LABEL_KNOWN, TARGET, TIME, cut, frame_of, numbers, open_table

    loaded = read(path)
    with tempfile.TemporaryDirectory() as folder:
        slice_ = cut(loaded.settings, path.parent, Path(folder))
        table = open_table(slice_)
        frame, y = frame_of(table, slice_.features), numbers(table, TARGET).astype(np.int8)
        times, known = numbers(table, TIME), numbers(table, LABEL_KNOWN)
        jobs: list[Any] = []
        for window in development_windows(loaded.settings.time):
            train, test = np.flatnonzero(window.train_rows(times, known)), np.flatnonzero(window.test_rows(times))
            shuffled = np.random.default_rng(1).permutation(np.concatenate([train, test]))
            for name, item in loaded.settings.candidates.items():
                splits = [(train, test)]
                if name != "reference":
                    splits.append((np.sort(shuffled[: len(train)]), np.sort(shuffled[len(train) :])))
                jobs += [(item, *split) for split in splits]
        best = loaded.settings.candidates["trees"]
        jobs.append((best, np.arange(len(y)), np.arange(1_000)))
        jobs = jobs if most is None else jobs[-most:]

        def one(item: Any, train: Any, test: Any) -> None:
            made = recipes.build(item.estimator, dict(item.params), slice_.features, "classification", 1)
            _fit(made, frame.iloc[train], y[train], frame.iloc[test])

        before = _private(os.getpid())
        with Peak() as peak:
            started, cpu = time.perf_counter(), _cpu()
            Parallel(n_jobs=workers)(delayed(one)(*job) for job in jobs)
            seconds, cpu = time.perf_counter() - started, _cpu() - cpu
    return {"seconds": seconds, "cpu": cpu, "peak": float(peak.bytes - before), "arrow": float(slice_.data_bytes)}


def _fit(estimator: Any, train: Any, y: Any, test: Any) -> None:
    from tallystick.pipeline.evaluate.backtest import one_thread
    from tallystick.pipeline.models.model_file import predict

    with one_thread():
        predict(estimator.fit(train, y), test)


SIDES = ("imported", "ours", "fits", "one fit")


def side(name: str, path: Path, workers: int) -> dict[str, float]:
    """One side, measured in this process."""
    if name == "imported":
        return imported()
    if name == "ours":
        return ours(path, workers)
    return fits(path, workers) if name == "fits" else fits(path, 1, most=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--side", choices=SIDES)
    parser.add_argument("--file", type=Path)
    given = parser.parse_args()
    if given.side is not None:
        print(json.dumps(side(given.side, given.file, given.workers)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), given.rows)
        environment = os.environ | {"XDG_CONFIG_HOME": folder, "XDG_STATE_HOME": folder}
        found = {}
        for name in SIDES:
            command = [sys.executable, __file__, "--side", name, "--file", str(path), "--workers", str(given.workers)]
            done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
            found[name] = json.loads(done.stdout.splitlines()[-1])
            seconds, cpu, peak = (found[name][what] for what in ("seconds", "cpu", "peak"))
            print(f"{name:9} {seconds:7.1f} s, of the processor {cpu:7.1f} s  {peak / 1e6:7.0f} MB", flush=True)
    arrow, fit = found["ours"]["arrow"], found["one fit"]["peak"]
    ratio, cpu = (found["ours"][what] / found["fits"][what] for what in ("seconds", "cpu"))
    used = found["ours"]["peak"] - found["imported"]["peak"]
    allowed = TABLES * arrow + fit * given.workers
    print(f"time: tally run takes {ratio:.3f} times the fits alone, {cpu:.3f} times by the processor's time", end=" ")
    print(f"(target {TIME_RATIO})")
    print(
        f"memory: {used / 1e6:,.0f} MB above the imports; {TABLES} × {arrow / 1e6:,.0f} MB of Arrow and a fit of",
        end=" ",
    )
    print(f"{fit / 1e6:,.0f} MB for each of {given.workers} are {allowed / 1e6:,.0f} MB: {used / allowed:.2f} of it")


if __name__ == "__main__":
    main()
