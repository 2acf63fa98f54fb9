"""Watching a model that predicts a number: minutes of delay on a third of the real sample."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from judged import let_through
from tiny import silent, table, tiny

from tallystick import ledger
from tallystick.pipeline.config.load import read
from tallystick.pipeline.governance.promotion import promote
from tallystick.pipeline.monitoring.monitor import Watched, monitor
from tallystick.pipeline.runs.propose import propose
from tallystick.pipeline.runs.run import run

OCTOBER = dt.datetime(2013, 10, 1, 4, tzinfo=dt.UTC)


def pipeline_file(folder: Path, rows: pa.Table) -> Path:
    changes = {
        'target        = { column = "arr_delay", rule = "> 15", positive = "late" }': (
            'target        = { column = "arr_delay" }\nunit = "minutes"'
        ),
        "sklearn.dummy:DummyClassifier": "sklearn.dummy:DummyRegressor",
        'strategy = "prior"': 'strategy = "mean"',
        "params     = { C = 1.0 }": "params     = {}",
        'metric     = "log_loss"': 'metric     = "squared_error"',
        'optimism_gap         = { at_most = 0.05, metric = "roc_auc"': "optimism_gap         = { at_most = 50.0",
        "calibration_in_large = { at_most = 0.05": "calibration_in_large = { at_most = 50.0",
        "2013-08-01": "2013-07-01",
        "2013-10-01": "2013-09-01",
    }
    return tiny(folder, rows, **changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A champion made of what was known at the end of September 2013."""
    home = tmp_path_factory.mktemp("numbers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(home / "c"))
        patch.setenv("XDG_STATE_HOME", str(home / "s"))
        loaded = read(pipeline_file(home, table()))
        with ledger.create(home / "team", timezone="America/New_York") as book:
            done = run(book, loaded, workers=1, on_outline=lambda _: None, on_progress=silent, labels_as_of=OCTOBER)
            # The rule may prefer nobody: minutes are hard. A person puts the line forward all the same.
            model = done.model or propose(book, done.outline.run, "logistic", "to be watched", loaded.path).body.model
        let_through(home / "team", model)
        with ledger.open(home / "team") as book:
            promote(book, model, "to be watched")
        yield home


def shifted(rows: pa.Table, minutes: float) -> pa.Table:
    """The flights, with those of October arriving later."""
    times = rows["time_hour"].to_numpy(zero_copy_only=False)
    october = (times >= np.datetime64("2013-10-01T04:00")) & (times < np.datetime64("2013-11-01T04:00"))
    delay = rows["arr_delay"].to_numpy(zero_copy_only=False) + np.where(october, minutes, 0.0)
    return rows.set_column(rows.column_names.index("arr_delay"), "arr_delay", pa.array(delay, from_pandas=True))


def october(folder: Path, minutes: float) -> Watched:
    pq.write_table(shifted(table(), minutes), folder / "late-arrivals.parquet")
    with ledger.open(folder / "team") as book:
        return monitor(book, read(folder / "tiny.toml"), "2013-10")


def test_an_ordinary_month_of_numbers_is_told_in_numbers(folder: Path) -> None:
    watched = october(folder, 0.0)
    assert watched.facts is not None
    assert "auc" not in watched.facts.statistics
    assert set(watched.facts.standings) == {"level", "ranking", "spread"}
    assert watched.body.estimate is None
    assert "was observed" in watched.body.headline
    assert "%" not in watched.body.headline
    assert set(watched.body.metrics) >= {"squared_error", "absolute_error"}
    rows = table().to_pandas()
    local = rows["time_hour"].dt.tz_convert("America/New_York").dt.strftime("%Y-%m")
    observed = rows["arr_delay"][(local == "2013-10") & rows["arr_delay"].notna()]
    assert watched.facts.observed == pytest.approx(observed.mean())
    assert watched.body.rows == len(observed)
    assert watched.body.history == ("2013-07", "2013-08", "2013-09")


def test_a_level_that_moved_is_said_to_have_moved(folder: Path) -> None:
    before = october(folder, 0.0)
    moved = october(folder, 60.0)
    assert (moved.body.status, moved.body.decision) == ("alarm", "recalibrate")
    assert before.body.decision != "recalibrate"
    assert before.facts is not None
    assert moved.facts is not None
    assert moved.facts.observed == pytest.approx(before.facts.observed + 60.0)
    assert moved.facts.gain > 0.5
    first = moved.findings[0]
    assert (first.code, first.level) == ("level", "alarm")
    assert re.search(r"The model predicted -?[\d.]+ minutes on average, -?[\d.]+ was observed;", first.sentence)
    assert "The level moved; recalibrating saves" in moved.body.headline
    assert (moved.body.cause, moved.body.rule) == ("level", "own windows 2")
