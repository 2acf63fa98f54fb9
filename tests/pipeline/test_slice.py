"""The slice: the same table is the same slice wherever it comes from, and a table that does not fit is refused."""

import json
import pickle
import re
import sqlite3
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from blake3 import blake3

from tallystick.ledger.errors import InvalidInput
from tallystick.pipeline.config.load import read
from tallystick.pipeline.config.settings import DropRows, Feature, Features, Group, Join, Pipeline, Target
from tallystick.pipeline.data.slice import (
    LABEL_KNOWN,
    TARGET,
    TIME,
    Slice,
    SliceMismatch,
    column_hash,
    cut,
    open_table,
    rows_hash,
    rows_of,
)

FIXTURES = Path(__file__).parents[2] / "fixtures"
DAY = 86_400_000_000

ORDERS = pd.DataFrame(
    {
        "ordered_at": [f"2013-04-0{day}T1{day}:30:00Z" for day in (3, 1, 2, 4, 1, 5)],
        "shop": ["north", "north", "süd", "süd", "east", "east"],
        "number": [1, 2, 3, 4, 5, 6],
        "weight": [0.5, None, 0.0, 12.25, 1e300, 0.1],
        "items": pd.array([3, None, 5, 2**40, 0, 1], "Int64"),
        "colour": pd.array(["red", None, "NA", "bleu é", "1", "red"], "str"),
        "express": pd.array([True, False, None, True, False, True], "boolean"),
        "driver": pd.array(["x", "y", None, "x", "z", "x"], "str"),
        "late_by": pd.array([20, 3, None, 16, 15, 0], "Int64"),
    }
)
DROP_MISSING = DropRows(where="late_by is missing", why="lost on the way")


def settings(source: str = "parquet:orders.parquet", time: dict[str, Any] | None = None, **data: Any) -> Pipeline:
    """The pipeline file of the example, about orders."""
    example = read(FIXTURES / "late-arrivals.toml").settings
    replace = msgspec.structs.replace
    names = ["weight", "items", "colour", "express"]
    about = {
        "source": source,
        "rows_expected": None,
        "target": Target(column="late_by", rule="> 15", positive="late"),
        "key": ["number", "shop"],
        "group": Group(column="driver", overlap="allowed", why="they stay"),
        "drop_rows": [DROP_MISSING],
        "features": Features(known_at={name: Feature(known_at="ordered_at") for name in names}, forbidden=None),
    }
    return replace(
        example,
        data=replace(example.data, **about | data),
        time=replace(example.time, column="ordered_at", **time or {}),
        questions=replace(example.questions, prediction_at="ordered_at"),
        monitoring=replace(example.monitoring, segments=["shop", "hour band"]),
    )


def features(*names: str, **joined: str) -> Features:
    known_at = {name: Feature(known_at="ordered_at") for name in names}
    known_at |= {name: Feature(known_at="ordered_at", join=join) for name, join in joined.items()}
    return Features(known_at=known_at, forbidden=None)


def put(frame: pd.DataFrame, folder: Path, name: str = "orders") -> None:
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), folder / f"{name}.parquet")


def cut_orders(folder: Path, pipeline: Pipeline | None = None) -> Slice:
    return cut(pipeline or settings(), folder, folder)


def cut_frame(frame: pd.DataFrame, folder: Path, pipeline: Pipeline | None = None) -> Slice:
    put(frame, folder)
    return cut_orders(folder, pipeline)


def take(data: Slice, *columns: str) -> pd.DataFrame:
    frame: pd.DataFrame = open_table(data).select(list(columns)).to_pandas()
    return frame.astype({name: object for name in columns if isinstance(frame[name].dtype, pd.CategoricalDtype)})


def times(data: Slice) -> list[int]:
    found: list[int] = open_table(data)[TIME].to_pylist()
    return found


def changed(column: str, row: int, value: object) -> pd.DataFrame:
    frame = ORDERS.copy()
    frame.loc[row, column] = value  # type: ignore[call-overload]
    return frame


# What a slice holds -----------------------------------------------------------------------------------------


