"""Tables as other people have them: nothing is lost, merged or guessed in silence, in run, predict and monitor."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from given import Ticking
from orders import STEPS, by_step, file_for, orders
from shell import tally
from tiny import done, promoted, silent

from tallystick import ledger
from tallystick.ledger.errors import InvalidInput, Refused
from tallystick.pipeline.config.load import read
from tallystick.pipeline.data.answers import Terms
from tallystick.pipeline.data.reading import FIRST_READING, READING
from tallystick.pipeline.data.slice import TARGET, Slice, cut, numbers, open_table
from tallystick.pipeline.monitoring.monitor import Watched, monitor
from tallystick.pipeline.monitoring.predict import answer
from tallystick.pipeline.records.run_record import reading_of_run
from tallystick.pipeline.runs.check_data import check_data
from tallystick.pipeline.runs.final_test import look
from tallystick.pipeline.runs.propose import propose
from tallystick.pipeline.runs.reopen import taken_up
from tallystick.pipeline.runs.reproduce import reproduce
from tallystick.pipeline.runs.run import run

SEPTEMBER = dt.datetime(2024, 9, 5, 12, tzinfo=dt.UTC)


def as_csv(frame: pd.DataFrame, folder: Path) -> str:
    frame.to_csv(folder / "orders.csv", index=False)
    return '"csv:orders.csv"'


def sliced(file: Path, **terms: Any) -> Slice:
    return cut(read(file).settings, file.parent, file.parent, terms=Terms(**terms))


def column(slice_: Slice, name: str) -> list[Any]:
    found: list[Any] = open_table(slice_)[name].to_pylist()
    return found


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ledger.Ledger]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    with ledger.create(tmp_path, timezone="Europe/Berlin", clock=Ticking(SEPTEMBER)) as made:
        yield made


# Text stays text --------------------------------------------------------------------------------------------


def test_ids_that_no_number_holds_are_keys_of_their_own(tmp_path: Path) -> None:
    frame = orders()
    frame["order_id"] = [str(9 * 10**19 + row) for row in range(len(frame))]
    slice_ = sliced(file_for(tmp_path, **{'"parquet:orders.parquet"': as_csv(frame, tmp_path)}))
    assert column(slice_, "order_id") == frame["order_id"].tolist()


JOIN = """[data.joins.customers]
source = "{source}"
on = {{ customer = "customer" }}
why = "ages"

