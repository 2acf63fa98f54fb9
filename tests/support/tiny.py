"""A pipeline that is done in seconds, on a third of the real sample, and runs of it in this process."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from given import FIXTURES

from tallystick import ledger
from tallystick.ledger.events import types as say
from tallystick.pipeline.config.load import read
from tallystick.pipeline.runs.run import RunReport, run


def table() -> pa.Table:
    """Every third of the sample's flights, in the order of the file."""
    whole = pq.read_table(FIXTURES / "late-arrivals.parquet")
    return whole.take(pa.array(range(0, whole.num_rows, 3)))


def tiny(folder: Path, rows: pa.Table | None = None, **changes: str) -> Path:
    """The sample's pipeline with two candidates and three windows, beside its data; with texts replaced."""
    text = (FIXTURES / "late-arrivals.toml").read_text()
    text = re.sub(r"\[candidates\.(small|big)_trees\].*?(?=\[(candidates|selection))", "", text, flags=re.DOTALL)
    text = re.sub(
        r"\[time\.final\].*?(?=\[candidates)",
        "[time.final]\ntest = []\nlooks = 1\nwhy = 'x'\n\n",
        text,
        flags=re.DOTALL,
    )
    text = re.sub(r"final_test .*\n", "", text).replace("rows_expected = 14182\n", "")
    text = text.replace("2013-04-01\nlast", "2013-08-01\nlast").replace("2013-12-01", "2013-10-01")
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    pq.write_table(table() if rows is None else rows, folder / "late-arrivals.parquet")
    path = folder / "tiny.toml"
    path.write_text(text)
    return path


def done(book: ledger.Ledger, file: Path, workers: int = 1) -> RunReport:
    """A whole run of a pipeline file."""
    return run(book, read(file), workers=workers, on_outline=lambda _: None, on_progress=lambda *_: None)


def silent(_what: str, _done: int, _total: int) -> None:
    """Progress that nobody watches."""


def promoted(book: ledger.Ledger, report: RunReport) -> str:
    """The model of a run, made champion without its gates."""
    assert report.model is not None
    book.append(
        say.ModelPromoted(
            model=report.model, pipeline=report.outline.loaded.settings.name, previous=None, run=report.outline.run,
            decision=report.outline.run, reason="test",
        )
    )  # fmt: skip
    return report.model
