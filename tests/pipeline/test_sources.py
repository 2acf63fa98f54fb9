"""Tables from files, databases and packages, and the sentence for each way in which they cannot be read."""

import sqlite3
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tallystick.ledger.errors import InvalidInput
from tallystick.pipeline.data.sources import column_names, read_source

TABLE = pa.table({"shop": ["north", None, "süd"], "number": [1, 2, 3], "weight": [0.5, None, -0.0]})


def make_database(path: Path, script: str) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pq.write_table(TABLE, tmp_path / "orders.parquet")
    TABLE.to_pandas().to_csv(tmp_path / "orders.csv", index=False)
    make_database(
        tmp_path / "orders.db",
        'create table "my orders" (shop text, number integer, weight real, paid boolean, extra);'
        """insert into "my orders" values
        ('north', 1, 0.5, 1, 1), (null, 2, null, null, 'a'), ('süd', 3, -0.0, 0, 2);"""
        """create view recent as select shop, number, weight from "my orders";""",
    )
    return tmp_path


@pytest.mark.parametrize(
    "source",
    [
        "parquet:orders.parquet",
        "parquet:ord*.parquet",
        "csv:orders.csv",
        "sqlite:orders.db#my orders",
        "sqlite:orders.db#recent",
        'sqlite:orders.db#select * from "my orders";',
        "sqlite:orders.db#WITH all_of_them AS (SELECT * FROM recent) SELECT * FROM all_of_them",
    ],
)
def test_every_kind_reads_the_named_columns_in_the_asked_order(folder: Path, source: str) -> None:
    assert read_source(source, folder, ["weight", "shop"]).to_pydict() == {
        "weight": [0.5, None, -0.0],
        "shop": ["north", None, "süd"],
    }
    assert column_names(source, folder)[:3] == ["shop", "number", "weight"]


def test_a_package_brings_a_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shopdata.py").write_text(
        "import pandas\norders = pandas.DataFrame({'a': [1], 'b': ['x']})\nname = 'n'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        assert read_source("package:shopdata/orders", tmp_path, ["b"]).to_pydict() == {"b": ["x"]}
        with pytest.raises(InvalidInput, match=r"shopdata has no table name\.") as caught:
            read_source("package:shopdata/name", tmp_path)
        assert caught.value.hint == "It has orders."
    finally:
        sys.modules.pop("shopdata", None)


def test_an_absolute_path_and_a_pattern_over_folders(folder: Path) -> None:
    (folder / "2013" / "04").mkdir(parents=True)
    pq.write_table(TABLE, folder / "2013" / "04" / "a.parquet")
    pq.write_table(TABLE.slice(0, 1), folder / "2013" / "b.parquet")
    assert read_source("parquet:2013/**/*.parquet", folder).num_rows == 4
    assert read_source(f"parquet:{folder}/2013/*.parquet", Path("/nowhere")).num_rows == 1