[time]
"""
AGE = '"price, pieces, shop" = { known_at = "ordered_at" }\n"age" = { known_at = "ordered_at", from = "customers" }'


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(
    "ids",
    [
        [str(10**19), str(10**19 + 1), str(10**19 + 2)],
        ["7", "07", "007"],
        ["7", str(10**19), "01"],
    ],
)
def test_a_join_matches_what_is_written(tmp_path: Path, ids: list[str], kind: str) -> None:
    """The joined table knows the first of three customers alone; read by itself, that one might be a number."""
    frame = orders()
    frame["customer"] = np.array(ids)[np.arange(len(frame)) % 3]
    ages = pd.DataFrame({"customer": ids[:1], "age": [40]})
    ages.to_csv(tmp_path / "customers.csv", index=False)
    ages.to_parquet(tmp_path / "customers.parquet", index=False)
    file = file_for(
        tmp_path,
        **{
            '"parquet:orders.parquet"': as_csv(frame, tmp_path),
            '"price, pieces, shop" = { known_at = "ordered_at" }': AGE,
            "[time]\n": JOIN.format(source=f"{kind}:customers.{kind}"),
        },
    )
    found = column(sliced(file), "age")
    expected = np.where(np.arange(len(frame)) % 3 == 0, 40.0, np.nan)
    np.testing.assert_array_equal(np.array(found, dtype=float), expected)


def test_codes_of_a_csv_are_those_of_the_parquet_file(tmp_path: Path) -> None:
    frame = orders()
    frame["shop"] = np.array(["01067", "10115", "1", "01", "001"])[np.arange(len(frame)) % 5]
    csv = sliced(file_for(tmp_path, **{'"parquet:orders.parquet"': as_csv(frame, tmp_path)}))
    parquet = sliced(file_for(tmp_path, frame))
    assert csv.fingerprint == parquet.fingerprint
    assert csv.categorical == ("shop",)
    frame["order_id"] = ["0" * (row % 2) + str(row // 2 + 1) for row in range(len(frame))]
    slice_ = sliced(file_for(tmp_path, **{'"parquet:orders.parquet"': as_csv(frame, tmp_path)}))
    assert column(slice_, "order_id") == frame["order_id"].tolist()


def test_decimals_of_a_database_are_keys_of_their_own(tmp_path: Path) -> None:
    frame = orders()
    table = pa.Table.from_pandas(frame, preserve_index=False)
    ids = pa.array([f"0.{10**19 + row}" for row in range(len(frame))]).cast(pa.decimal128(38, 20))
    pq.write_table(table.set_column(table.column_names.index("order_id"), "order_id", ids), tmp_path / "orders.parquet")
    assert len(set(column(sliced(file_for(tmp_path)), "order_id"))) == len(frame)


@pytest.mark.parametrize(
    "values",
    [
        pd.array([1_000_001, 1_000_002, 1_000_003], "int64"),
        pd.array([0.1, 0.1 + 2**-50, 0.3], "float64"),
        pd.array([True, False, None], "boolean"),
        pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"]).array,
        pd.Categorical([10, 20, 30]),
    ],
    ids=["whole numbers", "numbers", "yes and no", "dates", "categories"],
)
@pytest.mark.parametrize("overlap", ["allowed", "forbidden"])
def test_any_column_can_be_group_segment_and_unit(
    book: ledger.Ledger, tmp_path: Path, values: Any, overlap: str
) -> None:
    frame = orders()
    # Forbidden: each tested month has a group that most of the rows before it do not have.
    month = frame.ordered_at.dt.month.to_numpy()
    places = np.arange(len(frame)) // 40 % 3 if overlap == "allowed" else np.select([month == 5, month == 6], [1, 2], 0)
    frame["who"] = values.take(places)
    group = f'[data.group]\ncolumn = "who"\noverlap = "{overlap}"\nwhy = "they come again"\n\n[time]\n'
    file = file_for(
        tmp_path,
        frame,
        **{
            "[time]\n": group,
            'segments = ["shop"]': 'segments = ["who"]',
            '"day"': '"who"',
            "2024-03-01": "2024-05-01",
            "3 of 5": "2 of 3",
        },
    )
    report = done(book, file)
    overlaps = [described.overlap for described in report.described if described.overlap is not None]
    assert [item.seen_rows + item.unseen_rows for item in overlaps] == [186, 180, 186]
    assert all(item.seen_rows == 0 for item in overlaps) == (overlap == "forbidden")
    tested = frame[frame.ordered_at.between("2024-05-01", "2024-08-01", inclusive="left")]
    named = {name for item in report.judged for name in item.losses["unit"].astype(str)}
    assert len(named - {"(missing)"}) == tested["who"].nunique()
    assert reproduce(book, report.outline.run, workers=1, on_progress=silent).body.verdict == "identical"
    model = promoted(book, report)
    later = orders("2024-09-01", "2024-09-04")
    later["who"] = values.take(np.arange(len(later)) % 3)
    pd.concat([frame, later]).to_parquet(tmp_path / "orders.parquet", index=False)
    watched = watch(book, file, "2024-09").body
    assert watched.rows == len(later)
    assert watched.status != "alarm" or watched.cause not in ("schema", "rows", "column"), watched.headline
    today = later[later.ordered_at >= "2024-09-02"].drop(columns="returned")
    today.to_parquet(tmp_path / "today.parquet", index=False)
    assert answer(book, model, "today.parquet", tmp_path / "out.parquet").body.rows == len(today)


# Rows without a key -----------------------------------------------------------------------------------------


def nameless() -> pd.DataFrame:
    """Orders without a number of their own; some rows repeat others in every column."""
    frame = orders().drop(columns="order_id").assign(price=lambda found: found.price.round(-1), pieces=3)
    return pd.concat([frame, frame.iloc[::5]])


def test_rows_without_a_key_are_judged_whatever_their_order(book: ledger.Ledger, tmp_path: Path) -> None:
    no_key = {'key = ["order_id"]': "key = []"}
    frame = nameless()
    file = file_for(tmp_path, frame, **no_key)
    first = done(book, file)
    assert first.outline.slice.rows == len(frame)
    keys = next(check for check in first.checks if check.check == "keys")
    assert (keys.result, keys.facts["repeated"]) == ("pass", int(frame.duplicated().sum()))
    frame.sample(frac=1, random_state=1).to_parquet(tmp_path / "orders.parquet", index=False)
    assert done(book, file).same_result_as == first.outline.run
    found = reproduce(book, first.outline.run, workers=1, on_progress=silent)
    assert found.body.verdict == "identical"
    model = promoted(book, first)
    later = orders("2024-09-02", "2024-09-04").drop(columns=["order_id", "returned"]).sample(frac=1, random_state=2)
    later.to_parquet(tmp_path / "today.parquet", index=False)
    answer(book, model, "today.parquet", tmp_path / "out.parquet")
    answers = pd.read_parquet(tmp_path / "out.parquet").set_index("row").sort_index()
    assert answers.index.tolist() == list(range(1, len(later) + 1))
    times = answers["ordered_at"].dt.tz_convert("Europe/Berlin").dt.tz_localize(None)
    assert times.tolist() == later["ordered_at"].tolist()
    pd.concat([frame, orders("2024-09-01", "2024-09-04").drop(columns="order_id")]).to_parquet(
        tmp_path / "orders.parquet", index=False
    )
    assert watch(book, file, "2024-09").body.rows == 24


def test_a_key_is_never_left_out_in_silence(tmp_path: Path) -> None:
    file = file_for(tmp_path, orders(), **{'key = ["order_id"]\n': ""})
    with pytest.raises(InvalidInput, match=r"\[data\] must say key"):
        read(file)


# Columns that are empty at first ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "column_of", [lambda late: np.where(late, 1.5, np.nan), lambda late: np.where(late, "new", None)]
)
def test_a_column_that_is_filled_in_later_stops_no_fit(
    book: ledger.Ledger, tmp_path: Path, column_of: Callable[[Any], Any]
) -> None:
    """scikit-learn's boosting fails on a column without any value; the first window trains on such a one here."""
    frame = orders()
    frame["later"] = column_of(frame["ordered_at"] >= "2024-05-01")
    trees = {
        '"pipeline.recipes:linear"\nparams = { C = 1.0 }': '"pipeline.recipes:trees"\nparams = { max_iter = 10 }',
        "price, pieces, shop": "price, pieces, shop, later",
    }
    file = file_for(tmp_path, frame, **trees)
    assert check_data(read(file))[1] == []
    report = done(book, file)
    without = file_for(tmp_path, frame, **{**trees, "price, pieces, shop": "price, pieces, shop"}, name="without.toml")
    other = done(book, without)
    for one, same in zip(report.judged[:2], other.judged[:2], strict=True):
        assert np.array_equal(one.predictions, same.predictions), "an empty column must change nothing"


