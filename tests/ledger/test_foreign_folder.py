"""A ledger's folder that somebody else prepared: links, pipes, views and triggers where files and tables belong."""

from __future__ import annotations

import datetime as dt
import os
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from histories import finished, promoted, registered, started
from shell import tally
from stories import damage

from tallystick import ledger
from tallystick.ledger.amend.redaction import redact
from tallystick.ledger.errors import Damaged, InvalidInput, Refused
from tallystick.ledger.events import types as say
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.event import encode_canonical
from tallystick.ledger.publish.anchors import from_git, receipts_in
from tallystick.ledger.publish.backup import back_up
from tallystick.ledger.publish.tiles import export_tiles
from tallystick.ledger.storage.log import _commit
from tallystick.ledger.system import git as git_asked
from tallystick.ledger.system.timezone import zone_of
from tallystick.ledger.tlog.note import Checkpoint, receipt_line
from tallystick.ledger.tracking import spool
from tallystick.ledger.verify.report import Asked
from tallystick.ledger.verify.verify import verify
from tallystick.ledger.views.cache_file import account_file
from tallystick.ledger.views.fold import fold
from tallystick.tui.output.console import parsed

ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM c)"


def changed(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


@pytest.fixture
def left(book: ledger.Ledger) -> Path:
    """The folder of a small ledger that nobody has open."""
    book.append(started("r1", "p"), finished("r1", "p"), sign=True)
    book.now().runs()
    book.close()
    return book.folder


def test_a_view_that_never_ends_in_the_place_of_a_table_is_asked_nothing(left: Path) -> None:
    changed(
        left / "ledger.db",
        "CREATE TABLE kept AS SELECT * FROM commits",
        *(f"DROP TRIGGER {name}" for name in ("commits_in_order", "commits_kept", "commits_unchanged")),
        "DROP TABLE commits",
        f"CREATE VIEW commits AS {ENDLESS} SELECT x n, x first_seq, x last_seq, x recorded_at, '' head, x'' subtree "
        "FROM c",
    )
    with pytest.raises(Damaged, match="somebody replaced commits"):
        ledger.open(left)
    page = tally(left.parent, "verify")
    assert (page.code, page.out.splitlines()[0]) == (1, f"NOT VERIFIED: SCHEMA at {left / 'ledger.db'}")


def test_nothing_is_appended_where_a_strange_trigger_would_act(left: Path) -> None:
    changed(left / "ledger.db", "CREATE TRIGGER evil AFTER INSERT ON events BEGIN DELETE FROM entities; END")
    with ledger.open(left) as book:
        size = book.log.size()
        with pytest.raises(Damaged, match="acts by itself when it is written to: evil"):
            book.append(started("r2", "p"))
        assert book.log.size() == size


TRIGGER = "CREATE TRIGGER evil AFTER INSERT ON runs_rows BEGIN DELETE FROM runs_keys; END"
CURSORS = f"CREATE VIEW cursors AS {ENDLESS} SELECT x projection, x fingerprint, x seq, x id FROM c"


@pytest.mark.parametrize("statement", [TRIGGER, CURSORS])
def test_views_that_act_or_never_end_are_made_anew(left: Path, statement: str) -> None:
    views = account_file(left)
    if statement is CURSORS:
        views.unlink()
    changed(views, statement)
    with ledger.open(left) as book:
        assert [run.run for run in book.now().runs()] == ["r1"]
    kept = sqlite3.connect(views).execute("SELECT type FROM sqlite_schema WHERE name IN ('evil', 'cursors')")
    assert kept.fetchall() == [("table",)]


def test_no_link_has_another_file_written_to(left: Path, tmp_path: Path) -> None:
    precious, absent = tmp_path / "precious.db", tmp_path / "absent"
    changed(precious, "CREATE TABLE mine(x)")
    before = precious.read_bytes()
    account_file(left).unlink()
    account_file(left).symlink_to(precious)
    (left / "views.db").symlink_to(precious)
    (left / "lock").unlink(missing_ok=True)
    (left / "lock").symlink_to(absent)
    with ledger.open(left) as book:
        assert [run.run for run in book.now().runs()] == ["r1"]
        with pytest.raises(InvalidInput, match="lock"):
            book.append(started("r2", "p"))
    assert tally(left.parent, "doctor").code == 1
    assert precious.read_bytes() == before
    assert not absent.exists()


@pytest.mark.parametrize("what", ["pipe", "folder"])
def test_views_that_are_no_file_cost_nothing_but_the_file(left: Path, what: str) -> None:
    account_file(left).unlink()
    os.mkfifo(account_file(left)) if what == "pipe" else account_file(left).mkdir()
    with ledger.open(left) as book:
        assert [run.run for run in book.now().runs()] == ["r1"]
        assert verify(book).verified


@pytest.mark.parametrize("what", ["pipe", "zeros", "sparse", "link to nothing"])
def test_an_artifact_that_is_no_file_is_never_read(book: ledger.Ledger, what: str) -> None:
    artifact = book.store(b"model")
    body = say.ArtifactStored(artifact=artifact.hash, role="model", media_type="x", size_bytes=5, run=None)
    book.append(body, sign=True)
    path = book.objects.path(artifact.hash)
    path.unlink()
    match what:
        case "pipe":
            os.mkfifo(path)
        case "zeros":
            path.symlink_to("/dev/zero")
        case "sparse":
            path.touch()
            os.truncate(path, 1 << 40)  # a tebibyte that takes no room on the disk
        case _:
            path.symlink_to("nothing")
    if what != "sparse":  # of which the size is enough to know
        with pytest.raises(ledger.TallyError):
            book.objects.get(artifact.hash)
    verdict = verify(book, Asked(read_data=True))
    if what == "link to nothing":
        assert verdict.shortfalls
    else:
        assert [finding.kind for finding in verdict.findings] == ["ARTIFACT"]
    # Storing it again puts the file in the place of whatever was there.
    assert book.objects.put(b"model") == artifact
    assert book.objects.get(artifact.hash) == b"model"


@pytest.mark.parametrize("position", ["", "x", "-1", "9" * 30, "itself", "a later one"])
def test_a_correction_of_nothing_that_came_before_sets_nothing_aside(book: ledger.Ledger, position: str) -> None:
    """One that names itself would be followed for ever."""
    book.append(started("r1", "p"))
    seq = book.log.commit(book.log.size() - 1).last_seq + 2  # the type is declared first
    named = {"": "0x1", "itself": str(seq), "a later one": str(seq + 1)}.get(position, position)
    for number in (named, str(seq)):
        book.append(say.EventCorrected(correction=number, event="ab" * 32, type="run.started", reason="hostile"))
    with book.log.reader as connection:
        types = [row[0] for row in connection.execute("SELECT type FROM events WHERE seq = ?", (seq,))]
    assert types == ["event.corrected"]
    assert [run.run for run in book.now().runs()] == ["r1"]
    assert book.now().correction(seq + 1) is None
    assert verify(book).verified
    assert [run.run for run in book.at("2013", axis="occurred").runs()] == ["r1"]


def test_names_with_a_zero_byte_are_compared_whole(book: ledger.Ledger) -> None:
    book.append(started("r1\0a", "p"))
    before = book.log.size() - 1
    book.append(finished("r1\0a", "p"))
    found = {entity.handle for entity in book.diff(f"c{before}").changes}
    assert "run:r1\0a" in found


def test_a_redaction_of_no_position_excuses_nothing(book: ledger.Ledger) -> None:
    book.append(say.EventRedactedV1(redaction="#0", event="ab" * 32, type="x", reason="r", authority="a"), sign=True)
    assert verify(book).verified


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_every_moment_of_the_calendar_can_be_shown(zone: str) -> None:
    first, last = dt.datetime(1, 1, 1, tzinfo=dt.UTC), dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
    assert first.astimezone(zone_of(zone)).year == 1
    assert last.astimezone(zone_of(zone)).year == 9999
    noon = dt.datetime(2013, 7, 1, 12, tzinfo=dt.UTC)
    assert noon.astimezone(zone_of("America/New_York")).hour == 8


@pytest.mark.parametrize("zone", ["../../etc/passwd", "America", "", "\0", "No/Where"])
def test_a_zone_that_is_none_is_said_to_be_none(zone: str) -> None:
    with pytest.raises(Damaged, match="not a time zone"):
        zone_of(zone)


def test_times_of_git_commits_that_no_calendar_has_are_no_times() -> None:
    line = receipt_line(Checkpoint("o", 1, bytes(32)))
    times = ["2013-01-01T00:00:00+00:00", "292277026596-12-04T15:30:08Z", "2013-01-01T00:00:00+99:99",
             "0001-01-01T00:00:00+23:00"]  # fmt: skip
    listed = "".join(f"commit {'ab' * 20} {time}\n\n+{line}\n" for time in times)
    assert [anchor.at is None for anchor in receipts_in(listed, [], ["o"])] == [False, True, True, True]


def test_a_repository_that_unpacks_to_more_than_memory_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    (tmp_path / "receipts.txt").write_text(f"{receipt_line(Checkpoint('o', 1, bytes(32)))}\n")
    for command in (["init", "-q"], ["add", "receipts.txt"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *command], check=True)
    (tmp_path / ".tally").mkdir()
    assert len(list(from_git(tmp_path / ".tally", ["o"]))) == 1
    monkeypatch.setattr(git_asked, "LARGEST_ANSWER_BYTES", 100)
    assert list(from_git(tmp_path / ".tally", ["o"])) == []


SPOOLED = [
    b"\xff\n",
    b"[" * 100_000 + b"\n",
    b'{"spool":1,"trial":"t","ledger":"/x"}\n{"key":"k","at":"2013-01-01T00:00:00Z","bodies":[["trial.stored",{}]]}\n',
    b'{"spool":1,"trial":"t","ledger":"/x"}\n{"key":"k","at":"2013-01-01T00:00:00Z","bodies":[["ledger.created",{}]]}\n',
    b'{"spool":1,"trial":"t","ledger":"/x"}\n{"key":"k","at":"2013-01-01T00:00:00Z","bodies":[],"files":["../../x"]}\n',
    b'{"spool":1,"trial":"\xed\xa0\x80","ledger":"/x"}\n',
]


@pytest.mark.parametrize("data", SPOOLED)
def test_a_spool_that_no_trial_wrote_delivers_nothing(data: bytes, tmp_path: Path) -> None:
    (tmp_path / spool.RECORDS).write_bytes(data)
    with pytest.raises(Damaged, match="cannot be read"):
        spool.read(tmp_path)


@pytest.mark.parametrize("name", ["../../victim", "x" * 200, "0000/../../../victim", "a\0b", "0001"])
def test_a_segment_that_leads_out_of_the_folder_is_none(book: ledger.Ledger, tmp_path: Path, name: str) -> None:
    """Erasing changes the files of segments, and the name of such a file comes from an event."""
    victim = book.folder.parent / "victim.jsonl"
    victim.write_bytes(b'{"seq":3,"id":"","body":{"mine":1}}\n')
    (book.folder / "segments").mkdir()
    book.append(started("r1", "p"))
    last = 10**6 if name == "0001" else 1
    book.append(say.SegmentSealed(segment=name, first=0, last=last, size_bytes=1, blake3="ab" * 32), sign=True)
    assert verify(book, Asked(segments=book.folder / "segments")).verified
    seq = next(entry.seq for entry in book.events() if isinstance(entry.event.body, say.RunStarted))
    redact(book, seq, "r", "a")
    assert victim.read_bytes() == b'{"seq":3,"id":"","body":{"mine":1}}\n'
    assert list(tmp_path.rglob("*.jsonl")) == [victim]


@pytest.mark.parametrize("what", ["pipe", "link to zeros", "folder"])
def test_published_tiles_that_are_no_files_are_another_history(book: ledger.Ledger, tmp_path: Path, what: str) -> None:
    book.append(started("r1", "p"), sign=True)
    export_tiles(book, tmp_path / "tiles")
    tile = next((tmp_path / "tiles" / "tile" / "0").rglob("*.p/*"))
    tile.unlink()
    match what:
        case "pipe":
            os.mkfifo(tile)
        case "folder":
            tile.mkdir()
        case _:
            tile.symlink_to("/dev/zero")
    with pytest.raises(Refused, match="another history"):
        export_tiles(book, tmp_path / "tiles")


def test_a_damaged_backup_is_refused_and_left_as_it_is(book: ledger.Ledger, tmp_path: Path) -> None:
    back_up(book, tmp_path / "copy")
    copy = tmp_path / "copy" / ".tally" / "ledger.db"
    data = bytearray(copy.read_bytes())
    data[4096:] = bytes(len(data) - 4096)
    copy.write_bytes(data)
    with pytest.raises(Refused, match="cannot be read as a ledger"):
        back_up(book, tmp_path / "copy")
    assert copy.read_bytes() == data


def test_an_event_that_is_not_there_is_damage_where_nobody_asked_beyond_the_end(book: ledger.Ledger) -> None:
    for ask in (lambda: book.log.event(10**6), lambda: book.log.commit(10**6)):
        with pytest.raises(Damaged, match="has no"):
            ask()
        with pytest.raises(IndexError):
            ask()


def test_what_is_no_json_is_shown_as_damage(book: ledger.Ledger) -> None:
    book.append(started("r1", "p"), sign=True)
    damage(book, "UPDATE events SET body = body || '}' WHERE seq = 1")
    page = tally(book.folder.parent, "show", "#1", "--json")
    assert (page.code, page.out) == (1, "")
    assert '"code": "damaged"' in page.err
    for head in (b"", b"{}}", b"\xff", b'{},"handle":"c99"', b"[" * 100_000):
        with pytest.raises(Damaged):
            parsed(head)


def test_an_event_behind_every_commit_is_damage(book: ledger.Ledger) -> None:
    book.append(started("r1", "p"), sign=True)
    damage(
        book,
        "INSERT INTO events SELECT (SELECT max(seq) + 1 FROM events), body, id, sha256, type FROM events "
        "WHERE type = 'run.started'",
    )
    page = tally(book.folder.parent, "runs")
    assert page.code == 1
    assert "is in no commit" in page.err


@pytest.mark.parametrize(
    "row", [(None,) * 6, (1, 1, 2, None, "{}", b""), (1, 1, 2, 5, b"{}", b""), (1, 1, "2", 5, "{}", b"")]
)
def test_a_row_that_no_commit_has_is_damage(row: tuple[Any, ...]) -> None:
    """What SQLite reads of a damaged page is not held to the types of the table."""
    with pytest.raises(Damaged):
        _commit(row)


@pytest.mark.parametrize(
    "asked",
    [{"level": "full"}, {"level": None}, [1], "x", {"unlock": "x"}, {"unlock": {"stable_windows": "6"}},
     {"relock_on": "alarm"}, {"relock_on": [1]}],
)  # fmt: skip
def test_settings_of_no_known_shape_ask_for_no_automation(book: ledger.Ledger, asked: object) -> None:
    book.append(msgspec.structs.replace(registered("p"), meaning={"automation": asked}))
    automation = book.now().automations()[0]
    assert (automation.level, automation.asked, automation.needed) == ("manual", "manual", None)


def test_a_first_key_that_is_none_is_called_by_all_of_it(book: ledger.Ledger) -> None:
    entry, replace = book.event(0), msgspec.structs.replace
    event = replace(entry.event, body=replace(entry.event.body, verifier_key="x"))
    assert list(fold([entry._replace(event=event)])["keys"]) == ["x"]


def test_an_event_of_every_depth_and_size_is_read_or_refused() -> None:
    head = b'{"body":{"a":'
    rest = b'},"occurred_at":"2013-01-01T00:00:00Z","salt":"AAAAAAAAAAAAAAAAAAAAAA==","t":"x","v":1}'
    deep = head + b"[" * 100_000 + b"]" * 100_000 + rest
    for data in (
        deep,
        head + b"9" * 100_000 + rest,
        head + b'"' + b"x" * 10_000_000 + b'"' + rest,
        head + b'"\xff"' + rest,
    ):
        try:
            event = say.decode(data)
        except Damaged:
            continue
        assert encode_canonical(event)


def test_ten_million_characters_do_not_fit_into_an_event(book: ledger.Ledger) -> None:
    with pytest.raises(InvalidInput):
        book.append(Draft(promoted("m", "p", None, "x" * 10_000_000)))
