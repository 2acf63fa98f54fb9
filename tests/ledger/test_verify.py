"""Damage of every kind is found, named and placed; and what is still proved is said."""

from __future__ import annotations

import multiprocessing
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from histories import finished, promoted, registered
from stories import damage, rewrite_everything, told
from writers import write_many

from tallystick import ledger
from tallystick.ledger.events import types as say
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.types import entities
from tallystick.ledger.tlog.note import parse_receipt
from tallystick.ledger.verify.report import Asked
from tallystick.ledger.verify.scan import Contradiction
from tallystick.ledger.verify.verify import verify


@pytest.fixture
def story(book: ledger.Ledger) -> ledger.Ledger:
    return told(book)


def first_finding(book: ledger.Ledger) -> Contradiction:
    verdict = verify(book)
    assert not verdict.verified
    return verdict.findings[0]


def test_an_untouched_ledger_verifies(story: ledger.Ledger) -> None:
    verdict = verify(story)
    assert verdict.findings == []
    assert verdict.verified
    assert (verdict.commits, verdict.anchored) == (6, 0)
    assert dict(verdict.lines)["views"] == "rebuilt and identical"


def test_one_changed_character_names_its_event_and_nothing_else(story: ledger.Ledger) -> None:
    seq = story.log.last_seq_of("decision:r1")
    assert seq is not None
    target = next(e.seq for e in story.events() if isinstance(e.event.body, say.DecisionTaken))
    damage(story, f"UPDATE events SET body = replace(body, 'chosen.', 'Chosen.') WHERE seq = {target}")
    verdict = verify(story)
    assert [finding.kind for finding in verdict.findings] == ["BODY ALTERED"]
    assert verdict.findings[0].where.startswith(f"#{target}-")
    assert f"only the content of #{target} is bad" in verdict.trusted[-1]


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("UPDATE events SET body = NULL WHERE seq = 5", "BODY MISSING"),
        ("UPDATE events SET body = 'x' WHERE seq = 5", "BODY ALTERED"),
        ("UPDATE events SET type = 'model.retired' WHERE seq = 5", "INDEX"),
        ("UPDATE events SET id = zeroblob(32) WHERE seq = 5", "BODY ALTERED"),
        ("UPDATE events SET sha256 = zeroblob(32) WHERE seq = 5", "BODY ALTERED"),
        ("DELETE FROM events WHERE seq = 5", "BODY MISSING"),
        ("UPDATE commits SET recorded_at = recorded_at + 1 WHERE n = 2", "INDEX"),
        ("UPDATE commits SET head = replace(head, 'tester', 'tester2') WHERE n = 2", "LEAF REWRITTEN"),
        ("UPDATE commits SET subtree = zeroblob(32) WHERE n = 2", "LEAF REWRITTEN"),
        ("UPDATE commits SET last_seq = last_seq - 1 WHERE n = 2", "LEAF REWRITTEN"),
        ("DELETE FROM commits WHERE n = 5", "LEAF REWRITTEN"),
        ("DELETE FROM commits WHERE n = 2", "LEAF REWRITTEN"),
        ("UPDATE checkpoints SET note = replace(note, '5', '6') WHERE size = 5", "SIGNATURE"),
        ("UPDATE checkpoints SET size = 3 WHERE size = 5", "SIGNATURE"),
        ("DELETE FROM entities WHERE entity = 'run:r1'", "INDEX"),
        ("UPDATE entities SET last_seq = 0 WHERE entity = 'run:r1'", "INDEX"),
        ("CREATE TABLE strange(x)", "SCHEMA"),
        ("CREATE TRIGGER strange AFTER INSERT ON commits BEGIN DELETE FROM keys; END", "SCHEMA"),
        ("DROP TABLE keys", "SCHEMA"),
        ("CREATE TEMP TABLE harmless(x)", None),
        ("ALTER TABLE events RENAME TO evidence", "SCHEMA"),
    ],
)  # fmt: skip
def test_every_kind_of_edit_has_its_class(story: ledger.Ledger, statement: str, kind: str | None) -> None:
    if statement.startswith("ALTER"):
        # A view in the events table's place: what readers see is not what is stored.
        connection = sqlite3.connect(story.folder / "ledger.db", isolation_level=None)
        connection.execute("CREATE TABLE evidence AS SELECT * FROM events")
        for name in ("events_kept", "events_unchanged"):
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("DROP TABLE events")
        connection.execute("CREATE VIEW events AS SELECT * FROM evidence")
        connection.close()
        story.close()
    else:
        damage(story, statement)
    verdict = verify(story)
    assert verdict.verified is (kind is None)
    if kind is not None:
        assert kind in [finding.kind for finding in verdict.findings]


