"""Appending: what is kept, what is refused, and that nothing is half-done."""

from __future__ import annotations

import datetime as dt
import fcntl
import hashlib
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from blake3 import blake3
from given import Ticking, seeded_salts
from histories import HASH, decided, finished, promoted, registered, started

from tallystick import ledger
from tallystick.ledger.errors import Busy, Conflict, InvalidInput, NewerFormat, NotFound, Refused
from tallystick.ledger.events import types as say
from tallystick.ledger.events.commit import commit_text, leaf_entry
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.event import MAX_EVENT_BYTES
from tallystick.ledger.system.file_lock import FileLock


def test_the_first_event_says_what_the_rest_is_read_by(book: ledger.Ledger) -> None:
    genesis = book.genesis
    assert book.event(0).event.t == "ledger.created"
    assert genesis.timezone == "America/New_York"
    assert genesis.origin.startswith("team-")
    assert book.log.newest_checkpoint() is not None


def test_bytes_are_kept_as_written_and_named_by_both_hashes(book: ledger.Ledger) -> None:
    appended = book.append(finished("r", "p"))
    stored = book.log.event(appended.last_seq)
    assert stored.data is not None
    assert stored.id == blake3(stored.data, derive_key_context="tallystick 2026-11 event id v1").digest()
    assert stored.sha256 == hashlib.sha256(stored.data).digest()
    commit = book.log.commit(appended.n)
    text = commit_text(commit.head, book.log.hashes(commit.first_seq, commit.last_seq))
    assert text.startswith(b"tallystick.commit/1\n{")
    assert appended.entry == leaf_entry(text)
    assert appended.entry[32:] == hashlib.sha256(text).digest()


@pytest.mark.parametrize("change", ["body = replace(body, 'r', 's')", "id = zeroblob(32)", "sha256 = zeroblob(32)"])
def test_what_the_database_does_not_give_back_as_it_was_given_is_not_recorded(book: ledger.Ledger, change: str) -> None:
    size = book.log.size()
    # A disk or a memory that changes what is stored, played by a trigger that only this connection has.
    book.writer.connection.execute("DROP TRIGGER events_unchanged")
    book.writer.connection.execute(
        f"CREATE TEMP TRIGGER faulty AFTER INSERT ON events BEGIN UPDATE events SET {change} WHERE seq = NEW.seq; END"
    )
    with pytest.raises(ledger.Damaged, match="gave back other bytes"):
        book.append(finished("r", "p"))
    assert book.log.size() == size


def test_the_schema_of_a_type_is_declared_once_at_first_use(book: ledger.Ledger, clock: Ticking) -> None:
    book.append(finished("r1", "p"))
    book.append(finished("r2", "p"), finished("r3", "p"))
    names = [e.event.body.name for e in book.events() if isinstance(e.event.body, say.SchemaDeclared)]
    assert sorted(names) == ["ledger.created/1", "run.finished/1", "schema.declared/1"]
    reopened = ledger.open(book.folder, clock=clock)
    reopened.append(finished("r4", "p"))
    again = [e for e in reopened.events() if isinstance(e.event.body, say.SchemaDeclared)]
    assert len(again) == 3