def test_whole_numbers_in_one_file_and_floats_in_the_next_are_floats(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("n\n1\n")
    (tmp_path / "2.csv").write_text("n\n2.5\n")
    assert read_source("csv:?.csv", tmp_path)["n"].to_pylist() == [1.0, 2.5]


def test_csv_text_stays_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("at,day,clock,country\n2013-01-01T10:00:00Z,2013-01-01,05:15,NA\n,,,\n,,,DE\n")
    assert read_source("csv:t.csv", tmp_path).to_pydict() == {
        "at": ["2013-01-01T10:00:00Z", None, None],
        "day": ["2013-01-01", None, None],
        "clock": ["05:15", None, None],
        "country": ["NA", None, "DE"],
    }


def test_sqlite_yes_and_no_come_from_the_declared_type(folder: Path) -> None:
    assert read_source("sqlite:orders.db#my orders", folder, ["paid"])["paid"].to_pylist() == [True, None, False]


def test_sqlite_is_opened_read_only(folder: Path) -> None:
    before = (folder / "orders.db").read_bytes()
    read_source("sqlite:orders.db#recent", folder)
    assert (folder / "orders.db").read_bytes() == before
    assert sorted(item.name for item in folder.iterdir()) == ["orders.csv", "orders.db", "orders.parquet"]


@pytest.mark.parametrize(
    ("source", "message", "hint"),
    [
        ("orders.parquet", "does not say what it is", "Begin with parquet: or csv: or sqlite: or package:."),
        ("parquet:order.parquet", "There is no file .*order.parquet", "That folder has orders.parquet"),
        ("csv:elsewhere/orders.csv", "There is no file", "There is no folder"),
        ("parquet:zzz*.parquet", "There is no file", "That folder has orders.parquet."),
        ("parquet:orders.csv", "orders.csv cannot be read as parquet: ", ""),
        ("parquet:.", "is a folder", "Write a pattern"),
        ("sqlite:orders.csv#t", "orders.csv cannot be read as SQLite: file is not a database", ""),
        ("sqlite:orders.db", "does not say which table", "Write sqlite:FILE#TABLE"),
        ("sqlite:orders.db#orders", "has no table orders", "It has my orders, recent."),
        ("sqlite:orders.db#select absent from recent", "no such column: absent", ""),
        ("sqlite:orders.db#my orders", "Column extra mixes types: 2 of numbers and 1 of text", "CAST"),
        ("sqlite:*.db#recent", "is a pattern", ""),
        ("package:no_such_data/orders", "no_such_data is not installed", "Type: pip install no_such_data"),
        ("package:os.path/orders", "does not name a table", "Write package:NAME/TABLE."),
    ],
)
def test_what_cannot_be_read_is_said_in_a_sentence(folder: Path, source: str, message: str, hint: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        read_source(source, folder)
    assert hint in caught.value.hint


def test_a_package_that_cannot_be_imported_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "brokendata.py").write_text("import a_module_that_is_nowhere\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InvalidInput, match="brokendata is installed but cannot be imported") as caught:
        read_source("package:brokendata/orders", tmp_path)
    assert caught.value.hint == "Type: pip install a_module_that_is_nowhere"


@pytest.mark.parametrize(
    "source",
    ["parquet:orders.parquet", "csv:orders.csv", "sqlite:orders.db#recent", "sqlite:orders.db#select * from recent"],
)
def test_a_missing_column_names_its_neighbour(folder: Path, source: str) -> None:
    with pytest.raises(InvalidInput, match=r"has no column wieght; did you mean weight\?") as caught:
        read_source(source, folder, ["shop", "wieght"])
    assert caught.value.hint == "It has shop, number, weight."


def test_a_file_of_a_pattern_that_lacks_a_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("a,b\n1,2\n")
    (tmp_path / "2.csv").write_text("a\n1\n")
    with pytest.raises(InvalidInput, match=r"2\.csv \(one of \*\.csv\) has no column b"):
        read_source("csv:*.csv", tmp_path)


def test_files_that_do_not_fit_together(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"a": ["x"]}), tmp_path / "2.parquet")
    with pytest.raises(InvalidInput, match=r"The files of \*\.parquet do not fit together"):
        read_source("parquet:*.parquet", tmp_path)


def test_tables_without_rows_are_refused(tmp_path: Path) -> None:
    pq.write_table(TABLE.slice(0, 0), tmp_path / "t.parquet")
    (tmp_path / "t.csv").write_text("a,b\n")
    (tmp_path / "empty.csv").write_text("")
    make_database(tmp_path / "t.db", "create table t (a)")
    for source in ("parquet:t.parquet", "csv:t.csv", "sqlite:t.db#t"):
        with pytest.raises(InvalidInput, match="has no rows"):
            read_source(source, tmp_path)
    with pytest.raises(InvalidInput, match="cannot be read as CSV: Empty CSV file"):
        read_source("csv:empty.csv", tmp_path)


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,a\n1,2\n")
    with pytest.raises(InvalidInput, match="more than one column a"):
        read_source("csv:t.csv", tmp_path)


def test_a_damaged_parquet_file_is_one_sentence(folder: Path) -> None:
    path = folder / "orders.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InvalidInput, match=r"orders\.parquet cannot be read as parquet"):
        read_source("parquet:orders.parquet", folder)


def test_pandas_frames_may_mix_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pd, "mixed_for_a_test", pd.DataFrame({"a": [1, "x"]}), raising=False)
    with pytest.raises(InvalidInput, match="a column that mixes types"):
        read_source("package:pandas/mixed_for_a_test", tmp_path)
