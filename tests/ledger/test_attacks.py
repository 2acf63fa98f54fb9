"""Everything that a ledger is attacked with, as one table: what `tally verify` says, where, and with which exit code.

Each row tampers with a real ledger as its attacker would, then asks the real command, as the account that had seen
the ledger before, or as a stranger who never had and who keeps nothing: what he cannot know, he must be told.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from histories import finished, promoted, started
from shell import tally
from stories import damage, rewrite_everything, told
from witness import Witness

from tallystick import ledger
from tallystick.ledger.events import types as say
from tallystick.ledger.events.encoding import Encoded, content_digest
from tallystick.ledger.events.event import hashes
from tallystick.ledger.opening import genesis
from tallystick.ledger.publish import anchors
from tallystick.ledger.storage.append import Piece
from tallystick.ledger.storage.log import Log
from tallystick.ledger.storage.log_writer import WriteOptions
from tallystick.ledger.storage.sqlite import SCHEMA
from tallystick.ledger.tlog.cosignature import WitnessKey
from tallystick.ledger.tlog.note import SignerKey, parse_receipt, receipt_line

RESIDUAL = "rollback NOT excluded"


class Scene(NamedTuple):
    """A ledger as it was left, an older copy of it, a receipt that was kept, and a stranger's empty home."""

    book: ledger.Ledger
    old: Path
    receipt: str
    stranger: dict[str, str]


@pytest.fixture
def scene(book: ledger.Ledger, tmp_path: Path) -> Scene:
    told(book)
    book.close()
    shutil.copytree(book.folder.parent, tmp_path / "old")
    book.append(promoted("p-v2", "p", "p-v1"), sign=True)
    book.append(finished("r2", "p"))
    receipt = book.checkpoint()
    book.now().pipelines()
    book.close()
    home = {"XDG_CONFIG_HOME": str(tmp_path / "nobody" / "c"), "XDG_STATE_HOME": str(tmp_path / "nobody" / "s")}
    return Scene(book, tmp_path / "old", receipt, home)


def verdict(scene: Scene, *arguments: str, folder: Path | None = None, **environment: str) -> tuple[int, Any]:
    answer = tally(folder or scene.book.folder.parent, "verify", "--json", *arguments, **environment)
    assert answer.code in (0, 1, 3, 4), answer.err
    assert answer.json["exit_code"] == answer.code
    return answer.code, answer.json