# Infinite values --------------------------------------------------------------------------------------------


def test_infinite_values_are_refused_before_anything_is_fitted(book: ledger.Ledger, tmp_path: Path) -> None:
    frame = orders().astype({"pieces": float})
    frame.loc[5, "price"], frame.loc[[7, 900], "pieces"] = np.inf, -np.inf
    file = file_for(tmp_path, frame)
    with pytest.raises(InvalidInput, match="hold infinite values among 1,464 rows: 1 of price, 2 of pieces") as caught:
        done(book, file)
    assert book.now().runs() == []
    line = caught.value.hint.rpartition(": ")[2]
    file = file_for(tmp_path, **{"[data.features]": f"{line}\n\n[data.features]"})
    assert done(book, file).described[0].missing["price"] == 0.0
    missing = sliced(file)
    assert [column(missing, name).count(None) for name in ("price", "pieces")] == [1, 2]


def test_predict_and_monitor_refuse_infinite_values_alike(book: ledger.Ledger, tmp_path: Path) -> None:
    file = file_for(tmp_path, orders(last="2024-08-31"))
    model = promoted(book, done(book, file))
    later = orders("2024-09-01", "2024-09-04")
    later.loc[3, "price"] = np.inf
    later.to_parquet(tmp_path / "september.parquet", index=False)
    with pytest.raises(InvalidInput, match="1 of price"):
        answer(book, model, "september.parquet", tmp_path / "out.parquet")
    pd.concat([orders(), later]).to_parquet(tmp_path / "orders.parquet", index=False)
    with pytest.raises(InvalidInput, match="1 of price"):
        monitor(book, read(file), "2024-09")


@pytest.mark.parametrize(("words", "rows"), [(["n.a."], 1), (["n.a.", "unbekannt"], 7)])
def test_words_among_the_numbers_of_a_watched_csv_are_a_finding(
    book: ledger.Ledger, tmp_path: Path, words: list[str], rows: int
) -> None:
    file = file_for(tmp_path, **{'"parquet:orders.parquet"': as_csv(orders(), tmp_path)})
    promoted(book, done(book, file))
    later = orders("2024-09-01", "2024-09-04").astype({"price": object})
    later.loc[: rows - 1, "price"] = [words[i % len(words)] for i in range(rows)]
    pd.concat([orders(), later]).to_csv(tmp_path / "orders.csv", index=False)
    watched = monitor(book, read(file), "2024-09")
    assert (watched.body.status, watched.body.decision) == ("alarm", "fix data")
    assert [finding.code for finding in watched.findings] == ["schema"]
    assert watched.findings[0].facts["no_numbers"] == {"price": rows}
    assert f"of price {'is no number' if rows == 1 else 'are no numbers'}: " in watched.findings[0].sentence
    line = watched.body.suggestion.rpartition(": ")[2]
    file = file_for(
        tmp_path,
        **{'"parquet:orders.parquet"': '"csv:orders.csv"', "[data.features]": f"[data.csv]\n{line}\n\n[data.features]"},
    )
    again = monitor(book, read(file), "2024-09")
    assert "schema" not in {finding.code for finding in again.findings}


