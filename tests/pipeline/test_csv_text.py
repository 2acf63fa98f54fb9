"""CSV files as spreadsheets and databases write them: read right, or refused with the line that settles it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.ledger.errors import InvalidInput
from tallystick.pipeline.config.settings import Csv
from tallystick.pipeline.data.reading import FIRST_READING, Reading
from tallystick.pipeline.data.sources import column_names, read_source


def values(folder: Path, *cells: str, head: str = "v", sep: str = ",", csv: Csv | None = None, **how: Any) -> list[Any]:
    """A column of a file that has a second one, so that every separator shows."""
    lines = [f"{head}{sep}other", *(f"{cell}{sep}x" for cell in cells)]
    (folder / "t.csv").write_text("\n".join(lines) + "\n", newline="")
    found: list[Any] = read_source("csv:t.csv", folder, [head.strip()], Reading(csv=csv or Csv(), **how))[
        head.strip()
    ].to_pylist()
    return found


def settled(caught: pytest.ExceptionInfo[InvalidInput]) -> Csv:
    """What a refusal says to write, as the pipeline file would read it."""
    _, _, lines = caught.value.hint.partition("\n")
    return msgspec.convert(tomllib.loads(lines)["data"]["csv"], Csv)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "2", ""], [1, 2, None]),
        (["1", "2.5", "-0.0"], [1.0, 2.5, -0.0]),
        (["1e3", ".5", "+2.5"], [1000.0, 0.5, 2.5]),
        ([" 12.5", "3 "], [12.5, 3.0]),
        (["1", "NA", "nan"], [1, None, None]),
        (["true", "False", ""], [True, False, None]),
        (["inf", "-Infinity", "1"], [float("inf"), float("-inf"), 1.0]),
        # Text stays text where a number would change it.
        (["01067", "10115"], ["01067", "10115"]),
        (["1", "01", "001"], ["1", "01", "001"]),
        (["90000000000000000000", "90000000000000000001"], ["90000000000000000000", "90000000000000000001"]),
        (["9007199254740993", "1"], ["9007199254740993", "1"]),
        (["NA", "ZA", ""], ["NA", "ZA", None]),
        (["NA", "NA"], ["NA", "NA"]),
        (["A12", "103", "7B", "9"], ["A12", "103", "7B", "9"]),
        (["A12", "A13"], ["A12", "A13"]),
        (["7B", "9B"], ["7B", "9B"]),
        (["2024-01-31", "2024-02-01"], ["2024-01-31", "2024-02-01"]),
        (["31.01.2024", "01.02.2024"], ["31.01.2024", "01.02.2024"]),
        (["05:15", "06:00"], ["05:15", "06:00"]),
        (["10.0.0.1", "10.0.0.2"], ["10.0.0.1", "10.0.0.2"]),
        # Numbers in other signs that can mean one thing only.
        (['"1,234.50"', "99.25"], [1234.5, 99.25]),
        (['"1.234,50"', '"99,25"'], [1234.5, 99.25]),
        (["1'234.50", "99"], [1234.5, 99.0]),
    ],
)
def test_what_is_written_is_what_is_read(tmp_path: Path, cells: list[str], expected: list[Any]) -> None:
    assert values(tmp_path, *cells) == expected


@pytest.mark.parametrize(
    ("cells", "shown", "settings", "expected"),
    [
        (['"79,82"', '"5,1"'], "'79,82', '5,1'", {"decimal": ","}, [79.82, 5.1]),
        (['"1,234"', '"5,678"'], "'1,234', '5,678'", {"decimal": ","}, [1.234, 5.678]),
        (['"1,234,567"', "12"], "'1,234,567'", {"thousands": ","}, [1234567.0, 12.0]),
        (["12.50 €", "3.25 €"], "'12.50 €', '3.25 €'", {"units": ["€"]}, [12.5, 3.25]),
        (["$12.50", "$3"], r"'\$12.50', '\$3'", {"units": ["$"]}, [12.5, 3.0]),
        (["12 kg", "3.5 kg"], "'12 kg'", {"units": ["kg"]}, [12.0, 3.5]),
        (["CHF 12", "CHF 3.5"], "'CHF 12'", {"units": ["CHF"]}, [12.0, 3.5]),
        (["12.5%", "3%"], "'12.5%', '3%'", {"units": ["%"]}, [12.5, 3.0]),
        (['"12,50 €"', '"3,25 €"'], "'12,50 €'", {"units": ["€"], "decimal": ","}, [12.5, 3.25]),
        (["1.5", "2.5", "n.a."], r"2 numbers, and 1 times 'n\.a\.'", {"missing": ["n.a."]}, [1.5, 2.5, None]),
        (["1", "2", "-", "unknown"], "2 times '-' or 'unknown'", {"missing": ["-", "unknown"]}, [1, 2, None, None]),
    ],
)
def test_what_may_mean_two_things_is_refused_with_the_line_that_settles_it(
    tmp_path: Path, cells: list[str], shown: str, settings: dict[str, Any], expected: list[Any]
) -> None:
    with pytest.raises(InvalidInput, match=shown) as caught:
        values(tmp_path, *cells)
    assert caught.value.message.startswith("csv:t.csv: v holds")
    csv = settled(caught)
    assert csv == Csv(**settings)
    assert values(tmp_path, *cells, csv=csv) == expected


def test_words_among_numbers_may_also_be_codes(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r'write text = \["v"\] instead'):
        values(tmp_path, "1", "2", "X")
    assert values(tmp_path, "1", "2", "X", csv=Csv(text=["v"])) == ["1", "2", "X"]


def test_all_columns_in_doubt_are_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('a,b,c\n1 €,n.a.,x\n2 €,3,y\n3 €,4,"z"\n')
    with pytest.raises(InvalidInput, match=r"a holds numbers with a unit.*\n.*b holds 2 numbers") as caught:
        read_source("csv:t.csv", tmp_path)
    found = read_source("csv:t.csv", tmp_path, how=Reading(csv=settled(caught)))
    assert found.to_pydict() == {"a": [1, 2, 3], "b": [None, 3, 4], "c": ["x", "y", "z"]}


def test_a_decimal_comma_needs_no_word_where_no_comma_cuts(tmp_path: Path) -> None:
    assert values(tmp_path, "79,82", "5,1", "7", sep=";") == [79.82, 5.1, 7.0]
    assert values(tmp_path, "79,82", "5,1", sep="\t") == [79.82, 5.1]
    with pytest.raises(InvalidInput, match="v holds numbers with a comma"):
        values(tmp_path, "1,234", "5,678", sep=";")


def test_a_number_in_the_declared_signs_alone_is_one(tmp_path: Path) -> None:
    csv = Csv(decimal=",", thousands=".")
    assert values(tmp_path, "1.234,5", "12", "0,5", sep=";", csv=csv) == [1234.5, 12.0, 0.5]
    assert values(tmp_path, "1.23.4,5", "12.34", "x", sep=";", csv=csv) == ["1.23.4,5", "12.34", "x"]


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [("utf-8-sig", None), ("utf-16", None), ("utf-8", None), ("latin-1", "latin-1"), ("cp1252", "cp1252")],
)
def test_encodings(tmp_path: Path, encoding: str, declared: str | None) -> None:
    (tmp_path / "t.csv").write_bytes("shop,größe\r\nKöln,1\r\nZürich,2\r\n".encode(encoding))
    how = Reading(csv=Csv(encoding=declared))
    assert column_names("csv:t.csv", tmp_path, how) == ["shop", "größe"]
    assert read_source("csv:t.csv", tmp_path, how=how).to_pydict() == {"shop": ["Köln", "Zürich"], "größe": [1, 2]}


@pytest.mark.parametrize("far", [0, 200_000])
def test_another_encoding_is_shown_and_named(tmp_path: Path, far: int) -> None:
    """Also where the first odd letter lies beyond what is looked at to find the separator."""
    (tmp_path / "t.csv").write_bytes(b"shop,n\n" + b"Ulm,1\n" * far + "Köln,2\n".encode("cp1252"))
    with pytest.raises(InvalidInput, match=rf"is not utf-8 text.*line {far + 2:,}: 'Köln,2'") as caught:
        read_source("csv:t.csv", tmp_path)
    assert read_source("csv:t.csv", tmp_path, how=Reading(csv=settled(caught)))["shop"].to_pylist()[-1] == "Köln"


@pytest.mark.parametrize("sep", [",", ";", "\t", "|"])
def test_the_separator_is_seen(tmp_path: Path, sep: str) -> None:
    assert values(tmp_path, "1.5", "2", sep=sep) == [1.5, 2.0]


def test_a_separator_that_may_be_two_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b;c\n1,2;3\n")
    with pytest.raises(InvalidInput, match="may be cut at ',' or ';'") as caught:
        column_names("csv:t.csv", tmp_path)
    assert column_names("csv:t.csv", tmp_path, Reading(csv=settled(caught))) == ["a", "b;c"]
    (tmp_path / "t.csv").write_text('a,"b;c"\n1,2\n')
    assert column_names("csv:t.csv", tmp_path) == ["a", "b;c"]


def test_blanks_around_a_name_in_the_header_are_no_part_of_it(tmp_path: Path) -> None:
    assert values(tmp_path, "1", "2", head=" v ") == [1, 2]


def test_a_line_break_inside_a_cell_is_part_of_it(tmp_path: Path) -> None:
    assert values(tmp_path, '"a\nb"', "c") == ["a\nb", "c"]


@pytest.mark.parametrize(
    "column",
    [
        ["NA"] * 4 + ["ZA", "NA"] * 2,
        ["1", "2", "3", "4", "x1", "x2", "x3", "x4"],
        ["10115"] * 4 + ["01067"] * 4,
        ["1", "2", "3", "4", "2.5", "", "NA", "7"],
        ["", "", "", "", "a", "b", "c", "d"],
        ["1"] * 4 + [str(2**60)] * 4,
    ],
)
def test_the_same_rows_however_they_are_split_into_files(tmp_path: Path, column: list[str]) -> None:
    whole = values(tmp_path, *column)
    for first in range(1, len(column)):
        for number, part in enumerate((column[:first], column[first:])):
            (tmp_path / f"part-{number}.csv").write_text("v,w\n" + "".join(f"{cell},x\n" for cell in part))
        assert read_source("csv:part-*.csv", tmp_path, ["v"])["v"].to_pylist() == whole


@given(st.lists(st.integers(-(2**70), 2**70).map(str) | st.text("0123456789", min_size=1), min_size=1, max_size=8))
def test_two_different_whole_numbers_are_never_equal(
    tmp_path_factory: pytest.TempPathFactory, cells: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("csv")
    found = values(folder, *cells)
    assert len(set(found)) == len(set(cells))


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8))
def test_floats_come_back_to_the_last_bit(tmp_path_factory: pytest.TempPathFactory, numbers: list[float]) -> None:
    assert [float(value) for value in values(tmp_path_factory.mktemp("csv"), *map(repr, numbers))] == numbers


def test_decimals_that_name_something_stay_apart(tmp_path: Path) -> None:
    long = ["0.1000000000000000001", "0.1000000000000000002"]
    assert len(set(values(tmp_path, *long))) == 1
    assert values(tmp_path, *long, exact=frozenset({"v"})) == long
    assert values(tmp_path, "0.5", "1", exact=frozenset({"v"})) == [0.5, 1.0]


def test_a_column_that_is_known_as_text_is_text(tmp_path: Path) -> None:
    assert values(tmp_path, "10115", "", text=frozenset({"v"})) == ["10115", None]


def test_the_first_version_reads_as_ever(tmp_path: Path) -> None:
    assert values(tmp_path, "01067", "10115", version=FIRST_READING) == [1067, 10115]
    assert values(tmp_path, '"79,82"', "5", version=FIRST_READING) == ["79,82", "5"]


def test_yes_and_no_are_spelt_as_the_model_learnt_them(tmp_path: Path) -> None:
    """A column of ``True`` and ``False`` was trained on as ``true`` and ``false``; later rows must not be strangers."""
    cells = ["True", "FALSE", "maybe", "NA", ""]
    known: dict[str, Any] = {"text": frozenset({"v"})}
    assert values(tmp_path, *cells, **known) == ["True", "FALSE", "maybe", "NA", None]
    known["truth"] = frozenset({"v"})
    assert values(tmp_path, *cells, **known) == ["true", "false", "maybe", None, None]
    declared = Csv(text=["v"])
    assert values(tmp_path, *cells, csv=declared, **known) == ["True", "FALSE", "maybe", "NA", None]