def test_equal_content_has_different_names_because_of_the_salt(book: ledger.Ledger) -> None:
    first = book.append(finished("r", "p"))
    second = book.append(finished("r", "p"))
    assert book.log.event(first.last_seq).id != book.log.event(second.last_seq).id


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (say.RunFinished(
            run="r", pipeline="p", decision="r", result_hash=HASH, same_result_as=None, differs_from=None,
            seconds=float("nan")), "not a number"),
        (say.RunFinished(
            run="r", pipeline="p", decision="r", result_hash=HASH, same_result_as=None, differs_from=None,
            seconds=float("inf")), "not a number"),
        (say.RunFinished(
            run="r", pipeline="p", decision="r", result_hash="short", same_result_as=None, differs_from=None,
            seconds=1.0), "length >= 64"),
        (promoted("m", "p", None, reason="\ud800"), "Unicode"),
        (promoted("m", "p", None, reason=""), "length >= 1"),
        (decided("r", "p", None).__class__(**{
            **{f: getattr(decided("r", "p", None), f) for f in decided("r", "p", None).__struct_fields__},
            "scores": {"deep": {"x": float("nan")}}}), "decision.taken.scores.deep.x"),
        (decided("r", "p", None).__class__(**{
            **{f: getattr(decided("r", "p", None), f) for f in decided("r", "p", None).__struct_fields__},
            "scores": {"big": 2**60}}), "2**53"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_exactly_is_refused_and_nothing_is_written(
    book: ledger.Ledger, body: say.Body, words: str
) -> None:
    before = book.log.size()
    with pytest.raises(InvalidInput, match=words.replace("*", r"\*").replace(".", r"\.")):
        book.append(finished("ok", "p"), body)
    assert book.log.size() == before


def test_an_event_holds_at_most_a_mebibyte(book: ledger.Ledger) -> None:
    body = registered("p")
    large = say.PipelineRegistered(
        **{f: getattr(body, f) for f in body.__struct_fields__ if f != "text"}, text="x" * MAX_EVENT_BYTES
    )
    with pytest.raises(InvalidInput, match="at most 1,048,576"):
        book.append(large)


def test_expected_makes_a_second_opinion_a_conflict(book: ledger.Ledger) -> None:
    book.append(finished("r", "p"), expected={"run:r": None})
    seen = book.log.last_seq_of("run:r")
    book.append(finished("r", "p"), expected={"run:r": seen})
    with pytest.raises(Conflict, match="run:r has changed"):
        book.append(finished("r", "p"), expected={"run:r": seen})
    with pytest.raises(Conflict, match="no event yet"):
        book.append(finished("r", "p"), expected={"run:r": None})


def test_an_idempotency_key_writes_once(book: ledger.Ledger) -> None:
    first = book.append(finished("r", "p"), key="once")
    again = book.append(finished("r", "p"), key="once")
    assert (again.n, again.entry, again.repeated) == (first.n, first.entry, True)
    assert book.log.size() == first.n + 1
    with pytest.raises(Conflict, match="other content"):
        book.append(finished("other", "p"), key="once")


def test_time_never_goes_back_and_never_leaps(tmp_path: Path) -> None:
    clock = Ticking()
    with ledger.create(tmp_path, clock=clock, timezone="UTC") as book:
        before = book.append(finished("r", "p")).recorded_at
        clock.now -= dt.timedelta(days=3650)
        assert book.append(finished("r", "p")).recorded_at == before
        clock.now += dt.timedelta(days=3650 + 400)
        with pytest.raises(Refused, match="366 days"):
            book.append(finished("r", "p"))
        assert book.append(finished("r", "p"), allow_jump=True).recorded_at > before


def test_the_file_refuses_changes_even_by_replacement(book: ledger.Ledger) -> None:
    book.append(finished("r", "p"))
    for statement in (
        "UPDATE events SET body = '{}' WHERE seq = 1",
        "DELETE FROM events WHERE seq = 1",
        "INSERT OR REPLACE INTO events SELECT seq, '{}', id, sha256, type FROM events WHERE seq = 1",
        "UPDATE commits SET head = '{}' WHERE n = 1",
        "DELETE FROM commits WHERE n = 1",
        "INSERT INTO commits SELECT n + 7, first_seq, last_seq, recorded_at, head, subtree FROM commits WHERE n = 1",
    ):
        with pytest.raises(sqlite3.IntegrityError):
            book.writer.connection.execute(statement)


def test_a_held_lock_is_waited_for_and_then_reported(book: ledger.Ledger) -> None:
    book.append(finished("r", "p"))
    with FileLock(book.writer.lock.path, 1.0), pytest.raises(Busy, match="Another process"):
        book.append(finished("r", "p"), deadline_seconds=0.05)


def test_who_waits_has_the_lock_before_it_is_taken_again(tmp_path: Path) -> None:
    had: list[str] = []

    def wait() -> None:
        with FileLock(tmp_path / "lock", 30.0, in_turn=True):
            had.append("who waited")

    mine = FileLock(tmp_path / "lock", 30.0, in_turn=True)
    for _ in range(5):
        other = threading.Thread(target=wait)
        with mine:
            other.start()
            with (tmp_path / "lock.next").open() as place:
                while True:  # until the other stands there
                    try:
                        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except BlockingIOError:
                        break
                    fcntl.flock(place, fcntl.LOCK_UN)
        with mine:  # at once, while the other sleeps between two looks
            had.append("who had it")
        other.join()
    assert had == ["who waited", "who had it"] * 5


def test_one_that_was_stopped_in_the_next_place_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tallystick.ledger.system.file_lock.COURTESY_SECONDS", 0.02)
    with FileLock(tmp_path / "lock.next", 1.0), FileLock(tmp_path / "lock", 1.0, in_turn=True):
        pass


def test_the_lock_is_gone_with_the_process_that_held_it(book: ledger.Ledger) -> None:
    code = (
        "import sys, time; from pathlib import Path; from tallystick.ledger.system.file_lock import FileLock\n"
        "with FileLock(Path(sys.argv[1]), 1.0):\n    print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(book.writer.lock.path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    holder.kill()
    holder.wait()
    book.append(finished("r", "p"), deadline_seconds=1.0)


def test_foreign_files_newer_formats_and_nothing_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no ledger"):
        ledger.open(tmp_path)
    folder = tmp_path / ".tally"
    folder.mkdir()
    sqlite3.connect(folder / "ledger.db").execute("CREATE TABLE t(x)").connection.close()
    with pytest.raises(InvalidInput, match="not a ledger"):
        ledger.open(tmp_path)
    (folder / "ledger.db").write_bytes(b"no database at all, but long enough to be read as one" * 100)
    with pytest.raises(ledger.Damaged):
        ledger.open(tmp_path)
    with ledger.create(tmp_path / "new", timezone="UTC") as book:
        book.writer.connection.execute("PRAGMA user_version = 99")
    with pytest.raises(NewerFormat, match="format 99"):
        ledger.open(tmp_path / "new")


def test_a_ledger_behind_its_mark_is_not_signed(tmp_path: Path) -> None:
    import shutil

    with ledger.create(tmp_path / "a", timezone="UTC") as book:
        book.append(finished("r1", "p"))
    shutil.copytree(tmp_path / "a", tmp_path / "backup")
    with ledger.open(tmp_path / "a") as book:
        book.append(finished("r2", "p"), sign=True)
    with ledger.open(tmp_path / "backup") as old:
        before = old.log.size()
        with pytest.raises(Refused, match="two histories of one name"):
            old.append(finished("r2", "p"), sign=True)
        assert old.log.size() == before
        with pytest.raises(Refused):
            old.checkpoint()


def test_a_key_that_others_can_read_is_not_used(book: ledger.Ledger) -> None:
    from tallystick.ledger.tlog import key_store

    path = key_store.key_path(book.identity.key)
    assert path.stat().st_mode & 0o777 == 0o600
    assert not path.is_relative_to(book.folder)
    path.chmod(0o644)
    with pytest.raises(InvalidInput, match="Other accounts can read") as caught:
        book.append(started("r", "p"), sign=True)
    assert "chmod 600" in caught.value.hint


def test_a_read_only_copy_can_be_read(tmp_path: Path) -> None:
    with ledger.create(tmp_path, timezone="UTC") as book:
        book.append(registered("p"), promoted("p-v1", "p", None))
    folder = tmp_path / ".tally"
    for path in folder.iterdir():
        path.chmod(0o444 if path.is_file() else 0o555)
    folder.chmod(0o555)
    try:
        # As root the folder stays writable; the reading must be right either way.
        with ledger.open(folder) as again:
            assert [state.pipeline for state in again.now().pipelines()] == ["p"]
    finally:
        folder.chmod(0o755)


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path) -> None:
    from tallystick.ledger.system.provenance import Recorder

    recorder = Recorder(actor="a", user="u", host="h", tool="t")
    roots = []
    for name in ("one", "two"):
        with ledger.create(
            tmp_path / name, timezone="UTC", clock=Ticking(), salts=seeded_salts(7), recorder=recorder
        ) as book:
            appended = book.append(Draft(finished("r", "p")), note="n")
            roots.append((book.log.event(appended.last_seq).data, book.log.commit(appended.n).head))
    assert roots[0] == roots[1]
