"""Ledgers that strangers wrote or changed: their events, their files, and the commands that are given to them."""

from __future__ import annotations

import datetime as dt
import json
import random
import re
import shutil
import sqlite3
import struct
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

import click
from click.testing import CliRunner
from foreign import NOW, ROOT, Target, as_bytes, nothing
from foreign_folders import TEAM_KEY, a_seeded_key, a_team
from law import printable
from scratch import at_home, parts, scratch, text_of

from tallystick.ledger.errors import TallyError
from tallystick.ledger.events import types
from tallystick.ledger.events.commit import commit_text, leaf_entry, to_micros
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import hashes
from tallystick.ledger.events.sentences import sentence
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.storage.sqlite import APPLICATION_ID, PLAIN_FORMAT, SCHEMA
from tallystick.ledger.tlog import merkle
from tallystick.ledger.tlog.note import Checkpoint, sign_checkpoint
from tallystick.ledger.views import fold
from tallystick.ledger.views.cache_file import account_file


def _lived() -> list[tuple[str, bytes]]:
    """The events and heads of a life of two pipelines, `p` and `q`."""
    import lives

    place = scratch("lives")
    with at_home(place), a_seeded_key(), patch.multiple(lives, LATE="p", SHOWS="q"):
        book = lives.live(place / "team")
        files = written(book)
        book.close()
    return files


def _ran() -> list[tuple[str, bytes]]:
    """One event of each type of a real run with its gates, decisions and watched period, of pipeline `p`."""
    folder = scratch("ran")
    shutil.copytree(ROOT / "fixtures" / "frozen" / "format-1-decisions" / "tally", folder / ".tally")
    files, met = [], {"schema.declared"}
    with at_home(folder), Ledger(folder / ".tally") as book:
        for commit in book.log.commits():
            events = list(book.log.events(commit.first_seq, commit.last_seq))
            wanted = [stored for stored in events if stored.data is not None and stored.type not in met]
            met |= {stored.type for stored in wanted}
            if wanted:
                files += [("e", (stored.data or b"").replace(b"late-arrivals", b"p")) for stored in wanted]
                files.append(("c", commit.head.encode()))
    return files


def _events() -> list[bytes]:
    """Up to two events of each type that a real run or such a life has, none of the longest."""
    kept: dict[str, list[bytes]] = {}
    for what, data in [*_ran(), *_lived()[1:]]:
        if what == "e" and len(data) < 12_000:
            kept.setdefault(types.decode(data).t, []).append(data)
    return [data for name, found in kept.items() if name != "schema.declared" for data in found[:2]]


def _history() -> Target:
    """Events of a stranger's program, well formed or not, folded into states and told in sentences."""
    lines = [data.decode() for data in _events()]
    corpus = ["\n".join(lines[at : at + 6]) for at in range(0, len(lines), 6)]

    def parse(text: str) -> object:
        entries = []
        for seq, line in enumerate(text.split("\n")[:60]):
            try:
                event = types.decode(as_bytes(line))
            except TallyError:
                continue
            sentence(event)
            types.entities(event)
            entries.append(Entry(seq, seq, NOW, "ann", event))
        return fold.fold(entries) if entries else nothing()

    return Target(parse, corpus, sample=100, change=change_json)


def change_json(source: random.Random, text: str, corpus: list[str]) -> str:
    """Mostly a change of one value in one line, so that the line stays an event; else any change."""
    from fuzz_parsers import NUMBERS, PIECES, change

    lines = text.split("\n")
    row = source.randrange(len(lines))
    places = [found.span(1) for found in re.finditer(r"[:\[,](\"[^\"]{0,80}\"|[-0-9.e+]+|null|true|false)", lines[row])]
    if not places or source.random() < 0.3:
        return change(source, text, corpus)
    start, end = source.choice(places)
    other = source.choice(places)
    values = (
        json.dumps(source.choice(PIECES)[:300]),
        json.dumps(source.choice(NUMBERS)[:300]),
        source.choice(("null", "true", "-1", "0", "1e308", "9007199254740993", "{}", "[]", '""', "[[]]")),
        lines[row][other[0] : other[1]],
    )
    lines[row] = lines[row][:start] + source.choice(values) + lines[row][end:]
    return "\n".join(lines)