def test_rows_are_sorted_dropped_and_labelled(tmp_path: Path) -> None:
    data = cut_frame(ORDERS, tmp_path)
    frame = take(data, "number", TARGET, "driver", "express", "items", TIME, LABEL_KNOWN)
    assert frame["number"].tolist() == [2, 5, 1, 4, 6]
    assert frame[TARGET].tolist() == [0, 0, 1, 1, 0]
    assert frame["driver"].tolist() == ["y", "z", "x", "x", "x"]
    assert frame["express"].tolist() == ["false", "false", "true", "true", "true"]
    assert frame["items"].dtype == np.float64
    assert (data.source_rows, data.rows) == (6, 5)
    assert [(drop.where, drop.why, drop.rows) for drop in data.dropped] == [
        ("late_by is missing", "lost on the way", 1)
    ]
    assert (data.numeric, data.categorical) == (("weight", "items"), ("colour", "express"))
    assert (frame[LABEL_KNOWN] - frame[TIME] == DAY).all()
    assert (data.first_time, data.last_time) == (frame[TIME].iloc[0], frame[TIME].iloc[-1])
    assert pickle.loads(pickle.dumps(data)) == data


def test_a_number_is_its_own_target_without_a_rule(tmp_path: Path) -> None:
    data = cut_frame(ORDERS, tmp_path, settings(target=Target(column="late_by")))
    assert take(data, TARGET)[TARGET].tolist() == [3.0, 15.0, 20.0, 16.0, 0.0]


# The same table is the same slice ---------------------------------------------------------------------------


def as_parquet(folder: Path) -> str:
    put(ORDERS, folder)
    return "parquet:orders.parquet"


def as_parquet_of_other_types(folder: Path) -> str:
    frame = ORDERS.assign(ordered_at=pd.to_datetime(ORDERS["ordered_at"]).dt.tz_convert("Asia/Tokyo"))
    frame = frame.astype({"number": "int8", "late_by": "float32", "shop": "category", "items": "float64"})
    half = len(frame) // 2
    put(frame.iloc[:half], folder, "part-1")
    put(frame.iloc[half:], folder, "part-2")
    return "parquet:part-*.parquet"


def as_csv(folder: Path) -> str:
    ORDERS.to_csv(folder / "orders.csv", index=False)
    return "csv:orders.csv"


def as_sqlite(folder: Path) -> str:
    connection = sqlite3.connect(folder / "orders.db")
    connection.execute(
        "create table orders (ordered_at text, shop text, number integer, weight real, items integer, colour text, "
        "express boolean, driver text, late_by integer)"
    )
    rows = ORDERS.astype(object).where(ORDERS.notna(), None).itertuples(index=False, name=None)
    connection.executemany("insert into orders values (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    connection.commit()
    connection.close()
    return "sqlite:orders.db#orders"


def as_package(folder: Path) -> str:
    put(ORDERS, folder)
    (folder / "ordersdata.py").write_text(
        f"import pandas\norders = pandas.read_parquet({str(folder / 'orders.parquet')!r})\n"
    )
    return "package:ordersdata/orders"


@pytest.mark.parametrize("make", [as_parquet_of_other_types, as_csv, as_sqlite, as_package])
def test_the_same_table_is_the_same_slice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], str]
) -> None:
    expected = cut_orders(tmp_path, settings(as_parquet(tmp_path)))
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        found = cut_orders(tmp_path, settings(make(tmp_path)))
    finally:
        sys.modules.pop("ordersdata", None)
    assert found.columns == expected.columns
    assert found.fingerprint == expected.fingerprint
    assert found.name == expected.name


def test_the_order_of_rows_in_the_source_means_nothing(tmp_path: Path) -> None:
    expected = cut_frame(ORDERS, tmp_path)
    for seed in range(5):
        assert cut_frame(ORDERS.sample(frac=1, random_state=seed), tmp_path) == expected


@pytest.mark.parametrize(
    ("column", "row", "value"),
    [
        ("weight", 0, 0.5000000000000001),
        ("weight", 2, -0.0),
        ("weight", 3, None),
        ("items", 4, None),
        ("colour", 1, "None"),
        ("express", 2, False),
        ("driver", 2, "x"),
        ("late_by", 2, 1),
    ],
)
def test_one_changed_cell_changes_the_hash_of_its_column_alone(
    tmp_path: Path, column: str, row: int, value: object
) -> None:
    before = cut_frame(ORDERS, tmp_path)
    after = cut_frame(changed(column, row, value), tmp_path)
    different = [old.name for old, new in zip(before.columns, after.columns, strict=True) if old.hash != new.hash]
    assert different == [column]
    assert before.fingerprint != after.fingerprint


