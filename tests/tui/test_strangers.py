"""A ledger that a stranger filled, shown by every command: nothing acts on the terminal, nothing ends in a defect.

The suite shows one such ledger, at the first moment of the calendar, to every command in words and to each kind of
question as JSON; ``TALLY_FULL=1 pytest -m slow tests/tui/test_strangers.py`` shows three, in every way.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import os
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from strangers import FIRST, HOSTILE, LAST, Filling, stranger

from tallystick import ledger
from tallystick.tui.cli import main


def acts(text: str) -> list[str]:
    """Lines that hold anything which a terminal would obey; the tabs between columns are ours."""
    dangerous = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    return [
        line
        for line in text.split("\n")
        if any(unicodedata.category(character) in dangerous for character in line if character != "\t")
    ]


def said(*arguments: str) -> tuple[object, str, str]:
    """Exit code, output and errors of a command, in this process: a new one takes ten times as long."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(sys, "argv", ["tally", *arguments])
        with pytest.raises(SystemExit) as ended:
            main.main()
    return ended.value.code, out.getvalue(), err.getvalue()


def questions(names: list[str], commits: int, events: int, out: Path) -> Iterator[list[str]]:
    """Every command that shows something, about everything that is there."""
    first = {name.partition(":")[0]: name for name in reversed(names)}
    bare = {kind: name.partition(":")[2] for kind, name in first.items()}
    for command in ("status", "runs", "models", "trials", "log", "receipt", "anchors", "audit", "doctor", "verify"):
        yield [command]
    yield from (["key", "show"], ["diff", "c1", "now"], ["know", "--about", "2013-01"], ["know", "--about", "0001-01"],
                ["sql", "select * from models"], ["sql", "select * from runs"], ["champion", bare["pipeline"]],
                ["champion", bare["pipeline"], "--as-of", "c9"], ["automation", bare["pipeline"]],
                ["explain", first["decision"]], ["explain", bare["run"]], ["diff", first["run"], first["run"]],
                ["diff", first["model"], first["model"]],
                ["report", bare["pipeline"], "--html", str(out / "page.html")])  # fmt: skip
    for kind, name in first.items():
        yield from (["show", name], ["story", name], ["lineage", name], ["lineage", name, "--down"],
                    ["why", f"{name}.status"], ["why", f"{name}.champion"], ["show", bare[kind]])  # fmt: skip
    yield ["prove", first["model"], "-o", str(out / "proof")]
    yield ["check-proof", str(out / "proof")]
    yield from (["show", f"c{n}"] for n in range(commits))
    yield from (["show", f"#{seq}"] for seq in range(events))
    # What decides, refuses or appends, last.
    yield from (["reproduce", bare["run"]], ["predict", bare["model"], "x.csv"],
                ["promote", bare["model"], "--reason", HOSTILE.replace("\0", "")],
                ["retire", bare["model"], "--reason", "x"], ["correct", "#5", "--reason", "\x1b[31m"],
                ["status"], ["log"])  # fmt: skip


STRANGERS = {"first": (FIRST, "America/New_York"), "last": (LAST, "Asia/Tokyo"),
             "usual": (dt.datetime(2013, 1, 1, tzinfo=dt.UTC), "UTC")}  # fmt: skip
FULL = [pytest.mark.slow, pytest.mark.skipif(os.environ.get("TALLY_FULL") != "1", reason="TALLY_FULL=1 pytest -m slow")]


@pytest.mark.parametrize(
    ("when", "as_json"),
    [
        ("first", False),
        pytest.param("first", True, marks=FULL),
        *(pytest.param(when, as_json, marks=FULL) for when in ("last", "usual") for as_json in (False, True)),
    ],
)
def test_no_command_obeys_what_a_stranger_recorded(
    when: str, as_json: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment, zone = STRANGERS[when]
    team = tmp_path / "team"
    names = stranger(team, Filling(moment=moment), zone)
    with ledger.open(team) as book:
        commits = book.log.size()
        events = book.log.commit(commits - 1).last_seq + 1
    monkeypatch.chdir(team)
    answered = shown = 0
    for question in questions(names, commits, events, tmp_path):
        # Every kind of question is put as JSON once here as well.
        for form in [["--json"]] if as_json else [[], ["--json"]] if len(question) < 3 and answered < 40 else [[]]:
            code, out, err = said(*question, *form)
            assert "a defect of tallystick" not in err, (question, err)
            assert acts(out) == [], question
            assert acts(err) == [], question
            assert code in (0, 1, 2, 3, 4), question
            answered += code == 0
            shown += "\\x1b]0;owned" in out or "\\u001b]0;owned" in out
    page = (tmp_path / "page.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&#x27;&quot;&gt;" in page
    # Not silence: most questions were answered, and the hostile text was there to be seen.
    assert answered > 100
    assert shown > 60


def test_what_was_typed_in_bytes_that_are_no_text_is_not_found(
    book: ledger.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(book.folder.parent)
    for command in (["show", "\udcff"], ["champion", "\udcff"], ["why", "\udcff.x"], ["story", "model:\udcff"]):
        code, _, err = said(*command)
        assert code == 4, err
    for typed in (["sql", "select '\udcff'"], ["log", "--as-of", "\udcff"], ["redact", "\udcff"], ["trials", "\udcff"],
                  ["verify", "--against", "\udcff"], ["correct", "#0", "--reason", "\udcff"]):  # fmt: skip
        code, _, err = said(*typed)
        assert code in (1, 2), err
        assert "a defect of tallystick" not in err


def test_numbers_and_names_without_end_are_refused_in_words(
    book: ledger.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(book.folder.parent)
    long = "9" * 5000
    for typed in (["show", f"#{long}"], ["show", "#" + long[:20]], ["redact", f"#{long}", "--yes"],
                  ["anchors", f"#{long}"], ["correct", f"#{long}", "--reason", "x"], ["show", "#²"],
                  ["log", "--as-of", "٣013"], ["know", "--about", "٣013"], ["show", "#١"],
                  ["prove", f"#{long}", "-o", "x"], ["log", "-n", long], ["log", "-n", long[:20]],
                  ["show", "a" * 10**6], ["sql", "select " + "(" * 10**5],
                  ["log", "--as-of", "0001-01-01"], ["log", "--as-of", "9999-12-31"]):  # fmt: skip
        code, _, err = said(*typed)
        assert code in (0, 2, 4), err
        assert "a defect of tallystick" not in err
