"""A pipeline file from a table: what is seen, what is proposed, and that whatever is written is sound."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tables import customers, demand

import tallystick
from tallystick import pipeline
from tallystick.ledger.errors import InvalidInput, Refused
from tallystick.pipeline.begin.answers import Answers, Look, read_answers
from tallystick.pipeline.begin.look import find_key, look, source_of
from tallystick.pipeline.begin.new import Begun, begin, look_at
from tallystick.pipeline.begin.sentences import about_table
from tallystick.pipeline.config.load import read
from tallystick.pipeline.config.windows import development_windows, sealed_windows
from tallystick.pipeline.runs.check_data import check_data


def seen(frame: pd.DataFrame, folder: Path) -> Look:
    frame.to_parquet(folder / "table.parquet")
    return look_at(str(folder / "table.parquet"), folder)


def begun(frame: pd.DataFrame, folder: Path, **said: object) -> Begun:
    return begin(seen(frame, folder), Answers(owner="ann", **said), None, folder)  # type: ignore[arg-type]


def test_what_is_seen_is_said_in_sentences(tmp_path: Path) -> None:
    frame = customers()
    said = " ".join(about_table(seen(pd.concat([frame, frame.tail(2)], ignore_index=True), tmp_path).facts))
    for expected in (
        "3,002 rows, 8 columns",
        "2 rows repeat another row in every column",
        "Dates or times: signup",
        "Text: plan, country, churned",
        "Without any value: notes",
        "age 10%",
        "country is always DE",
        "notes is empty",
        "signup looks like the time of a row",
    ):
        assert expected in said, expected


def test_a_target_is_enough_and_the_rest_is_listed_as_proposed(tmp_path: Path) -> None:
    made = begun(customers(), tmp_path, target="churned")
    loaded = read(made.file)
    assert loaded.settings.data.target.rule == "== 'yes'"
    assert loaded.settings.data.key == ["customer_id"]
    assert list(loaded.settings.data.features.known_at) == ["age", "plan"]
    assert loaded.settings.data.features.forbidden is not None
    assert loaded.settings.data.features.forbidden.columns == ["refund_paid"]
    assert len(development_windows(loaded.settings.time)) >= 6
    assert sealed_windows(loaded.settings.time)
    assert loaded.settings.proposed is not None
    proposed = set(loaded.settings.proposed.settings)
    assert {"time.label_delay", "data.features", "gates", "data.target.rule", "questions.decision"} <= proposed
    assert "data.target.column" not in proposed


def test_what_a_person_says_is_not_proposed(tmp_path: Path) -> None:
    made = begun(
        customers(), tmp_path, target="churned", rule="== 'no'", positive="stayed", label_delay="14d", decision="Why?",
        afterwards=[], known={"age": "signup - 1d"}, predict_at="signup", window="3 months",
    )  # fmt: skip
    settings_ = made.loaded.settings
    assert (settings_.time.label_delay, settings_.time.window) == ("14d", "3 months")
    assert settings_.data.target.positive == "stayed"
    assert settings_.data.features.known_at["age"].known_at == "signup - 1d"
    assert settings_.data.features.forbidden is None
    assert settings_.proposed is not None
    said = {"time.label_delay", "questions.decision", "data.target.rule", "data.features", "time.window"}
    assert not said & set(settings_.proposed.settings)


def test_time_in_steps_and_a_number_as_target(tmp_path: Path) -> None:
    made = begun(demand(), tmp_path, target="sold")
    settings_ = made.loaded.settings
    assert (settings_.time.unit, settings_.time.column, settings_.data.key) == ("step", "day", ["day", "shop_id"])
    assert settings_.selection.metric == "squared_error"
    assert settings_.data.target.rule is None


def test_few_very_large_answers_do_not_choose_the_model(tmp_path: Path) -> None:
    frame = demand()
    frame.loc[::250, "sold"] = 90_000.0
    settings_ = begun(frame, tmp_path, target="sold").loaded.settings
    assert settings_.selection.metric == "absolute_error"
    assert settings_.candidates["reference"].params == {"strategy": "median"}
    assert "selection" in (settings_.proposed.settings if settings_.proposed else [])


@pytest.mark.parametrize(
    ("column", "values", "rule"),
    [
        ("answer", [True, False], "== 'true'"),
        ("answer", [0, 1], "== 1"),
        ("answer", ["Y", "N"], "== 'Y'"),
        ("answer", ["it's late", "yes"], "== 'yes'"),
    ],
)
def test_yes_in_its_usual_spellings(column: str, values: list[object], rule: str, tmp_path: Path) -> None:
    frame = customers().drop(columns=["refund_paid"])
    frame[column] = np.random.default_rng(1).choice(np.array(values, dtype=object), len(frame))
    frame[column] = frame[column].infer_objects()
    made = begun(frame.drop(columns="churned"), tmp_path, target=column)
    assert made.loaded.settings.data.target.rule == rule


def test_what_cannot_be_proposed_is_asked_for_by_option_and_reason(tmp_path: Path) -> None:
    frame = customers()
    frame["state"] = np.random.default_rng(1).choice(["a", "b", "c"], len(frame))
    with pytest.raises(InvalidInput, match="Which column holds the answer") as caught:
        begun(frame.rename(columns={"churned": "gone"}), tmp_path)
    assert "--target" in caught.value.hint
    with pytest.raises(InvalidInput, match=r"What counts as yes. state holds"):
        begun(frame, tmp_path, target="state")
    with pytest.raises(InvalidInput, match="has no column stat; did you mean state"):
        begun(frame, tmp_path, target="stat")
    with pytest.raises(InvalidInput, match=r"holds in no row; the column holds 'no', 'yes'|'yes', 'no'"):
        begun(frame, tmp_path, target="churned", rule="== 'maybe'")
    with pytest.raises(InvalidInput, match=r"is the same in .* rows more than once"):
        begun(frame, tmp_path, target="churned", key=["signup"])
    with pytest.raises(InvalidInput, match=r"No column looks like|When is a row from"):
        begun(frame.drop(columns="signup"), tmp_path, target="churned")


def test_rows_without_an_answer_and_columns_that_end_with_them(tmp_path: Path) -> None:
    frame = customers()
    gone = np.random.default_rng(2).random(len(frame)) < 0.1
    frame["visit_length"] = np.where(gone, np.nan, np.random.default_rng(3).normal(5, 1, len(frame)))
    frame.loc[gone, "churned"] = None
    made = begun(frame, tmp_path, target="churned")
    assert made.loaded.settings.data.drop_rows[0].where == "churned is missing"
    assert made.draft.forbidden["visit_length"] == "it is missing where churned is missing"


def test_rows_whose_answer_is_not_known_yet_are_kept(tmp_path: Path) -> None:
    """The newest rows wait; those in between were due, whatever a filter would take for the same."""
    frame = customers()
    newest = frame["signup"] >= "2021-06-15"
    frame.loc[newest, "churned"] = None
    made = begun(frame, tmp_path, target="churned")
    assert made.loaded.settings.data.drop_rows == []
    assert (made.draft.missing_answers, made.draft.waiting_answers) == (0, newest.sum())
    assert check_data(made.loaded)[1] == []
    frame.loc[[100, 101, 102], "churned"] = None
    made.file.unlink()
    made = begun(frame, tmp_path, target="churned")
    assert (made.draft.missing_answers, made.draft.waiting_answers) == (3, newest.sum())
    assert made.loaded.settings.data.drop_rows[0].why.startswith("3 rows have no answer although it was due")


def test_a_name_with_spaces_is_quoted(tmp_path: Path) -> None:
    frame = customers().rename(columns={"signup": "Order Date", "churned": "has left?"})
    frame.loc[5, "has left?"] = None
    loaded = begun(frame, tmp_path, target="has left?").loaded
    assert loaded.settings.questions.prediction_at == "'Order Date'"
    assert loaded.settings.data.drop_rows[0].where == "'has left?' is missing"


def test_a_file_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    begun(customers(), tmp_path, target="churned")
    with pytest.raises(Refused, match="is there already"):
        begun(customers(), tmp_path, target="churned")


def test_where_a_table_comes_from(tmp_path: Path) -> None:
    folder = tmp_path / "monthly"
    folder.mkdir()
    frame = customers()
    for number, part in enumerate(np.array_split(np.arange(len(frame)), 3)):
        frame.iloc[part].to_csv(folder / f"{number}.csv", index=False)
    assert source_of(str(folder), tmp_path) == "csv:monthly/*.csv"
    assert look_at(str(folder), tmp_path).facts.rows == len(frame)
    with sqlite3.connect(tmp_path / "shop.db") as database:
        frame.to_sql("visits", database, index=False)
    assert source_of(str(tmp_path / "shop.db"), tmp_path) == "sqlite:shop.db#visits"
    made = begin(look_at(str(tmp_path / "shop.db"), tmp_path), Answers(target="churned", owner="a"), None, tmp_path)
    assert made.file.name == "visits.toml"
    with pytest.raises(InvalidInput, match="There is no nothing"):
        source_of("nothing.csv", tmp_path)
    (folder / "x.parquet").write_bytes(b"")
    with pytest.raises(InvalidInput, match="both CSV and parquet"):
        source_of(str(folder), tmp_path)


def test_a_frame_from_a_notebook(tmp_path: Path) -> None:
    loaded = pipeline.new(customers(), tmp_path / "churn.toml", target="churned", label_delay="30d", owner="ann")
    assert loaded.settings.name == "churn"
    assert loaded.settings.data.source == "parquet:churn.parquet"
    assert read(tmp_path / "churn.toml").meaning_hash == loaded.meaning_hash
    with pytest.raises(InvalidInput, match="label_dely"):
        pipeline.new(customers(), tmp_path / "other.toml", target="churned", label_dely="30d")
    with pytest.raises(InvalidInput):
        pipeline.new(customers(), tmp_path / "other.toml", target="nothing")
    assert not (tmp_path / "other.parquet").exists()


def test_the_face_takes_a_path_or_a_frame_and_confirms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    customers().to_csv(tmp_path / "visits.csv", index=False)
    from_file = tallystick.new("visits.csv", target="churned", owner="ann")
    assert from_file.path.name == "visits.toml"
    assert from_file.settings.data.source == "csv:visits.csv"
    from_frame = tallystick.new(customers(), "churn.toml", target="churned", owner="ann")
    assert from_frame.settings.data.source == "parquet:churn.parquet"
    with pytest.raises(InvalidInput, match="so the file needs a name"):
        tallystick.new(customers(), target="churned")
    some = tallystick.confirm("churn.toml", ["gates", "selection"])
    assert some.appended is None
    assert "time.window" in some.left
    assert "gates" not in some.left
    assert tallystick.confirm("churn.toml", "all").left == []
    with pytest.raises(InvalidInput, match="No setting is named"):
        tallystick.confirm("churn.toml", [])


@pytest.mark.parametrize(
    ("how", "change", "line"),
    [
        ({}, lambda frame: frame.assign(age=frame.age.map(lambda v: "." if pd.isna(v) else f"{v}")), 'missing = ["."]'),
        ({"encoding": "cp1252"}, lambda frame: frame.assign(plan=frame.plan.replace("gold", "größer")), '"cp1252"'),
        ({}, lambda frame: frame.assign(age=frame.age.map(lambda v: f"{v} €"), refund_paid=0.5), 'units = ["€"]'),
        ({}, lambda frame: frame.assign(age=frame.age.map(lambda v: f"{v}".replace(".", ","))), 'decimal = ","'),
    ],
    ids=["a point for missing", "an encoding", "a currency", "a decimal comma"],
)
def test_a_csv_file_that_can_be_read_in_two_ways_is_proposed_one(
    tmp_path: Path, how: dict[str, str], change: Callable[[pd.DataFrame], pd.DataFrame], line: str
) -> None:
    """The pipeline file that an error message would name is only about to be written."""
    frame = change(
        customers().assign(age=lambda found: found.age.fillna(40.0) if line != 'missing = ["."]' else found.age)
    )
    frame.to_csv(tmp_path / "visits.csv", index=False, **how)
    look = look_at(str(tmp_path / "visits.csv"), tmp_path)
    assert len(look.doubts) == 1
    made = begin(look, Answers(target="churned", owner="ann"), None, tmp_path)
    assert "data.csv" in made.draft.proposed
    assert line in made.file.read_text()
    assert check_data(made.loaded)[1] == []
    assert made.loaded.settings.data.csv is not None
    again = look_at(str(tmp_path / "visits.csv"), tmp_path, made.loaded.settings.data.csv)
    assert again.doubts == ()


@pytest.mark.parametrize(("window", "first"), [("3 months", '"2020-Q3"'), ("1 week", '"20'), ("1 month", "20")])
def test_quarters_and_weeks_are_written_by_their_names(tmp_path: Path, window: str, first: str) -> None:
    made = begun(customers(months=30), tmp_path, target="churned", window=window)
    text = made.file.read_text()
    assert f"first_test  = {first}" in text
    windows = [*development_windows(made.loaded.settings.time), *sealed_windows(made.loaded.settings.time)]
    named = {"3 months": "-Q", "1 week": "-W", "1 month": "-"}[window]
    assert all(named in item.label for item in windows)
    assert check_data(made.loaded)[1] == []


def test_rows_without_a_name_have_no_key(tmp_path: Path) -> None:
    frame = customers().drop(columns="customer_id")
    frame = pd.concat([frame, frame.iloc[::7]]).sort_values("signup", kind="stable")
    made = begun(frame, tmp_path, target="churned")
    assert made.loaded.settings.data.key == []
    assert "data.key" in made.draft.proposed
    assert check_data(made.loaded)[1] == []
    assert any("rows have no name of their own" in note for note in made.loaded.notes)


def test_answers_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "answers.toml"
    path.write_text('target = "churned"\nlabel_delay = "30d"\nknown = { "age" = "signup" }\n')
    assert read_answers(path).known == {"age": "signup"}
    path.write_text('targt = "churned"\n')
    with pytest.raises(InvalidInput, match="targt"):
        read_answers(path)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.integers(1_500, 4_000),
    months=st.integers(6, 60),
    seed=st.integers(0, 2**16),
    number=st.booleans(),
    name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
)
def test_whatever_is_written_is_sound(
    rows: int, months: int, seed: int, number: bool, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("new")
    frame = customers(rows, seed, months)
    if name not in frame:
        frame[name] = np.random.default_rng(seed).normal(size=rows)
    made = begun(frame, folder, target="age" if number else "churned")
    loaded = read(made.file)
    assert loaded.settings.task == ("regression" if number else "classification")
    assert len(development_windows(loaded.settings.time)) >= 3
    assert len(sealed_windows(loaded.settings.time)) == len(made.draft.windows.sealed)
    assert {"gates", "selection"} <= set(made.draft.proposed)
    checked, mistakes = check_data(loaded, candidates=False)
    assert mistakes == []
    assert checked is not None
    assert checked.small == []


def test_a_key_is_found_where_there_is_one() -> None:
    import pyarrow as pa

    table = pa.Table.from_pandas(demand(), preserve_index=False)
    facts = look(table, "parquet:x")
    assert find_key(table, facts, "day", "sold") == ["day", "shop_id"]
    doubled = pa.concat_tables([table, table])
    assert find_key(doubled, look(doubled, "parquet:x"), "day", "sold") is None


# Times as tables write them ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("format_", "said"),
    [
        ("%m/%d/%Y", "%m/%d/%Y"),
        ("%d.%m.%Y", "%d.%m.%Y"),
        ("%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M"),
        ("%b %d, %Y", "%b %d, %Y"),
        ("%Y%m%d", "%Y%m%d"),
        ("%Y/%m/%d", None),
        ("%Y-%m-%d", None),
    ],
)
def test_dates_are_read_as_they_are_written(format_: str, said: str | None, tmp_path: Path) -> None:
    frame = customers()
    days = pd.to_datetime(frame["signup"])
    frame["signup"] = days.dt.strftime(format_)
    if format_ == "%Y%m%d":
        frame["signup"] = frame["signup"].astype("int64")
    made = begun(frame, tmp_path, target="churned")
    assert made.loaded.settings.time.format == said
    assert made.loaded.settings.time.column == "signup"
    checked, mistakes = check_data(made.loaded, candidates=False)
    assert mistakes == []
    assert checked is not None
    expected = days.dt.strftime("%Y-%m").value_counts()
    assert {label: rows for label, rows in checked.windows.items() if len(label) == 7} == {
        label: int(expected[label]) for label in checked.windows if len(label) == 7
    }


def test_a_date_that_can_be_read_in_two_ways_is_asked_for(tmp_path: Path) -> None:
    frame = customers()
    frame["signup"] = pd.to_datetime(frame["signup"]).dt.strftime("%m/%d/%Y")
    day = frame["signup"].str.slice(3, 5).astype(int)
    frame = frame[day <= 12].reset_index(drop=True)
    with pytest.raises(InvalidInput, match=r"How is .* written\? \(%m/%d/%Y or %d/%m/%Y\)") as caught:
        begun(frame, tmp_path, target="churned")
    assert "--time-format" in caught.value.hint
    made = begun(frame, tmp_path, target="churned", time_format="%m/%d/%Y", window="3 months")
    assert made.loaded.settings.proposed is not None
    assert "time.format" not in made.loaded.settings.proposed.settings


def test_times_that_no_format_fits_say_what_to_give(tmp_path: Path) -> None:
    frame = customers()
    frame["signup"] = "week " + (frame["customer_id"] // 100).astype(str)
    with pytest.raises(InvalidInput, match="signup holds no times that can be read, but 'week 0'") as caught:
        begun(frame, tmp_path, target="churned", time="signup")
    assert "--time-format" in caught.value.hint