def sql(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


# What somebody with an editor can do -----------------------------------------------------------------------


def edit_a_body(scene: Scene) -> str:
    seq = next(e.seq for e in scene.book.events() if isinstance(e.event.body, say.DecisionTaken))
    damage(scene.book, f"UPDATE events SET body = replace(body, 'chosen.', 'refused') WHERE seq = {seq}")
    return f"#{seq}"


def edit_a_body_and_recompute_upwards(scene: Scene) -> str:
    rewrite_everything(scene.book, lambda data: data.replace(b"better bad months", b"because I said so!"))
    return "c4"  # the promotion, between the checkpoints of 4 and 5 commits


def edit_a_view(scene: Scene) -> str:
    sql(scene.book.views.path, "UPDATE models_rows SET state = replace(state, 'champion', 'retired')")
    return str(scene.book.views.path)


def add_a_trigger(scene: Scene) -> str:
    sql(scene.book.log.path, "CREATE TRIGGER hidden AFTER INSERT ON commits BEGIN DELETE FROM keys; END")
    return str(scene.book.log.path)


def add_a_view(scene: Scene) -> str:
    sql(scene.book.log.path, "CREATE VIEW models AS SELECT * FROM events")
    return str(scene.book.log.path)


def add_a_table(scene: Scene) -> str:
    sql(scene.book.log.path, "CREATE TABLE hidden(x)")
    return str(scene.book.log.path)


def put_a_view_in_a_tables_place(scene: Scene) -> str:
    sql(
        scene.book.log.path,
        "CREATE TABLE evidence AS SELECT * FROM events",
        "DROP TRIGGER events_kept",
        "DROP TRIGGER events_unchanged",
        "DROP TRIGGER commits_in_order",
        "DROP TABLE events",
        "CREATE VIEW events AS SELECT * FROM evidence",
        SCHEMA["commits_in_order"],
    )
    return str(scene.book.log.path)


def cut_the_tail(scene: Scene) -> str:
    log = scene.book.log
    size = log.size() - 2
    last_seq = log.commit(size - 1).last_seq
    expected: dict[str, int] = {}
    for entry in scene.book.events(0, last_seq):
        for entity in say.entities(entry.event):
            expected[entity] = entry.seq
    damage(
        scene.book,
        f"DELETE FROM commits WHERE n >= {size}",
        f"DELETE FROM events WHERE seq > {last_seq}",
        f"DELETE FROM checkpoints WHERE size > {size}",
        "DELETE FROM entities",
        *(f"INSERT INTO entities VALUES('{name}', {seq})" for name, seq in expected.items()),
    )
    scene.book.views.discard()
    return f"c{size}"


def restore_an_old_copy(scene: Scene) -> str:
    shutil.rmtree(scene.book.folder)
    shutil.copytree(scene.old / ".tally", scene.book.folder)
    return f"c{scene.book.log.size()}"


def swap_an_artifact(scene: Scene) -> str:
    name = next(e.event.body.artifact for e in scene.book.events() if isinstance(e.event.body, say.ArtifactStored))
    path = scene.book.objects.path(name)
    path.chmod(0o644)
    path.write_bytes(b"x" * path.stat().st_size)
    return f"artifact:{name}"


def break_a_page(scene: Scene) -> str:
    for index in range(60):
        scene.book.append(finished(f"r{index}", "p"))
    scene.book.close()
    data = bytearray(scene.book.log.path.read_bytes())
    data[5 * 4096 + 5 : 5 * 4096 + 90] = b"\xff" * 85
    scene.book.log.path.write_bytes(data)
    return str(scene.book.log.path)


# What lies beside the database, or in it where no hash reaches -----------------------------------------------


def add_a_rollback_journal(scene: Scene) -> str:
    """A true one: SQLite would roll it in, and the newest commits would be gone."""
    path = scene.book.log.path
    journal = path.with_name("ledger.db-journal")
    shutil.copytree(scene.old / ".tally", path.parent / "copy")
    copy = path.parent / "copy" / "ledger.db"
    connection = sqlite3.connect(copy, isolation_level=None)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("PRAGMA cache_size = 1")
    connection.execute("PRAGMA cache_spill = 1")
    connection.execute("BEGIN")
    connection.execute("CREATE TABLE filler AS SELECT randomblob(3000) FROM events, events")
    shutil.copy(copy.with_name("ledger.db-journal"), journal)
    connection.execute("ROLLBACK")
    connection.close()
    shutil.rmtree(path.parent / "copy")
    return str(path)


def add_a_journal_that_leads_nowhere(scene: Scene) -> str:
    scene.book.log.path.with_name("ledger.db-journal").symlink_to(scene.old / "not there")
    return str(scene.book.log.path)


def log_of_an_append(scene: Scene) -> bytearray:
    """The write-ahead log of a true append, which is then undone."""
    path = scene.book.log.path
    kept = path.read_bytes()
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO keys VALUES('x', x'00', 1)")
    data = bytearray(path.with_name("ledger.db-wal").read_bytes())
    connection.close()
    path.write_bytes(kept)
    path.with_name("ledger.db-wal").unlink(missing_ok=True)
    return data


def add_a_log_of_other_salts(scene: Scene) -> str:
    data = log_of_an_append(scene)
    data[32 + 8] ^= 0x40
    scene.book.log.path.with_name("ledger.db-wal").write_bytes(data)
    return str(scene.book.log.path)


def add_a_log_that_is_none(scene: Scene) -> str:
    scene.book.log.path.with_name("ledger.db-wal").write_bytes(b"hidden here " * 1000)
    return str(scene.book.log.path)


def add_a_log_with_a_wrong_checksum(scene: Scene) -> str:
    data = log_of_an_append(scene)
    data[24] ^= 1
    scene.book.log.path.with_name("ledger.db-wal").write_bytes(data)
    return str(scene.book.log.path)


def change_a_body_in_the_log_alone(scene: Scene) -> str:
    """The database itself stays as it was; a log with good checksums is part of it all the same."""
    seq = next(e.seq for e in scene.book.events() if isinstance(e.event.body, say.DecisionTaken))
    scene.book.close()
    path = scene.book.log.path
    kept = path.read_bytes()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("DROP TRIGGER events_unchanged")
    connection.execute(f"UPDATE events SET body = replace(body, 'chosen.', 'refused') WHERE seq = {seq}")
    connection.execute(SCHEMA["events_unchanged"])
    log = path.with_name("ledger.db-wal").read_bytes()
    connection.close()
    path.write_bytes(kept)
    path.with_name("ledger.db-wal").write_bytes(log)
    return f"#{seq}"


def add_bytes_behind_the_end(scene: Scene) -> str:
    with scene.book.log.path.open("ab") as file:
        file.write(b"what nobody reads")
    return str(scene.book.log.path)


def add_a_page_behind_the_end(scene: Scene) -> str:
    with scene.book.log.path.open("ab") as file:
        file.write(bytes(4096))
    return str(scene.book.log.path)


def add_a_page_and_an_empty_log(scene: Scene) -> str:
    """A write-ahead log in which there is nothing does not excuse a file that is too long."""
    scene.book.log.path.with_name("ledger.db-wal").write_bytes(bytes(32 + 24 + 4096))
    return add_a_page_behind_the_end(scene)


def add_a_page_behind_a_live_log(scene: Scene) -> str:
    """Newer pages in the log excuse a file of another length, but not one that is longer than it ever was."""
    kept = bytes(log_of_an_append(scene))
    scene.book.log.path.with_name("ledger.db-wal").write_bytes(kept)
    return add_a_page_behind_the_end(scene)


def beside_it(scene: Scene, ending: str) -> Path:
    scene.book.close()
    path = scene.book.log.path.with_name(f"ledger.db{ending}")
    path.unlink(missing_ok=True)
    return path


def put_a_pipe_in_the_logs_place(scene: Scene) -> str:
    os.mkfifo(beside_it(scene, "-wal"))  # who opens it waits until somebody writes
    return str(scene.book.log.path)


def put_a_pipe_in_the_place_of_its_index(scene: Scene) -> str:
    os.mkfifo(beside_it(scene, "-shm"))
    return str(scene.book.log.path)


def put_a_folder_in_the_logs_place(scene: Scene) -> str:
    beside_it(scene, "-wal").mkdir()
    return str(scene.book.log.path)


def lead_the_log_out_of_the_folder(scene: Scene) -> str:
    beside_it(scene, "-wal").symlink_to(scene.old / "of the victim")
    return str(scene.book.log.path)


def lead_the_log_to_an_endless_file(scene: Scene) -> str:
    beside_it(scene, "-wal").symlink_to("/dev/zero")
    return str(scene.book.log.path)


def put_a_journal_where_a_link_leads(scene: Scene) -> str:
    """SQLite looks for the journal beside the file itself."""
    path, real = scene.book.log.path, scene.old / "real.db"
    scene.book.close()
    path.rename(real)
    path.symlink_to(real)
    real.with_name("real.db-journal").write_bytes(b"x" * 512)
    return str(path)


def change_the_header(scene: Scene, at: int, data: bytes) -> str:
    path = scene.book.log.path
    scene.book.close()
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)
    return str(path)


def claim_free_pages(scene: Scene) -> str:
    return change_the_header(scene, 32, bytes([0, 0, 0, 2, 0, 0, 0, 1]))


def claim_a_map_of_pages(scene: Scene) -> str:
    return change_the_header(scene, 64, bytes([0, 0, 0, 1]))


