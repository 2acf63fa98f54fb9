"""`tally check` looks at the data: every mistake that a table shows, with its line, before anything is run."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from shell import tally
from tables import customers

from tallystick.pipeline.begin.answers import Answers
from tallystick.pipeline.begin.new import begin, look_at
from tallystick.pipeline.config.load import Mistake, read
from tallystick.pipeline.runs.check_data import check_data


@pytest.fixture
def file(tmp_path: Path) -> Path:
    customers().to_csv(tmp_path / "customers.csv", index=False)
    look = look_at(str(tmp_path / "customers.csv"), tmp_path)
    return begin(look, Answers(target="churned", owner="ann"), None, tmp_path).file


def changed(file: Path, *pairs: tuple[str, str]) -> Path:
    text = file.read_text()
    for old, new in pairs:
        assert re.search(old, text), old
        text = re.sub(old, new, text)
    file.write_text(text)
    return file


def mistakes(file: Path) -> list[Mistake]:
    return check_data(read(file))[1]


def test_what_was_seen_is_said(file: Path) -> None:
    checked, found = check_data(read(file))
    assert found == []
    assert checked is not None
    assert checked.kinds["age"] == "number"
    assert checked.kinds["plan"] == "text"
    assert checked.fitted == ["reference", "linear", "small_trees"]
    assert all(rows > 50 for rows in checked.windows.values())
    answer = tally(file.parent, "check", file.name, "--json")
    assert answer.json["data"]["rows"] == 3_000
    assert "gates" in answer.json["proposed"]
    page = " ".join(tally(file.parent, "check", file.name).out.split())
    assert "Read 3,000 rows of csv:customers.csv" in page
    assert re.search(r"Proposed, not confirmed by a person: \d+ settings", page)


def test_columns_that_are_not_there_are_all_named_on_their_lines(file: Path) -> None:
    changed(file, ('"age, plan"', '"agee, plan"'), ('column = "churned"', 'column = "churnd"'))
    changed(file, (r"segments   = \[.*\]", 'segments   = ["plann"]'))
    lines = file.read_text().splitlines()
    found = mistakes(file)
    assert len(found) == 3
    for mistake, (written, meant) in zip(
        sorted(found), (("churnd", "churned"), ("agee", "age"), ("plann", "plan")), strict=True
    ):
        assert written in lines[mistake.line - 1]
        assert f"Did you mean {meant}?" in mistake.words


def test_answers_that_cannot_be_read_name_the_values_seen(file: Path) -> None:
    (mistake,) = mistakes(changed(file, ("== 'yes'", "== 'left'")))
    assert "churned == 'left' holds in no row" in mistake.words
    assert "'no'" in mistake.words
    assert "'yes'" in mistake.words
    (mistake,) = mistakes(changed(file, ("== 'left'", "> 3")))
    assert "churned > 3 holds in no row; the column holds" in mistake.words


def test_windows_without_rows_and_times_that_are_none(file: Path) -> None:
    (mistake,) = mistakes(changed(file, (r"first_test  = 2020", "first_test  = 2018")))
    assert "windows without any row: 2018-" in mistake.words
    assert "The table covers 2020-01-01 to 2021-" in mistake.words
    changed(file, ('column      = "signup"', 'column      = "plan"'), ('"signup"', '"plan"'))
    assert any("times cannot be read" in mistake.words for mistake in mistakes(file))


def test_a_source_that_is_not_there(file: Path) -> None:
    (mistake,) = mistakes(changed(file, ("customers.csv", "customer.csv")))
    assert mistake.path == "data.source"
    assert "That folder has customers.csv" in mistake.words


def test_rows_that_repeat_their_key(file: Path) -> None:
    frame = pd.read_csv(file.parent / "customers.csv")
    pd.concat([frame, frame.tail(1)]).to_csv(file.parent / "customers.csv", index=False)
    (mistake,) = mistakes(file)
    assert "customer_id" in mistake.words


def test_candidates_that_cannot_be_fitted_or_stored(file: Path) -> None:
    changed(
        file,
        ("pipeline.recipes:linear", "sklearn.linear_model:LogisticRegression"),
        (r'"pipeline.recipes:trees".*\n', '"own:Unstorable"\n'),
        (r"params     = \{ max_iter.*\n", ""),
    )
    code = (
        "import threading\nfrom sklearn.dummy import DummyClassifier\nclass Unstorable(DummyClassifier):\n"
        "    def fit(self, X, y):\n        self.lock_ = threading.Lock()\n        return super().fit(X, y)\n"
    )
    (file.parent / "own.py").write_text(code)
    found = {mistake.path: mistake.words for mistake in mistakes(file)}
    assert "linear cannot be fitted" in found["candidates.linear.estimator"]
    assert "_thread.lock" in found["candidates.small_trees.estimator"]
    answer = tally(file.parent, "check", file.name)
    assert answer.code == 2
    assert f"{file.name}:" in answer.err
    assert tally(file.parent, "check", file.name, "--no-data").code == 0


def test_mistakes_of_code_and_data_are_reported_at_once(file: Path) -> None:
    changed(file, ("max_iter", "max_itr"), ('"age, plan"', '"agee, plan"'))
    answer = tally(file.parent, "check", file.name)
    assert "max_itr" in answer.err
    assert "agee" in answer.err
