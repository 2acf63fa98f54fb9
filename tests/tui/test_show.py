"""Nothing that is printed can act on the terminal."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from tallystick.tui.app.widgets.lines import wrapped
from tallystick.tui.output.console import aligned, clip, sparkline, width
from tallystick.tui.output.escape import show, show_lines

HOSTILE = "\x1b[31mred\x07\x9b2J\u202eevil\u2066x\u200b\r\n\t\x00\ud800\ue000"


def harmless(text: str) -> bool:
    return not any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for character in text)


@given(st.text(max_size=300))
def test_shown_text_holds_no_control_of_any_kind(text: str) -> None:
    assert harmless(show(text))
    assert all(harmless(line) for line in show_lines(text).split("\n"))


def test_what_was_hidden_becomes_visible() -> None:
    assert show(HOSTILE) == ("\\x1b[31mred\\x07\\x9b2J\\u202eevil\\u2066x\\u200b\\x0d\\x0a\\x09\\x00\\ud800\\ue000")
    assert show("Zürich 東京 — “ok”") == "Zürich 東京 — “ok”"
    assert len(show("x" * 10_000)) == 2_000


@given(st.lists(st.tuples(st.text(max_size=20), st.integers() | st.none()), max_size=5), st.integers(20, 80))
def test_tables_keep_to_their_width(rows: list[tuple[str, int | None]], columns: int) -> None:
    for line in aligned(("name", "number"), rows, columns):
        assert width(line) <= columns
        assert harmless(line)


@given(st.text(alphabet=st.sampled_from("ab 漢字🧨é-。"), max_size=200), st.integers(12, 40), st.integers(0, 4))
def test_paragraphs_keep_to_their_width_and_lose_nothing(text: str, columns: int, indent: int) -> None:
    lines = wrapped(show(text), columns, " " * indent, " " * (indent + 2))
    assert all(width(line) <= columns for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_wide_characters_take_two_columns() -> None:
    assert width("東京") == 4
    assert clip("東京東京", 5) == "東京…"
    assert sparkline([1.0, None, 8.0], 1.0, 8.0) == "▁·█"