def add_an_index(scene: Scene) -> str:
    sql(scene.book.log.path, "CREATE INDEX hidden ON events(type)")
    return str(scene.book.log.path)


def add_a_virtual_table(scene: Scene) -> str:
    sql(scene.book.log.path, "CREATE VIRTUAL TABLE hidden USING fts5(x)")
    return str(scene.book.log.path)


def hide_a_comment_in_the_schema(scene: Scene) -> str:
    write_the_schema(scene, "UPDATE sqlite_schema SET sql = sql || ' -- hidden' WHERE name = 'keys'")
    return str(scene.book.log.path)


def file_an_event_under_another_type(scene: Scene) -> str:
    damage(scene.book, "UPDATE events SET type = 'run.failed' WHERE seq = 5")
    return "#5"


def file_a_commit_under_another_time(scene: Scene) -> str:
    damage(scene.book, "UPDATE commits SET recorded_at = recorded_at + 1 WHERE n = 3")
    return "c3"


def exchange_two_events(scene: Scene) -> str:
    damage(scene.book, *(f"UPDATE events SET seq = {new} WHERE seq = {old}" for old, new in ((5, 99), (6, 5), (99, 6))))
    return "c1"


def file_a_note_under_another_size(scene: Scene) -> str:
    newest, oldest = (f"(SELECT {which}(size) FROM checkpoints)" for which in ("max", "min"))
    note = f"(SELECT note FROM checkpoints WHERE size = {oldest})"
    damage(scene.book, f"UPDATE checkpoints SET note = {note} WHERE size = {newest}")
    return f"checkpoint {scene.book.log.size()}"


def take_a_checkpoint_out(scene: Scene) -> str:
    damage(scene.book, "DELETE FROM checkpoints WHERE size = (SELECT min(size) FROM checkpoints)")
    return "checkpoint 1"


def take_an_entity_out(scene: Scene) -> str:
    damage(scene.book, "DELETE FROM entities WHERE entity = 'pipeline:p'")
    return "pipeline:p"


def stored_artifact(scene: Scene) -> Path:
    return next(path for path in (scene.book.folder / "objects").rglob("*") if path.is_file())


def put_a_pipe_in_an_artifacts_place(scene: Scene) -> str:
    path = stored_artifact(scene)
    path.unlink()
    os.mkfifo(path)
    return f"artifact:{path.parent.name}{path.name}"[: len("artifact:") + 64]


def lead_an_artifact_to_an_endless_file(scene: Scene) -> str:
    path = stored_artifact(scene)
    path.unlink()
    path.symlink_to("/dev/zero")
    return f"artifact:{path.parent.name}{path.name}"


def convert_to_utf16(scene: Scene) -> str:
    path = scene.book.log.path
    old, new = sqlite3.connect(path), sqlite3.connect(path.with_name("new"), isolation_level=None)
    new.execute("PRAGMA encoding = 'UTF-16le'")
    for text in SCHEMA.values():
        if text.startswith("CREATE TABLE"):
            new.execute(text)
    for table in ("events", "commits", "checkpoints", "entities", "keys"):
        rows = old.execute(f"SELECT * FROM {table}").fetchall()
        for row in rows:
            new.execute(f"INSERT INTO {table} VALUES({','.join('?' * len(row))})", row)
    for text in SCHEMA.values():
        if text.startswith("CREATE TRIGGER"):
            new.execute(text)
    for setting in ("application_id", "user_version"):
        new.execute(f"PRAGMA {setting} = {old.execute(f'PRAGMA {setting}').fetchone()[0]}")
    old.close()
    new.close()
    path.with_name("new").rename(path)
    return str(path)


def add_an_event_before_the_first(scene: Scene) -> str:
    damage(scene.book, "INSERT INTO events SELECT -1, body, id, sha256, type FROM events WHERE seq = 3")
    return "#-1"


def add_a_commit_before_the_first(scene: Scene) -> str:
    damage(
        scene.book,
        "INSERT INTO commits SELECT -1, first_seq, last_seq, recorded_at, head, subtree FROM commits WHERE n = 1",
    )
    return "c-1"


def renumber_to_make_room_in_front(scene: Scene) -> str:
    """A number is in no hash: all events move up by one, and an invented one stands in front of them."""
    damage(
        scene.book,
        "UPDATE events SET seq = -seq - 2",
        "UPDATE events SET seq = -seq - 1",
        "INSERT INTO events SELECT 0, body, id, sha256, type FROM events WHERE seq = 1",
        "UPDATE commits SET first_seq = first_seq + 1, last_seq = last_seq + 1",
        "UPDATE entities SET last_seq = last_seq + 1",
    )
    return "c0"


def name_a_trigger_like_one_of_sqlite(scene: Scene) -> str:
    text = "CREATE TRIGGER sqlite_hidden AFTER INSERT ON commits BEGIN DELETE FROM keys; END"
    write_the_schema(scene, f"INSERT INTO sqlite_schema VALUES('trigger', 'sqlite_hidden', 'commits', 0, '{text}')")
    return str(scene.book.log.path)


def give_a_table_statistics(scene: Scene) -> str:
    """They steer how SQLite asks, and their content is anybody's."""
    sql(scene.book.log.path, "ANALYZE")
    return str(scene.book.log.path)


def keep_a_trigger_from_ever_acting(scene: Scene) -> str:
    write_the_schema(
        scene,
        "UPDATE sqlite_schema SET sql = replace(sql, 'ON commits', 'ON commits WHEN 0') WHERE name = 'commits_kept'",
    )
    return str(scene.book.log.path)


def write_the_schema(scene: Scene, statement: str) -> None:
    connection = sqlite3.connect(scene.book.log.path, isolation_level=None)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(statement)
    connection.close()


def plant_a_key_for_what_will_come(scene: Scene) -> str:
    """The append that is to come would be answered with an older commit, and be lost in silence."""
    digest = content_digest([ledger.Draft(finished("r9", "p"))])
    sql(scene.book.log.path, f"INSERT INTO keys VALUES('r9/end', x'{digest.hex()}', 2)")
    return "key r9/end"


