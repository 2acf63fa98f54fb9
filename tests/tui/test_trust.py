"""The commands of trust as people and programs use them: words, JSON, exit codes, nothing lost on the way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from blake3 import blake3
from shell import tally
from stories import told

from tallystick import ledger


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a small ledger that everybody has closed."""
    with told(ledger.create(tmp_path / "team", timezone="UTC")) as book:
        return book.folder.parent


def test_verify_for_programs_is_one_document_with_stable_names(folder: Path) -> None:
    answer = tally(folder, "verify", "--json")
    assert answer.code == 0
    assert answer.json["schema"] == "tally.verify/1"
    assert set(answer.json) == {
        "schema", "verdict", "verified", "exit_code", "origin", "commits", "events", "read_from", "anchored_commits",
        "unanchored_events", "unsigned_commits", "trusted", "findings", "warnings", "shortfalls", "checks",
    }  # fmt: skip
    assert [check["part"] for check in answer.json["checks"]] == [
        "ledger", "file", "events", "tree", "unsigned", "keys", "mark", "anchors", "models", "views",
    ]  # fmt: skip


def test_each_exit_code_has_its_case(folder: Path, tmp_path: Path) -> None:
    assert tally(folder, "verify").code == 0
    assert tally(folder, "verify", "--require-anchor").code == 3
    assert tally(folder, "verify", "--against", "no such file").code == 2
    assert tally(folder, "verify", "--policy", "no such file").code == 2
    assert tally(tmp_path, "verify").code == 4
    (tmp_path / "empty" / ".tally").mkdir(parents=True)
    (tmp_path / "empty" / ".tally" / "ledger.db").write_bytes(b"")
    assert tally(tmp_path / "empty", "verify").code == 2
    (tmp_path / "empty" / ".tally" / "ledger.db").write_bytes(b"SQLite format 3\x00" + b"\xff" * 5000)
    answer = tally(tmp_path / "empty", "verify")
    assert answer.code == 1
    assert "cannot be read" in answer.err
    objects = next(path for path in (folder / ".tally" / "objects").rglob("*") if path.is_file())
    objects.unlink()
    answer = tally(folder, "verify")
    assert answer.code == 3
    assert "VERIFIED, but less than was asked for" in answer.out
    short = tally(folder, "verify", "--require-anchor", "--json")
    assert len(short.json["shortfalls"]) == 2


def test_the_verdict_says_how_much_is_anchored(folder: Path) -> None:
    receipt = tally(folder, "receipt").out
    (folder / "receipt.txt").write_text(receipt)
    assert tally(folder, "verify", "--against", "receipt.txt").out.endswith("anchored outside up to the newest event\n")
    assert tally(folder, "redact", "#6", "--reason", "x", "--authority", "y", "--yes").code == 0
    last = tally(folder, "verify", "--against", "receipt.txt").out.splitlines()[-1]
    assert last == "VERDICT   VERIFIED; the newest 2 events not yet anchored outside"