def test_predict_reads_a_csv_as_the_model_was_trained(book: ledger.Ledger, tmp_path: Path) -> None:
    """All of a day's codes may look like numbers."""
    frame = orders()
    frame["shop"] = frame["shop"].map({"Ulm": "01067", "Köln": "10115", "Zürich": "80331"})
    file = file_for(tmp_path, **{'"parquet:orders.parquet"': as_csv(frame, tmp_path)})
    model = promoted(book, done(book, file))
    later = orders("2024-09-02", "2024-09-04")
    later.assign(shop="10115").drop(columns="returned").to_csv(tmp_path / "today.csv", index=False)
    assert answer(book, model, "today.csv", tmp_path / "out.csv").body.warnings == []


# Rules that decide nothing ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({'"> 0"': '"> 1"'}, r"returned > 1 holds in no row; the column holds .*1.0"),
        ({'"> 0"': '">= 0"'}, r"returned >= 0 holds in every row"),
        (
            {"[data.features]": '[[data.drop_rows]]\nwhere = "shop == \'Umm\'"\nwhy = "shut"\n\n[data.features]'},
            r"No row has shop == 'Umm'; the column holds .*'Ulm'",
        ),
    ],
)
def test_a_rule_that_decides_nothing_is_refused_by_run_and_check(
    book: ledger.Ledger, tmp_path: Path, change: dict[str, str], message: str
) -> None:
    file = file_for(tmp_path, orders(), **change)
    with pytest.raises(InvalidInput, match=message) as caught:
        done(book, file)
    assert book.now().runs() == []
    [mistake] = check_data(read(file))[1]
    assert caught.value.message in mistake.words


def test_a_filter_that_finds_nothing_missing_is_no_mistake(book: ledger.Ledger, tmp_path: Path) -> None:
    drop = '[[data.drop_rows]]\nwhere = "price is missing"\nwhy = "no price"\n\n[data.features]'
    file = file_for(tmp_path, orders(), **{"[data.features]": drop})
    assert check_data(read(file))[1] == []
    assert [dropped.rows for dropped in done(book, file).outline.slice.dropped] == [0]


@pytest.mark.parametrize("where", ["express == 'true'", "express != 'false'"])
def test_a_filter_on_yes_and_no_means_the_same_in_check_and_run(
    book: ledger.Ledger, tmp_path: Path, where: str
) -> None:
    frame = orders()
    frame["express"] = np.arange(len(frame)) % 10 == 0
    drop = f'[[data.drop_rows]]\nwhere = "{where}"\nwhy = "other rules"\n\n[data.features]'
    file = file_for(tmp_path, frame, **{"[data.features]": drop})
    assert check_data(read(file))[1] == []
    assert [dropped.rows for dropped in done(book, file).outline.slice.dropped] == [int(frame["express"].sum())]


# Answers that are not known yet -----------------------------------------------------------------------------

DELAY = {'label_delay = "1d"': 'label_delay = "45d"', "2024-07-01": "2024-06-01", "3 of 5": "3 of 4"}


def waiting_orders() -> pd.DataFrame:
    """Orders until yesterday; answers take up to 45 days, so those of the last 45 days are empty."""
    frame = orders(last="2024-09-04").astype({"returned": "Int64"})
    frame.loc[frame.ordered_at > pd.Timestamp("2024-09-05 14:00") - pd.Timedelta(days=45), "returned"] = pd.NA
    return frame


def watch(book: ledger.Ledger, file: Path, label: str) -> Watched:
    return monitor(book, read(file), label)