def plant_a_key_for_no_commit(scene: Scene) -> str:
    sql(scene.book.log.path, f"INSERT INTO keys VALUES('r9/end', x'{bytes(32).hex()}', 99)")
    return "key r9/end"


def move_a_key_to_another_commit(scene: Scene) -> str:
    scene.book.append(started("r8", "p"), key="r8/start", sign=True)
    scene.book.close()
    assert verdict(scene)[0] == 0
    sql(scene.book.log.path, "UPDATE keys SET n = 2 WHERE key = 'r8/start'")
    return "key r8/start"


def plant_an_entity(scene: Scene) -> str:
    sql(scene.book.log.path, "INSERT INTO entities VALUES('model:ghost', 3)")
    return "model:ghost"


def file_a_checkpoint_under_no_size(scene: Scene) -> str:
    sql(scene.book.log.path, "INSERT INTO checkpoints SELECT -4, note FROM checkpoints WHERE size = 4")
    return "checkpoint -4"


def raise_the_format(scene: Scene) -> str:
    sql(scene.book.log.path, "PRAGMA user_version = 2")
    return str(scene.book.log.path)


def change_what_was_verified(scene: Scene) -> str:
    """The account's own note of its last verification says that all was read; the verdict rests on no note."""
    assert verdict(scene)[0] == 0
    return edit_a_body(scene)


# What is beyond the format's bounds; unsigned it may be anybody's ----------------------------------------------

USUAL = (
    b'{"body":{"anything":1},"occurred_at":"2013-01-01T00:00:00Z","salt":"AAAAAAAAAAAAAAAAAAAAAA==",'
    b'"t":"thing.happened","v":7}'
)


def append_bytes(book: ledger.Ledger, data: bytes, change: Callable[[str], str] = lambda head: head) -> str:
    """A commit of one event with these very bytes, and of a head that may have been changed, with right hashes."""
    from tallystick.ledger.events.commit import decode_head, to_micros

    last = book.log.commit(book.log.size() - 1)
    appended = book.writer.append(
        Piece([Encoded("thing.happened", data, hashes(data), [])], lambda _micros: change(last.head)),
        WriteOptions(now_micros=lambda: to_micros(decode_head(last.head).recorded_at), allow_jump=True),
    )
    book.close()
    return f"#{appended.first_seq}"


def an_empty_salt(book: ledger.Ledger) -> str:
    return append_bytes(book, USUAL.replace(b"AAAAAAAAAAAAAAAAAAAAAA==", b""))


def a_time_of_a_zone(book: ledger.Ledger) -> str:
    return append_bytes(book, USUAL.replace(b"00:00:00Z", b"00:00:00+01:00"))


def an_event_beyond_a_megabyte(book: ledger.Ledger) -> str:
    return append_bytes(book, USUAL.replace(b":1}", b':"' + b"x" * (1 << 20) + b'"}'))


def an_event_too_deep(book: ledger.Ledger) -> str:
    return append_bytes(book, USUAL.replace(b":1}", b":" + b"[" * 40 + b"]" * 40 + b"}"))


def a_number_too_large(book: ledger.Ledger) -> str:
    return append_bytes(book, USUAL.replace(b":1}", b":9007199254740993}"))


def a_body_that_stands_there_twice(book: ledger.Ledger) -> str:
    return append_bytes(book, USUAL.replace(b'{"body"', b'{"body":{"anything":2},"body"'))


def an_actor_who_stands_there_twice(book: ledger.Ledger) -> str:
    append_bytes(book, USUAL, lambda head: head.replace('{"actor"', '{"actor":"somebody else","actor"'))
    return f"c{book.log.size() - 1}"


def a_head_of_a_zone(book: ledger.Ledger) -> str:
    append_bytes(
        book, USUAL, lambda head: re.sub('T([0-9]{2})(:[^"Z]*)Z', lambda at: f"T{int(at[1]) + 1:02}{at[2]}+01:00", head)
    )
    return f"c{book.log.size() - 1}"


BOUNDS = [
    an_empty_salt,
    a_time_of_a_zone,
    an_event_beyond_a_megabyte,
    an_event_too_deep,
    a_number_too_large,
    a_body_that_stands_there_twice,
    an_actor_who_stands_there_twice,
    a_head_of_a_zone,
]


