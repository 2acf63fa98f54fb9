"""Samples of the campaigns that take away what a ledger needs and that let many work at once; see `tests/campaigns`."""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from causes import Left
from circumstances import APPENDS, CAUSES, READS, SLOW, one, run_forked
from driving import driven
from histories import failed, registered
from load import beginnings
from load import campaign as load_campaign
from shell import tally
from stories import told
from textual.widget import Widget

from tallystick import ledger
from tallystick.ledger.amend.redaction import redact
from tallystick.ledger.errors import AfterCommit, Busy, InvalidInput
from tallystick.ledger.storage.sqlite import AsItLies
from tallystick.ledger.system.file_lock import FileLock
from tallystick.ledger.system.files import network_file_system
from tallystick.ledger.tlog import pins


@pytest.mark.parametrize("cause", sorted(CAUSES.keys() - SLOW))
def test_what_is_taken_away_is_said_and_nothing_is_lost(cause: str, tmp_path: Path) -> None:
    try:
        assert one(cause, tmp_path, READS[:1], APPENDS[:1], run_forked, apart=False) == []
    except Left as why:
        pytest.skip(f"this machine cannot have it: {why}")


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("TALLY_FULL"), reason="locks are waited for, ten seconds each: TALLY_FULL=1")
@pytest.mark.parametrize("cause", sorted(SLOW))
def test_what_is_locked_is_said_and_nothing_is_lost(cause: str, tmp_path: Path) -> None:
    assert one(cause, tmp_path, READS[:1], APPENDS[:1], run_forked, apart=False) == []


def test_a_database_that_another_program_keeps_locked_is_busy_not_damaged(book: ledger.Ledger) -> None:
    book.append(registered("p"))
    before = book.log.size()
    book.writer.connection.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(book.log.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Busy, match=r"keeps .* locked\. This was not recorded"):
        book.append(failed("r", "p"))
    other.close()
    assert book.append(failed("r", "p")).n == before


