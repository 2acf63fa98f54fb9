"""Predictions that were computed elsewhere: judged like any candidate, labelled, promoted, watched, never predicted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from elsewhere import KEY, deliver, scored
from shell import tally
from tiny import done, silent, table, tiny

from tallystick import ledger
from tallystick.ledger.errors import InvalidInput, Refused
from tallystick.ledger.events import types as say
from tallystick.pipeline import final_test, monitor, predict, promote, reproduce
from tallystick.pipeline.config.load import ConfigurationError, read
from tallystick.pipeline.runs.check_data import check_data

WHO = "Risk Analytics, SAS 9.4"
WINDOWS = ["2013-08", "2013-09", "2013-10"]
CANDIDATE = f'''[candidates.sas_score]
predictions = "parquet:sas/*.parquet"
declared_by = "{WHO}"
complexity = 2
why = "The team's score runs on the mainframe."
'''


def delivering(folder: Path, delivered: pd.DataFrame, **changes: str) -> Path:
    """The tiny pipeline whose second candidate is delivered in two files."""
    file = tiny(folder, **changes)
    text = re.sub(r"\[candidates\.logistic\].*?(?=\n\[)", CANDIDATE, file.read_text(), flags=re.DOTALL)
    file.write_text(text)
    deliver(folder, delivered)
    return file


@pytest.fixture
def book(tmp_path: Path) -> Any:
    with ledger.create(tmp_path, timezone="America/New_York") as opened:
        yield opened


def test_it_is_judged_chosen_reproduced_and_promoted_and_says_what_it_is(tmp_path: Path, book: ledger.Ledger) -> None:
    delivered = scored()
    file = delivering(tmp_path, delivered)
    report = done(book, file, workers=2)
    assert report.selection.chosen == "sas_score"
    judged = next(item for item in report.judged if (item.candidate, item.label) == ("sas_score", "2013-09"))
    ours = delivered[delivered["window"] == "2013-09"].merge(
        table().to_pandas()[[*KEY, "arr_delay"]].dropna(), on=KEY, validate="one_to_one"
    )
    assert sorted(judged.predictions) == sorted(ours["prediction"])
    now = book.now()
    made = next(entry.event.body for entry in now.counted_events(types=["candidate.refitted"]))
    assert isinstance(made, say.CandidateDelivered)
    assert (made.declared_by, made.models, made.model) == (WHO, ["PD_2013"], report.model)
    words = [item.sentence for item in now.events() if WHO in item.sentence]
    assert len(words) == 2 and all(f"computed elsewhere, as declared by {WHO}" in text for text in words)

    assert reproduce(book, report.outline.run, workers=1, on_progress=silent).body.verdict == "identical"
    with pytest.raises(Refused, match="optimism_gap is open"):
        promote(book, report.model or "", "it is better")
    with pytest.raises(Refused, match=f"computed elsewhere, as declared by {WHO}"):
        predict(
            book, report.model or "", str(tmp_path / "late-arrivals.parquet"), tmp_path / "out.csv", challenger=True
        )
    refused = next(entry.event.body for entry in book.now().counted_events(types=["prediction.refused"]))
    assert refused.code == "computed-elsewhere"


def test_another_delivery_under_the_same_name_is_no_reproduction(tmp_path: Path, book: ledger.Ledger) -> None:
    delivered = scored()
    report = done(book, delivering(tmp_path, delivered))
    changed = delivered.assign(prediction=delivered["prediction"].where(delivered["window"] != "2013-09", 0.5))
    deliver(tmp_path, changed)
    again = reproduce(book, report.outline.run, workers=1, on_progress=silent).body
    assert (again.verdict, again.first_window, again.first_candidate) == ("different", "2013-09", "sas_score")
    deliver(tmp_path, delivered[delivered["window"] != "2013-09"])
    gone = reproduce(book, report.outline.run, workers=1, on_progress=silent).body
    assert gone.verdict == "cannot compare"
    assert "sas_score" in gone.sentence and "2013-09" in gone.sentence


def test_its_live_periods_are_watched_on_what_is_delivered_for_them(tmp_path: Path, book: ledger.Ledger) -> None:
    delivered = scored()
    file = delivering(tmp_path, delivered)
    report = done(book, file)
    watched = monitor(book, read(file), "2013-11", model=report.model)
    assert watched.body.rows > 300 and watched.body.metrics
    deliver(tmp_path, delivered[delivered["window"] != "2013-12"])
    with pytest.raises(InvalidInput, match=r"sas_score: .* in 2013-12 have no prediction"):
        monitor(book, read(file), "2013-12", model=report.model)


def test_sealed_windows_are_judged_on_deliveries_too(tmp_path: Path, book: ledger.Ledger) -> None:
    delivered = scored("2013-07-01")
    file = delivering(
        tmp_path, delivered, **{"test = []\nlooks = 1": 'test = ["2013-10"]\nlooks = 2', "2013-08-01": "2013-07-01"}
    )
    report = done(book, file)
    assert report.model
    _, evaluated, _ = final_test(book, report.model, command="t", file=None, workers=1, on_progress=silent)
    assert [window.label for window in evaluated.windows] == ["2013-10"]
    other = delivered.assign(prediction=delivered["prediction"].where(delivered["window"] != "2013-08", 0.3))
    deliver(tmp_path, other)
    with pytest.raises(Refused, match="predictions of sas_score for 2013-08 are not those that were delivered"):
        final_test(book, report.model, command="t", file=None, workers=1, on_progress=silent)


def bad(delivered: pd.DataFrame, what: str) -> pd.DataFrame:  # noqa: PLR0911 - one way to be wrong each
    """A delivery that cannot be judged."""
    rows = delivered[delivered["window"] == "2013-09"].index
    match what:
        case "no prediction column":
            return delivered.rename(columns={"prediction": "score"})
        case "nothing says when":
            return delivered.drop(columns=["window", "trained_until"])
        case "a row is missing":
            return delivered.drop(index=rows[3])
        case "another window":
            return delivered.assign(window=delivered["window"].where(delivered.index != rows[3], "2013-08"))
        case "no number":
            return delivered.assign(prediction=delivered["prediction"].where(delivered.index != rows[3]))
        case "no probability":
            return delivered.assign(prediction=delivered["prediction"].where(delivered.index != rows[3], 1.5))
        case "twice":
            return pd.concat([delivered, delivered.loc[rows[:1]]])
        case "hindsight":
            late = pd.Timestamp("2013-09-15", tz="America/New_York")
            return delivered.assign(trained_until=delivered["trained_until"].where(delivered.index != rows[3], late))
        case "no key":
            return delivered.drop(columns=["carrier"])
    return delivered.assign(flight=delivered["flight"].astype(str) + "x")


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("no prediction column", "no column prediction"),
        ("nothing says when", "neither a column window nor trained_until"),
        ("a row is missing", r"1 row of the [\d,]+ in 2013-09 have no prediction"),
        ("another window", r"1 row of the [\d,]+ in 2013-09 have no prediction for that window"),
        ("no number", r"1 prediction of [\d,]+ in parquet:sas/\*.parquet are missing or infinite"),
        ("no probability", "are no probabilities"),
        ("twice", "2 rows whose key is not unique"),
        ("hindsight", r"1 prediction for 2013-09 come from a model that was trained until 2013-09-15 04:00 UTC"),
        ("no key", "no column carrier"),
        ("another kind", "the key flight is text there and a number or time in the data"),
    ],
)
def test_what_cannot_be_judged_is_refused_by_name_before_anything_is_recorded(
    tmp_path: Path, book: ledger.Ledger, what: str, words: str
) -> None:
    file = delivering(tmp_path, bad(scored(), what))
    with pytest.raises(InvalidInput, match=f"(?s)sas_score.*{words}"):
        done(book, file)
    assert book.now().runs() == []
    _, mistakes = check_data(read(file))
    assert [item.path for item in mistakes] == ["candidates.sas_score.predictions"]
    assert re.search(words, mistakes[0].words)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (f'declared_by = "{WHO}"\n', "", "predictions and declared_by go together"),
        ('predictions = "parquet:sas/*.parquet"\n', "", "must say estimator, from or predictions"),
        ("complexity = 2", 'complexity = 2\nestimator = "sklearn.dummy:DummyClassifier"', "says one of estimator"),
        ("complexity = 2", "complexity = 2\nparams = { C = 1.0 }", "take none"),
    ],
)
def test_a_file_that_says_it_wrongly_is_mended_by_line(tmp_path: Path, old: str, new: str, words: str) -> None:
    file = delivering(tmp_path, scored())
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(ConfigurationError, match=words):
        read(file)


def test_check_says_where_it_comes_from(tmp_path: Path) -> None:
    file = delivering(tmp_path, scored())
    found = tally(tmp_path, "check", str(file))
    assert found.code == 0, found.err
    assert f"computed elsewhere, as declared by {WHO}" in " ".join(found.out.split())