def test_an_answer_that_cannot_be_there_yet_is_waited_for(book: ledger.Ledger, tmp_path: Path) -> None:
    file = file_for(tmp_path, waiting_orders(), **DELAY)
    report = done(book, file)
    assert report.outline.slice.dropped == []
    assert report.outline.slice.rows == report.outline.slice.source_rows == 1_488
    made = next(entry.event.body for entry in book.now().counted_events(types=["candidate.refitted"]))
    assert made.rows == int(waiting_orders()["returned"].notna().sum())
    promoted(book, report)
    august = watch(book, file, "2024-08")
    assert (august.body.status, august.body.rows, august.body.immature_rows) == ("waiting", 186, 186)
    assert august.body.estimate is not None
    assert "after 2024-10-15" in august.body.suggestion


def test_dropping_rows_without_an_answer_keeps_those_that_wait(book: ledger.Ledger, tmp_path: Path) -> None:
    drop = '[[data.drop_rows]]\nwhere = "returned is missing"\nwhy = "the customer moved"\n\n[data.features]'
    frame = waiting_orders()
    frame.loc[10:12, "returned"] = pd.NA
    file = file_for(tmp_path, frame, **DELAY, **{"[data.features]": drop})
    report = done(book, file)
    assert [item.rows for item in report.outline.slice.dropped] == [3]
    promoted(book, report)
    assert watch(book, file, "2024-08").body.status == "waiting"


def test_the_newest_rows_wait_whatever_the_delay_says(tmp_path: Path) -> None:
    frame = orders().astype({"returned": "Int64"})
    frame.loc[frame.ordered_at >= "2024-08-30", "returned"] = pd.NA
    slice_ = sliced(file_for(tmp_path, frame), labels_as_of=2**60)
    assert int(np.isnan(column(slice_, TARGET)).sum()) == 12


def test_an_answer_that_was_due_is_refused_with_both_ways_out(book: ledger.Ledger, tmp_path: Path) -> None:
    frame = orders().astype({"returned": "Int64"})
    lost = frame.ordered_at.between("2024-08-01", "2024-08-03")
    frame.loc[lost, "returned"] = pd.NA
    file = file_for(tmp_path, frame)
    with pytest.raises(
        InvalidInput, match=r"12 of 1,464 rows have no returned, from 2024-08-01 to 2024-08-02"
    ) as caught:
        done(book, file)
    assert "is missing" not in caught.value.hint
    done(book, file_for(tmp_path, **{'label_delay = "1d"': 'label_delay = "40d"', "2024-07-01": "2024-07-01"}))
    drop = '[[data.drop_rows]]\nwhere = "returned is missing"\nwhy = "a fire"\n\n[data.features]'
    done(book, file_for(tmp_path, **{"[data.features]": drop}))


def test_a_partly_answered_period_is_not_judged(book: ledger.Ledger, tmp_path: Path) -> None:
    file = file_for(tmp_path, orders())
    promoted(book, done(book, file))
    frame = pd.concat([orders(), orders("2024-09-01", "2024-09-30")]).astype({"returned": "Int64"})
    late = (frame.ordered_at >= "2024-09-01") & (frame.returned == 1) & (frame.order_id % 2 == 0)
    frame.loc[late, "returned"] = pd.NA
    frame.to_parquet(tmp_path / "orders.parquet", index=False)
    when = dt.datetime(2024, 10, 20, tzinfo=dt.UTC)
    watched = monitor(book, read(file), "2024-09", labels_as_of=when)
    assert watched.body.status == "waiting"
    assert watched.facts is None
    [overdue, _] = watched.findings
    assert overdue.facts["overdue"] == late.sum() > 20
    assert f"{late.sum()} of 180 rows of September 2024 have no answer" in overdue.sentence


# Yes and no -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["> 0", "== 1", "== 'yes'", "== 'true'", "!= 'no'"])
@pytest.mark.parametrize(
    "spelled", [(True, False), ("Yes", "No"), ("y", "n"), ("TRUE", "FALSE"), ("ja", "nein"), ("1", "0"), (1, 0)]
)
def test_yes_and_no_in_all_usual_spellings(tmp_path: Path, spelled: tuple[Any, Any], rule: str) -> None:
    frame = orders()
    expected = frame["returned"].astype(float).tolist()
    frame["returned"] = [spelled[0] if value else spelled[1] for value in frame["returned"]]
    assert column(sliced(file_for(tmp_path, frame, **{'"> 0"': f'"{rule}"'})), TARGET) == expected


