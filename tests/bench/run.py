"""A whole run, against the same fits called directly with scikit-learn and joblib.

    python tests/bench/run.py [fixtures/late-arrivals-full.toml]

The bare side has the table in memory, cut and sorted, and does nothing but fit and predict: the same recipes on the
same windows, the same random splits, the same refit, with the same number of workers. It hashes, records, resamples
and explains nothing. Both sides in one run, in turns.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tallystick import ledger
from tallystick.pipeline import recipes
from tallystick.pipeline.config.load import LoadedPipeline, read
from tallystick.pipeline.config.windows import development_windows
from tallystick.pipeline.data.slice import LABEL_KNOWN, TARGET, TIME, cut, frame_of, numbers, open_table
from tallystick.pipeline.evaluate import backtest
from tallystick.pipeline.models.model_file import predict
from tallystick.pipeline.runs.run import run

TARGET_RATIO = 1.3
ROUNDS = 2


def fit_and_predict(estimator: Any, train: pd.DataFrame, y: Any, test: pd.DataFrame) -> Any:
    with backtest.one_thread():
        return predict(estimator.fit(train, y), test)


def bare(loaded: LoadedPipeline, workers: int, folder: Path) -> float:
    """Seconds of the fits alone."""
    from joblib import Parallel, delayed

    slice_ = cut(loaded.settings, loaded.path.parent, folder)
    table = open_table(slice_)
    frame, y = frame_of(table, slice_.features), numbers(table, TARGET).astype(np.int8)
    times, known = numbers(table, TIME), numbers(table, LABEL_KNOWN)
    started = time.perf_counter()
    jobs = []
    candidates = loaded.settings.candidates.items()
    for window in development_windows(loaded.settings.time):
        train, test = np.flatnonzero(window.train_rows(times, known)), np.flatnonzero(window.test_rows(times))
        shuffled = np.random.default_rng(1).permutation(np.concatenate([train, test]))
        split = shuffled[: len(train)], shuffled[len(train) :]
        for name, item in candidates:
            made = recipes.build(item.estimator, dict(item.params), slice_.features, "classification", 1)
            jobs.append((made, train, test))
            if name in ("small_trees", "big_trees"):
                again = recipes.build(item.estimator, dict(item.params), slice_.features, "classification", 1)
                jobs.append((again, *split))
    Parallel(n_jobs=workers)(
        delayed(fit_and_predict)(made, frame.iloc[train], y[train], frame.iloc[test]) for made, train, test in jobs
    )
    small = loaded.settings.candidates["small_trees"]
    made = recipes.build(small.estimator, dict(small.params), slice_.features, "classification", 1)
    fit_and_predict(made, frame, y, frame.iloc[:1000])
    return time.perf_counter() - started


def ours(loaded: LoadedPipeline, workers: int, folder: Path) -> float:
    """Seconds of a whole run, from reading the source to the receipt."""
    with ledger.create(folder / "book", timezone="UTC") as book:
        started = time.perf_counter()
        run(book, loaded, workers=workers, on_outline=lambda _: None, on_progress=lambda *_: None)
        return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=Path("fixtures/late-arrivals-full.toml"))
    path = parser.parse_args().file
    loaded, workers = read(path), len(os.sched_getaffinity(0))
    pairs = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["XDG_CONFIG_HOME"] = os.environ["XDG_STATE_HOME"] = folder
            pairs.append((bare(loaded, workers, Path(folder)), ours(loaded, workers, Path(folder))))
            print(f"fits alone {pairs[-1][0]:6.1f} s   tally run {pairs[-1][1]:6.1f} s   {workers} workers")
    ratio = float(np.median([one / two for two, one in pairs]))
    print(f"tally run takes {ratio:.2f} times the fits alone (target {TARGET_RATIO})")


if __name__ == "__main__":
    main()
