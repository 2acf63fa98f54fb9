"""Readers of foreign data: model files, probes, tables; and what makes any text safe to print."""

from __future__ import annotations

import io
import random
import re
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

from foreign import ROOT, Target, as_bytes
from law import allow_no_new_packages, printable
from scratch import parts, scratch, text_of

from tallystick.ledger.errors import Damaged
from tallystick.tui.output.escape import show, show_lines


def _text(data: bytes) -> str:
    return data.decode(errors="surrogateescape")


# Models ------------------------------------------------------------------------------------------------------


def _honest() -> bytes:
    """A small fitted model as it is stored, with numbers and categories."""
    import numpy as np
    import pandas as pd

    from tallystick.pipeline.models import model_file
    from tallystick.pipeline.recipes import Columns, linear

    source = np.random.default_rng(1)
    frame = pd.DataFrame({"a": source.random(60), "b": source.choice(["x", "y"], 60)}).astype({"b": object})
    estimator = linear(Columns(("a",), ("b",)), "classification", 1, rare_rows=2)
    return model_file.dump(estimator.fit(frame, frame["a"] > 0.5)).data


def _load(data: bytes) -> object:
    """As `predict` does it, where a stranger's ledger has recorded the stranger's hash."""
    from blake3 import blake3

    from tallystick.pipeline.models import model_file

    return model_file.load(data, blake3(data).hexdigest())


def _model() -> Target:
    """The file as bytes."""
    honest = _honest()
    _load(honest)
    allow_no_new_packages()
    return Target(lambda text: _load(as_bytes(text)), [_text(honest)], sample=100)


def _model_members() -> Target:
    """What is packed in the file: its schema, which names the types, and its arrays. The archive itself is whole."""
    with zipfile.ZipFile(io.BytesIO(_honest())) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]

    def parse(text: str) -> object:
        out = io.BytesIO()
        named = {name.partition("\0")[0][:200]: content for _kind, name, content in parts(text)}
        with zipfile.ZipFile(out, "w") as archive:
            for name, content in named.items():
                archive.writestr(zipfile.ZipInfo(name.encode(errors="replace").decode()), content)
        return _load(out.getvalue())

    from foreign_ledgers import change_json

    corpus = [text_of(members)]
    parse(corpus[0])
    allow_no_new_packages()
    return Target(parse, corpus, sample=50, change=change_json)


def _light_text() -> Target:
    """A LightGBM model's text, as the check reads it before LightGBM does."""
    from tallystick.pipeline.models import lightgbm_text

    corpus = (ROOT / "tests" / "support" / "lightgbm-model.txt").read_text()
    lightgbm_text.check(corpus.encode())

    def parse(text: str) -> object:
        lightgbm_text.check(as_bytes(text))
        return True

    return Target(parse, [corpus], sample=150, change=_change_trees)


def _change_trees(source: random.Random, text: str, corpus: list[str]) -> str:
    """Mostly another number somewhere, and the sizes that the trees have then; else any change."""
    from fuzz_parsers import change

    places = [found.span() for found in re.finditer(r"(?<=[= ])-?[0-9.]+(?=[ \n])", text)]
    if not places or source.random() < 0.2:
        return change(source, text, corpus)
    begin, end = source.choice(places)
    number = source.choice(("-3", "-2", "-1", "0", "1", "2", "5", "0.5", "1e308", "nan", "99999999999", "2147483648"))
    text = text[:begin] + number + text[end:]
    sizes = " ".join(str(len(tree)) for tree in re.findall(r"Tree=[^=]*?\n.*?\n\n\n", text, re.DOTALL))
    return re.sub(r"tree_sizes=.*", f"tree_sizes={sizes}", text) if source.random() < 0.9 else text


def _xgboost_json() -> Target:
    """An XGBoost model, as the check reads it before XGBoost does."""
    from foreign_ledgers import change_json

    from tallystick.pipeline.models import xgboost_json

    corpus = (ROOT / "tests" / "support" / "xgboost-model.json").read_text()
    xgboost_json.checked(corpus.encode())
    return Target(lambda text: xgboost_json.checked(as_bytes(text)), [corpus], sample=150, change=change_json)


def _probe() -> Target:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tallystick.pipeline.models import model_file
    from tallystick.pipeline.recipes import Columns

    corpus = []
    for options in ({}, {"compression": "none", "use_dictionary": False}):
        out = io.BytesIO()
        pq.write_table(pa.table({"a": [1.5, 2.0, None], "b": ["x", "y", None]}), out, **options)
        corpus.append(_text(out.getvalue()))
    columns = Columns(("a",), ("b",))
    return Target(lambda text: model_file.probe_frame(as_bytes(text), columns), corpus, sample=100, counted=False)


