"""What a command prints: tables, headings, JSON; for people on a terminal, for programs in a pipe."""

from __future__ import annotations

import json
import shutil
import sys
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec

from tallystick.ledger.errors import Damaged
from tallystick.ledger.query.as_of import AsOf
from tallystick.ledger.query.evidence import ErasedEvent
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.tui.output.escape import show

if TYPE_CHECKING:
    from tallystick.ledger import Ledger

SPARKS = "▁▂▃▄▅▆▇█"


def print_json_line(schema: str, content: dict[str, Any]) -> None:
    """One JSON document in one line, for those who read many of them one after the other."""
    document = {"schema": schema, **msgspec.to_builtins(content)}
    click.echo(json.dumps(document, separators=(",", ":"), ensure_ascii=True))


def parsed(data: bytes) -> object:
    """What the ledger has as JSON. Put into a document as it stands, a stranger's bytes could be several parts of it.

    Raises
    ------
    Damaged
        When it is no JSON: a stranger's program may have written anything.
    """
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Damaged(f"What lies in the ledger is no JSON: {error}.", "`tally verify` says where.") from error


def print_json(schema: str, content: dict[str, Any]) -> None:
    """Exactly one JSON document on standard output; ``schema`` names its form, as ``tally.runs/1``."""
    document = {"schema": schema, **msgspec.to_builtins(content)}
    # ASCII only, so that nothing in the text of a ledger can act on a terminal it is printed to.
    click.echo(json.dumps(document, indent=2 if sys.stdout.isatty() else None, ensure_ascii=True))


def as_of_json(as_of: AsOf, book: Ledger) -> dict[str, Any]:
    """How a date was resolved; that the clock is a story's, where it is; and which events up to then were erased."""
    erased = Snapshot(book.views, as_of).erased()
    return {
        **({"clock": "replayed"} if book.genesis.clock == "replayed" else {}),
        "commit": as_of.handle,
        "seq": as_of.seq,
        "recorded_at": as_of.recorded_at,
        "asked_for": as_of.moment,
        "words": as_of.words,
        **({"erased": [erased_json(item) for item in erased]} if erased else {}),
    }


def erased_json(item: ErasedEvent) -> dict[str, Any]:
    """An erased event, for programs; each value that followed from it is ``{"unknown": "erased", "event": 50, …}``."""
    said = item.erasure
    return {"event": item.event.handle, "type": item.event.type, "redaction": said.redaction, "on": said.on}


def heading(text: str) -> None:
    """A line above an answer; on standard error when the answer goes into a pipe, so that it stays a table."""
    if sys.stdout.isatty():
        click.secho(show(text), dim=True)
    else:
        click.echo(show(text), err=True)


def clock_line(book: Ledger, words: str = "") -> None:
    """Say above an answer that its clock is replayed, and the moments in ``words`` that it is about, where it is."""
    if book.genesis.clock == "replayed":
        heading(f"REPLAYED CLOCK · {words or 'its times are those of the story'}")
    elif words:
        heading(words)


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Aligned columns on a terminal, clipped to its width at the last column; tab-separated in a pipe."""
    if not sys.stdout.isatty():
        for row in (headers, *rows):
            click.echo("\t".join(show("" if cell is None else cell).replace("\t", " ") for cell in row))
        return
    for index, line in enumerate(aligned(headers, rows, terminal_columns())):
        click.secho(line, bold=index == 0)


def aligned(headers: Sequence[str], rows: Sequence[Sequence[object]], columns: int) -> list[str]:
    """Lines of a table, numbers to the right, the last column clipped to ``columns``."""
    cells = [[show("–" if cell is None or cell == "" else cell) for cell in row] for row in rows]
    widths = [max(width(row[i]) for row in ([*headers], *cells)) for i in range(len(headers))]
    right = [
        bool(rows) and all(isinstance(row[i], int | float) or row[i] is None for row in rows)
        for i in range(len(headers))
    ]
    lines = []
    for row in ([*headers], *cells):
        parts = [
            " " * (widths[i] - width(cell)) + cell if right[i] else cell + " " * (widths[i] - width(cell))
            for i, cell in enumerate(row)
        ]
        lines.append(clip("  ".join(parts).rstrip(), columns))
    return lines


def width(text: str) -> int:
    """Columns that a text takes on a terminal: two for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def clip(text: str, columns: int) -> str:
    """The text, or as much of it as fits with an ellipsis."""
    if width(text) <= columns:
        return text
    kept, used = [], 0
    for character in text:
        used += width(character)
        if used > columns - 1:
            break
        kept.append(character)
    return "".join(kept) + "…"


def terminal_columns() -> int:
    """Width to print for; 100 where there is no terminal."""
    return shutil.get_terminal_size((100, 24)).columns


def sparkline(values: Sequence[float | None], low: float, high: float) -> str:
    """One block character a value between ``low`` and ``high``; a dot where there is none."""
    span = high - low
    return "".join(
        "·"
        if value is None
        else SPARKS[min(len(SPARKS) - 1, max(0, int((value - low) / span * len(SPARKS))))]
        if span > 0
        else SPARKS[3]
        for value in values
    )


def wrap(text: str, indent: str = "", columns: int | None = None) -> str:
    """A paragraph of safe text, broken at words."""
    import textwrap

    return textwrap.fill(
        show(text, 20_000),
        width=min(columns or terminal_columns(), 100),
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