def test_views_that_another_program_keeps_locked_are_made_in_memory(book: ledger.Ledger) -> None:
    book.append(registered("p"))
    said: list[str] = []
    book.views.on_trouble = said.append
    book.now().pipelines()
    book.append(registered("q"))
    book.views.caught_up().execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(book.views.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    book.append(registered("r"))
    assert [state.pipeline for state in book.now().pipelines()] == ["p", "q", "r"]
    assert len(said) == 1
    assert "made in memory" in said[0]
    with pytest.raises(InvalidInput, match="were not made again"):
        book.views.rebuild()
    other.close()


def test_who_cannot_remember_what_was_signed_is_refused_before_anything_is_recorded(
    book: ledger.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.append(registered("p"), sign=True)
    before = book.log.size()
    monkeypatch.setattr(pins, "MARK_DEADLINE_SECONDS", 0.02)
    lock = pins.mark_path(book.origin).with_name(f"{pins.mark_path(book.origin).name}.lock")
    with FileLock(lock, 1.0), pytest.raises(Busy, match=r"cannot remember .* Nothing was recorded"):
        book.append(failed("r", "p"), sign=True)
    assert book.log.size() == before
    book.append(failed("r", "p"), sign=True)


def test_what_is_recorded_and_not_remembered_is_said_to_be_recorded(
    book: ledger.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.append(registered("p"), sign=True)
    shared = book.folder / "a file where a folder is needed"
    shared.touch()
    monkeypatch.setenv("TALLY_SHARED", str(shared))
    size = book.log.size()
    with pytest.raises(AfterCommit, match=r"This is recorded, in c\d+; do not give the command again") as caught:
        book.append(failed("r", "p"), sign=True)
    assert caught.value.n == size == book.log.size() - 1
    assert isinstance(caught.value.cause, InvalidInput)
    assert book.log.event(book.now().as_of.seq).type == "run.failed"
    with pytest.raises(AfterCommit):
        redact(book, book.now().as_of.seq, "it names a person", "data protection officer")
    # The promise was kept before the trouble was told.
    assert book.log.event(book.log.commit(size).last_seq).data is None


def test_a_command_whose_deed_is_recorded_ends_as_one_that_did_it(tmp_path: Path) -> None:
    """What fails after the commit is a warning: the deed is named, and the exit code is that of the deed."""
    with ledger.create(tmp_path, timezone="UTC") as book:
        told(book)
        last, size = book.log.commit(book.log.size() - 1).last_seq, book.log.size()
    shared = tmp_path / "a file where a folder is needed"
    shared.touch()
    done = tally(tmp_path, "correct", f"#{last}", "--reason", "told twice", TALLY_SHARED=str(shared))
    assert done.code == 0, done.err
    assert f"#{last}" in done.out
    assert f"WARNING: This is recorded, in c{size}; do not give the command again." in done.err
    again = tally(tmp_path, "correct", f"#{last}", "--reason", "told twice", TALLY_SHARED=str(shared))
    assert again.code == 1, "a refusal stays one"


@contextmanager
def without_rights(place: Path) -> Iterator[Callable[..., None]]:
    """What takes the right to write in a folder away and gives it back, also from root, whom no mode holds off."""
    root = os.geteuid() == 0
    place.chmod(0o755)

    def change(folder: Path, *, write: bool) -> None:
        os.seteuid(0 if root else os.geteuid())
        folder.chmod(0o755 if write else 0o555)
        for file in folder.iterdir():
            if file.is_file():
                file.chmod(0o644 if write else 0o444)
        if root and not write:
            os.seteuid(65534)

    try:
        yield change
    finally:
        if root:
            os.seteuid(0)


def test_a_file_that_was_read_as_it_lay_is_opened_again_when_somebody_writes() -> None:
    with tempfile.TemporaryDirectory() as name, without_rights(Path(name)) as rights:
        with ledger.create(Path(name), timezone="UTC") as book:
            told(book)
        folder = Path(name) / ".tally"
        # Where nothing may be made, there is no shared memory for the write-ahead log.
        rights(folder, write=False)
        with ledger.open(folder) as reader:
            assert isinstance(reader.log.reader, AsItLies)
            before = reader.log.size()
            rights(folder, write=True)
            with ledger.open(folder) as writer:
                writer.append(failed("late", "p"))
                assert reader.log.size() == before + 1


def test_verifying_where_nothing_can_be_written_says_that_the_views_are_not_kept(tmp_path: Path) -> None:
    with ledger.create(tmp_path, timezone="UTC") as book:
        told(book)
        book.views.discard()
    book.views.path.mkdir()  # what cannot be opened as a file, for anybody
    answer = tally(tmp_path, "verify")
    assert answer.code == 0
    assert "not kept, because they cannot be written here" in answer.out
    assert tally(tmp_path, "rebuild").code == 2


def test_a_ledger_that_was_not_made_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where a folder is needed")
    answer = tally(tmp_path, "init", "x", XDG_STATE_HOME=str(tmp_path / "home"), XDG_CONFIG_HOME=str(tmp_path / "c"))
    assert answer.code == 2
    assert "cannot remember" in answer.err
    assert not (tmp_path / "x").exists()
    assert not [path for path in (tmp_path / "c").rglob("*") if path.is_file()]


def test_a_pipeline_whose_champion_was_retired_is_not_said_to_have_had_none(tmp_path: Path) -> None:
    with ledger.create(tmp_path, timezone="UTC") as book:
        told(book)
    assert tally(tmp_path, "retire", "p-v1", "--reason", "not wanted").code == 0
    assert tally(tmp_path, "champion", "p").out == "p has no champion any more: tally why p.champion\n"
    assert "none any more" in tally(tmp_path, "status").out
    assert "retired" in tally(tmp_path, "why", "p.champion").out
    assert "nobody has promoted" in tally(tmp_path, "champion", "p", "--as-of", "c3").out


# Lines as proc(5) describes them; where the kernel's name of a file system is not there, none is told.
MOUNTINFO = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:26 / {here} rw,relatime - {kind} server:/export rw
31 22 0:27 / {here}/local\\040disk rw,relatime master:3 - ext4 /dev/vdb rw
"""


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "ext4", "fuse.bindfs", "btrfs"])
def test_a_network_file_system_is_refused_for_writing_and_read_as_it_lies(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ledger.create(tmp_path / "far", timezone="UTC") as book:
        told(book)
    (tmp_path / "far" / "local disk").mkdir()
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTINFO.format(here=tmp_path / "far", kind=kind))
    monkeypatch.setattr("tallystick.ledger.system.files.MOUNTS", mounts)
    is_network = kind in ("nfs4", "cifs", "fuse.sshfs")
    assert (network_file_system(tmp_path / "far" / "new" / "x") == kind) is is_network
    assert network_file_system(tmp_path / "far" / "local disk") is None
    assert network_file_system(tmp_path) is None
    with ledger.open(tmp_path / "far") as book:
        assert book.now().champion("p") is not None
        if is_network:
            with pytest.raises(InvalidInput, match=rf"network file system \({kind}\).* Nothing was recorded"):
                book.append(failed("r", "p"))
        else:
            book.append(failed("r", "p"))
    if is_network:
        with pytest.raises(InvalidInput, match="network file system"):
            ledger.create(tmp_path / "far" / "another", timezone="UTC")


def test_the_clock_is_looked_at_by_the_doctor(tmp_path: Path) -> None:
    with ledger.create(tmp_path, timezone="UTC"):
        pass
    checks = {check["part"]: check["state"] for check in tally(tmp_path, "doctor", "--json").json["checks"]}
    assert checks == dict.fromkeys(("ledger", "key", "mark", "clock", "views", "lock", "disk", "spool"), "ok")


# Many at once ----------------------------------------------------------------------------------------------


def test_many_write_read_and_look_at_once_and_there_is_one_history(tmp_path: Path) -> None:
    load = load_campaign(tmp_path, writers=5, commits=30, readers=1)
    assert load.errors == []
    assert load.commits == 150
    assert load.reads > 0


def test_of_processes_that_begin_at_once_all_write_into_the_one_ledger(tmp_path: Path) -> None:
    assert beginnings(tmp_path, times=1) == []


def test_the_app_does_not_grow_by_being_looked_at(tmp_path: Path) -> None:
    with ledger.create(tmp_path, timezone="UTC") as book:
        told(book)

    async def look() -> list[int]:
        alive = []
        async with driven(tmp_path) as driver:
            for rounds in (1, 3):
                for _ in range(rounds):
                    await driver.press("4", "1")
                gc.collect()
                alive.append(sum(isinstance(item, Widget) for item in gc.get_objects()))
        return alive

    first, later = asyncio.run(look())
    assert later <= first + 30  # a pane's worth of keys may be on its way out; each look once left 24 behind
