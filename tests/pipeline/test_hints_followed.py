"""Hints about a table, a pipeline file and its beginning: each is followed as it is printed, and helps.

A case makes one mistake. What mends it is taken out of the message itself, by the pattern of the case; the same call
then no longer says what it said before.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from orders import file_for, orders
from tables import customers

from tallystick.ledger.errors import InvalidInput, TallyError
from tallystick.pipeline.begin.new import new
from tallystick.pipeline.config.load import ConfigurationError, read
from tallystick.pipeline.runs.check_data import check_data

Said = dict[str, Any]


class Beginning(NamedTuple):
    """One mistake of somebody who begins a pipeline, and how its message is followed."""

    name: str
    wrong: Said
    pattern: str
    follow: Callable[[Said, re.Match[str]], Said]
    data: Callable[[Path], str | pd.DataFrame] = lambda folder: customers()


def option(value: Any) -> Callable[[Said, re.Match[str]], Said]:
    """Give the option that the message names the value."""
    return lambda said, match: said | {match[1].replace("-", "_"): value}


def field(name: str) -> Callable[[Said, re.Match[str]], Said]:
    """Give one field what the message says."""
    return lambda said, match: said | {name: match[1]}


def american(folder: Path) -> pd.DataFrame:
    frame = customers()
    days = pd.to_datetime(frame["signup"]).map(lambda day: day.replace(day=(day.day % 12) + 1))
    return frame.assign(signup=days.dt.strftime("%m/%d/%Y"))


def tildes(folder: Path) -> pd.DataFrame:
    frame = customers()
    return frame.assign(signup=pd.to_datetime(frame["signup"]).dt.strftime("%d.%m.%Y um %H h"))


def two_kinds(folder: Path) -> str:
    (folder / "both").mkdir()
    customers().to_csv(folder / "both" / "a.csv", index=False)
    customers().to_parquet(folder / "both" / "b.parquet", index=False)
    return str(folder / "both")


def two_tables(folder: Path) -> str:
    with sqlite3.connect(folder / "shop.db") as database:
        customers().to_sql("customers", database, index=False)
        customers().head(3).to_sql("visits", database, index=False)
    return str(folder / "shop.db")


def colours(folder: Path) -> pd.DataFrame:
    frame = customers()
    return frame.assign(churned=np.where(frame["churned"] == "yes", "red", "blue")).drop(columns="refund_paid")


def there_already(folder: Path) -> pd.DataFrame:
    (folder / "new.toml").write_text("x")
    return customers()


TARGET = {"target": "churned"}
BEGINNINGS = [
    Beginning("no target", {}, r"Say it with --(target)", option("left"),
              lambda folder: customers().rename(columns={"churned": "left"})),
    Beginning("which is yes", TARGET, r"Say it with --(rule)", option("== 'red'"), colours),
    Beginning("day or month first", TARGET, r"(%m/%d/%Y) or .*Say it with --time-format", field("time_format"),
              american),
    Beginning("no such column", TARGET | {"time": "sign_up"}, r"did you mean (\w+)\?", field("time")),
    Beginning("unread times", TARGET | {"time": "signup"}, r"--(time-format) '", option("%d.%m.%Y um %H h"), tildes),
    Beginning("one value", {"target": "country"}, r"Name another --(target)", option("churned")),
    Beginning("no zone", TARGET | {"timezone": "Berlin"}, r"Names look like ([\w/]+)", field("timezone")),
    Beginning("no key", TARGET | {"key": ["plan"]}, r"Name more columns",
              lambda said, match: said | {"key": ["plan", "customer_id"]}),
    Beginning("key is none", TARGET | {"key": ["plan"]}, r"or none, where rows",
              lambda said, match: said | {"key": []}),
    Beginning("another moment", TARGET | {"predict_at": "age - 1d"}, r"Write (\w+), or", field("predict_at")),
    Beginning("no length", TARGET | {"label_delay": "a month"}, r"Examples: \w+, (\w+)", field("label_delay")),
    Beginning("too long a delay", TARGET | {"label_delay": "900d"}, r"a shorter --(label-delay)", option("30d")),
    Beginning("no rule", TARGET | {"rule": "yes"}, r"Examples: .*(== 'yes')", field("rule")),
    Beginning("text as number", TARGET | {"rule": "number"}, r"a rule such as (== '\w+')", field("rule")),
    Beginning("rule of no row", TARGET | {"rule": "== 'gone'"}, r"holds '?(yes|no)'?", lambda said, match:
              said | {"rule": f"== '{match[1]}'"}),
    Beginning("two kinds of file", TARGET, r"Say which: tally new '(.*)'", field("data"), two_kinds),
    Beginning("two tables", TARGET, r"Say which: tally new (\S+)", field("data"), two_tables),
]  # fmt: skip


def begin(data: str | pd.DataFrame, folder: Path, said: Said) -> str | None:
    """What the beginning says against it; None where a file was written."""
    said = dict(said)
    given = said.pop("data", data)
    try:
        new(given, folder / "new.toml", owner="ann", **said)
    except TallyError as error:
        return f"{error.message} {error.hint}"
    return None


@pytest.mark.parametrize("case", BEGINNINGS, ids=lambda case: case.name)
def test_a_hint_at_the_beginning_is_followed(case: Beginning, tmp_path: Path) -> None:
    data = case.data(tmp_path)
    message = begin(data, tmp_path, case.wrong)
    assert message is not None
    match = re.search(case.pattern, message)
    assert match is not None, message
    assert begin(data, tmp_path, case.follow(case.wrong, match)) is None
    assert read(tmp_path / "new.toml").settings.owner == "ann"


class Mistake(NamedTuple):
    """One mistake in a pipeline file or its table, and how its message is followed in the text of the file."""

    name: str
    wrong: dict[str, str]
    pattern: str
    follow: Callable[[str, re.Match[str]], str]
    frame: Callable[[pd.DataFrame], pd.DataFrame] = lambda frame: frame


def line_below(section: str) -> Callable[[str, re.Match[str]], str]:
    """Write the line of the message below a section's name."""
    return lambda text, match: text.replace(f"[{section}]\n", f"[{section}]\n{match[1]}\n")


