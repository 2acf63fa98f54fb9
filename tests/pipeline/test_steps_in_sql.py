"""Pipelines that count time in whole numbers, asked in SQL: steps, and in plain SQLite the documented formula."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from given import Ticking
from orders import STEPS, by_step, file_for, orders
from tiny import done

from tallystick import ledger
from tallystick.ledger.query.sql import answer
from tallystick.tui.cli.ask.sql import sql_command

SEPTEMBER = dt.datetime(2024, 9, 5, 12, tzinfo=dt.UTC)


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ledger.Ledger]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    with ledger.create(tmp_path, timezone="Europe/Berlin", clock=Ticking(SEPTEMBER)) as made:
        yield made


def bounds(book: ledger.Ledger, expression: str) -> list[tuple[object, object]]:
    first, last = (expression.format(f"json_extract(tested_on, '$[{place}]')") for place in (0, 1))
    question = f"select {first} as first, {last} as last from windows where tested_on is not null order by 1"
    return [(row["first"], row["last"]) for row in answer(book.now(), question)]


def test_steps_are_numbers_and_the_documented_formula_agrees(book: ledger.Ledger, tmp_path: Path) -> None:
    done(book, file_for(tmp_path, by_step(orders(last="2024-07-28")), **STEPS))
    found = bounds(book, "step({})")
    assert {(60, 90), (90, 120), (120, 150), (150, 180), (180, 210)} <= set(found)
    formula = "julianday({}) - 2440587.5"
    assert formula.format("json_extract(trained_on, '$[0]')") in (sql_command.help or "")
    assert bounds(book, formula) == found
    assert answer(book.now(), "select distinct in_steps(pipeline) as yes from windows") == [{"yes": 1}]


def test_a_calendar_pipeline_counts_no_steps_and_other_text_is_no_step(book: ledger.Ledger, tmp_path: Path) -> None:
    done(book, file_for(tmp_path, orders()))
    asked = "select in_steps(pipeline) as yes, step('soon') as text, step(null) as missing, step(3) as number from runs"
    assert answer(book.now(), asked) == [{"yes": 0, "text": None, "missing": None, "number": None}]
