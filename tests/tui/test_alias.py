"""Aliases of registered models as champions: which version, since when, by whom, why, and which before."""

from __future__ import annotations

from pathlib import Path

import pytest
from shell import tally

from tallystick import ledger
from tallystick.ledger.events.types import AliasMoved, RegisteredChanged, RegisteredCreated, VersionCreated


def version(number: int) -> VersionCreated:
    return VersionCreated(
        version=f"fraud-model/{number}", registered="fraud-model", number=number, source="s3://bucket/model", user="ann"
    )


def moved(to: int | None, before: int | None, reason: str | None = None, *, observed: bool = False) -> AliasMoved:
    return AliasMoved(
        alias="fraud-model/champion",
        registered="fraud-model",
        name="champion",
        version=None if to is None else f"fraud-model/{to}",
        previous=None if before is None else f"fraud-model/{before}",
        reason=reason,
        observed=observed,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Versions 1 and 2: the alias points to the first (commit 3), the second (4), and nowhere (5)."""
    with ledger.create(tmp_path / "team", timezone="UTC") as book:
        book.append(RegisteredCreated(registered="fraud-model", name="fraud-model"))
        book.append(version(1), version(2))
        book.append(moved(1, None))
        book.append(moved(2, 1, "a better score"))
        book.append(moved(None, 2, "it was withdrawn"))
    return tmp_path / "team"


def champion(folder: Path, *options: str, model: str = "fraud-model", alias: str = "champion") -> str:
    answer = tally(folder, "champion", model, "--alias", alias, *options)
    assert answer.code == 0, answer.err
    return " ".join(answer.out.split())


def test_it_names_version_reason_and_the_version_before(folder: Path) -> None:
    said = champion(folder, "--as-of", "c4")
    assert "fraud-model version 2 (alias champion)" in said
    assert "reason: a better score" in said
    assert "before: fraud-model/1; tally story alias:fraud-model/champion" in said
    assert "registered" in said
    assert "by ann" in said
    assert "No gates apply: there is no pipeline of this name." in said


def test_the_first_move_has_no_version_before_and_may_have_no_reason(folder: Path) -> None:
    said = champion(folder, "--as-of", "c3")
    assert "version 1" in said
    assert "reason: none given" in said
    assert "before: no version" in said


def test_an_alias_that_was_removed_says_so(folder: Path) -> None:
    said = champion(folder)
    assert "points to no version any more" in said
    assert "removed" in said
    assert "reason: it was withdrawn" in said
    assert "before: fraud-model/2 (1 more version before that)" in said


def test_what_an_import_saw_is_not_said_to_have_been_moved_then(folder: Path) -> None:
    with ledger.open(folder) as book:
        book.append(moved(1, None, observed=True))
    said = champion(folder)
    assert "seen at the import on" in said
    assert "since when, by whom and why is unknown" in said
    assert "moved" not in said


def test_for_programs_it_is_one_document(folder: Path) -> None:
    found = tally(folder, "champion", "fraud-model", "--alias", "champion", "--as-of", "c4", "--json").json
    assert found["schema"] == "tally.alias/1"
    assert found["version"]["number"] == 2
    assert found["alias"]["reason"] == "a better score"
    assert found["before"] == ["fraud-model/1"]
    assert found["pipeline"] is None


def test_a_model_is_named_as_it_was_called_then(folder: Path) -> None:
    with ledger.open(folder) as book:
        book.append(RegisteredChanged(registered="fraud-model", name="cheating"))
    assert "The alias champion of cheating points to no version" in champion(folder, model="cheating")
    assert "fraud-model version 2" in champion(folder, "--as-of", "c4")
    answer = tally(folder, "champion", "fraud-model", "--alias", "champion")
    assert (answer.code, "There is no registered model" in answer.err) == (4, True)
    assert "Registered models: cheating." in answer.err


def test_an_unknown_alias_lists_those_that_there_are(folder: Path) -> None:
    answer = tally(folder, "champion", "fraud-model", "--alias", "challenger")
    assert answer.code == 4
    assert "Aliases that it has: champion." in answer.err


def test_why_needs_no_field_for_an_alias(folder: Path) -> None:
    whole = tally(folder, "why", "alias:fraud-model/champion.version", "--as-of", "c4")
    short = tally(folder, "why", "alias:fraud-model/champion", "--as-of", "c4")
    assert short.code == 0
    assert short.out == whole.out
    assert "a better score" in short.out
    other = tally(folder, "why", "registered:fraud-model")
    assert "Which field of registered:fraud-model?" in other.err
