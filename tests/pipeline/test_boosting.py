"""LightGBM, XGBoost and CatBoost as candidates, from the check to a prediction, in the flights' small pipeline."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from given import Ticking
from shell import tally
from tiny import done, table, tiny

from tallystick import ledger
from tallystick.ledger.events import types as say
from tallystick.pipeline.config.load import read
from tallystick.pipeline.monitoring.predict import answer, open_model
from tallystick.pipeline.runs.check_data import check_data
from tallystick.pipeline.runs.propose import propose

TODAY = dt.datetime(2013, 11, 2, 12, tzinfo=dt.UTC)
CANDIDATES = {
    "light": ("lightgbm:LGBMClassifier", "n_estimators = 10, num_leaves = 7"),
    "extreme": ("xgboost:XGBClassifier", "n_estimators = 10, max_depth = 3"),
    "cat": ("catboost:CatBoostClassifier", "iterations = 10, depth = 3"),
}


def with_boosting(folder: Path) -> Path:
    """The small pipeline with one candidate of each library, on the flights until October."""
    rows = table()
    known = pc.less(rows["time_hour"], dt.datetime(2013, 11, 1, 4, tzinfo=dt.UTC))
    path = tiny(folder, rows.filter(known))
    tables = "".join(
        f'[candidates.{name}]\nestimator = "pipeline.recipes:encoded"\ncomplexity = 2\nwhy = "x"\n'
        f'params = {{ model = "{model}", {params} }}\n\n'
        for name, (model, params) in CANDIDATES.items()
    )
    path.write_text(path.read_text().replace("[selection]", f"{tables}[selection]", 1))
    return path


def test_they_are_checked_judged_done_again_kept_and_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = with_boosting(tmp_path)
    checked, mistakes = check_data(read(file))
    assert mistakes == []
    assert checked is not None and set(CANDIDATES) <= set(checked.fitted)
    november = table().filter(pc.greater_equal(table()["time_hour"], dt.datetime(2013, 11, 2, 5, tzinfo=dt.UTC)))
    pq.write_table(november.slice(0, 200), tmp_path / "november.parquet")
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    with ledger.create(tmp_path, timezone="America/New_York", clock=Ticking(TODAY)) as book:
        once, twice = done(book, file, workers=1), done(book, file, workers=2)
        assert once.result_hash == twice.result_hash
        assert twice.same_result_as == once.outline.run
        previous = None
        for name, (model, _) in CANDIDATES.items():
            made = propose(book, once.outline.run, name, "to ask it", file).body
            library = model.partition(":")[0]
            assert any(found.startswith(library) for found in made.libraries), made.libraries
            assert library in str(type(open_model(book, made)[-1]))
            book.append(
                say.ModelPromoted(
                    model=made.model, pipeline="late-arrivals", previous=previous, run=once.outline.run, decision=None,
                    reason="test",
                )
            )  # fmt: skip
            previous = made.model
            found = answer(book, made.model, "november.parquet", tmp_path / f"{name}.parquet")
            assert found.status == "champion"
            assert 0.0 < found.body.mean < 1.0
    left = {path.name for path in set(tmp_path.iterdir()) - before}
    assert left == {".tally", "light.parquet", "extreme.parquet", "cat.parquet"}, "no library left files of its own"
    again = tally(tmp_path, "reproduce", once.outline.run, TALLY_ALLOW_JUMP="1")
    assert "done again: identical" in again.out, again.out + again.err


def test_a_library_that_is_not_installed_is_named_with_its_extra(tmp_path: Path) -> None:
    """In a process in which it cannot be imported, as where it never was."""
    file = with_boosting(tmp_path)
    code = "import sys; sys.modules['catboost'] = None"
    (tmp_path / "sitecustomize.py").write_text(code)
    answer_ = tally(tmp_path, "check", file.name, PYTHONPATH=str(tmp_path))
    assert answer_.code != 0
    words = re.sub(r"\s+", " ", answer_.err)
    assert "catboost, which is not installed here" in words
    assert "tallystick[catboost]" in words
