"""A backup is one moment of the ledger, whole, and it never follows a ledger that went back."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from histories import finished, promoted, registered
from shell import tally

from tallystick import ledger
from tallystick.ledger.amend.redaction import redact
from tallystick.ledger.errors import Refused
from tallystick.ledger.events.types import ArtifactStored
from tallystick.ledger.publish.backup import back_up

ROOT = Path(__file__).resolve().parent.parent.parent
WRITER = """
import sys
sys.path[:0] = ["tests/support"]
import histories
from tallystick import ledger
with ledger.open(sys.argv[1], allow_jump=True) as book:
    print("ready", flush=True)
    while True:
        book.append(histories.finished("r1", "p"), sign=True)
"""


def stored(book: ledger.Ledger, data: bytes) -> int:
    artifact = book.store(data)
    body = ArtifactStored(artifact=artifact.hash, size_bytes=len(data), media_type="x/y", role="model of ann", run="r1")
    return book.append(body, sign=True).last_seq


def test_the_copy_is_a_ledger_that_verifies_and_is_brought_up_to_date(book: ledger.Ledger, tmp_path: Path) -> None:
    book.append(registered("p"), sign=True)
    stored(book, b"a model")
    first = back_up(book, tmp_path / "copy")
    assert (first.before, first.artifacts, first.copied, first.damaged) == (None, 1, 1, [])
    book.append(promoted("p-v1", "p", None), sign=True)
    stored(book, b"another")
    second = back_up(book, tmp_path / "copy")
    assert (second.before, second.artifacts, second.copied) == (first.checkpoint.size, 2, 1)
    with ledger.open(tmp_path / "copy") as copy:
        assert [entry.event for entry in copy.events()] == [entry.event for entry in book.events()]
        assert copy.now().pipelines() == book.now().pipelines()
    checked = tally(tmp_path, "verify", "--ledger", "copy", "--full", "--read-data")
    assert checked.code == 0, checked.out
    assert not list((tmp_path / "copy").glob(".tally-new-*"))


def test_it_is_one_moment_while_others_write(book: ledger.Ledger, tmp_path: Path) -> None:
    book.append(registered("p"), sign=True)
    book.close()
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(book.folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
        sizes: list[int] = []
        given_up_at = time.monotonic() + 60
        while len(sizes) < 5 or (sizes[-1] == sizes[0] and time.monotonic() < given_up_at):
            with ledger.open(book.folder) as reading:
                done = back_up(reading, tmp_path / "copy")
            sizes.append(done.checkpoint.size)
            with ledger.open(tmp_path / "copy") as copy:
                assert copy.root_at(copy.log.size()) == done.checkpoint.root
    finally:
        writer.kill()
        writer.wait()
    assert sizes == sorted(sizes) and sizes[-1] > sizes[0]
    with ledger.open(book.folder) as now:
        assert now.continues(done.checkpoint)
    # It is behind what this account has seen, which only the ledger itself can excuse.
    behind = tally(tmp_path, "verify", "--ledger", "copy")
    assert behind.code == 1 and "TAIL CUT" in behind.out
    excused = tally(tmp_path, "verify", "--ledger", "copy", "--backup-of", "team")
    assert excused.code == 0, excused.out
    assert f"the first {sizes[-1]} of " in excused.out
    with ledger.create(tmp_path / "other", timezone="UTC"):
        pass
    assert tally(tmp_path, "verify", "--ledger", "copy", "--backup-of", "other").code == 1


def test_a_ledger_that_went_back_does_not_replace_the_better_copy(book: ledger.Ledger, tmp_path: Path) -> None:
    book.append(registered("p"), sign=True)
    book.close()
    shutil.copytree(book.folder, tmp_path / "yesterday")
    with ledger.open(book.folder, allow_jump=True) as today:
        today.append(promoted("p-v1", "p", None), sign=True)
        back_up(today, tmp_path / "copy")
    before = (tmp_path / "copy" / ".tally" / "ledger.db").read_bytes()
    shutil.rmtree(book.folder)
    shutil.move(tmp_path / "yesterday", book.folder)
    refused = tally(tmp_path / "team", "backup", str(tmp_path / "copy"))
    assert refused.code == 1
    assert "rolled back or rewritten; the copy may be the better one and was not touched" in " ".join(
        refused.err.split()
    )
    assert (tmp_path / "copy" / ".tally" / "ledger.db").read_bytes() == before


def test_another_ledger_and_the_ledgers_own_folder_are_refused(book: ledger.Ledger, tmp_path: Path) -> None:
    with ledger.create(tmp_path / "other", timezone="UTC") as other:
        back_up(other, tmp_path / "copy")
    with pytest.raises(Refused, match="another ledger"):
        back_up(book, tmp_path / "copy")
    with pytest.raises(Refused, match="where the ledger itself lies"):
        back_up(book, tmp_path / "team")
    (tmp_path / "junk" / ".tally").mkdir(parents=True)
    (tmp_path / "junk" / ".tally" / "ledger.db").write_text("no database")
    with pytest.raises(Refused, match="cannot be read as a ledger"):
        back_up(book, tmp_path / "junk")


def test_what_was_redacted_leaves_the_copy_with_the_next_backup(book: ledger.Ledger, tmp_path: Path) -> None:
    secret = stored(book, b"a person's name")
    name = book.event(secret).event.body.artifact  # type: ignore[attr-defined]
    back_up(book, tmp_path / "copy")
    there = tmp_path / "copy" / ".tally" / "objects" / name[:2] / name[2:]
    assert there.exists()
    redact(book, secret, "wrong file", "the person")
    back_up(book, tmp_path / "copy")
    assert not there.exists()
    assert b"model of ann" not in (tmp_path / "copy" / ".tally" / "ledger.db").read_bytes()
    assert tally(tmp_path, "verify", "--ledger", "copy").code == 0


def test_a_damaged_artifact_is_named_and_does_not_replace_a_good_copy(book: ledger.Ledger, tmp_path: Path) -> None:
    stored(book, b"a model")
    book.append(finished("r1", "p"), sign=True)
    (path,) = (path for path in book.objects.folder.glob("*/*"))
    path.chmod(0o644)
    path.write_bytes(b"a modeL")
    book.close()
    said = tally(tmp_path / "team", "backup", str(tmp_path / "copy"), "--json")
    assert said.code == 1
    assert said.json["damaged"] == [path.parent.name + path.name] and said.json["copied"] == 0


def test_a_place_that_cannot_be_written_is_said(book: ledger.Ledger, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = tally(tmp_path / "team", "backup", str(tmp_path / "file"))
    assert said.code == 2
    assert "could not be copied" in said.err