ROWS: list[tuple[Callable[[Scene], str], str, tuple[str, ...]]] = [
    (edit_a_body, "BODY ALTERED", ()),
    (edit_a_body_and_recompute_upwards, "LEAF REWRITTEN", ()),
    (edit_a_view, "PROJECTION", ()),
    (add_a_trigger, "SCHEMA", ()),
    (add_a_view, "SCHEMA", ()),
    (add_a_table, "SCHEMA", ()),
    (put_a_view_in_a_tables_place, "SCHEMA", ()),
    (cut_the_tail, "TAIL CUT", ()),
    (restore_an_old_copy, "TAIL CUT", ()),
    (swap_an_artifact, "ARTIFACT", ("--read-data",)),
    (break_a_page, "FILE", ()),
    (add_a_rollback_journal, "FILE", ()),
    (add_a_journal_that_leads_nowhere, "FILE", ()),
    (add_a_log_of_other_salts, "FILE", ()),
    (add_a_log_that_is_none, "FILE", ()),
    (add_a_log_with_a_wrong_checksum, "FILE", ()),
    (change_a_body_in_the_log_alone, "BODY ALTERED", ()),
    (add_bytes_behind_the_end, "FILE", ()),
    (add_a_page_behind_the_end, "FILE", ()),
    (add_a_page_and_an_empty_log, "FILE", ()),
    (add_a_page_behind_a_live_log, "FILE", ()),
    (put_a_pipe_in_the_logs_place, "FILE", ()),
    (put_a_pipe_in_the_place_of_its_index, "FILE", ()),
    (put_a_folder_in_the_logs_place, "FILE", ()),
    (lead_the_log_out_of_the_folder, "FILE", ()),
    (lead_the_log_to_an_endless_file, "FILE", ()),
    (put_a_journal_where_a_link_leads, "FILE", ()),
    (claim_free_pages, "FILE", ()),
    (claim_a_map_of_pages, "FILE", ()),
    (add_an_index, "SCHEMA", ()),
    (add_a_virtual_table, "SCHEMA", ()),
    (hide_a_comment_in_the_schema, "SCHEMA", ()),
    (file_an_event_under_another_type, "INDEX", ()),
    (file_a_commit_under_another_time, "INDEX", ()),
    (exchange_two_events, "LEAF REWRITTEN", ()),
    (file_a_note_under_another_size, "SIGNATURE", ()),
    (take_a_checkpoint_out, "SIGNATURE", ()),
    (take_an_entity_out, "INDEX", ()),
    (put_a_pipe_in_an_artifacts_place, "ARTIFACT", ("--read-data",)),
    (lead_an_artifact_to_an_endless_file, "ARTIFACT", ("--read-data",)),
    (convert_to_utf16, "FILE", ()),
    (add_an_event_before_the_first, "INDEX", ()),
    (add_a_commit_before_the_first, "INDEX", ()),
    (renumber_to_make_room_in_front, "LEAF REWRITTEN", ()),
    (name_a_trigger_like_one_of_sqlite, "SCHEMA", ()),
    (give_a_table_statistics, "SCHEMA", ()),
    (keep_a_trigger_from_ever_acting, "SCHEMA", ()),
    (plant_a_key_for_what_will_come, "INDEX", ()),
    (plant_a_key_for_no_commit, "INDEX", ()),
    (move_a_key_to_another_commit, "INDEX", ()),
    (plant_an_entity, "INDEX", ()),
    (file_a_checkpoint_under_no_size, "SIGNATURE", ()),
    (raise_the_format, "SCHEMA", ()),
    (change_what_was_verified, "BODY ALTERED", ("--require-anchor",)),
    (change_what_was_verified, "BODY ALTERED", ("--read-data",)),
]


@pytest.mark.parametrize(("attack", "kind", "arguments"), ROWS, ids=[row[0].__name__ for row in ROWS])
def test_what_contradicts_the_evidence_is_named_and_placed(
    scene: Scene, attack: Callable[[Scene], str], kind: str, arguments: tuple[str, ...]
) -> None:
    assert verdict(scene)[0] == 0
    where = attack(scene)
    code, said = verdict(scene, *arguments)
    assert (code, said["verdict"]) == (1, kind)
    first = said["findings"][0]
    assert re.sub("(?<=[0-9])-[0-9a-z]{4}$", "", first["where"]) == where  # without the letters to check it by
    # The same for people: the verdict comes first, and what is still trusted is said.
    page = tally(scene.book.folder.parent, "verify", *arguments)
    assert page.code == 1
    assert page.out.startswith(f"NOT VERIFIED: {kind} at ")
    assert "Still trusted: " in page.out


def test_a_journal_beside_the_ledger_is_never_rolled_in(scene: Scene) -> None:
    """Readers and writers refuse before SQLite opens the file; moved away, the ledger is what it was."""
    folder, path = scene.book.folder.parent, scene.book.log.path
    before = path.read_bytes()
    add_a_rollback_journal(scene)
    for arguments in (("status",), ("log",), ("receipt",), ("promote", "p-v1", "--reason", "x"), ("verify",)):
        answer = tally(folder, *arguments)
        assert (answer.code, path.read_bytes() == before) == (1, True), arguments
        assert "ledger.db-journal lies beside the ledger" in " ".join((answer.out + answer.err).split()), arguments
    with pytest.raises(ledger.Damaged, match="Nothing was opened"), ledger.open(folder) as book:
        book.append(started("r9", "p"))
    # The control: SQLite would have rolled it in.
    copy = folder / "control"
    shutil.copytree(scene.book.folder, copy)
    sql(copy / "ledger.db", "SELECT * FROM commits")
    assert (copy / "ledger.db").read_bytes() != before
    # The advice that was given: move it away, and verify again.
    path.with_name("ledger.db-journal").rename(folder / "evidence")
    assert verdict(scene)[0] == 0


@pytest.mark.parametrize("ending", ["-wal", "-shm"])
def test_a_ledger_is_not_opened_beside_what_is_no_plain_file(scene: Scene, ending: str) -> None:
    victim, link = scene.old / "of the victim", beside_it(scene, ending)
    link.symlink_to(victim)
    for arguments in (("status",), ("receipt",), ("promote", "p-v1", "--reason", "x"), ("verify",)):
        answer = tally(scene.book.folder.parent, *arguments)
        assert (answer.code, victim.exists()) == (1, False), arguments
        assert "is no plain file" in " ".join((answer.out + answer.err).split()), arguments
    # The advice that was given: move it away, and verify again.
    link.unlink()
    assert verdict(scene)[0] == 0


def test_a_converted_copy_is_refused_in_words_of_its_own(scene: Scene) -> None:
    convert_to_utf16(scene)
    folder = scene.book.folder.parent
    for arguments in (("status",), ("receipt",), ("promote", "p-v1", "--reason", "x")):
        answer = tally(folder, *arguments)
        assert answer.code == 1
        assert "keeps its texts in UTF-16le" in " ".join(answer.err.split())
    assert "this is a converted copy" in verdict(scene)[1]["findings"][0]["words"]


@pytest.mark.parametrize("attack", BOUNDS, ids=[attack.__name__ for attack in BOUNDS])
def test_what_is_beyond_the_format_is_a_finding_until_its_key_vouches_for_it(
    scene: Scene, attack: Callable[[ledger.Ledger], str]
) -> None:
    where = attack(scene.book)
    code, said = verdict(scene)
    assert (code, said["verdict"]) == (1, "FORM")
    assert said["findings"][0]["where"].partition("-")[0] == where
    # Signed, it is the doing of whoever has the key, and no contradiction; it stays a remark for ever.
    scene.book.checkpoint()
    scene.book.close()
    code, said = verdict(scene)
    assert (code, said["verdict"]) == (0, "VERIFIED")
    assert any(words.startswith(f"{where}") and "is beyond the format" in words for words in said["warnings"])


