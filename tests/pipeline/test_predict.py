"""Asking a model: inside its validity it answers, outside it says why not and what to do."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from given import Ticking
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shell import tally
from tiny import done, table, tiny

from tallystick import ledger
from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events import types as say
from tallystick.ledger.events.commit import to_micros
from tallystick.pipeline.models import model_file
from tallystick.pipeline.monitoring.predict import RefusedToPredict, _asked, _check_validity, answer, open_model

TODAY = dt.datetime(2013, 11, 2, 12, tzinfo=dt.UTC)
"""The day after the last label that the model of these tests has used."""


def months(first: int, last: int) -> pa.Table:
    """The sample's flights of some months of 2013, in New York."""
    whole = table()
    local = whole.column("time_hour").to_pandas().dt.tz_convert("America/New_York")
    return whole.filter(pa.array((local.dt.month >= first) & (local.dt.month <= last)))


def november() -> pa.Table:
    """Flights from the moment on at which the label of 31 October's last flight was known."""
    rows = months(11, 11)
    return rows.filter(pc.greater_equal(rows["time_hour"], pa.scalar(dt.datetime(2013, 11, 2, 5, tzinfo=dt.UTC))))


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A ledger whose champion learnt from January to October 2013."""
    home = tmp_path_factory.mktemp("predict")
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    patch.setenv("XDG_STATE_HOME", str(home / "state"))
    (home / "team").mkdir()
    with ledger.create(home / "team", timezone="America/New_York", clock=Ticking(TODAY)) as book:
        report = done(book, tiny(home / "team", months(1, 10)))
        book.append(
            say.ModelPromoted(
                model="late-arrivals-v1",
                pipeline="late-arrivals",
                previous=None,
                run=report.outline.run,
                decision=report.outline.run,
                reason="test",
            )
        )
    patch.undo()
    for name, rows in (("november", november()), ("october", months(10, 11)), ("january", later(months(11, 12)))):
        pq.write_table(rows, home / f"{name}.parquet")
    yield home


def later(rows: pa.Table) -> pa.Table:
    """The same flights nine weeks later."""
    frame = rows.to_pandas()
    frame["time_hour"] += pd.Timedelta(weeks=9)
    return pa.Table.from_pandas(frame, preserve_index=False)


@pytest.fixture
def home(promoted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(promoted, tmp_path / "copy")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "copy" / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "copy" / "state"))
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def opened(home: Path, today: dt.datetime = TODAY) -> ledger.Ledger:
    return ledger.open(home / "team", clock=Ticking(today))


def refused(home: Path, source: str, today: dt.datetime = TODAY, **options: Any) -> RefusedToPredict:
    """The refusal, which must be recorded and leave no file behind."""
    with opened(home, today) as book:
        with pytest.raises(RefusedToPredict) as caught:
            answer(book, "late-arrivals-v1", source, home / "out.parquet", **options)
        body = list(book.events())[-1].event.body
    assert isinstance(body, say.PredictionRefused)
    assert (body.code, body.sentence) == (caught.value.code, caught.value.message)
    assert not list(home.glob("*out.parquet*"))
    return caught.value


def test_a_model_file_that_was_built_but_cannot_answer_is_refused(home: Path) -> None:
    """The hash fits and every type is allowed: whoever wrote the ledger wrote the file, too."""
    from sklearn.linear_model import LogisticRegression

    with opened(home) as book:
        state = book.now().model("late-arrivals-v1")
        made = book.event(state.made_by_event).event.body
        stored = book.store(model_file.dump(LogisticRegression()).data)
        with pytest.raises(RefusedToPredict, match="cannot predict its own") as caught:
            open_model(book, msgspec.structs.replace(made, artifact=stored.hash))
    assert caught.value.code == "probe"


def test_inside_its_validity_it_answers_and_every_row_says_who(home: Path) -> None:
    with opened(home) as book:
        found = answer(book, "late-arrivals-v1", "november.parquet", home / "out.parquet")
        assert found.status == "champion"
        assert book.now().predictions()[0].rows == found.body.rows == len(november())
        origin = book.origin
    written = pq.read_table(home / "out.parquet")
    frame = written.to_pandas()
    assert list(frame)[:4] == ["time_hour", "carrier", "flight", "origin"]
    assert frame["prediction"].between(0, 1).all() and frame["prediction"].nunique() > 100
    assert set(frame["model"]) == {"late-arrivals-v1"} and set(frame["ledger"]) == {origin}
    told = json.loads(written.schema.metadata[b"tallystick"])
    assert told["not_for"] == ["crew scheduling", "flights from other airports"]
    # It is what the recorded file says, computed here by hand.
    assert found.body.mean == pytest.approx(frame["prediction"].mean(), abs=1e-15)


def test_the_file_format_changes_nothing(home: Path) -> None:
    frame = november().to_pandas()
    shuffled = frame.sample(frac=1.0, random_state=1)
    texts = shuffled.assign(time_hour=shuffled["time_hour"].map(lambda moment: moment.isoformat()))
    texts.to_csv(home / "rows.csv", index=False)
    with sqlite3.connect(home / "rows.db") as connection:
        texts.drop(columns=["arr_delay"]).to_sql("asked", connection, index=False)
    bodies = []
    with opened(home) as book:
        for n, source in enumerate(("november.parquet", "rows.csv", "sqlite:rows.db#asked")):
            bodies.append(answer(book, "late-arrivals-v1", source, home / f"out{n}.csv").body)
    assert len({body.prediction_hash for body in bodies}) == 1
    assert len({body.input_hash for body in bodies}) == 1
    assert [body.prediction for body in bodies] == [f"late-arrivals-v1/{n}" for n in (1, 2, 3)]
    back = pd.read_csv(home / "out1.csv")
    np.testing.assert_array_equal(back["prediction"], pd.read_csv(home / "out0.csv")["prediction"])
    assert back["time_hour"].iloc[0].endswith("+00:00")


def test_after_its_validity_it_refuses_and_says_what_to_do(home: Path) -> None:
    late = refused(home, "january.parquet")
    assert late.code == "too-far"
    assert late.message.startswith("This model was approved for use until 2014-01-02. ")
    assert late.message.endswith("It was never tested farther than 62 days ahead.")
    assert "tally run" in late.hint
    expired = refused(home, "november.parquet", today=dt.datetime(2014, 2, 1, tzinfo=dt.UTC))
    assert expired.code == "expired"
    assert "This model was approved for use until 2014-01-02. Today is 2014-01-31." in expired.message


def test_rows_from_before_the_end_of_training_are_hindsight(home: Path) -> None:
    found = refused(home, "october.parquet")
    assert found.code == "hindsight"
    assert "learnt from what was known by then" in found.message
    assert "are from before 2013-11-01 19:00" in found.message
    assert len(months(10, 10)) < found.facts["rows_before"] <= len(months(10, 11)) - len(november())


def test_a_live_waiver_allows_it_and_is_named(home: Path) -> None:
    def waiver(number: int, until: dt.datetime) -> say.WaiverGranted:
        return say.WaiverGranted(
            waiver=f"late-arrivals-v1/validity/{number}",
            gate="late-arrivals-v1/validity",
            name="validity",
            model="late-arrivals-v1",
            pipeline="late-arrivals",
            reason="The new data is a week late; the desk knows.",
            owner="ann@example.org",
            approver="bob@example.org",
            until=until,
            ends_when=None,
            evidence=None,
            renewal=number - 1,
        )

    with opened(home) as book:
        book.append(waiver(1, TODAY + dt.timedelta(days=1)))
        found = answer(book, "late-arrivals-v1", "january.parquet", home / "out.parquet")
        assert found.body.waiver == "late-arrivals-v1/validity/1"
        assert "by waiver late-arrivals-v1/validity/1 of ann@example.org" in found.body.warnings[0]
    (home / "out.parquet").unlink()
    # It never excuses hindsight, and it ends.
    assert refused(home, "october.parquet").code == "hindsight"
    assert refused(home, "january.parquet", today=TODAY + dt.timedelta(days=2)).code == "too-far"


def test_who_is_not_champion_is_asked_only_on_purpose(home: Path) -> None:
    with opened(home) as book:
        book.append(
            say.ModelRetired(
                model="late-arrivals-v1", pipeline="late-arrivals", decision="late-arrivals/retirement-1", reason="x"
            )
        )
    assert refused(home, "november.parquet").code == "not-champion"
    with opened(home) as book:
        found = answer(book, "late-arrivals-v1", "november.parquet", home / "out.parquet", challenger=True)
    assert found.status == "retired"
    assert set(pq.read_table(home / "out.parquet")["status"].to_pylist()) == {"retired"}


def test_a_changed_model_file_or_probe_is_not_used(home: Path) -> None:
    with opened(home) as book:
        made = book.event(book.now().models()[0].made_by_event).event.body
        path = book.objects.path(made.artifact)
    path.chmod(0o644)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert refused(home, "november.parquet").code == "wrong-file"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frame: frame.drop(columns=["temp"]), "no column temp"),
        (lambda frame: frame.assign(temp="warm"), "temp holds text here, for example 'warm'"),
        (lambda frame: pd.concat([frame, frame.head(2)]), "2 rows repeat the key"),
        (lambda frame: frame.assign(time_hour=None), "time"),
        (lambda frame: frame.head(0), "no rows"),
        (
            lambda frame: frame.assign(time_hour=pd.Timestamp("2013-11-03 01:30")).head(1),
            "occur twice",
        ),
    ],
)
def test_data_that_does_not_fit_is_told_and_nothing_is_recorded(
    home: Path, change: Callable[[pd.DataFrame], pd.DataFrame], words: str
) -> None:
    change(november().to_pandas()).to_parquet(home / "odd.parquet", index=False)
    with opened(home) as book:
        size = book.log.size()
        with pytest.raises(InvalidInput, match=words):
            answer(book, "late-arrivals-v1", "odd.parquet", home / "out.parquet")
        assert book.log.size() == size


def test_new_categories_and_empty_columns_are_said(home: Path) -> None:
    frame = november().to_pandas()
    frame.loc[frame.index[:5], "dest"] = "ZZZ"
    frame["visib"] = np.nan
    frame.to_parquet(home / "odd.parquet", index=False)
    with opened(home) as book:
        found = answer(book, "late-arrivals-v1", "odd.parquet", home / "out.parquet").body.warnings
    assert any(text.startswith("dest: 5 of ") and "never saw (ZZZ)" in text for text in found)
    assert any(text.startswith("visib has no value at all") for text in found)


def test_nothing_is_written_over(home: Path) -> None:
    (home / "out.parquet").write_bytes(b"precious")
    with opened(home) as book, pytest.raises(InvalidInput, match="exists already"):
        answer(book, "late-arrivals-v1", "november.parquet", home / "out.parquet")
    with opened(home) as book, pytest.raises(InvalidInput, match=r"neither .parquet nor .csv"):
        answer(book, "late-arrivals-v1", "november.parquet", home / "out.xlsx")
    assert (home / "out.parquet").read_bytes() == b"precious"


def test_on_the_command_line(home: Path) -> None:
    """Today is years after 2013: the model is past its time, and says so."""
    told = tally(
        home,
        "predict",
        "late-arrivals-v1",
        "november.parquet",
        "-o",
        "out.csv",
        "--ledger",
        "team/.tally",
        TALLY_ALLOW_JUMP="1",
    )
    assert told.code == 1, told.err
    assert "This model was approved for use until 2014-01-02. Today is 20" in told.err
    asked = ("predict", "nobody", "november.parquet", "-o", "out.csv", "--ledger", "team/.tally", "--json")
    assert tally(home, *asked).code == 4
    assert not (home / "out.csv").exists()


@given(days=st.lists(st.floats(-40, 90), min_size=1, max_size=4), today=st.floats(0, 90))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_answers_only_between_the_end_of_training_and_of_validity(
    promoted: Path, days: list[float], today: float
) -> None:
    """Whatever rows on whatever day: an answer means that all of it lies inside, and a refusal that it does not."""
    with ledger.open(promoted / "team") as book:
        asked = _asked(book, "late-arrivals-v1", "x.csv")._replace(today=TODAY + dt.timedelta(days=today))
        begin, until = book.now().models()[0].intended_for or (TODAY, TODAY)
        times = [TODAY + dt.timedelta(days=day) for day in days]
        inside = all(begin <= moment < until for moment in times) and asked.today < until
        try:
            _check_validity(book, asked, np.array([to_micros(moment) for moment in times]))
        except RefusedToPredict as refusal:
            assert not inside
            assert (refusal.code == "hindsight") == any(moment < begin for moment in times)
        else:
            assert inside