@pytest.mark.parametrize(
    ("values", "rule", "message", "seen"),
    [
        (("sent back", "kept"), "== 'returned'", "returned == 'returned' holds in no row", "'kept' ("),
        (("sent back", "kept"), "> 0", "are not numbers, for example", "'sent back' ("),
        ((2, 3), "== 'yes'", "returned holds numbers", "3 ("),
    ],
)
def test_a_rule_that_fits_no_answer_shows_those_that_there_are(
    tmp_path: Path, values: tuple[Any, Any], rule: str, message: str, seen: str
) -> None:
    frame = orders()
    frame["returned"] = [values[0] if value else values[1] for value in frame["returned"]]
    with pytest.raises(InvalidInput, match=message) as caught:
        sliced(file_for(tmp_path, frame, **{'"> 0"': f'"{rule}"'}))
    assert seen in caught.value.hint


# A source that has grown ------------------------------------------------------------------------------------


def grown(frame: pd.DataFrame) -> pd.DataFrame:
    """The table a month later: new rows, and the answers that have come since."""
    answers = orders(last="2024-09-04")["returned"].astype("Int64")
    return pd.concat([frame.assign(returned=answers), orders("2024-09-05", "2024-10-05")])


def test_what_came_later_makes_no_run_different(book: ledger.Ledger, tmp_path: Path) -> None:
    file = file_for(tmp_path, waiting_orders(), **DELAY)
    report = done(book, file)
    grown(waiting_orders()).to_parquet(tmp_path / "orders.parquet", index=False)
    again = reproduce(book, report.outline.run, workers=1, on_progress=silent)
    assert again.body.verdict == "identical"
    with taken_up(book, book.now().run(report.outline.run), None) as opened:
        assert opened.slice.name == report.outline.slice.name


def test_a_model_is_put_forward_and_finally_tested_after_the_source_has_grown(
    book: ledger.Ledger, tmp_path: Path
) -> None:
    weak = '[candidates.weak]\nestimator = "pipeline.recipes:linear"\nparams = { C = 1e-6 }\ncomplexity = 2\nwhy = "-"'
    sealed = {"test = []": 'test = ["2024-06"]', "3 of 5": "2 of 3", "[selection]\n": f"{weak}\n\n[selection]\n"}
    file = file_for(tmp_path, waiting_orders(), **DELAY | sealed)
    report = done(book, file)
    assert report.selection.chosen == "logistic"
    assert report.model is not None
    with taken_up(book, book.now().run(report.outline.run), None) as opened:
        rows = int(np.isfinite(numbers(open_table(opened.slice), TARGET)).sum())
    grown(waiting_orders()).to_parquet(tmp_path / "orders.parquet", index=False)
    put = propose(book, report.outline.run, "weak", "to see its gates", file).body
    assert put.rows == rows, "labels that came later trained it"
    _, evaluated, _ = look(book, report.model, command="t", file=None, workers=1, on_progress=silent)
    assert [window.label for window in evaluated.windows] == ["2024-06"]


def test_an_old_row_that_changed_is_named(book: ledger.Ledger, tmp_path: Path) -> None:
    file = file_for(tmp_path, waiting_orders(), **DELAY)
    report = done(book, file)
    later = grown(waiting_orders()).reset_index(drop=True)
    later.loc[later.ordered_at == "2024-04-03 08:00", "price"] = 1.0
    later.to_parquet(tmp_path / "orders.parquet", index=False)
    again = reproduce(book, report.outline.run, workers=1, on_progress=silent)
    assert again.body.verdict == "different"
    assert again.body.sentence.startswith("The data of window 2024-04 is not what it was: test rows changed in price")
    with (
        pytest.raises(Refused, match=r"These columns differ: price\."),
        taken_up(book, book.now().run(report.outline.run), None),
    ):
        pass


# Versions of reading ----------------------------------------------------------------------------------------


