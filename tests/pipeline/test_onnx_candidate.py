"""A model in ONNX's format in a pipeline file: judged after its training, chosen, done again, asked and watched."""

from __future__ import annotations

import datetime as dt
import os
import re
import time
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from given import Ticking
from onnx_flights import MODEL_FILE, columns, export
from shell import tally
from tiny import done, silent, table, tiny

from tallystick import ledger
from tallystick.ledger.errors import Refused, TallyError
from tallystick.ledger.events import types as say
from tallystick.pipeline import monitor, reproduce
from tallystick.pipeline.config.load import ConfigurationError, read
from tallystick.pipeline.monitoring.predict import answer
from tallystick.pipeline.runs.check_data import check_data

TODAY = dt.datetime(2013, 11, 2, 12, tzinfo=dt.UTC)
CANDIDATE = f"""[candidates.theirs]
from = "onnx:{MODEL_FILE}"
trained_until = 2013-08-01
complexity = 1
why = "The neighbours' model."

"""


def importing(folder: Path, until: str = "2013-08-01", rows: pa.Table | None = None, **changes: str) -> Path:
    """The tiny pipeline with an imported model in place of its logistic one."""
    file = tiny(folder, rows, **changes)
    text = re.sub(r"\[candidates\.logistic\].*?(?=\n\[)", CANDIDATE, file.read_text(), flags=re.DOTALL)
    file.write_text(text.replace("trained_until = 2013-08-01", f"trained_until = {until}"))
    return file


def test_it_is_judged_as_it_predicts_done_again_promoted_asked_and_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flights = table()
    known = flights.filter(pc.less(flights["time_hour"], dt.datetime(2013, 11, 1, 4, tzinfo=dt.UTC)))
    file = importing(tmp_path, rows=known)
    model, airports = export(tmp_path, "2013-08-01")
    monkeypatch.chdir(tmp_path)
    _, mistakes = check_data(read(file))
    assert mistakes == []
    with ledger.create(tmp_path, timezone="America/New_York", clock=Ticking(TODAY)) as book:
        report = done(book, file, workers=2)
        assert {item.label for item in report.judged if item.candidate == "theirs"} == {"2013-08", "2013-09", "2013-10"}
        assert report.scores is not None and [score.candidate for score in report.scores.candidates] == ["theirs"]
        judged = next(item for item in report.judged if (item.candidate, item.label) == ("theirs", "2013-09"))
        frame = known.to_pandas()
        local = frame["time_hour"].dt.tz_convert("America/New_York")
        september = frame[(local >= "2013-09-01") & (local < "2013-10-01") & frame["arr_delay"].notna()]
        expected = model.predict_proba(columns(september, airports))[:, 1]
        np.testing.assert_allclose(np.sort(judged.predictions), np.sort(expected), atol=1e-6)

        assert report.selection.chosen == "theirs" and report.model is not None
        entry = next(iter(book.now().counted_events(types=["candidate.refitted"])))
        assert entry.event.about.trained_on[1] == dt.datetime(2013, 8, 1, 4, tzinfo=dt.UTC)
        words = next(item.sentence for item in book.now().events() if item.seq == entry.seq)
        assert "imported from onnx:elsewhere.onnx and fitted elsewhere" in words
        # The file itself may go: what the run stored is done again, asked and watched.
        (tmp_path / MODEL_FILE).unlink()
        again = reproduce(book, report.outline.run, workers=1, on_progress=silent).body
        assert again.verdict == "identical", again.sentence

        book.append(
            say.ModelPromoted(
                model=report.model, pipeline="late-arrivals", previous=None, run=report.outline.run, decision=None,
                reason="test",
            )
        )  # fmt: skip
        later = flights.filter(pc.greater_equal(flights["time_hour"], dt.datetime(2013, 11, 2, 5, tzinfo=dt.UTC)))
        pq.write_table(later.slice(0, 200), tmp_path / "november.parquet")
        found = answer(book, report.model, "november.parquet", tmp_path / "out.parquet")
        expected = model.predict_proba(columns(later.slice(0, 200).to_pandas(), airports))[:, 1]
        assert found.body.mean == pytest.approx(expected.mean(), abs=1e-6)
    with ledger.open(tmp_path, clock=Ticking(dt.datetime(2014, 1, 20, 12, tzinfo=dt.UTC))) as book:
        pq.write_table(flights, tmp_path / "late-arrivals.parquet")
        watched = monitor(book, read(file), "2013-11", model=report.model)
        assert watched.body.rows > 300 and watched.body.metrics
        with pytest.raises(Refused, match="has seen answers of 2013-07"):
            monitor(book, read(file), "2013-07", model=report.model)