def instead(old: str) -> Callable[[str, re.Match[str]], str]:
    """Write what the message says in place of a text."""
    return lambda text, match: text.replace(old, match[1])


def infinite(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(price=frame["price"].mask(frame.index == 7, np.inf))


def in_the_doubtful_hour(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(ordered_at=frame["ordered_at"].mask(frame.index == 540, pd.Timestamp("2024-03-31 02:30")))


def without_may(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["ordered_at"].dt.month != 5]


def in_quarters(frame: pd.DataFrame) -> pd.DataFrame:
    day = frame["ordered_at"]
    return frame.assign(ordered_at=np.where(day.dt.month == 2, "Q1 2024", day.dt.strftime("%Y-%m-%d")))


def by_day_first(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(ordered_at=frame["ordered_at"].dt.strftime("%d.%m.%Y"))


SOURCE = '"parquet:orders.parquet"'
WEIGHT = 'weight = { column = "size", why = "a large order counts more" }\n\n[data.features]'
DROP = '[[data.drop_rows]]\nwhere = {}\nwhy = "no weight"\n\n[data.features]'
CLOSED = "3 of 5", "2 of 4"
MISTAKES = [
    Mistake("no kind of source", {SOURCE: '"orders.parquet"'}, r"Begin with (\w+:)", lambda text, match:
            text.replace('"orders.parquet"', f'"{match[1]}orders.parquet"')),
    Mistake("no such file", {SOURCE: '"parquet:order.parquet"'}, r"(orders\.parquet)", instead("order.parquet")),
    Mistake("no such feature", {"price, pieces": "prize, pieces"}, r"[Dd]id you mean (\w+)\?", instead("prize")),
    Mistake("no such target", {'column = "returned"': 'column = "return"'}, r"[Dd]id you mean (returned)\?",
            lambda text, match: text.replace('column = "return"', f'column = "{match[1]}"')),
    Mistake("infinite", {}, r"(infinite = \"missing\")", line_below("data"), infinite),
    Mistake("key repeats", {'["order_id"]': '["shop"]'}, r"Name (more columns) in key", lambda text, match:
            text.replace('["shop"]', '["shop", "order_id"]')),
    Mistake("doubtful hour", {}, r"(ambiguous = \"earlier\") or", line_below("time"), in_the_doubtful_hour),
    Mistake("empty window", {}, r"(empty_windows = \{.*?\})", lambda text, match:
            line_below("time")(text.replace(*CLOSED), match), without_may),
    Mistake("dates are no steps", {}, r"(format = \"%d\.%m\.%Y\")", line_below("time"), by_day_first),
    Mistake("weight is missing", {"[data.features]": WEIGHT},
            r"where = (\"size <= 0\") or \"size is missing\"", lambda text, match:
            text.replace("[data.features]", DROP.format(match[1])),
            lambda frame: frame.assign(size=np.where(frame.index == 3, 0.0, 1.0))),
]  # fmt: skip


def check(file: Path) -> str | None:
    """Everything that a check of the file and its data says; None where both are sound."""
    try:
        _, found = check_data(read(file), candidates=False)
    except ConfigurationError as error:
        return str(error)
    except InvalidInput as error:
        return f"{error.message} {error.hint}"
    return " ".join(item.words for item in found) or None


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: case.name)
def test_a_hint_about_a_file_or_its_data_is_followed(case: Mistake, tmp_path: Path) -> None:
    file = file_for(tmp_path, case.frame(orders()), **case.wrong)
    message = check(file)
    assert message is not None
    match = re.search(case.pattern, message)
    assert match is not None, message
    file.write_text(case.follow(file.read_text(), match).replace("…", "made for a test"))
    assert check(file) is None
