"""The README's example of other people's models, from the check to a watched month, wherever it is computed."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from elsewhere import deliver, scored
from given import Ticking
from onnx_flights import export
from own_modules import own
from shell import tally
from tiny import done, silent, table

from tallystick import ledger
from tallystick.pipeline import final_test, monitor, promote, propose, reproduce
from tallystick.pipeline.config.load import read
from tallystick.pipeline.models.executor import engine
from tallystick.pipeline.monitoring.predict import answer
from tallystick.pipeline.own_code import forget
from tallystick.pipeline.recipes import look_beside
from tallystick.pipeline.runs.check_data import check_data

distributed = pytest.importorskip("distributed")
ROOT = Path(__file__).resolve().parent.parent.parent
TODAY = dt.datetime(2013, 11, 2, 12, tzinfo=dt.UTC)
LATER = dt.datetime(2014, 2, 1, 12, tzinfo=dt.UTC)
OTHERS = {"light", "extreme", "cat", "calendar", "theirs", "sas_score"}
GATES = """[gates]
leakage = { must = "pass", why = "x" }
reproduced = { must = "identical predictions", tolerance = 1e-9, why = "x" }
final_test = { must = "looked at once", drop_at_most = "20 standard errors", why = "x" }

"""


@pytest.fixture(autouse=True)
def nowhere() -> Iterator[None]:
    """No folder is left to look in, and no module from it."""
    yield
    look_beside(None)
    forget()


def example(folder: Path) -> Path:
    """The README's candidates beside the present ones, on the flights until October, of which the last is sealed."""
    (text,) = re.findall(r"```toml\n(\[candidates\.light\].*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    file = own(folder)
    flights = table()
    known = pc.less(flights["time_hour"], dt.datetime(2013, 11, 1, 4, tzinfo=dt.UTC))
    pq.write_table(flights.filter(known), folder / "late-arrivals.parquet")
    pipeline = re.sub(r"\[candidates\.calendar\].*?(?=\n\[)", lambda _: text, file.read_text(), flags=re.DOTALL)
    pipeline = re.sub(r"\[gates\].*?(?=\[validity\])", GATES, pipeline, flags=re.DOTALL)
    pipeline = pipeline.replace("2013-08-01\nlast", "2013-07-01\nlast").replace("test = []", 'test = ["2013-10"]')
    file.write_text(pipeline)
    deliver(folder, scored("2013-07-01"))
    export(folder, "2013-07-01")
    return file


def test_the_example_of_the_readme_comes_to_one_result_and_goes_all_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = example(tmp_path)
    _, mistakes = check_data(read(file))
    assert mistakes == []
    monkeypatch.chdir(tmp_path)
    with ledger.create(tmp_path, timezone="America/New_York", clock=Ticking(TODAY)) as book:
        reports = [done(book, file, workers=1), done(book, file, workers=2)]
        with (
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50
            ) as cluster,
            engine("dask", cluster.scheduler_address, 1) as workers,
        ):
            reports.append(done(book, file, workers))
        assert len({report.result_hash for report in reports}) == 1
        run = reports[0].outline.run
        assert {item.candidate for item in reports[0].judged} == {"base_rate", *OTHERS}
        assert len(reports[0].judged) == 3 * (1 + len(OTHERS))
        # The newest champion of many teams, whatever the rule chose.
        model = propose(book, run, "extreme", "most teams would take it", file).body.model
        assert reproduce(book, run, workers=1, on_progress=silent).body.verdict == "identical"
        _, evaluated, _ = final_test(book, model, command="t", file=file, workers=1, on_progress=silent)
        assert [window.label for window in evaluated.windows] == ["2013-10"]
        promote(book, model, "it was asked for by name")
        flights = table()
        later = flights.filter(pc.greater_equal(flights["time_hour"], dt.datetime(2013, 11, 2, 5, tzinfo=dt.UTC)))
        pq.write_table(later.slice(0, 200), tmp_path / "november.parquet")
        found = answer(book, model, "november.parquet", tmp_path / "out.parquet")
        assert found.status == "champion" and 0.0 < found.body.mean < 1.0
    then = (tmp_path / "late-arrivals.parquet").read_bytes()
    pq.write_table(table(), tmp_path / "late-arrivals.parquet")
    with ledger.open(tmp_path, clock=Ticking(LATER)) as book:
        for label in ("2013-11", "2013-12"):
            watched = monitor(book, read(file), label)
            assert watched.body.model == model and watched.body.rows > 300 and watched.body.metrics
    # In a new process, whose clock is today's, so nothing of 2013 comes after it; on the table of that day.
    (tmp_path / "late-arrivals.parquet").write_bytes(then)
    again = tally(tmp_path, "reproduce", run, TALLY_ALLOW_JUMP="1")
    assert "done again: identical" in again.out, again.out + again.err
