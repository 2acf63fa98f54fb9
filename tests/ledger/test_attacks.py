"""Everything that a ledger is attacked with, as one table: what `tally verify` says, where, and with which exit code.

Each row tampers with a real ledger as its attacker would, then asks the real command, as the account that had seen
the ledger before, or as a stranger who never had and who keeps nothing: what he cannot know, he must be told.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from histories import finished, promoted, started
from shell import tally
from stories import damage, rewrite_everything, told

from tallystick import ledger
from tallystick.ledger.events import types as say
from tallystick.ledger.opening import genesis
from tallystick.ledger.storage.log import Log
from tallystick.ledger.storage.sqlite import SCHEMA
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
    assert answer.code in (0, 1, 3), answer.err
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
    assert first["where"].partition("-")[0] == where.partition("-")[0]
    # The same for people: the verdict comes first, and what is still trusted is said.
    page = tally(scene.book.folder.parent, "verify", *arguments)
    assert page.code == 1
    assert page.out.startswith(f"NOT VERIFIED: {kind} at ")
    assert "Still trusted: " in page.out


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
