"""Whether a candidate can be kept is said first, and one that is not is judged and never promoted."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from given import Ticking
from shell import tally
from tiny import done, tiny

from tallystick import ledger
from tallystick.ledger.errors import InvalidInput, Refused
from tallystick.pipeline.config.load import read
from tallystick.pipeline.runs.check_data import check_data
from tallystick.pipeline.runs.keeping import is_kept
from tallystick.pipeline.runs.propose import propose

TODAY = dt.datetime(2014, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The small pipeline with a third candidate whose model holds a lock, which no data format can hold."""
    path = tiny(tmp_path)
    text = path.read_text()
    table = '[candidates.own]\nestimator = "own:Unstorable"\ncomplexity = 3\nwhy = "x"\n\n[selection]'
    path.write_text(text.replace("[selection]", table, 1))
    (tmp_path / "own.py").write_text(
        "import threading\nfrom sklearn.dummy import DummyClassifier\n\n\n"
        "class Unstorable(DummyClassifier):\n    def fit(self, X, y):\n        super().fit(X, y)\n"
        "        self.guard_ = threading.Lock()\n        return self\n"
    )
    return path


def test_a_candidate_that_cannot_be_kept_is_named_by_check_and_before_a_run(file: Path, tmp_path: Path) -> None:
    _, mistakes = check_data(read(file))
    (mistake,) = mistakes
    assert mistake.path == "candidates.own.estimator"
    assert "The model of own cannot be stored: " in mistake.words
    assert 'keep = "no"' in mistake.words
    with ledger.create(tmp_path, timezone="America/New_York", clock=Ticking(TODAY)) as book:
        before = book.now().as_of.n
        with pytest.raises(InvalidInput, match="The model of own cannot be stored"):
            done(book, file)
        assert book.now().as_of.n == before


def test_what_the_hint_says_helps_and_the_candidate_is_judged_and_never_promoted(file: Path, tmp_path: Path) -> None:
    kept = read(file)
    file.write_text(file.read_text().replace('"own:Unstorable"', '"own:Unstorable"\nkeep = "no"'))
    assert check_data(read(file))[1] == []
    assert not is_kept(read(file).settings, "own")
    assert read(file).meaning_hash != kept.meaning_hash
    with ledger.create(tmp_path, timezone="America/New_York", clock=Ticking(TODAY)) as book:
        report = done(book, file)
        assert {item.candidate for item in report.judged} == {"base_rate", "logistic", "own"}
        assert any("own does not take part" in reason.sentence and "never promoted" in reason.sentence
                   for reason in report.reasons)  # fmt: skip
        with pytest.raises(Refused, match='keep = "no"'):
            propose(book, report.outline.run, "own", "it looks good", file)
    answer = tally(file.parent, "check", file.name)
    assert answer.code == 0
    assert "own" in answer.out


def test_a_file_without_the_setting_means_what_it_meant(tmp_path: Path) -> None:
    assert "keep" not in read(tiny(tmp_path)).meaning["candidates"]["logistic"]