COMMANDS = (
    "status", "log", "runs", "models", "trials", "champion p", "show #3", "show c2", "show p-v1", "story p-v1",
    "why p.champion", "why p-v1.status", "lineage p-v1", "explain p-v1", "diff c1 now", "know --about 2013", "audit",
    "report p --period 2013-09", "explain p/2013-09", "story p/2013-09", "show p/2013-09", "show q-v1",
    "automation p", "anchors", "verify", "verify --read-data", "story p", "show r1", "sql select*from(models)",
)  # fmt: skip


def _asked(folder: Path, text: str) -> None:
    """Give one of the commands, which the text itself chooses, to a foreign ledger; only our errors, safe to print."""
    from tallystick.tui.cli.main import tally

    number = zlib.crc32(as_bytes(text))
    words = COMMANDS[number % len(COMMANDS)].split()
    if number & 1 << 20:
        words.append("--json")
    done = CliRunner().invoke(tally, [*words, "--ledger", str(folder)], color=True)
    assert printable(done.output), f"{words} prints {done.output!r}"
    error = done.exception
    if isinstance(error, SystemExit | sqlite3.DatabaseError | click.ClickException):
        return  # which the command's own rim tells in words
    if error is not None:
        raise error


def _ready(place: Path) -> None:
    """Import what the commands need, so that it counts for no input.

    What the program itself marks by colour is left out, so that every escape in its output is a foreign one.
    """

    def plain(text: object, **_: object) -> str:
        return str(text)

    click.style = click.termui.style = plain  # type: ignore[assignment]
    from tallystick.tui.cli.main import tally

    with at_home(place):
        for command in COMMANDS:
            CliRunner().invoke(tally, [*command.split(), "--ledger", str(place / "team" / ".tally")])


def _forged_ledger() -> Target:
    """A ledger that a stranger's program has written: any heads, events and rows, with hashes that fit them.

    A part `e` is an event, `c` ends a commit with its head, `r TABLE` puts a row in the place of another afterwards.
    """
    place = scratch("ledger")
    book = a_team(place)
    _ready(place)
    files = written(book)
    row = book.log.reader.execute("SELECT * FROM entities LIMIT 1").fetchone()
    checkpoint = book.log.reader.execute("SELECT * FROM checkpoints LIMIT 1").fetchone()
    book.close()
    rows = [("r entities", json.dumps(row).encode()), ("r checkpoints", json.dumps(checkpoint).encode())]
    corpus = [text_of(files), text_of([*files, *rows]), text_of(_lived()), text_of(_ran())]

    def parse(text: str) -> object:
        folder = place / "read" / ".tally"
        shutil.rmtree(folder.parent, ignore_errors=True)
        folder.mkdir(parents=True)
        forge(folder / "ledger.db", parts(text))
        with at_home(place / "read"):
            _asked(folder, text)
        return True

    return Target(parse, corpus, sample=10, change=change_json)


def written(book: Ledger) -> list[tuple[str, bytes]]:
    """The events and heads of a ledger, as :func:`forge` takes them."""
    files: list[tuple[str, bytes]] = []
    for commit in book.log.commits():
        files += [("e", stored.data or b"") for stored in book.log.events(commit.first_seq, commit.last_seq)]
        files.append(("c", commit.head.encode()))
    return files