def test_an_event_rewritten_with_its_hashes_is_placed_by_the_tree(story: ledger.Ledger) -> None:
    from tallystick.ledger.events.event import hashes

    seq = next(entry.seq for entry in story.events() if isinstance(entry.event.body, say.RunStarted))
    stored = story.log.event(seq)
    assert stored.data is not None
    forged = stored.data.replace(b"r1", b"r7")
    event_id, sha256 = hashes(forged)
    damage(
        story,
        f"UPDATE events SET body = CAST(x'{forged.hex()}' AS TEXT), id = x'{event_id.hex()}', "
        f"sha256 = x'{sha256.hex()}' WHERE seq = {seq}",
    )
    commit = story.log.commit_of(seq)
    finding = first_finding(story)
    assert (finding.kind, finding.where) == ("LEAF REWRITTEN", f"c{commit.n}")


def test_a_history_rewritten_without_the_key_contradicts_its_checkpoints(story: ledger.Ledger) -> None:
    rewrite_everything(story, lambda data: data.replace(b"better bad months", b"because I said so!"))
    verdict = verify(story)
    assert "LEAF REWRITTEN" in [finding.kind for finding in verdict.findings]
    finding = next(f for f in verdict.findings if f.kind == "LEAF REWRITTEN")
    # Between the checkpoint that still matches (4 commits) and the first that does not (5).
    assert finding.where == "c4"
    assert "c0 to c3" in verdict.trusted[0]


def entities_by(book: ledger.Ledger, last_seq: int) -> dict[str, int]:
    """What the index of entities was after an event."""
    return {entity: entry.seq for entry in book.events(0, last_seq) for entity in entities(entry.event)}


def test_a_cut_tail_contradicts_a_receipt_and_the_mark(story: ledger.Ledger, own_home: Path) -> None:
    receipt = parse_receipt(story.checkpoint())
    assert receipt.checkpoint.size == 6
    last = story.log.commit(5)
    damage(
        story,
        "DELETE FROM commits WHERE n = 5",
        f"DELETE FROM events WHERE seq >= {last.first_seq}",
        "DELETE FROM checkpoints WHERE size = 6",
        "DELETE FROM entities WHERE entity = 'run:r2'",
        # The index of entities as it was before that commit.
        *(
            f"UPDATE entities SET last_seq = {seq} WHERE entity = '{entity}'"
            for entity, seq in entities_by(story, last.first_seq - 1).items()
        ),
    )
    story.views._discard()
    assert [finding.kind for finding in verify(story).findings] == ["TAIL CUT"]
    shutil.rmtree(own_home / "state")
    # Another account that never saw the ledger, and kept nothing, cannot know.
    assert verify(story).verified
    verdict = verify(story, Asked(against=[receipt]))
    assert [finding.kind for finding in verdict.findings] == ["TAIL CUT"]


def test_a_fork_of_the_same_length_contradicts_a_receipt(tmp_path: Path, own_home: Path) -> None:
    with ledger.create(tmp_path / "a", timezone="UTC") as book:
        book.append(registered("p"))
        shutil.copytree(tmp_path / "a", tmp_path / "b")
        book.append(promoted("p-v1", "p", None), sign=True)
        receipt = parse_receipt(book.checkpoint())
        assert verify(book, Asked(against=[receipt])).verified
    shutil.rmtree(own_home / "state")
    with ledger.open(tmp_path / "b") as other:
        other.append(promoted("p-v2", "p", None), sign=True)
        verdict = verify(other, Asked(against=[receipt]))
        assert [finding.kind for finding in verdict.findings] == ["FORK"]
        assert verdict.findings[0].expected != verdict.findings[0].actual
    foreign = receipt._replace(checkpoint=receipt.checkpoint._replace(origin="somebody/else"))
    shutil.rmtree(own_home / "state")
    with ledger.open(tmp_path / "a") as book:
        assert [finding.kind for finding in verify(book, Asked(against=[foreign])).findings] == ["FORK"]


