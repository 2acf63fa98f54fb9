"""A reader written from FORMAT.md alone: the standard library, and none of our code."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from given import FIXTURES
from histories import promoted, refitted, registered, started

from tallystick import ledger
from tallystick.ledger.events import types


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1, as it is written there."""
    if len(leaves) <= 1:
        return leaves[0] if leaves else sha256(b"")
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:]))


def read_as_a_stranger(path: Path) -> tuple[list[dict[str, Any]], dict[int, bytes]]:
    """Events, and the root at every size; every SHA-256 on the way is checked.

    BLAKE3 is not in the standard library: the stored ids are taken as they are. They are bound by the SHA-256 of
    the commit's text, in which they stand.
    """
    assert not path.with_name("ledger.db-journal").exists()
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    assert connection.execute("PRAGMA application_id").fetchone() == (0x54414C59,)
    assert connection.execute("PRAGMA user_version").fetchone()[0] in (1, 2)
    assert connection.execute("PRAGMA encoding").fetchone() == ("UTF-8",)
    for table, column in (("events", "seq"), ("commits", "n")):
        assert connection.execute(f"SELECT min({column}) FROM {table}").fetchone() == (0,)
    entities = dict(connection.execute("SELECT entity, last_seq FROM entities"))
    events, leaves, roots = [], [], {}
    for n, first, last, recorded_at, head in connection.execute(
        "SELECT n, first_seq, last_seq, recorded_at, head FROM commits ORDER BY n"
    ):
        assert n == len(leaves)
        assert first == len(events)
        lines = ["tallystick.commit/1", head]
        for seq, body, event_id, digest, event_type in connection.execute(
            "SELECT seq, CAST(body AS BLOB), id, sha256, type FROM events WHERE seq BETWEEN ? AND ? ORDER BY seq",
            (first, last),
        ):
            assert seq == len(events)
            event = {"t": event_type, "erased": True}
            if body is None:
                assert f"redaction:{seq}" in entities
            else:
                assert sha256(body) == digest
                assert len(body) <= 1 << 20
                event = json.loads(body, object_pairs_hook=once)
                assert event["t"] == event_type
                assert len(base64.b64decode(event["salt"])) == 16
                assert event["occurred_at"].endswith("Z")
            events.append(event)
            lines.append(f"{event_id.hex()} {digest.hex()}")
        assert json.loads(head, object_pairs_hook=once)["recorded_at"].endswith("Z")
        assert recorded_at > 0
        text = "".join(line + "\n" for line in lines).encode()
        stored_blake3 = blake3_of_commit(text)
        leaves.append(sha256(b"\x00" + stored_blake3 + sha256(text)))
        roots[len(leaves)] = naive_root(leaves)
    assert connection.execute("SELECT count(*), max(seq) + 1 FROM events").fetchone() == (len(events), len(events))
    for key, content, n, first, last in connection.execute(
        "SELECT key, content, n, first_seq, last_seq FROM keys LEFT JOIN commits USING(n)"
    ):
        events_there = [written(path, seq) for seq in range(first, last + 1)]
        moments = [None, *(event["occurred_at"] for event in events_there)]
        assert content in [key_content(events_there, moment) for moment in moments], (key, n)
    return events, roots


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, none of whose keys stands in it twice."""
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def written(path: Path, seq: int) -> dict[str, Any]:
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    body = connection.execute("SELECT CAST(body AS BLOB) FROM events WHERE seq = ?", (seq,)).fetchone()[0]
    return dict(json.loads(body))


def key_content(events: list[dict[str, Any]], now: str | None) -> bytes:
    """The digest of what was appended under an idempotency key; events of one moment did not state their time."""
    from blake3 import blake3

    appended = [
        [
            event["t"],
            event["v"],
            event["body"],
            event.get("about"),
            event.get("cause", []),
            None if event["occurred_at"] == now else event["occurred_at"],
        ]
        for event in events
        if event["t"] != "schema.declared"
    ]
    return blake3(json.dumps(appended, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).digest()


def blake3_of_commit(text: bytes) -> bytes:
    """The one hash that a stranger needs a package for, used straight from it."""
    from blake3 import blake3

    return blake3(text, derive_key_context="tallystick 2026-11 commit id v1").digest()


def test_a_reader_written_from_the_format_page_agrees(book: ledger.Ledger) -> None:
    book.append(registered("p"), started("r1", "p"))
    book.append(refitted("p-v1", "r1", "p"), sign=True)
    book.append(promoted("p-v1", "p", None), key="once")
    book.checkpoint()
    events, roots = read_as_a_stranger(book.folder / "ledger.db")
    assert [event["t"] for event in events] == [entry.event.t for entry in book.events()]
    seen = 0
    for size, note in book.log.checkpoints():
        origin, stated_size, root, blank, signature = note.split("\n")[:5]
        assert (origin, int(stated_size), blank) == (book.genesis.origin, size, "")
        assert base64.b64decode(root) == roots[size]
        assert signature.startswith(f"— {origin} ")
        seen += 1
    assert seen == 3


@pytest.mark.parametrize("name", sorted(path.name for path in (FIXTURES / "frozen").iterdir() if path.is_dir()))
def test_a_reader_written_from_the_format_page_agrees_on_what_was_ever_written(name: str, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"  # a copy, because SQLite makes files beside what it reads
    shutil.copy(next((FIXTURES / "frozen" / name).rglob("ledger.db")), path)
    events, roots = read_as_a_stranger(path)
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    notes = connection.execute("SELECT size, note FROM checkpoints").fetchall()
    assert events and notes
    for size, note in notes:
        assert base64.b64decode(note.split("\n")[2]) == roots[size]


def test_the_format_page_names_every_type() -> None:
    page = (Path(types.__file__).parent.parent.parent / "FORMAT.md").read_text()
    assert [name for name, _version in types.RELEASED if f"`{name}`" not in page] == []
    for name, version in types.RELEASED:
        assert version == 1 or f"`{name}` in version {version}" in page
    for word in ("left_out", "ledger.db-journal", "32 levels", "1 MiB", "duplicate keys"):
        assert word in page


def test_the_ledger_explains_its_own_types(book: ledger.Ledger) -> None:
    book.append(registered("p"))
    events, _ = read_as_a_stranger(book.folder / "ledger.db")
    declared = {}
    for event in events:
        if event["t"] == "schema.declared":
            declared[event["body"]["name"]] = event["body"]["json_schema"]
    for event in events:
        schema = declared[f"{event['t']}/{event['v']}"]
        definition = schema["$defs"][schema["$ref"].rpartition("/")[2]]
        assert set(definition["required"]) == set(event["body"])