def test_windows_of_its_training_are_not_judged_and_this_is_said(tmp_path: Path) -> None:
    file = importing(tmp_path, "2013-09-01")
    export(tmp_path, "2013-09-01")
    found = tally(tmp_path, "run", str(file), "--workers", "1")
    assert found.code == 0, found.err
    words = " ".join(found.out.split())
    said = "it was trained elsewhere until 2013-09-01 04:00 UTC, so it was judged in 2 of 3 windows and not in 2013-08"
    assert f"theirs does not take part: {said}" in words
    row = next(line.split() for line in found.out.splitlines() if line.strip().startswith("theirs "))
    assert row[2:4] == ["–", "–"] and all(re.fullmatch(r"0\.\d+", cell) for cell in row[4:6])
    with ledger.open(tmp_path) as book:
        judged = {state.window for state in book.now().evaluations() if state.candidate == "theirs"}
        assert judged == {"late-arrivals/2013-09", "late-arrivals/2013-10"}
    again = tally(tmp_path, "reproduce", run_of(tmp_path))
    assert "done again: identical" in again.out, again.out + again.err
    explained = tally(tmp_path, "explain", run_of(tmp_path))
    assert explained.code == 0 and "judged in 2 of 3 windows" in " ".join(explained.out.split())
    shown = tally(tmp_path, "check", str(file))
    assert "imported from elsewhere.onnx, trained elsewhere until 2013-09-01" in " ".join(shown.out.split())


def run_of(folder: Path) -> str:
    """The name of the only run."""
    with ledger.open(folder) as book:
        (state,) = book.now().runs()
        return state.run


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("no file", "elsewhere.onnx cannot be read"),
        ("no model", "cannot be loaded and asked: The ONNX model is not sound"),
        ("another feature", "cannot be loaded and asked: The ONNX model asks for no_such_column"),
        ("no number", "rows with missing or infinite values"),
        ("trained on everything", "was trained until 2013-12-01, and the cut-off of no window lies after that"),
    ],
)
def test_what_cannot_be_judged_is_refused_by_name_within_seconds(tmp_path: Path, what: str, words: str) -> None:
    file = importing(tmp_path, "2013-12-01" if what == "trained on everything" else "2013-08-01")
    export(tmp_path, "2013-08-01")
    path = tmp_path / MODEL_FILE
    match what:
        case "no file":
            path.unlink()
        case "no model":
            path.write_bytes(os.urandom(1000))
        case "another feature":
            path.write_bytes(path.read_bytes().replace(b"sched_dep_time", b"no_such_column"))
        case "no number":
            model = onnx.load(path)
            (intercept,) = (item for item in model.graph.initializer if item.name == "intercept")
            intercept.CopyFrom(onnx.numpy_helper.from_array(np.array([[np.nan]], dtype=np.float32), "intercept"))
            onnx.save(model, path)
    began = time.process_time()
    with ledger.create(tmp_path, timezone="America/New_York") as book:
        with pytest.raises(TallyError, match=f"(?s)theirs.*{words}"):
            done(book, file)
        assert book.now().runs() == []
    assert time.process_time() - began < 30
    _, mistakes = check_data(read(file))
    assert [item.path for item in mistakes] == ["candidates.theirs.from"]
    assert re.search(words, mistakes[0].words)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("trained_until = 2013-08-01\n", "", "and trained_until go together"),
        (f"onnx:{MODEL_FILE}", "onnx:", "names no file"),
        (f"onnx:{MODEL_FILE}", "pickle:x", "has neither the form trial:NAME/DATE"),
        ("complexity = 1", "complexity = 1\nparams = { C = 1.0 }", "an imported model takes none"),
        ("trained_until = 2013-08-01", "trained_until = 5", "is a date"),
    ],
)
def test_a_file_that_says_it_wrongly_is_mended_by_line(tmp_path: Path, old: str, new: str, words: str) -> None:
    file = importing(tmp_path)
    before, begin, after = file.read_text().partition("[candidates.theirs]")
    assert old in after
    file.write_text(before + begin + after.replace(old, new, 1))
    with pytest.raises(ConfigurationError, match=words):
        read(file)
