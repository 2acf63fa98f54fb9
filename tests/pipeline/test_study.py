"""A study over a candidate's parameters: development windows only, every trial kept, luck taken off in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tiny import done, silent, table, tiny

from tallystick import ledger
from tallystick.ledger.errors import InvalidInput
from tallystick.pipeline import final_test, study
from tallystick.pipeline.config.load import read
from tallystick.pipeline.runs.final_test import expected_maximum

pytest.importorskip("optuna")
CHANGES = {"test = []": 'test = ["2013-10"]', "2013-08-01": "2013-07-01"}


def space(trial: Any) -> dict[str, Any]:
    return {"C": trial.suggest_float("C", 1e-4, 1.0, log=True)}


def test_every_trial_is_kept_and_the_best_is_discounted_in_words(tmp_path: Path) -> None:
    loaded = read(tiny(tmp_path, **CHANGES))
    with ledger.create(tmp_path, timezone="America/New_York") as book:
        found = study(book, loaded, "logistic", space, trials=4, workers=2)
        states = book.now().trials()
        assert sorted(state.trial for state in states) == sorted(one.trial for one in found.trials)
        assert {state.status for state in states} == {"finished"}
        kept = {state.trial: state.params for state in states}
        for one in found.trials:
            assert kept[one.trial]["params"] == one.params
            assert list(one.gains) == ["2013-07", "2013-08", "2013-09"]
        assert found.best.gain == max(one.gain for one in found.trials)
        apart = [
            found.best.gains[label] - np.mean([one.gains[label] for one in found.trials]) for label in found.best.gains
        ]
        assert found.luck == pytest.approx(np.std(apart, ddof=1) / np.sqrt(3) * expected_maximum(4))
        assert "The best of 4 trials of logistic" in found.sentence
        assert "The sealed windows (2013-10) were not opened." in found.sentence
        assert book.now().runs() == []
        # What the study compared counts where the sealed windows are looked at.
        report = done(book, loaded.path)
        _, looked, _ = final_test(book, report.model or "", command="t", file=None, workers=1, on_progress=silent)
        assert looked.facts["candidates_compared_before"] == 1 + 4


def test_the_same_parameters_gain_what_a_run_says(tmp_path: Path) -> None:
    loaded = read(tiny(tmp_path, **CHANGES))
    with ledger.create(tmp_path, timezone="America/New_York") as book:
        found = study(book, loaded, "logistic", lambda _: {}, trials=1)
        done(book, loaded.path)
        gains = {
            entry.event.body.label: entry.event.body.gain
            for entry in book.now().counted_events(types=["window.evaluated"])
            if entry.event.body.candidate == "logistic"
        }
    assert found.best.gains == pytest.approx(gains)
    assert found.luck == 0.0


def test_sealed_answers_change_nothing(tmp_path: Path) -> None:
    gains = []
    for name, turn in (("as they are", False), ("turned round", True)):
        folder = tmp_path / name
        folder.mkdir()
        rows = table()
        if turn:
            sealed = pc.greater_equal(rows["time_hour"], pa.scalar(1_380_600_000_000_000, pa.int64()).cast(
                pa.timestamp("us", "UTC")).cast(rows["time_hour"].type))  # fmt: skip
            delay = pc.if_else(sealed, pc.negate(rows["arr_delay"]), rows["arr_delay"])
            rows = rows.set_column(rows.column_names.index("arr_delay"), "arr_delay", delay)
            assert pc.sum(sealed).as_py() > 500
        loaded = read(tiny(folder, rows, **CHANGES))
        assert pq.read_table(folder / "late-arrivals.parquet").equals(rows)
        with ledger.create(folder, timezone="America/New_York") as book:
            gains.append([one.gains for one in study(book, loaded, "logistic", space, trials=2).trials])
    assert gains[0] == gains[1]


def test_what_cannot_be_studied_is_said(tmp_path: Path) -> None:
    loaded = read(tiny(tmp_path, **CHANGES))
    with ledger.create(tmp_path, timezone="America/New_York") as book:
        for name in ("base_rate", "nobody"):
            with pytest.raises(InvalidInput, match=f"{name} is no candidate"):
                study(book, loaded, name, space, trials=1)
        with pytest.raises(InvalidInput, match="does not take these params"):
            study(book, loaded, "logistic", lambda _: {"depth": 3}, trials=1)
        assert [state.status for state in book.now().trials()] == ["failed"]
