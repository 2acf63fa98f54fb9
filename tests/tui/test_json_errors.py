"""Whether errors and remarks are JSON is decided by how the command reads its arguments, not by how they look."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import histories
import pytest

from tallystick import ledger
from tallystick.tui.cli.main import main


def tally(patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[object, str]:
    """The exit code of a command, and what it says on standard error."""
    with patch.context() as here:
        here.setattr(sys, "argv", ["tally", *words])
        with pytest.raises(SystemExit) as end:
            main()
    return end.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (["status", "--json"], 4, "not-found"),  # there is no ledger
        (["status", "--json", "--nope"], 2, "usage"),
        (["status", "--nope", "--json"], 2, "usage"),
        (["show", "--json"], 2, "usage"),  # an argument is missing
        (["nonsense", "--json"], 2, "usage"),
        (["--json", "status"], 2, "usage"),
        (["key", "rotate", "--nope", "--json"], 2, "usage"),
        (["key", "nonsense", "--json"], 2, "usage"),
    ],
)
def test_errors_are_json_where_it_was_asked_for(
    words: list[str],
    code: int,
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    ended, said = tally(monkeypatch, capsys, *words)
    assert (ended, json.loads(said)["error"]["code"]) == (code, named)


@pytest.mark.parametrize(
    "words",
    [
        ["promote", "m", "--reason", "--json"],
        ["show", "--", "--json"],
        ["key", "pin", "--", "--json"],
        ["status", "--as-of", "--json", "--nope"],
    ],
)
def test_a_value_that_reads_like_the_option_is_none(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ended, said = tally(monkeypatch, capsys, *words)
    assert ended != 0 and said.startswith("tally: "), said


def test_remarks_are_in_the_form_of_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ledger.create(tmp_path, timezone="UTC").close()
    stored = tmp_path / ".tally" / "ledger.db"
    earlier = stored.read_bytes()
    with ledger.open(tmp_path) as book:
        book.append(histories.registered("p"))
    assert tally(monkeypatch, capsys, "log") == (0, "")
    stored.write_bytes(earlier)  # behind what this account has seen
    _, said = tally(monkeypatch, capsys, "log", "--json")
    assert [list(json.loads(line)) for line in said.splitlines()] == [["warning"], ["warning"]]
    _, said = tally(monkeypatch, capsys, "log")
    assert said.startswith("WARNING: "), said