def test_what_is_not_looked_at_is_said(scene: Scene) -> None:
    """Free pages hold what nobody reads. Nothing is claimed of them."""
    sql(scene.book.log.path, "CREATE TABLE x AS SELECT randomblob(9000) AS y", "DROP TABLE x")
    scene.book.log.path.with_name("ledger.db-shm").write_bytes(b"an index of a log that is not there")
    code, said = verdict(scene)
    assert code == 0
    file = next(check["result"] for check in said["checks"] if check["part"] == "file")
    assert re.search("; not looked at: [1-9] free pages and unused space within pages$", file)


def test_the_quick_form_never_says_verified(scene: Scene) -> None:
    folder = scene.book.folder.parent
    assert verdict(scene)[0] == 0
    # Whoever reads an event compares its body with its id alone, so that only a full verification shows this; and no
    # trigger of the file fires for REPLACE, so that no view is folded anew.
    scene.book.close()
    altered = "SELECT seq, body, id, zeroblob(32), type FROM events WHERE seq = 1"
    sql(scene.book.log.path, "PRAGMA recursive_triggers = OFF", f"INSERT OR REPLACE INTO events {altered}")
    code, said = verdict(scene, "--since-last")
    assert (code, said["verdict"], said["verified"], said["read_from"]) == (4, "PARTLY READ", False, 8)
    page = tally(folder, "verify", "--since-last", "--against", "-", given=scene.receipt)
    assert page.code == 4
    assert "VERIFIED" not in page.out
    assert page.out.splitlines()[-1].startswith("VERDICT   PARTLY READ: nothing is new; c0 to c7 were NOT read")
    assert tally(folder, "verify", "--since-last", "--full").code == 2
    # A note of a verification that never was leads to no more than that.
    for arguments, expected in (((), 1), (("--full",), 1), (("--since-last",), 4)):
        assert tally(folder, "verify", *arguments).code == expected


# What counts as outside ------------------------------------------------------------------------------------


def a_remote_branch_of_ones_own(scene: Scene, tmp_path: Path) -> tuple[str, ...]:
    folder = scene.book.folder.parent
    run = partial(subprocess.run, cwd=folder, check=True, capture_output=True)
    run(["git", "init", "-q"])
    run(["git", "config", "user.name", "ann"])
    run(["git", "config", "user.email", "ann@example.org"])
    assert tally(folder, "receipt", "--git").code == 0
    run(["git", "update-ref", "refs/remotes/origin/main", "HEAD"])
    return ()


def a_member_of_ones_own(scene: Scene, tmp_path: Path) -> tuple[str, ...]:
    line = tally(scene.book.folder.parent, "receipt").out
    place = tmp_path / "team" / quote(scene.book.origin, safe="")
    place.mkdir(parents=True)
    (place / "bob@elsewhere.checkpoint").write_text(line)
    return ("--shared", str(tmp_path / "team"))


def a_ticket(scene: Scene, tmp_path: Path) -> tuple[str, ...]:
    folder = scene.book.folder.parent
    line = tally(folder, "receipt").out.strip()
    assert tally(folder, "anchor", line, "--where", "ticket RISK-88", TALLY_ALLOW_JUMP="1").code == 0
    return ()


def a_witness_of_ones_own(scene: Scene, tmp_path: Path) -> tuple[str, ...]:
    """A cosignature by a key that the ledger alone names; the policy names another witness."""
    key = scene.book.identity.key.format()
    with Witness("w1", key) as witness, Witness("w2", key) as trusted:
        note = scene.book.checkpoint()
        cosigned = note + witness.cosign(note.partition("\n\n")[0] + "\n").decode()
        own = WitnessKey.parse(witness.vkey)
        scene.book.append(anchors.cosigned_by(scene.book, cosigned, own, scene.book.clock(), witness.url), sign=True)
        scene.book.close()
        policy = tmp_path / "policy"
        policy.write_text(f"log {key}\nwitness w2 {trusted.vkey}\nquorum none\n")
    return ("--policy", str(policy))


@pytest.mark.parametrize(
    "attack",
    [a_remote_branch_of_ones_own, a_member_of_ones_own, a_ticket, a_witness_of_ones_own],
    ids=lambda a: a.__name__,
)
def test_what_this_account_could_have_written_is_not_outside(
    scene: Scene, tmp_path: Path, attack: Callable[[Scene, Path], tuple[str, ...]]
) -> None:
    arguments = attack(scene, tmp_path)
    code, said = verdict(scene, "--require-anchor", *arguments)
    assert (code, said["verdict"], said["anchored_commits"]) == (3, "VERIFIED", 0)
    stated = [check["result"] for check in said["checks"] if check["part"] == "stated"]
    assert len(stated) == 1
    assert "stated here; compare it there" in stated[0]
    page = tally(scene.book.folder.parent, "verify", *arguments)
    assert "nothing outside this account vouches for it" in page.out.splitlines()[-1]


def test_a_receipt_that_is_handed_in_is_outside(scene: Scene) -> None:
    code, said = verdict(scene, "--require-anchor", "--against", "-", given=scene.receipt)  # type: ignore[arg-type]
    assert (code, said["anchored_commits"]) == (0, 8)


@pytest.mark.parametrize(
    ("date", "words"),
    [("2011-01-01T00:00:00Z", "covers commits recorded up to"), ("2099-01-01T00:00:00Z", "still to come")],
)
def test_a_date_that_cannot_be_is_remarked(scene: Scene, tmp_path: Path, date: str, words: str) -> None:
    """git keeps whatever date it is given."""
    folder = scene.book.folder.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_COMMITTER_DATE", date)
        a_remote_branch_of_ones_own(scene, tmp_path)
    code, said = verdict(scene)
    assert code == 0
    assert any(words in warning for warning in said["warnings"]), (folder, said["warnings"])