def _stored() -> Target:
    """The sums of losses that a run recorded, used as a comparison of two runs does it."""
    import pandas as pd

    from tallystick.pipeline.evaluate.result_tables import parquet
    from tallystick.pipeline.records.stored_tables import stored_table

    whole = pd.DataFrame({"segment": ["", "", "origin"], "level": ["", "", "EWR"], "unit": ["a", "b", "a"],
                          "rows": [3, 4, 2], "sum_y": [1.0, 2, 0], "sum_loss_x": [0.5, None, 0.25]})  # fmt: skip

    def parse(text: str) -> object:
        table = stored_table(as_bytes(text), ["rows", "sum_loss_x"], ["segment", "unit"])
        chosen = table[table["segment"] == ""].sort_values("unit", ignore_index=True)
        return chosen["rows"].to_numpy(dtype=float), [str(unit) for unit in chosen["unit"]]

    return Target(parse, [_text(parquet(whole))], sample=100, counted=False)


# Tables ------------------------------------------------------------------------------------------------------


def _table(source: str, name: str, corpus: list[bytes], sample: int = 100) -> Target:
    """A file of data, read whole as a pipeline reads it."""
    from tallystick.pipeline.data.sources import read_source

    place = scratch("table")

    def parse(text: str) -> object:
        (place / name).write_bytes(as_bytes(text))
        return read_source(source, place)

    return Target(parse, [_text(data) for data in corpus], sample=sample, counted=False)


def _parquet() -> Target:
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole = pq.read_table(ROOT / "fixtures" / "late-arrivals.parquet").slice(0, 6).replace_schema_metadata(None)
    small = pa.table({"a": [1.5, None], "b": ["x", None], "c": pa.array([1, 2], pa.timestamp("us", "UTC"))})
    corpus = []
    for table, options in ((small, {}), (small, {"compression": "none"}), (whole, {"compression": "zstd"})):
        out = io.BytesIO()
        pq.write_table(table, out, **options)
        corpus.append(out.getvalue())
    return _table("parquet:t.parquet", "t.parquet", corpus)


CSV = (
    b"time_hour,carrier,n,late\n2013-01-01T10:00:00Z,B6,725,-18.0\n2013-01-01T11:00:00Z,UA,,14\n",
    b'a,b\r\n"x ""y"" z","1\n2"\r\n,3\r\n',
    "a;b\ttrue\n05:15,☃,1e5\n".encode(),
)


def _sqlite() -> Target:
    place = scratch("sqlite")
    with sqlite3.connect(place / "d.db") as connection:
        connection.execute("PRAGMA page_size = 512")
        connection.execute("CREATE TABLE t(a INTEGER, b TEXT, c BOOLEAN, d REAL)")
        connection.executemany("INSERT INTO t VALUES(?,?,?,?)", [(1, "x", 1, 0.5), (None, "y", 0, None)])
        connection.execute("CREATE VIEW v AS SELECT a FROM t")
    connection.close()
    return _table("sqlite:d.db#t", "d.db", [(place / "d.db").read_bytes()])


def _slice() -> Target:
    """A table of the right columns with any content, cut into the slice of a pipeline."""
    import pyarrow.csv
    import pyarrow.parquet as pq

    from tallystick.pipeline.config import load
    from tallystick.pipeline.data.slice import cut

    place = scratch("slice")
    file = (ROOT / "fixtures" / "late-arrivals.toml").read_text()
    file = file.replace("parquet:late-arrivals.parquet", "csv:t.csv").replace("rows_expected = 14182", "")
    settings = load.parse(file.encode(), Path("x.toml")).settings
    out = io.BytesIO()
    rows = pq.read_table(ROOT / "fixtures" / "late-arrivals.parquet")
    pyarrow.csv.write_csv(rows.take([0, 1, 2, 5000, 9000, 14000]), out)

    (place / "cut").mkdir()

    def parse(text: str) -> object:
        (place / "t.csv").write_bytes(as_bytes(text))
        return cut(settings, place, place / "cut")

    return Target(parse, [_text(out.getvalue())], sample=20, counted=False)


# Output ------------------------------------------------------------------------------------------------------


def _shown() -> Target:
    """Whatever is shown of a foreign text, nothing in it moves the cursor; a short text of harmless letters stays."""

    def parse(text: str) -> object:
        line, lines = show(text), show_lines(text)
        assert "\n" not in line
        assert printable(line)
        assert printable(lines)
        assert len(show(text, 40)) <= 40 * 10
        if line != text:
            raise Damaged("made safe")
        return True

    corpus = ["model:p-v1", "red\x1b[31m and \u202eback", "a\u0301 \u200b☃\U0001f600", "two\nlines\r\n", "\x9b31m\x07"]
    return Target(parse, corpus, sample=300)


DATA: dict[str, Callable[[], Target]] = {
    "model file": _model,
    "model members": _model_members,
    "LightGBM text": _light_text,
    "XGBoost JSON": _xgboost_json,
    "probe": _probe,
    "stored table": _stored,
    "parquet file": _parquet,
    "csv file": lambda: _table("csv:t.csv", "t.csv", list(CSV)),
    "sqlite file": _sqlite,
    "slice": _slice,
    "shown text": _shown,
}
