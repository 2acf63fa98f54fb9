"""A whole run, against the same fits called directly with the libraries.

    python tests/bench/run.py [fixtures/late-arrivals-full.toml]
    python tests/bench/run.py --boosting

The bare side has the table in memory, cut and sorted, and does nothing but fit and predict: the same recipes on the
same windows, the same random splits, the same refit. It hashes, records, resamples and explains nothing. Both sides in
one run, in turns, in one process each; what counts is processor time, of child processes too, so that other work on
the machine does not.

With ``--boosting`` the candidates are LightGBM, XGBoost and CatBoost with trees of a usual number, an own module, and a
delivered score beside those of the file, on the sample.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

from tallystick import ledger
from tallystick.pipeline.config.load import LoadedPipeline, read
from tallystick.pipeline.data.slice import LABEL_KNOWN, TARGET, TIME, cut, frame_of, numbers, open_table
from tallystick.pipeline.evaluate import backtest
from tallystick.pipeline.evaluate.fitting import Recipe
from tallystick.pipeline.models.model_file import predict
from tallystick.pipeline.models.settle import settle
from tallystick.pipeline.runs.run import RunReport, run

TARGET_RATIO = 1.3
ROUNDS = 2
SAMPLE = Path(__file__).resolve().parent.parent.parent / "fixtures"
BOOSTING = {
    "light": "lightgbm:LGBMClassifier",
    "extreme": "xgboost:XGBClassifier",
    "cat": "catboost:CatBoostClassifier",
}


def processor_seconds() -> float:
    """Of this process and of the children that have ended."""
    found = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in found)


def fit_and_predict(recipe: Recipe, train: pd.DataFrame, y: Any, test: pd.DataFrame) -> Any:
    with backtest.one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        columns = [*recipe.columns.numeric, *recipe.columns.categorical]
        return predict(settle(recipe.built(1)).fit(train[columns], y), test[columns])


def bare(loaded: LoadedPipeline, report: RunReport, folder: Path) -> float:
    """Processor seconds of the fits that a run needed."""
    slice_ = cut(loaded.settings, loaded.path.parent, folder)
    table = open_table(slice_)
    frame, y = frame_of(table, slice_.features), numbers(table, TARGET).astype(np.int8)
    times, known = numbers(table, TIME), numbers(table, LABEL_KNOWN)
    fitted = [recipe for recipe in report.outline.recipes if recipe.is_fitted]
    at_random = {item.candidate for item in report.optimism}
    began = processor_seconds()
    for window in report.outline.windows:
        train, test = np.flatnonzero(window.train_rows(times, known)), np.flatnonzero(window.test_rows(times))
        shuffled = np.random.default_rng(1).permutation(np.concatenate([train, test]))
        for recipe in fitted:
            fit_and_predict(recipe, frame.iloc[train], y[train], frame.iloc[test])
            if recipe.name in at_random:
                chosen, rest = shuffled[: len(train)], shuffled[len(train) :]
                fit_and_predict(recipe, frame.iloc[chosen], y[chosen], frame.iloc[rest])
    for recipe in fitted:
        if recipe.name == report.selection.chosen:
            fit_and_predict(recipe, frame, y, frame.iloc[:1000])
    return processor_seconds() - began


def ours(loaded: LoadedPipeline, folder: Path) -> tuple[float, RunReport]:
    """Processor seconds of a whole run, from reading the source to the receipt."""
    with ledger.create(folder / "book", timezone="UTC") as book:
        began = processor_seconds()
        report = run(book, loaded, workers=1, on_outline=lambda _: None, on_progress=lambda *_: None)
        return processor_seconds() - began, report


def with_boosting(folder: Path, trees: int) -> Path:
    """The sample's pipeline with candidates of other libraries and of a team's own."""
    from elsewhere import deliver, scored
    from own_modules import own

    own(folder)
    flights = pq.read_table(SAMPLE / "late-arrivals.parquet")
    pq.write_table(flights, folder / "late-arrivals.parquet")
    size = {"light": "n_estimators", "extreme": "n_estimators", "cat": "iterations"}
    tables = "".join(
        f'[candidates.{name}]\nestimator = "pipeline.recipes:encoded"\ncomplexity = 2\nwhy = "x"\n'
        f'params = {{ model = "{model}", {size[name]} = {trees} }}\n\n'
        for name, model in BOOSTING.items()
    )
    tables += '[candidates.calendar]\nestimator = "mymodels:CalendarTrees"\ncomplexity = 1\nwhy = "x"\n\n'
    tables += (
        '[candidates.sas]\npredictions = "parquet:sas/*.parquet"\ndeclared_by = "x"\ncomplexity = 2\nwhy = "x"\n\n'
    )
    text = (SAMPLE / "late-arrivals.toml").read_text()
    path = folder / "boosting.toml"
    path.write_text(re.sub(r"(?=\[selection\])", tables, text, count=1))
    deliver(folder, scored("2013-04-01", flights))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=SAMPLE / "late-arrivals-full.toml")
    parser.add_argument("--boosting", action="store_true")
    parser.add_argument("--trees", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    ratios = []
    with tempfile.TemporaryDirectory() as place:
        loaded = read(with_boosting(Path(place), given.trees) if given.boosting else given.file)
        for _ in range(given.rounds):
            with tempfile.TemporaryDirectory() as folder:
                os.environ["XDG_CONFIG_HOME"] = os.environ["XDG_STATE_HOME"] = folder
                whole, report = ours(loaded, Path(folder))
                fits = bare(loaded, report, Path(folder))
                ratios.append(whole / fits)
                print(f"processor time: fits alone {fits:6.1f} s   tally run {whole:6.1f} s")
    print(f"tally run takes {float(np.median(ratios)):.2f} times the fits alone (target {TARGET_RATIO})")


if __name__ == "__main__":
    main()