def test_an_outsider_checks_a_bundle_with_nothing_but_python(folder: Path, tmp_path: Path) -> None:
    made = tally(folder, "prove", "p-v1", "-o", str(tmp_path / "bundle"), "--with-artifacts", "--json")
    assert made.code == 0, made.err
    assert made.json["subject"] == "model:p-v1"
    assert len(made.json["artifacts"]) == 1
    key = made.json["key"]
    # Another folder, an empty environment, no package of ours.
    alone = subprocess.run(
        [sys.executable, "-I", "-S", str(tmp_path / "bundle" / "check.py"), "--key", key],
        cwd="/",
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert alone.returncode == 0, alone.stdout + alone.stderr
    assert alone.stdout.splitlines()[-1].startswith("PROVED")
    ours = tally(tmp_path, "check-proof", "bundle", "--key", key, "--json")
    assert (ours.code, ours.json["key_given"], ours.json["subject"]) == (0, True, "model:p-v1")
    assert ours.json["ignored"] == []
    event = next((tmp_path / "bundle").glob("event-*.json"))
    event.write_bytes(event.read_bytes().replace(b"p-v1", b"p-v2"))
    refused = tally(tmp_path, "check-proof", "bundle")
    assert refused.code == 2
    assert event.name in refused.err
    again = tally(folder, "prove", "p-v1", "-o", str(tmp_path / "bundle"))
    assert again.code == 1
    assert "not an empty folder" in again.err
    assert tally(folder, "prove", "nothing", "-o", "x").code == 4
    assert not (folder / "x").exists()


def test_what_is_redacted_cannot_be_undone_so_it_is_asked_for(folder: Path) -> None:
    reasons = ("--reason", "a person asked", "--authority", "GDPR article 17")
    unsure = tally(folder, "redact", "#6", *reasons, given="n\n")
    assert unsure.code == 130
    assert "for ever?" in unsure.out
    before = tally(folder, "log", "--json").out
    assert tally(folder, "redact", "#6", "--yes").code == 2
    assert tally(folder, "redact", "#6-zzzz", *reasons, "--yes").code in (2, 4)
    assert tally(folder, "redact", "model:p-v1", *reasons, "--yes").code == 2
    assert tally(folder, "log", "--json").out == before
    done = tally(folder, "redact", "#6", *reasons, given="y\n")
    assert done.code == 0
    assert "Out of reach" in done.out
    assert "was erased" in tally(folder, "log").out
    shown = tally(folder, "show", "#6")
    assert shown.code == 0
    assert "run.started, erased (#21 says why)" in shown.out
    assert "GDPR article 17: “a person asked”" in " ".join(shown.out.split())


def test_sealed_files_carry_the_hash_that_b3sum_gives(folder: Path) -> None:
    sealed = tally(folder, "seal", "--json")
    assert sealed.code == 0
    for segment in sealed.json["segments"]:
        data = (folder / ".tally" / "segments" / f"{segment['segment']}.jsonl").read_bytes()
        assert (blake3(data).hexdigest(), len(data)) == (segment["blake3"], segment["size_bytes"])
    assert tally(folder, "seal").code == 1
    assert tally(folder, "verify", "--against-segments", ".tally/segments").code == 0


def test_tiles_can_be_exported_again_and_again(folder: Path, tmp_path: Path) -> None:
    first = tally(folder, "export", "tiles", str(tmp_path / "tiles"), "--json")
    assert first.code == 0
    assert (first.json["written"], first.json["kept"]) == (2, 0)
    again = tally(folder, "export", "tiles", str(tmp_path / "tiles"), "--json")
    assert (again.json["written"], again.json["kept"]) == (0, 2)
    assert (tmp_path / "tiles" / "checkpoint").read_text() == tally(folder, "receipt", "--note").out


def test_an_account_without_the_key_reads_verifies_and_says_what_it_cannot(folder: Path, tmp_path: Path) -> None:
    guest = {"XDG_CONFIG_HOME": str(tmp_path / "guest"), "XDG_STATE_HOME": str(tmp_path / "guest")}
    assert tally(folder, "verify", **guest).code == 0
    receipt = tally(folder, "receipt", **guest)
    assert receipt.code == 0
    assert "@5 " in receipt.out
    assert "Not covered: the newest 1 commit" in receipt.err
    sealed = tally(folder, "seal", **guest)
    assert sealed.code == 0
    assert "not signed" in sealed.err
    proof = tally(folder, "prove", "#3", "-o", str(tmp_path / "b"), **guest)
    assert proof.code == 4
    assert "does not have the key" in proof.err


def test_key_and_receipts_for_people_who_only_look(folder: Path) -> None:
    key = tally(folder, "key", "show", "--vkey").out.strip()
    shown = tally(folder, "key", "show", "--json").json
    assert shown["key"] == key
    assert shown["held"] == "file"
    note = tally(folder, "receipt", "--note").out
    line = tally(folder, "receipt").out
    for given in (note, line, f"> {line}", note.replace("\n", "\r\n")):
        assert tally(folder, "verify", "--against", "-", given=given).code == 0