def forge(path: Path, told_: Iterable[tuple[str, str, bytes]]) -> None:
    """Write the database of a ledger whose events and heads are given; its own key has signed all of it."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {PLAIN_FORMAT}")
    connection.execute("BEGIN")
    for statement in SCHEMA.values():
        # Without the strictness, which nothing but SQLite itself holds a foreign file to; it is declared afterwards.
        if statement.startswith("CREATE TABLE"):
            connection.execute(statement.replace("STRICT, WITHOUT ROWID", "WITHOUT ROWID").replace(") STRICT", ")"))
    seq, n, first, kept, lines = 0, 0, 0, [], []
    rows: list[tuple[str, list[object]]] = []
    for _kind, what, content in told_:
        text = content.decode(errors="replace")
        if what == "e":
            try:
                event = types.decode(content)
                kind, names = event.t, types.entities(event)
            except TallyError:
                kind, names = "x", []
            event_id, digest = hashes(content)
            _put(connection, "events", [seq, text, event_id, digest, kind])
            for name in names:
                _put(connection, "entities", [name, seq])
            lines.append((event_id, digest))
            seq += 1
        elif what == "c" and lines:
            leaf = merkle.leaf_hash(leaf_entry(commit_text(text, lines)))
            kept.append(merkle.closing_hash(n, leaf, kept.__getitem__))
            found = re.search(r'"recorded_at":"([^"]*)"', text)
            try:
                at = n if found is None else to_micros(dt.datetime.fromisoformat(found[1]))
            except (ValueError, TypeError, OverflowError):
                at = n
            _put(connection, "commits", [n, first, seq - 1, at, text, kept[-1]])
            n, first, lines = n + 1, seq, []
        elif what.startswith("r "):
            with suppress(ValueError, TypeError, RecursionError):
                cells = [cell if isinstance(cell, str | int | float | None) else "" for cell in json.loads(content)]
                rows.append((what.partition(" ")[2], cells))
    for size in range(1, n + 1):
        root = merkle.frontier_from(kept.__getitem__, size).root()
        _put(connection, "checkpoints", [size, sign_checkpoint(Checkpoint(TEAM_KEY.name, size, root), TEAM_KEY)])
    for table, cells in rows:
        with suppress(sqlite3.Error, OverflowError, UnicodeError):
            _put(connection, table, cells)
    connection.execute("PRAGMA writable_schema = ON")
    for name, statement in SCHEMA.items():
        if statement.startswith("CREATE TABLE"):
            connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (statement, name))
        else:
            connection.execute(statement)
    connection.execute("COMMIT")
    connection.close()


def _put(connection: sqlite3.Connection, table: str, cells: list[object]) -> None:
    if table in SCHEMA:
        connection.execute(f"REPLACE INTO {table} VALUES({','.join('?' * len(cells))})", cells)


def _pages() -> Target:
    """The files of a ledger with bytes changed anywhere: which file (one byte), where (three), how many, which."""
    place = scratch("pages")
    a_team(place).close()
    _ready(place)
    ledger_db = place / "team" / ".tally" / "ledger.db"
    with at_home(place):
        views_db = account_file(ledger_db.parent)
    whole = {"ledger.db": ledger_db.read_bytes(), "views.db": views_db.read_bytes()}

    def patch(which: int, at: int, data: bytes) -> bytes:
        return struct.pack(">BHBB", which, at >> 8, at & 255, len(data)) + data

    flips = [patch(0, 18, b"\x02"), patch(0, 100, b"\x0d\x00"), patch(0, 4096 + 3, b"\xff"), b"",
             patch(1, 8192, b"\x00" * 8), patch(0, 2100, b"x") + patch(0, 68, b"TALX"),
             patch(1, 20, b"\xff\xff")]  # fmt: skip

    def parse(text: str) -> object:
        data, files = as_bytes(text), {name: bytearray(content) for name, content in whole.items()}
        while len(data) > 5:
            which, high, low, length = struct.unpack(">BHBB", data[:5])
            file = files["views.db" if which & 1 else "ledger.db"]
            at = (high << 8 | low) % len(file)
            file[at : at + length] = data[5 : 5 + length][: len(file) - at]
            data = data[5 + length :]
        folder = place / "read" / ".tally"
        shutil.rmtree(folder.parent, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "ledger.db").write_bytes(files["ledger.db"])
        with at_home(place / "read"):
            views = account_file(folder)
            views.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            views.write_bytes(files["views.db"])
            _asked(folder, text)
        return True

    return Target(parse, [flip.decode(errors="surrogateescape") for flip in flips], sample=8)


def _backup() -> Target:
    """A folder that is said to hold an earlier backup: its files changed as above, then brought up to date."""
    from tallystick.ledger.publish.backup import back_up

    place = scratch("backup")
    book = a_team(place)
    with at_home(place):
        back_up(book, place / "copy")
    pages = _pages()
    whole = (place / "copy" / ".tally" / "ledger.db").read_bytes()

    def parse(text: str) -> object:
        data, file = as_bytes(text), bytearray(whole)
        while len(data) > 5:
            _which, high, low, length = struct.unpack(">BHBB", data[:5])
            at = (high << 8 | low) % len(file)
            file[at : at + length] = data[5 : 5 + length][: len(file) - at]
            data = data[5 + length :]
        folder = place / "read" / ".tally"
        shutil.rmtree(folder.parent, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "ledger.db").write_bytes(file)
        with at_home(place):
            return back_up(book, place / "read")

    return Target(parse, pages.corpus, sample=8)


LEDGERS: dict[str, Callable[[], Target]] = {
    "history": _history,
    "forged ledger": _forged_ledger,
    "ledger pages": _pages,
    "backup": _backup,
}