def test_the_fingerprint_has_nothing_to_do_with_drops_and_the_rule(tmp_path: Path) -> None:
    expected = cut_frame(ORDERS, tmp_path)
    drops = [DROP_MISSING, DropRows(where="late_by > 15", why="another question")]
    other = cut_orders(
        tmp_path, settings(target=Target(column="late_by", rule="> 3", positive="late"), drop_rows=drops)
    )
    assert other.fingerprint == expected.fingerprint
    assert other.name != expected.name
    assert [drop.rows for drop in other.dropped] == [1, 2]


def test_a_stranger_can_compute_the_fingerprint(tmp_path: Path) -> None:
    """Word for word from the documentation, with none of the program's own functions."""
    data = cut_frame(ORDERS, tmp_path)
    rows = sorted(
        ORDERS.astype(object).where(ORDERS.notna(), None).to_dict("records"), key=lambda row: row["ordered_at"]
    )
    rows[0], rows[1] = sorted(rows[:2], key=lambda row: row["number"])
    kinds = dict.fromkeys(["colour", "driver", "express", "shop"], "text") | {"ordered_at": "time"}
    listed = []
    for name in sorted(["ordered_at", "number", "shop", "late_by", "weight", "items", "colour", "express", "driver"]):
        kind, values = kinds.get(name, "number"), [row[name] for row in rows]
        if kind == "number":
            body = b"".join(
                bytes.fromhex("000000000000f87f") if value is None else struct.pack("<d", value) for value in values
            )
        elif kind == "time":
            body = b"".join(struct.pack("<q", pd.Timestamp(value).value // 1000) for value in values)
        else:
            words = [str(value).lower() if isinstance(value, bool) else value for value in values]
            encoded = [None if word is None else word.encode() for word in words]
            body = b"".join(struct.pack("<i", -1 if value is None else len(value)) for value in encoded)
            body += b"".join(value or b"" for value in encoded)
        listed.append([name, kind, blake3(body).hexdigest()])
    text = json.dumps([6, listed], ensure_ascii=False, separators=(",", ":"))
    assert blake3(text.encode()).hexdigest() == data.fingerprint


def test_hashes_of_some_rows(tmp_path: Path) -> None:
    two = [(ORDERS, tmp_path / "before"), (changed("colour", 5, "blue"), tmp_path / "after")]
    for _, folder in two:
        folder.mkdir()
    before, after = (open_table(cut_frame(frame, folder)) for frame, folder in two)
    first, last = np.arange(3), np.array([3, 4])
    assert rows_hash(rows_of(before, first)) == rows_hash(rows_of(after, first))
    one, other = rows_of(before, last), rows_of(after, last)
    different = [name for name in one.column_names if column_hash(one[name]) != column_hash(other[name])]
    assert different == ["colour"]
    assert rows_hash(one) != rows_hash(other)


def test_keys_beyond_floats_stay_apart(tmp_path: Path) -> None:
    numbers = [2**60 + row for row in range(6)]
    data = cut_frame(ORDERS.assign(number=numbers), tmp_path)
    assert sorted(take(data, "number")["number"]) == sorted(str(numbers[row]) for row in (0, 1, 3, 4, 5))


# Times ------------------------------------------------------------------------------------------------------


def with_times(texts: list[str | None]) -> pd.DataFrame:
    return ORDERS.iloc[: len(texts)].assign(ordered_at=pd.array(texts, "str"), late_by=16)


def test_wall_clock_times_are_read_in_the_named_zone(tmp_path: Path) -> None:
    written = ["2013-07-01 12:00:00", "2013-01-01T12:00", "2013-12-01"]
    expected = [pd.Timestamp(text, tz="America/New_York").value // 1000 for text in sorted(written)]
    assert times(cut_frame(with_times(written), tmp_path)) == expected  # type: ignore[arg-type]
    naive = with_times(written).assign(ordered_at=pd.to_datetime(pd.Series(written), format="ISO8601"))  # type: ignore[arg-type]
    assert times(cut_frame(naive, tmp_path)) == expected


@pytest.mark.parametrize(
    ("wall", "what", "offsets", "readings"),
    [
        ("2013-11-03 01:30:00", "1 occur twice", r"\(-04:00 or -05:00\)", ["2013-11-03T05:30Z", "2013-11-03T06:30Z"]),
        (
            "2013-03-10 02:30:00",
            "1 never occur",
            r"\(skipped: the clocks went from -05:00 to -04:00\)",
            ["2013-03-10T06:30Z", "2013-03-10T07:30Z"],
        ),
    ],
)
@pytest.mark.parametrize("as_text", [True, False])
def test_times_at_a_change_of_the_clocks(
    tmp_path: Path, wall: str, what: str, offsets: str, readings: list[str], as_text: bool
) -> None:
    frame = with_times([wall, "2013-01-01 00:00:00"])
    if not as_text:
        frame = frame.assign(ordered_at=pd.to_datetime(frame["ordered_at"]))
    with pytest.raises(
        InvalidInput, match=f"of 2 wall-clock times in America/New_York, {what} .*{wall} {offsets}"
    ) as caught:
        cut_frame(frame, tmp_path)
    lines = re.findall(r'ambiguous = "(\w+)"', caught.value.hint)
    assert lines == ["earlier", "later"]
    for choice, expected in zip(lines, readings, strict=True):
        data = cut_orders(tmp_path, settings(time={"ambiguous": choice}))
        assert times(data)[-1] == pd.Timestamp(expected).value // 1000


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["2013-04-01T10:00:00Z", "2013-04-01 10:00"], "mixes 1 times with an offset .* and 1 without"),
        (["2013-04-01T10:00:00Z", None], "ordered_at: 1 of 2 rows have no time"),
        (["2013-04-01T10:00:00Z", "2013-04-31T10:00:00Z"], "1 of 2 times cannot be read, for example '2013-04-31T"),
        (["2013-04-01 10:00", "yesterday", "20130401"], "2 of 3 times cannot be read"),
    ],
)
def test_times_that_say_nothing_certain_are_refused(tmp_path: Path, texts: list[str | None], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        cut_frame(with_times(texts), tmp_path)


def test_numbers_are_no_times(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="ordered_at holds int64, not times"):
        cut_frame(ORDERS.assign(ordered_at=range(6)), tmp_path)


# Tables that do not fit -------------------------------------------------------------------------------------


def test_another_table_is_another_experiment(tmp_path: Path) -> None:
    data = cut_frame(ORDERS, tmp_path)
    same = settings(rows_expected=6, fingerprint=f"blake3:{data.fingerprint}")
    assert cut_orders(tmp_path, same) == data
    with pytest.raises(SliceMismatch, match=r"has 6 rows; the pipeline file expects 7. A different table"):
        cut_orders(tmp_path, settings(rows_expected=7))
    wrong = f"blake3:{'0' * 64}"
    with pytest.raises(SliceMismatch, match=f"{data.fingerprint}; the pipeline file expects {wrong}. A different"):
        cut_orders(tmp_path, settings(fingerprint=wrong))


@pytest.mark.parametrize(
    ("frame", "changes", "message"),
    [
        (
            pd.concat([ORDERS, ORDERS.iloc[[0, 3]].assign(weight=9.0)]),
            {},
            r"2 rows repeat the key \(number, shop\), for example 1.0, north; 4.0, süd",
        ),
        (
            changed("shop", 0, None),
            {},
            "1 of 6 rows have no shop, which is part of their key",
        ),
        (ORDERS, {"drop_rows": []}, "1 of 6 rows have no late_by"),
        (
            ORDERS.assign(late_by=["3", "4", "5", "n/a", "6", "soon"]),
            {},
            "2 of 6 values of the target late_by are not numbers, for example 'n/a', 'soon'",
        ),
        (
            ORDERS.assign(late_by=[1, 2, 3, 4, 5, np.inf]),
            {"target": Target(column="late_by")},
            "1 of 6 values of the target late_by are infinite",
        ),
        (ORDERS, {"drop_rows": [DropRows(where="number > 0", why="all")]}, "no row is left"),
        (ORDERS, {"drop_rows": [DropRows(where="ordered_at == 'x'", why="no")]}, "conditions are not on the time"),
        (ORDERS, {"key": ["number", "shopp"]}, r"has no column shopp; did you mean shop\?"),
        (
            ORDERS.assign(weight=pd.Series([[1]] * 6, dtype=object)),
            {},
            "weight holds list<.* neither number nor text",
        ),
        (
            ORDERS.assign(weight=pd.Timestamp("2013-01-01")),
            {},
            "weight holds timestamp.* neither number nor text",
        ),
    ],
)
def test_a_table_that_does_not_fit_is_refused(
    tmp_path: Path, frame: pd.DataFrame, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        cut_frame(frame, tmp_path, settings(**changes))


def test_labels_that_are_no_numbers_may_be_dropped_by_name(tmp_path: Path) -> None:
    frame = ORDERS.assign(late_by=["3", "40", "5", "n/a", "6", "n/a"])
    data = cut_frame(frame, tmp_path, settings(drop_rows=[DropRows(where="late_by == 'n/a'", why="never measured")]))
    assert take(data, TARGET)[TARGET].sum() == 1


# Joins ------------------------------------------------------------------------------------------------------

SHOPS = pd.DataFrame({"name": ["north", "süd", None, None], "year": [1999, None, 1, 2], "kind": ["a", "b", "c", "d"]})


def joining(**join: Any) -> Pipeline:
    about = {"source": "parquet:shops.parquet", "on": {"name": "shop"}, "rename": {"year": "opened"}, "why": "age"}
    return settings(joins={"shops": Join(**about | join)}, features=features("weight", opened="shops", kind="shops"))


def test_a_join_finds_at_most_one_row(tmp_path: Path) -> None:
    put(SHOPS, tmp_path, "shops")
    data = cut_frame(ORDERS, tmp_path, joining())
    frame = take(data, "shop", "opened", "kind")
    assert frame.astype(object).where(frame.notna(), None).to_numpy().tolist() == [
        ["north", 1999.0, "a"],
        ["east", None, None],
        ["north", 1999.0, "a"],
        ["süd", None, "b"],
        ["east", None, None],
    ]
    assert data.categorical == ("kind",)


def test_a_join_on_a_moved_time_and_rows_in_any_order(tmp_path: Path) -> None:
    put(ORDERS.assign(ordered_at=[f"2013-04-0{day}T12:00:00Z" for day in range(1, 7)], late_by=0), tmp_path)
    weather = pd.DataFrame({"at": [f"2013-04-0{day} 05:00" for day in range(1, 7)], "rain": range(6)})
    put(weather.sample(frac=1, random_state=0), tmp_path, "weather")
    join = Join(source="parquet:weather.parquet", on={"at": "ordered_at - 3h"}, why="in New York it was five then")
    data = cut_orders(tmp_path, settings(joins={"weather": join}, features=features(rain="weather"), drop_rows=[]))
    assert take(data, "number", "rain").to_numpy().tolist() == [[n, n - 1] for n in range(1, 7)]


@pytest.mark.parametrize(
    ("shops", "join", "message"),
    [
        (
            pd.concat([SHOPS, SHOPS]),
            {},
            r"2 rows of parquet:shops.parquet repeat the columns .* \(name\), for example north; süd; a row could get",
        ),
        (SHOPS.rename(columns={"year": "weight"}), {"rename": {"weight": "opened", "kind": "colour"}}, "has no column"),
        (SHOPS.assign(name=range(4)), {}, "shop holds text and name of parquet:shops.parquet holds number"),
        (SHOPS.drop(columns="kind"), {}, "parquet:shops.parquet has no column kind"),
    ],
)
def test_a_join_with_two_answers_or_none_is_refused(
    tmp_path: Path, shops: pd.DataFrame, join: dict[str, Any], message: str
) -> None:
    put(shops, tmp_path, "shops")
    if "rename" in join:
        shops = shops.drop(columns="kind")
        put(shops, tmp_path, "shops")
    with pytest.raises(InvalidInput, match=message):
        cut_frame(ORDERS, tmp_path, joining(**join))


def test_a_join_never_covers_a_column(tmp_path: Path) -> None:
    put(SHOPS, tmp_path, "shops")
    join = Join(source="parquet:shops.parquet", on={"name": "shop"}, rename={"year": "weight"}, why="age")
    with pytest.raises(InvalidInput, match=r"\[data.joins.shops\]: weight is in the main table already"):
        cut_frame(ORDERS, tmp_path, settings(joins={"shops": join}, features=features(weight="shops")))