def test_a_run_is_read_again_by_its_own_version(
    book: ledger.Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = orders()
    frame["shop"] = np.array(["01067", "1067", "10115"])[np.arange(len(frame)) % 3]
    file = file_for(tmp_path, **{'"parquet:orders.parquet"': as_csv(frame, tmp_path)})
    loaded = read(file)
    first = sliced(file, reading=FIRST_READING)
    assert first.numeric == ("price", "pieces", "shop")
    monkeypatch.setattr("tallystick.pipeline.runs.run.Terms", lambda **_: Terms(reading=FIRST_READING))
    old = done(book, file)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    new = done(book, file)
    assert (old.outline.slice.name, new.outline.slice.name) == (first.name, sliced(file).name)
    assert [reading_of_run(book.now(), item.outline.run) for item in (old, new)] == [FIRST_READING, READING]
    for report in (old, new):
        again = reproduce(book, report.outline.run, workers=1, on_progress=silent)
        assert again.body.verdict == "identical"
    assert loaded.meaning_hash == read(file).meaning_hash


# Small things that stand in the way -------------------------------------------------------------------------


def test_a_byte_order_mark_is_no_part_of_a_pipeline_file(tmp_path: Path) -> None:
    plain = read(file_for(tmp_path))
    (tmp_path / "marked.toml").write_bytes(b"\xef\xbb\xbf" + plain.path.read_bytes())
    marked = read(tmp_path / "marked.toml")
    assert (marked.meaning_hash, marked.text_hash) == (plain.meaning_hash, plain.text_hash)
    (tmp_path / "marked.toml").write_bytes(b"\xef\xbb\xbf" + plain.path.read_bytes() + b"\nodd = 1\n")
    with pytest.raises(InvalidInput, match=r"marked\.toml:\d+: odd is not a setting"):
        read(tmp_path / "marked.toml")


def test_a_folder_may_have_a_hash_in_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "exports #2"
    folder.mkdir()
    frame = orders()
    with closing(sqlite3.connect(folder / "shop#1.db")) as connection:
        frame.assign(ordered_at=frame["ordered_at"].astype(str)).to_sql("orders", connection, index=False)
    expected = sliced(file_for(tmp_path, frame)).fingerprint
    for source in ("shop#1.db#orders", "shop#1.db#select * from orders"):
        file = file_for(folder, **{"parquet:orders.parquet": f"sqlite:{source}"})
        assert sliced(file).fingerprint == expected
        file = file_for(tmp_path, **{"parquet:orders.parquet": f"sqlite:exports #2/{source}"})
        assert sliced(file).fingerprint == expected


def test_the_outline_says_how_each_feature_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    frame = waiting_orders()
    frame.loc[:11, "price"] = np.nan
    file = file_for(tmp_path, frame, **DELAY)
    said = tally(tmp_path, "run", file.name, "--labels-as-of", "2024-09-05", "--workers", "1")
    assert said.code == 0, said.err
    assert "  read as     numbers: price (12 missing), pieces · text: shop (3 levels)\n" in said.out
    waiting = int(frame["returned"].isna().sum())
    assert f"{waiting} rows have no answer yet. They wait:" in said.out


def test_progress_has_one_total_and_comes_to_it(book: ledger.Ledger, tmp_path: Path) -> None:
    loaded, told = read(file_for(tmp_path, orders())), []
    run(book, loaded, workers=1, on_outline=lambda _: None, on_progress=lambda _, *far: told.append(far))
    assert {total for _, total in told} == {told[-1][0]}
    assert [done for done, _ in told] == sorted({done for done, _ in told})


# Weeks ------------------------------------------------------------------------------------------------------

WEEKS = {
    'window = "1 month"': 'window = "1 week"',
    "2024-03-01": '"2024-W16"',
    "2024-07-01": '"2024-W34"',
    "3 of 5": "10 of 19",
    'every = "1 month"': 'every = "1 week"',
    "min_rows = 50": "min_rows = 30",
    'label_delay = "1d"': 'label_delay = "1d"\nmin_rows = 30',
}


def test_weeks_are_called_as_people_write_them_from_run_to_reproduction(book: ledger.Ledger, tmp_path: Path) -> None:
    file = file_for(tmp_path, orders(per_day=8), **WEEKS)
    report = done(book, file)
    assert [item.window.label for item in report.described] == [f"2024-W{week}" for week in range(16, 35)]
    said = " ".join([report.headline, *(reason.sentence for reason in report.reasons)])
    assert "the week from" in said
    assert said.count(" July 2024") <= said.count("the week from"), "a week is called by more than its first day"
    assert reproduce(book, report.outline.run, workers=1, on_progress=silent).body.verdict == "identical"
    promoted(book, report)
    pd.concat([orders(per_day=8), orders("2024-09-02", "2024-09-08")]).to_parquet(
        tmp_path / "orders.parquet", index=False
    )
    watched = [watch(book, file, label).body for label in ("2024-W36", "2024-09-02")]
    assert [body.label for body in watched] == ["2024-W36", "2024-W36"]
    assert "he week from 2 September 2024" in watched[0].headline


# Steps ------------------------------------------------------------------------------------------------------


def test_steps_are_never_shown_as_dates(book: ledger.Ledger, tmp_path: Path) -> None:
    file = file_for(tmp_path, by_step(orders(last="2024-07-28")), **STEPS)
    report = done(book, file)
    model = promoted(book, report)
    assert "steps " in " ".join(reason.sentence for reason in report.reasons)
    by_step(orders("2024-08-01", "2024-08-04")).to_parquet(tmp_path / "today.parquet", index=False)
    for output in ("out.parquet", "out.csv"):
        predicted = answer(book, model, "today.parquet", tmp_path / output)
        assert predicted.body.warnings == []
    for read_back in (pd.read_parquet(tmp_path / "out.parquet"), pd.read_csv(tmp_path / "out.csv")):
        assert sorted(set(read_back["day"])) == [213, 214, 215, 216]
    by_step(orders("2024-11-01", "2024-11-02")).to_parquet(tmp_path / "far.parquet", index=False)
    with pytest.raises(Refused, match=r"approved for use until step 2\d\d\. .* are from later") as caught:
        answer(book, model, "far.parquet", tmp_path / "far_out.parquet")
    assert "1970" not in f"{caught.value.message} {caught.value.hint}"
    by_step(orders(last="2024-09-30")).to_parquet(tmp_path / "orders.parquet", index=False)
    watched = watch(book, file, "210")
    said = [watched.body.headline, watched.body.suggestion, *(finding.sentence for finding in watched.findings)]
    assert "teps 210 to 239" in watched.body.headline
    assert not [sentence for sentence in said if "1970" in sentence]
    slice_ = f"slice:{report.outline.slice.name}"
    for command in (
        "models", "champion returns", "status", f"show {model}", "runs", "audit", "check orders.toml",
        f"show {slice_}", f"why model:{model}.trained_on", f"why model:{model}.intended_for", f"story model:{model}",
        f"story {slice_}", "diff c0 now --all", "explain returns/210",
    ):  # fmt: skip
        for form in ([], ["--json"]):
            if command.startswith("check") and form:
                continue
            shown = tally(tmp_path, *command.split(), *form)
            assert shown.out, (command, shown.err)
            assert "1970" not in shown.out, (command, form, shown.out)
    assert tally(tmp_path, "show", model, "--json").json["state"]["trained_on"] == [0, 209]
    made = tally(tmp_path, "show", slice_, "--json").json["state"]
    assert made["period"] == [0, 209]
    assert (
        "about steps 0 to 208; a step n is kept as n days after 1970-01-01"
        in tally(tmp_path, "show", f"#{made['seq']}").out
    )
    assert "steps 0 to 208" in tally(tmp_path, "models").out


def test_steps_beyond_those_that_would_be_dates_to_come_are_known_too(book: ledger.Ledger, tmp_path: Path) -> None:
    """Step 100,000 would be a day of the year 2243, and is over all the same."""
    far = by_step(orders(last="2024-09-30")).assign(day=lambda frame: frame["day"] + 100_000)
    changes = STEPS | {"2024-03-01": "100060", "2024-07-01": "100180"}
    file = file_for(tmp_path, far[far["day"] < 100_209], **changes)
    report = done(book, file)
    assert [item.window.label for item in report.described] == ["100060", "100090", "100120", "100150", "100180"]
    assert {item.immature_rows for item in report.described} == {0}
    promoted(book, report)
    assert reproduce(book, report.outline.run, workers=1, on_progress=silent).body.verdict == "identical"
    far.to_parquet(tmp_path / "orders.parquet", index=False)
    watched = watch(book, file, "100210").body
    assert (watched.rows, watched.immature_rows) == (30 * 6, 0)


def test_a_date_says_nothing_about_steps(book: ledger.Ledger, tmp_path: Path) -> None:
    file = file_for(tmp_path, by_step(orders(last="2024-07-28")), **STEPS)
    loaded = read(file)
    for command in (run, monitor):
        more: dict[str, Any] = (
            {"workers": 1, "on_outline": silent, "on_progress": silent} if command is run else {"label": "180"}
        )
        with pytest.raises(InvalidInput, match="no date says which of them are over"):
            command(book, loaded, labels_as_of=SEPTEMBER, **more)
    replayed = tally(tmp_path, "replay", file.name, "--from", "60", "--to", "180")
    assert (replayed.code, "its past cannot be replayed" in replayed.err) == (2, True), replayed.err


@pytest.mark.parametrize("command", ["run", "monitor"])
@pytest.mark.parametrize(
    ("when", "words"),
    [("2024-03-31 02:30", "was never read"), ("2023-10-29 02:30", "was read twice")],
)
def test_a_doubtful_hour_is_refused_as_the_time_that_labels_are_known_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, when: str, words: str
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    ledger.create(tmp_path, timezone="Europe/Berlin").close()
    file = file_for(tmp_path, orders())
    more = ["--period", "2024-08"] if command == "monitor" else []
    refused = tally(tmp_path, command, file.name, *more, "--labels-as-of", when)
    assert refused.code != 0
    assert words in refused.err and "+02:00" in refused.err and "+01:00" in refused.err, refused.err
