"""The language of the product: the glossary, and phrases that no message or help text may contain."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from shell import tally

from tallystick.tui.output.glossary import GLOSSARY, definition

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted(file for layer in ("ledger", "pipeline", "tui") for file in (ROOT / layer).rglob("*.py"))
PHRASES = {
    r"\bnobody is chosen\b": "no candidate was chosen",
    r"\bfor want of\b": "because … is missing",
    r"(?<!there )\b(is|are) none\b": "is not …",
    r"\bmay nothing\b": "may take no other action",
    r"\bbelongs? into\b": "belongs to, is part of",
    r"\bholds a text\b": "filter by text",
    r"\b(what|whoever) (it|he|she|is|was) (is )?told\b": "the state, the query, is warned",
    r"\bso many times\b": "as often as",
    r"\bbeside the rule\b": "override",
    r"\binside what it was\b": "within its approved scope",
    r"\bthat are no text\b": "that is not UTF-8",
}
"""Patterns that read as translated, and what to write instead."""

RECORDED = {
    "pipeline/evaluate/sentences.py": ("Nobody is chosen: ", ". Nobody is chosen, which is a valid result: ",
                                       "Nobody is chosen for "),
}  # fmt: skip
"""Sentences that are stored in events. The same decision must give the same event, so their wording stays."""


def messages(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and text of every string that a person can meet: all but docstrings, and the docstrings of commands."""
    helps = {
        id(node.body[0])
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and any(_declares_a_command(deco) for deco in node.decorator_list)
    }
    silent = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and id(node) not in helps
    }  # docstrings, those of fields included
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent:
            yield node.lineno, node.value


def _declares_a_command(deco: ast.expr) -> bool:
    return (
        isinstance(deco, ast.Call) and isinstance(deco.func, ast.Attribute) and deco.func.attr in ("command", "group")
    )


def offences(file: Path) -> list[tuple[int, str, str]]:
    allowed = RECORDED.get(str(file.relative_to(ROOT)), ())
    return [
        (line, text, f"write: {better}")
        for line, text in messages(ast.parse(file.read_text()))
        for pattern, better in PHRASES.items()
        if re.search(pattern, text, re.IGNORECASE) and text not in allowed
    ]


@pytest.mark.parametrize("layer", ["ledger", "pipeline", "tui"])
def test_no_message_reads_as_translated(layer: str) -> None:
    found = {str(file.relative_to(ROOT)): offences(file) for file in FILES if file.is_relative_to(ROOT / layer)}
    assert found
    assert {file: lines for file, lines in found.items() if lines} == {}


def test_what_is_excused_is_still_there() -> None:
    for name, texts in RECORDED.items():
        assert set(texts) <= {text for _, text in messages(ast.parse((ROOT / name).read_text()))}


@pytest.mark.parametrize(
    ("source", "meets"),
    [
        ('"""It belongs into a docstring, which nobody reads there."""', False),
        ('def f():\n    """Nor here: for want of space."""\n    say("ok")', False),
        ('def f():\n    say(f"{name} belongs into the schema")', True),
        ('@tally.command("x")\ndef x_command():\n    """It may nothing else."""', True),
        ('raise Refused("There is none.")', False),
        ('raise Refused("It is none of these.")', True),
    ],
)
def test_phrases_are_found_where_people_meet_them(source: str, meets: bool) -> None:
    texts = [text for _, text in messages(ast.parse(source))]
    assert any(re.search(pattern, text, re.IGNORECASE) for text in texts for pattern in PHRASES) == meets


def test_the_glossary_is_in_order_and_one_sentence_each() -> None:
    assert list(GLOSSARY) == sorted(GLOSSARY)
    for term, sentence in GLOSSARY.items():
        assert re.fullmatch(r"[A-Z][^.]*(\.tally[^.]*)?\.", sentence), term
        assert len(sentence) <= 120, term


def test_a_term_is_found_as_people_write_it() -> None:
    assert definition("Walk forward") == ("walk-forward", GLOSSARY["walk-forward"])
    assert definition("gates") == ("gate", GLOSSARY["gate"])
    assert definition("sealed window") == ("sealed windows", GLOSSARY["sealed windows"])
    assert definition("gat") is None


def test_help_defines_a_term_and_explains_a_command(tmp_path: Path) -> None:
    listed = " ".join(tally(tmp_path, "help").out.split())
    for term, sentence in GLOSSARY.items():
        assert f"{term} {sentence}" in listed
    assert tally(tmp_path, "help", "as", "of", "--json").json["terms"] == {"as of": GLOSSARY["as of"]}
    both = tally(tmp_path, "help", "receipt").out
    assert GLOSSARY["receipt"].split(",")[0] in both and "Usage: tally receipt" in both
    assert "Usage: tally champion" in tally(tmp_path, "help", "champion").out
    unknown = tally(tmp_path, "help", "waver")
    assert unknown.code == 4
    assert "tally help waiver" in unknown.err
    assert tally(tmp_path, "help", "waiver").code == 0
