"""Model files and tables that somebody prepared: nothing in them runs, and nothing but an error of ours comes out."""

from __future__ import annotations

import copy
import io
import json
import os
import pickle
import random
import sqlite3
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import skops.io
from blake3 import blake3
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer

from tallystick.ledger.errors import Damaged, InvalidInput, Refused, TallyError
from tallystick.pipeline.data import sources
from tallystick.pipeline.data.sources import read_source
from tallystick.pipeline.models import model_file
from tallystick.pipeline.recipes import Columns
from tallystick.pipeline.records.stored_tables import stored_table


@pytest.fixture(scope="module")
def honest() -> bytes:
    """A small fitted model as it is stored."""
    X = np.random.default_rng(1).random((50, 2))
    return model_file.dump(LogisticRegression().fit(X, X[:, 0] > 0.5)).data


def load(data: bytes) -> Any:
    """As `predict` does it, where a stranger's ledger has recorded the stranger's hash."""
    return model_file.load(data, blake3(data).hexdigest())


def packed(members: dict[str, bytes], how: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def members_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


class Touch:
    """What writes a file as soon as anybody unpickles it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.path}",)


def test_a_pickle_is_no_model_file_and_nothing_of_it_runs(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    data = pickle.dumps(Touch(canary))
    with pytest.raises(Damaged, match="cannot be read"):
        load(data)
    assert not canary.exists()
    pickle.loads(data)  # the canary itself is alive: whoever unpickles it has the file
    assert canary.exists()


def test_a_pickle_inside_a_model_file_does_not_run(honest: bytes, tmp_path: Path) -> None:
    """An array of objects is a pickle, whatever the file around it is called."""
    canary = tmp_path / "canary"
    out = io.BytesIO()
    np.save(out, np.array([Touch(canary)], dtype=object), allow_pickle=True)
    members = members_of(honest)
    for name in [name for name in members if name.endswith(".npy")]:
        with pytest.raises(TallyError):
            load(packed({**members, name: out.getvalue()}))
    assert not canary.exists()


@pytest.mark.parametrize("function", [os.system, eval, exec, pickle.loads, "".join], ids=lambda f: f.__name__)
def test_a_function_in_a_model_file_is_refused_before_anything_is_built(function: Any, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    data = skops.io.dumps(FunctionTransformer(function, kw_args={"command": f"touch {canary}"}))
    with pytest.raises((Refused, Damaged)):
        load(data)
    assert not canary.exists()


def _leaves(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _leaves(value, (*path, key))
    else:
        yield path


VALUES = (None, 1, -1, "x", "", [], {}, True, "../../etc/passwd", "os", "system", "builtins", "eval", "posix",
          "ObjectNode", "FunctionNode", "TypeNode", "MethodNode", "NdArrayNode", "JsonNode", "PartialNode",
          "ReduceNode", "CachedNode", "OperatorFuncNode", "\x1b[31m")  # fmt: skip


def test_whatever_is_written_into_its_schema_only_our_errors_come_out(
    honest: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    members = members_of(honest)
    schema = json.loads(members["schema.json"])
    places, source = list(_leaves(schema)), random.Random(1)
    built = refused = 0
    for _ in range(400):
        changed = copy.deepcopy(schema)
        for place in source.sample(places, source.choice((1, 1, 2, 3))):
            node = changed
            for key in place[:-1]:
                node = node[key] if not isinstance(node, dict) else node.get(key, {})
            if isinstance(node, dict) and source.random() < 0.2:
                node.pop(place[-1], None)
            elif isinstance(node, dict):
                node[place[-1]] = source.choice(VALUES)
        try:
            load(packed({**members, "schema.json": json.dumps(changed).encode()}))
            built += 1
        except TallyError:
            refused += 1
    assert built > 20
    assert refused > 50
    # Warnings of the libraries quote the file to the terminal.
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "schema",
    [b"", b"[]", b"1", b"null", b"\xff", b"NaN", b"[" * 100_000, b'{"a":' * 100_000],
    ids=["nothing", "list", "number", "null", "no text", "NaN", "deep lists", "deep objects"],
)
def test_what_is_no_schema_at_all(honest: bytes, schema: bytes) -> None:
    with pytest.raises(Damaged, match="cannot be read"):
        load(packed({**members_of(honest), "schema.json": schema}))


def test_an_archive_that_grows_without_measure_is_not_unpacked(honest: bytes) -> None:
    bomb = packed({**members_of(honest), "more": bytes(96 << 20)}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 1 << 20
    with pytest.raises(Damaged, match="would grow"):
        load(bomb)
    with pytest.raises(Damaged, match="packed in a way"):
        load(packed(members_of(honest), zipfile.ZIP_LZMA))


def test_damaged_tables_and_probes_are_said_to_be_damaged(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1.5, 2.0, 3.0], "b": ["x", "y", None]}), tmp_path / "good.parquet")
    whole, source = (tmp_path / "good.parquet").read_bytes(), random.Random(2)
    read = refused = 0
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(source.choice((1, 1, 2, 5))):
            data[source.randrange(len(data))] = source.randrange(256)
        (tmp_path / "bad.parquet").write_bytes(data)
        for use in (
            lambda: read_source("parquet:bad.parquet", tmp_path),
            lambda data=bytes(data): model_file.probe_frame(data, Columns(("a",), ("b",))),
        ):
            try:
                use()
                read += 1
            except (InvalidInput, Damaged):
                refused += 1
    assert read > 10
    assert refused > 100
    with pytest.raises(Damaged, match="cannot be read"):
        model_file.probe_frame(whole, Columns(("other",), ()))


def test_a_probe_of_a_billion_rows_is_not_read(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": np.zeros(2_000_000)}), tmp_path / "bomb.parquet", compression="zstd")
    data = (tmp_path / "bomb.parquet").read_bytes()
    assert len(data) < 100_000
    with pytest.raises(Damaged, match="2,000,000 rows"):
        model_file.probe_frame(data, Columns(("a",), ()))


def test_tables_that_a_stranger_recorded_are_read_or_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hash of such a file stands in his ledger, so it fits."""

    def written(**columns: Any) -> bytes:
        out = io.BytesIO()
        pq.write_table(pa.table(list(columns.values()), list(columns)), out)
        return out.getvalue()

    good = written(unit=["a", None], rows=pa.array([1, None]), more=[[1], [2]])
    assert stored_table(good, ["rows"], ["unit"])["rows"].tolist()[0] == 1
    twice = io.BytesIO()
    pq.write_table(pa.table([[1], [2]], ["rows", "rows"]), twice)
    for data, numbers, others in (
        (b"", ["rows"], []), (good[:-9], ["rows"], []), (good, ["absent"], []), (good, ["unit"], []),
        (good, ["rows"], ["more"]), (twice.getvalue(), ["rows"], []),
    ):  # fmt: skip
        with pytest.raises(Damaged):
            stored_table(data, numbers, others)
    pages = {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": 10}
    monkeypatch.setattr(os, "sysconf", lambda name: pages[name])
    with pytest.raises(Damaged, match="more than fit into the memory"):
        stored_table(good, ["rows"])


def test_a_table_of_more_values_than_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(pa.table({"a": np.zeros(1000), "b": np.zeros(1000)}), tmp_path / "t.parquet")
    pages = {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": 10_000}
    monkeypatch.setattr(os, "sysconf", lambda name: pages[name])
    assert read_source("parquet:t.parquet", tmp_path, ["a"]).num_rows == 1000
    with pytest.raises(InvalidInput, match="2,000 values"):
        read_source("parquet:t.parquet", tmp_path)


@pytest.mark.parametrize(
    "text",
    ["csv:" + "a" * 5000, "csv:" + "a/" * 3000, "csv:a\0b", "csv:\ud800", "parquet:" + "[" * 3000, "csv:/dev/zero",
     "csv:pipe.csv", "csv:zeros.csv", "sqlite:" + "a" * 5000 + "#t", "sqlite:x.db#\0", "package:os/x",
     "package:__main__/x", "package:antigravity/x", "csv:header.csv", "csv:huge.csv", "csv:quote.csv",
     "sqlite:names.db#t", "sqlite:d.db#loads", "sqlite:d.db#select 1; attach 'y' as y", "sqlite:d.db#badtext"],
)  # fmt: skip
def test_sources_that_are_no_tables_are_refused(text: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zeros.csv").symlink_to("/dev/zero")
    (tmp_path / "header.csv").write_bytes(b"\xff,b\n1,1\n")
    (tmp_path / "huge.csv").write_bytes(b"a,b\n" + b"x" * 10_000_000 + b",1\n")
    (tmp_path / "quote.csv").write_bytes(b'a,b\n"' + b"x" * 10_000_000)
    with sqlite3.connect(tmp_path / "d.db") as connection:
        connection.execute("CREATE VIEW loads AS SELECT load_extension('/tmp/x') AS a")
        connection.execute("CREATE TABLE badtext AS SELECT CAST(x'ff' AS TEXT) AS a")
    with sqlite3.connect(tmp_path / "names.db") as connection:
        connection.execute("CREATE TABLE one(a)")
    connection.close()
    (tmp_path / "names.db").write_bytes((tmp_path / "names.db").read_bytes().replace(b"TABLE one", b"TABL\xff one"))
    with pytest.raises(InvalidInput):
        read_source(text, tmp_path)
    assert not (tmp_path / "y").exists()


def test_a_view_of_sqlite_that_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sqlite3.connect(tmp_path / "d.db") as connection:
        connection.execute(
            "CREATE VIEW v AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c"
        )
    monkeypatch.setattr(sources, "MOST_SQLITE_ROWS", 10_000)
    with pytest.raises(InvalidInput, match="more than 10,000 rows"):
        read_source("sqlite:d.db#v", tmp_path)