def test_an_artifact_that_changed_or_is_gone_is_named(story: ledger.Ledger) -> None:
    name = next(e.event.body.artifact for e in story.events() if isinstance(e.event.body, say.ArtifactStored))
    path = story.objects.path(name)
    path.chmod(0o644)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b"?")
    # The same size: only reading it tells.
    assert verify(story).verified
    finding = verify(story, Asked(read_data=True)).findings[0]
    assert (finding.kind, finding.where) == ("ARTIFACT", f"artifact:{name}")
    with pytest.raises(ledger.Damaged):
        story.objects.get(name)
    path.write_bytes(data[:-1])
    finding = first_finding(story)
    assert (finding.kind, finding.where) == ("ARTIFACT", f"artifact:{name}")
    path.unlink()
    # Not here is no contradiction, and still not what a verified ledger should be.
    verdict = verify(story)
    assert (verdict.verified, verdict.exit_code) == (True, 3)
    assert "not here" in verdict.shortfalls[0]
    assert story.store(data).hash == name
    assert verify(story).verified


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE models_rows SET state = replace(state, 'champion', 'retired')",
        "DELETE FROM models_rows",
        "UPDATE pipelines_keys SET first_seq = 0",
        "DROP VIEW models",
        "CREATE TABLE strange(x)",
        "CREATE TRIGGER strange AFTER INSERT ON runs_rows BEGIN DELETE FROM runs_keys; END",
        "UPDATE models_rows SET before = NULL",
        # An index that lists nothing, under the definition of the one that lists everything.
        "CREATE TEMP TABLE whole AS SELECT sql FROM sqlite_schema WHERE name = 'models_by_key'; "
        "DROP INDEX models_by_key; CREATE INDEX models_by_key ON models_rows(key, from_seq) WHERE from_seq < 0; "
        "PRAGMA writable_schema = ON; "
        "UPDATE sqlite_schema SET sql = (SELECT sql FROM whole) WHERE name = 'models_by_key'",
    ],
)
def test_an_edited_view_is_found_although_every_event_verifies(story: ledger.Ledger, statement: str) -> None:
    story.close()
    connection = sqlite3.connect(story.views.path, isolation_level=None)
    connection.executescript(statement)
    connection.close()
    finding = first_finding(story)
    assert finding.kind == "PROJECTION"
    assert "Delete" in (finding.next or "")
    story.close()
    story.views.path.unlink()
    assert verify(story).verified


def test_a_broken_page_is_said_to_be_one(story: ledger.Ledger) -> None:
    for index in range(40):
        story.append(Draft(finished(f"r{index}", "p")))
    story.close()
    path = story.folder / "ledger.db"
    data = bytearray(path.read_bytes())
    data[3 * 4096 + 5 : 3 * 4096 + 90] = b"\xff" * 85
    path.write_bytes(data)
    try:
        kinds = [finding.kind for finding in verify(story).findings]
    except ledger.TallyError as error:
        kinds = [error.code]
    assert kinds
    assert kinds[0] in ("FILE", "damaged", "invalid-input")