# What only something outside can notice --------------------------------------------------------------------


@pytest.mark.parametrize("attack", [cut_the_tail, restore_an_old_copy])
def test_a_stranger_cannot_see_that_the_end_is_gone_and_is_told_so(
    scene: Scene, attack: Callable[[Scene], str]
) -> None:
    attack(scene)
    page = tally(scene.book.folder.parent, "verify", **scene.stranger)
    assert page.code == 0
    assert RESIDUAL in page.out.splitlines()[-1]
    # With a receipt he can.
    code, said = verdict(scene, "--against", "-", given=scene.receipt, **scene.stranger)  # type: ignore[arg-type]
    assert (code, said["verdict"]) == (1, "TAIL CUT")


def test_a_copy_without_the_write_ahead_log_is_a_cut_tail(scene: Scene, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    scene.book.append(started("r3", "p"), sign=True)  # lies in the -wal as long as somebody has the file open
    (copy / ".tally").mkdir()
    shutil.copy(scene.book.log.path, copy / ".tally" / "ledger.db")
    receipt = scene.book.checkpoint()
    code, said = verdict(scene, folder=copy)
    assert (code, said["verdict"]) == (1, "TAIL CUT")
    assert RESIDUAL in tally(copy, "verify", **scene.stranger).out
    code, said = verdict(scene, "--against", "-", folder=copy, given=receipt, **scene.stranger)  # type: ignore[arg-type]
    assert (code, said["verdict"]) == (1, "TAIL CUT")


def test_the_writer_refuses_to_go_on_with_an_old_copy_and_readers_are_warned(scene: Scene) -> None:
    restore_an_old_copy(scene)
    folder = scene.book.folder.parent
    refused = tally(folder, "promote", "p-v1", "--reason", "again")
    assert refused.code == 1
    look = tally(folder, "status")
    assert look.code == 0
    assert "rolled back or rewritten" in look.err
    size = scene.book.log.size()
    with ledger.open(folder) as book:
        for _ in range(2):
            with pytest.raises(ledger.Refused, match="two histories of one name"):
                book.append(started("r9", "p"))
        assert book.log.size() == size


def test_history_rewritten_with_the_key_is_convicted_by_any_receipt(scene: Scene, own_home: Path) -> None:
    """The insider has the key and every file of the account: nothing inside can tell, anything outside does."""
    folder = scene.book.folder.parent
    restore_an_old_copy(scene)
    shutil.rmtree(own_home / "state")
    with ledger.open(folder, allow_jump=True) as book:
        book.append(promoted("p-v1", "p", None, "it never happened"), sign=True)
        book.append(finished("r2", "p"), sign=True)
        book.append(finished("r3", "p"), sign=True)
    page = tally(folder, "verify", **scene.stranger)
    assert page.code == 0
    assert RESIDUAL in page.out
    code, said = verdict(scene, "--against", "-", given=scene.receipt, **scene.stranger)  # type: ignore[arg-type]
    assert (code, said["verdict"]) == (1, "FORK")
    proof = said["findings"][0]["proof"]
    # Both sides are there: the note that was kept, and one that the same key signed for another tree.
    assert scene.receipt.splitlines()[0] in "\n".join(proof)
    assert any(line.startswith("here    —") for line in proof)
    # The stranger saw only the forgery; the honest ledger now contradicts what he remembers.
    size = parse_receipt(scene.receipt).checkpoint.size
    assert said["findings"][0]["where"] == f"c0 to c{size - 1}"


def test_signatures_that_were_taken_away_are_missed_even_by_a_stranger(scene: Scene) -> None:
    """Without the key everything can be rewritten but the signatures; so they are deleted."""
    rewrite_everything(scene.book, lambda data: data.replace(b"better bad months", b"because I said so!"))
    damage(scene.book, "DELETE FROM checkpoints")
    code, said = verdict(scene, **scene.stranger)
    assert (code, said["verdict"], said["findings"][0]["where"]) == (1, "SIGNATURE", "checkpoint 1")
    assert said["trusted"] == ["No signed checkpoint proves any of it."]


def test_commits_that_nobody_signed_are_counted_in_the_verdict(scene: Scene) -> None:
    """The first signature alone covers the first commit alone: the rest may be anybody's, and the verdict says so."""
    rewrite_everything(scene.book, lambda data: data.replace(b"better bad months", b"because I said so!"))
    damage(scene.book, "DELETE FROM checkpoints WHERE size > 1")
    scene.book.views.discard()
    page = tally(scene.book.folder.parent, "verify", **scene.stranger)
    unsigned = scene.book.log.size() - 1
    assert (page.code, verdict(scene, **scene.stranger)[1]["unsigned_commits"]) == (0, unsigned)
    assert f"VERIFIED; the newest {unsigned} commits NOT signed; nothing outside" in page.out.splitlines()[-1]
    # Whoever saw it before sees that it is another history.
    assert verdict(scene)[1]["verdict"] == "FORK"


def test_a_receipt_that_was_changed_accuses_nobody(scene: Scene) -> None:
    """Every byte of a kept note carries evidence: with a bad signature it is nobody's word, whatever it says."""
    text, _, signature = scene.receipt.rpartition(" ")
    root = text.split("\n")[2]
    others = {
        "the signature": f"{text} {signature[:30]}{'A' if signature[30] != 'A' else 'B'}{signature[31:]}",
        "the root": scene.receipt.replace(root, f"{'A' if root[0] != 'A' else 'B'}{root[1:]}"),
        "the size": scene.receipt.replace("\n8\n", "\n7\n"),
    }
    for what, changed in others.items():
        assert changed != scene.receipt, what
        for home in ({}, scene.stranger):
            code, said = verdict(scene, "--against", "-", given=changed, **home)  # type: ignore[arg-type]
            assert (code, said["verdict"]) == (1, "SIGNATURE"), what
            assert "changed after it was signed" in said["findings"][0]["words"]


def test_only_a_signed_receipt_is_said_to_convince_others(scene: Scene, own_home: Path) -> None:
    folder = scene.book.folder.parent
    restore_an_old_copy(scene)
    shutil.rmtree(own_home / "state")
    with ledger.open(folder, allow_jump=True) as book:
        book.append(promoted("p-v1", "p", None, "it never happened"), sign=True)
        book.append(finished("r2", "p"), sign=True)
    note = tally(folder, "verify", "--against", "-", given=scene.receipt, **scene.stranger)
    line = tally(folder, "verify", "--against", receipt_line(parse_receipt(scene.receipt).checkpoint), **scene.stranger)
    assert (note.code, line.code) == (1, 1)
    assert "together they prove that one history was rewritten" in note.out
    assert "together they prove" not in line.out
    assert "bears no signature of the log" in line.out
    # The key has signed two histories: that it signed this one decides nothing.
    for page in (note.out, line.out):
        assert "are proved by the signed checkpoint" not in page
        assert "by nothing but the ledger's own key" in page


def test_another_key_under_the_same_name_is_not_believed(scene: Scene, tmp_path: Path) -> None:
    origin = scene.book.origin
    forged = tmp_path / "forged"
    (forged / ".tally").mkdir(parents=True)
    with ledger.Ledger(forged / ".tally") as book:
        book.writer.create()
        signer = SignerKey.generate(origin)
        home = {"XDG_STATE_HOME": str(tmp_path / "forger")}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_STATE_HOME", home["XDG_STATE_HOME"])
            book.appender.begin(ledger.Draft(genesis(signer, "UTC", "live")), signer)
            for index in range(9):
                book.log.size()
                book.append(started(f"r{index}", "p"))
    code, said = verdict(scene, folder=forged)
    assert (code, said["verdict"]) == (1, "FORK")
    assert "SIGNATURE" in [finding["kind"] for finding in said["findings"]]
    assert said["trusted"] == ["nothing by its own signatures, because its key is not one to rely on"]
    # At first contact nobody can know; the key is announced, to be compared.
    first = tally(forged, "verify", **scene.stranger)
    assert first.code == 0
    assert f"First contact with {origin}" in first.err
    assert tally(forged, "verify", **scene.stranger).err == ""
    # A policy that names the true key ends the matter.
    policy = tmp_path / "policy"
    policy.write_text(f"log {scene.book.identity.key.format()}\nquorum none\n")
    code, said = verdict(scene, "--policy", str(policy), folder=forged, **scene.stranger)
    assert (code, said["verdict"]) == (1, "SIGNATURE")


def test_two_histories_shown_to_two_members_are_seen_when_they_compare(scene: Scene, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    other = {**scene.stranger, "TALLY_SHARED": str(shared), "LOGNAME": "bob"}
    split = tmp_path / "split"
    shutil.copytree(scene.old, split)
    with ledger.Ledger(split / ".tally", allow_jump=True) as book, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path / "insider"))
        book.append(finished("r7", "p"), sign=True)
    assert tally(split, "status", **other).code == 0  # bob is shown this one
    code, said = verdict(scene, "--shared", str(shared))
    assert (code, said["verdict"]) == (1, "FORK")
    assert "bob@" in said["findings"][0]["words"]