def test_every_bit_of_every_body_and_hash_counts(story: ledger.Ledger) -> None:
    """A sample of single bit flips over all evidence of a small ledger; each is found."""
    story.close()
    pristine = (story.folder / "ledger.db").read_bytes()
    columns = [
        ("events", "body", "seq"),
        ("events", "id", "seq"),
        ("events", "sha256", "seq"),
        ("commits", "head", "n"),
    ]
    for table, column, key in columns:
        connection = sqlite3.connect(story.folder / "ledger.db")
        cells = connection.execute(f"SELECT {key}, CAST({column} AS BLOB) FROM {table}").fetchall()
        connection.close()
        for number, value in cells[:: max(1, len(cells) // 4)]:
            for position in range(0, len(value), max(1, len(value) // 3)):
                changed = bytearray(value)
                changed[position] ^= 1
                cast = f"CAST(x'{changed.hex()}' AS TEXT)" if column in ("body", "head") else f"x'{changed.hex()}'"
                damage(story, f"UPDATE {table} SET {column} = {cast} WHERE {key} = {number}")
                assert not verify(story).verified, (table, column, number, position)
                story.close()
                (story.folder / "ledger.db").write_bytes(pristine)
    assert verify(story).verified


def test_a_ledger_that_others_write_to_verifies_at_every_moment(tmp_path: Path) -> None:
    with ledger.create(tmp_path, timezone="UTC") as book:
        book.append(registered("p"))
        context = multiprocessing.get_context("spawn")
        writers = [context.Process(target=write_many, args=(str(book.folder), f"w{n}", 150)) for n in range(2)]
        for writer in writers:
            writer.start()
        rounds = 0
        while any(writer.is_alive() for writer in writers):
            verdict = verify(book)
            assert verdict.verified, verdict.findings
            rounds += 1
        assert rounds > 3
        for writer in writers:
            writer.join()
        assert verify(book).events > 300


def many(book: ledger.Ledger, commits: int) -> None:
    """Commits enough for several ranges, some signed."""
    book.writer.connection.execute("PRAGMA synchronous = OFF")
    for index in range(commits):
        book.append(finished(f"r{index}", "p"), finished(f"r{index}", "q"), sign=index % 97 == 0)
    book.now().runs()


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_however_the_work_is_shared_the_verdict_is_the_same(book: ledger.Ledger, workers: int) -> None:
    many(book, 700)
    asked = Asked(workers=workers, against=[parse_receipt(book.checkpoint())])
    verdict = verify(book, asked)
    assert verdict.findings == []
    assert (verdict.commits, verdict.events, verdict.anchored) == (701, 1404, 701)
    assert dict(verdict.lines)["tree"].startswith("10 of 10 signed checkpoints match")
    damage(
        book,
        "UPDATE events SET body = replace(body, 'r300', 'r3OO') WHERE seq = 604",
        "UPDATE events SET body = replace(body, 'r600', 'r6OO') WHERE seq = 1204",
        "UPDATE commits SET head = replace(head, 'tester', 'Tester') WHERE n = 511",
    )
    verdict = verify(book, asked)
    places = [(finding.kind, finding.where.partition("-")[0]) for finding in verdict.findings]
    assert places[:3] == [("BODY ALTERED", "#604"), ("BODY ALTERED", "#1204"), ("LEAF REWRITTEN", "c511")]
    # The receipt and this account's memory contradict it too.
    assert {kind for kind, _ in places[3:]} == {"FORK"}
    # 487 is the newest size that is signed before it.
    assert verdict.trusted[0].startswith("c0 to c486")


def test_sizes_of_every_shape_are_joined_to_the_right_root(
    book: ledger.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tallystick.ledger.verify import scan as scanning

    many(book, 40)
    for workers in range(1, 9):
        for first in (0, 1, 2, 3, 4, 7, 8, 12, 16, 31, 32, 40):
            covered = list(scanning.ranges(41, first, workers))
            assert [n for start, stop in covered for n in range(start, stop)] == list(range(first, 41))
            assert all(start == 0 or (start & -start) >= stop - start for start, stop in covered)


def test_everything_is_read_however_often_it_was_verified(book: ledger.Ledger) -> None:
    """A verdict that was remembered says nothing about bytes that anybody may have changed since."""
    many(book, 100)
    assert verify(book).exit_code == 0
    damage(book, "UPDATE events SET body = replace(body, '\"r3\"', '\"rX\"') WHERE seq < 20")
    receipt = parse_receipt(book.checkpoint())
    for asked in (Asked(), Asked(against=[receipt]), Asked(require_anchor=True), Asked(read_data=True)):
        verdict = verify(book, asked)
        assert (verdict.read_from, {finding.kind for finding in verdict.findings}) == (0, {"BODY ALTERED"})


def test_the_quick_form_says_what_it_did_not_read(book: ledger.Ledger, own_home: Path) -> None:
    many(book, 100)
    # Nothing was verified yet, so there is nothing to go on from.
    assert verify(book, Asked(since_last=True)).exit_code == 0
    book.append(finished("new", "p"), sign=True)
    receipt = parse_receipt(book.checkpoint())
    asked = Asked(since_last=True, against=[receipt], require_anchor=True, read_data=True)
    verdict = verify(book, asked)
    assert (verdict.read_from, verdict.findings, verdict.verified, verdict.exit_code) == (101, [], False, 4)
    lines = dict(verdict.lines)
    assert lines["events"].startswith("1 body matches its hashes")
    assert lines["NOT READ"].startswith("the first 204 events (c0 to c100)")
    assert lines["tree"].startswith("1 of 1 signed checkpoints after c100 match the tree, recomputed from c101 on")
    assert lines["receipt"].endswith("c0 to c100 were NOT read")
    assert verdict.trusted == [
        "c101 by the signed checkpoint of size 102; c0 to c100 were not read",
        "the stored tree continues what is kept outside: the receipt given",
    ]
    # What is behind the watermark is not read again for the tree; folding the views hashes what they follow from.
    damage(book, "UPDATE events SET body = replace(body, '\"r3\"', '\"rX\"') WHERE seq < 20")
    [finding] = verify(book, asked).findings
    assert finding.kind == "PROJECTION"
    assert "was altered" in finding.words
    damage(book, "UPDATE events SET body = replace(body, '\"rX\"', '\"r3\"') WHERE seq < 20")
    # A quick run is no verification to go on from.
    assert verify(book, Asked(since_last=True)).read_from == 101
    # A rewritten tree makes the watermark worthless: everything is read.
    rewrite_everything(book, lambda data: data.replace(b'"r50"', b'"r5O"'))
    verdict = verify(book, asked)
    assert verdict.read_from == 0
    assert "LEAF REWRITTEN" in [finding.kind for finding in verdict.findings]
    # It lives outside the ledger, so another account starts from the beginning.
    shutil.rmtree(own_home / "state")
    assert verify(book, Asked(since_last=True)).read_from == 0


def test_a_key_that_lies_with_the_ledger_is_mentioned(story: ledger.Ledger) -> None:
    from tallystick.ledger.tlog import key_store

    assert verify(story).warnings == []
    path = key_store.key_path(story.identity.key)
    shutil.copy(path, story.folder / "backup.key")
    verdict = verify(story)
    assert verdict.verified
    assert "lies with the ledger" in verdict.warnings[0]


def test_events_of_later_programs_pass_through_and_count(story: ledger.Ledger) -> None:
    """A type that this program does not know is hashed, proved and left alone."""
    from tallystick.ledger.events.encoding import Encoded
    from tallystick.ledger.events.event import hashes
    from tallystick.ledger.storage.append import Piece
    from tallystick.ledger.storage.log_writer import WriteOptions

    data = (
        b'{"body":{"anything":1},"occurred_at":"2013-01-01T00:00:00Z","salt":"AAAAAAAAAAAAAAAAAAAAAA==",'
        b'"t":"thing.happened","v":7}'
    )
    head = story.log.commit(0).head
    story.writer.append(
        Piece([Encoded("thing.happened", data, hashes(data), [])], lambda _micros: head),
        WriteOptions(now_micros=lambda: story.log.commit(0).recorded_at, allow_jump=True),
    )
    verdict = verify(story)
    # The head says another time than the commit: that much is found; the event itself is fine.
    assert [finding.kind for finding in verdict.findings] == ["INDEX"]
    with story.log.unchecked():  # which every other reader refuses
        assert verdict.events == story.log.commit(story.log.size() - 1).last_seq + 1


def test_flipped_bits_of_the_file_are_noticed_or_carried_nothing(tmp_path: Path) -> None:
    """A sample of ``tests/campaigns/flip_bits.py``, which tries every byte."""
    from flip_bits import small_ledger, try_flips

    folder = small_ledger(tmp_path / "book")
    size = (folder / "ledger.db").stat().st_size
    counted, missed = try_flips(folder, [(at, at % 8) for at in range(11, size, 149)])
    assert missed == []
    assert counted.total() > 250
    assert counted["BODY ALTERED"] > 20


def test_verifying_keeps_the_locks_of_an_open_ledger(book: ledger.Ledger) -> None:
    """Closing any other descriptor of the file drops them, and the next process to close takes away the log."""
    book.append(registered("p"), sign=True)
    assert verify(book).findings == []
    other = (
        f"import sqlite3; c = sqlite3.connect({str(book.log.path)!r}); c.execute('SELECT * FROM commits'); c.close()"
    )
    subprocess.run([sys.executable, "-c", other], check=True)
    assert book.log.path.with_name("ledger.db-wal").exists()
    book.append(registered("q"))
    assert verify(book).findings == []