def test_a_clock_set_back_is_bounded_by_anchors(scene: Scene) -> None:
    """A run claims to be of January; a receipt in a ticket shows that it was not there in November."""
    folder = scene.book.folder.parent
    answer = tally(folder, "anchor", scene.receipt.splitlines()[0], "--where", "x")
    assert answer.code == 2  # a first line alone is no receipt
    line = tally(folder, "receipt").out.strip()
    assert tally(folder, "anchor", line, "--where", "ticket RISK-88", TALLY_ALLOW_JUMP="1").code == 0
    size = Log(scene.book.folder).size()
    claimed = tally(folder, "anchors", f"c{size - 1}")
    assert "appended after ticket RISK-88" in claimed.out
    assert "appended before ticket RISK-88" in tally(folder, "anchors", "#3").out


def test_a_forged_bundle_is_not_what_the_auditor_was_told(scene: Scene, tmp_path: Path) -> None:
    """An invented history with a key of its own: consistent in itself, and nobody's word."""
    with ledger.create(tmp_path / "invented", timezone="UTC") as book:
        book.append(started("r1", "p"), sign=True)
    made = tally(tmp_path / "invented", "prove", "run:r1", "-o", str(tmp_path / "bundle"))
    assert made.code == 0, made.err
    alone = tally(tmp_path, "check-proof", str(tmp_path / "bundle"))
    assert alone.code == 0
    assert "only if this is the key that you know of" in " ".join(alone.out.split())
    told_key = tally(tmp_path, "check-proof", str(tmp_path / "bundle"), "--key", scene.book.identity.key.format())
    assert told_key.code == 2
    assert "proves nothing to you" in told_key.err


def test_a_stolen_key_cannot_change_what_was_anchored_and_is_named(scene: Scene) -> None:
    folder = scene.book.folder.parent
    done = tally(folder, "key", "rotate", "--reason", "laptop stolen", "--compromised-from", "4", TALLY_ALLOW_JUMP="1")
    assert done.code == 0, done.err
    code, said = verdict(scene, "--against", "-", given=scene.receipt)  # type: ignore[arg-type]
    assert code == 0
    assert any("was not safe" in warning for warning in said["warnings"])


def test_the_program_never_promises_too_much() -> None:
    """No text of ours says that tampering is impossible."""
    root = Path(__file__).resolve().parent.parent.parent
    for path in [*root.glob("*/*.py"), *root.glob("*.md"), *root.glob("*/*.md")]:
        if path.parent.name in ("ledger", "pipeline", "tui") or path.suffix == ".md":
            assert "tamper-proof" not in path.read_text().lower(), path
