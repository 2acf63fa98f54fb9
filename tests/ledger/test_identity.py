"""Keys that change, histories that part: what each signature means, and what a reader relies on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from histories import finished, promoted, registered
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shell import Answer, tally
from stories import damage, told

from tallystick import ledger
from tallystick.ledger.storage.key_history import open_stored
from tallystick.ledger.tlog import key_store
from tallystick.ledger.tlog.note import Note, parse_receipt, sign_checkpoint
from tallystick.ledger.verify.report import Asked
from tallystick.ledger.verify.verify import verify


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with told(ledger.create(tmp_path / "team", timezone="UTC")) as book:
        return book.folder.parent


def rotated(folder: Path, *arguments: str, **environment: str) -> Answer:
    done = tally(folder, "key", "rotate", "--reason", "yearly", *arguments, **environment)
    assert done.code == 0, done.err
    return done


def signers(book: ledger.Ledger) -> dict[int, list[str]]:
    return {
        size: [signature.key_id.hex() for signature in Note.parse(note).signatures]
        for size, note in book.log.checkpoints()
    }


def test_the_checkpoint_of_a_rotation_carries_both_signatures(folder: Path) -> None:
    rotated(folder)
    with ledger.open(folder) as book:
        book.append(finished("r9", "p"), sign=True)
        old, new = (identity.key.key_id.hex() for identity in book.identities)
        assert signers(book) == {1: [old], 4: [old], 5: [old], 7: [new, old], 8: [new]}
        assert verify(book).findings == []


@pytest.mark.parametrize(("size", "keep"), [(7, 0), (7, 1), (8, None)])
def test_a_signature_that_is_missing_or_of_the_wrong_key_is_found(folder: Path, size: int, keep: int | None) -> None:
    rotated(folder)
    with ledger.open(folder) as book:
        book.append(finished("r9", "p"), sign=True)
        note = dict(book.log.checkpoints())[size]
        parsed = Note.parse(note)
        if keep is None:  # the old key signs on, after it was replaced
            old = key_store.load_key(book.identities[0].key)
            assert old is not None
            forged = sign_checkpoint(parse_receipt(note).checkpoint, old)
        else:
            forged = Note(parsed.text, (parsed.signatures[keep],)).format()
        damage(book, f"UPDATE checkpoints SET note = '{forged}' WHERE size = {size}")
        finding = verify(book).findings[0]
        assert (finding.kind, finding.where) == ("SIGNATURE", f"checkpoint {size}")


def test_readers_follow_a_good_rotation_and_stop_at_one_that_nobody_vouches_for(folder: Path, tmp_path: Path) -> None:
    guest = {"XDG_CONFIG_HOME": str(tmp_path / "guest"), "XDG_STATE_HOME": str(tmp_path / "guest")}
    assert "First contact" in tally(folder, "status", **guest).err
    rotated(folder)
    rotated(folder)
    followed = tally(folder, "status", **guest)
    assert "signed the change" in followed.err
    assert tally(folder, "status", **guest).err.count("key") == 0
    rotated(folder, "--lost")
    warned = tally(folder, "status", **guest)
    assert warned.code == 0
    assert "without the old key's signature" in warned.err
    answer = tally(folder, "verify", "--json", **guest)
    assert (answer.code, answer.json["verdict"]) == (1, "SIGNATURE")
    key = tally(folder, "key", "show", "--vkey").out.strip()
    assert tally(folder, "key", "pin", key, **guest).code == 0
    after = tally(folder, "verify", **guest)
    assert after.code == 0
    assert "only something outside the ledger can vouch" in " ".join(after.out.split())


def test_without_the_old_key_a_rotation_has_to_say_so(folder: Path, own_home: Path) -> None:
    shutil.rmtree(own_home / "config")
    refused = tally(folder, "key", "rotate", "--reason", "x")
    assert refused.code == 1
    assert "--lost" in refused.err
    assert not (own_home / "config").exists()
    assert "could not sign any more" in tally(folder, "log").out or rotated(folder, "--lost").code == 0
    with ledger.open(folder) as book:
        assert len(book.identities) == 2
        assert verify(book).findings == []


def test_a_restored_backup_goes_on_only_under_another_name(folder: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    shutil.copytree(folder, backup)
    before = tally(folder, "receipt").out
    with ledger.open(folder) as book:
        book.append(promoted("p-v2", "p", "p-v1"), sign=True)
    lost = tally(folder, "receipt").out
    assert tally(folder, "adopt", "--reason", "x").code == 1  # nothing to adopt here
    refused = tally(backup, "promote", "p-v1", "--reason", "again")
    assert refused.code == 1
    done = tally(backup, "adopt", "--reason", "the disk of the other one burnt")
    assert done.code == 0, done.err
    with ledger.open(backup) as book:
        first, second = (identity.key.name for identity in book.identities)
        assert first != second
        assert book.origin == second
        assert signers(book)[max(signers(book))][1] == book.identities[0].key.key_id.hex()
    verdict = tally(backup, "verify", "--json").json
    assert verdict["verified"]
    assert any(first in warning for warning in verdict["warnings"])
    # What both histories share is still proved; what only the lost one had convicts.
    assert tally(backup, "verify", "--against", "-", given=before).code == 0
    contradicted = tally(backup, "verify", "--against", "-", "--json", given=lost)
    assert contradicted.code == 1
    assert contradicted.json["verdict"] in ("FORK", "TAIL CUT")
    assert contradicted.json["findings"][0]["proof"]
    assert "WARNING" not in tally(backup, "status").err
    assert "left the history" in tally(backup, "log").out


def test_an_approval_is_somebody_elses_word_or_none(folder: Path, tmp_path: Path) -> None:
    done = tally(folder, "approve", "r1", "--as", "bob@example.org")
    assert done.code == 0, done.err
    assert "bob@example.org approved decision r1" in done.out
    assert "1 approval signed by other keys" in tally(folder, "verify").out
    # On another machine: signed there, recorded here.
    away = {"XDG_CONFIG_HOME": str(tmp_path / "away"), "XDG_STATE_HOME": str(tmp_path / "away")}
    signed = tally(folder, "approve", "r1", "--as", "eve@example.org", "--detached", "--json", **away).json
    (tmp_path / "note").write_text(signed["note"])
    for handle in ("run:r1", "decision:r1"):
        again = tally(folder, "approve", handle, "--as", "eve@example.org", "--detached", "--json", **away)
        assert again.json["note"] == signed["note"]  # Ed25519 signs the same text in the same way
    size = len(tally(folder, "log", "--json", "-n", "99").out.splitlines())
    recorded = tally(folder, "approve", "r1", "--note", str(tmp_path / "note"), "--key", signed["key"])
    assert recorded.code == 0, recorded.err
    assert len(tally(folder, "log", "--json", "-n", "99").out.splitlines()) == size + 1
    wrong = tally(folder, "approve", "#3", "--note", str(tmp_path / "note"), "--key", signed["key"])
    assert wrong.code == 1
    assert "about something else" in wrong.err
    with ledger.open(folder) as book:
        own = key_store.load_key(book.identity.key)
        assert own is not None
        from tallystick.ledger.events.approval import sign_approval

        seq = book.now().decision("r1").seq
        (tmp_path / "own").write_text(sign_approval(book.origin, book.log.event(seq).id.hex(), own))
        refused = tally(folder, "approve", "r1", "--note", str(tmp_path / "own"), "--key", own.verifier.format())
    assert refused.code == 1
    assert "nobody else's word" in refused.err


def test_an_approval_of_another_event_in_the_ledger_is_found(folder: Path) -> None:
    from tallystick.ledger.events.approval import approval_event, sign_approval
    from tallystick.ledger.tlog.note import SignerKey

    with ledger.open(folder) as book:
        signer = SignerKey.generate("eve@example.org")
        note = sign_approval(book.origin, "ab" * 32, signer)
        seq = book.now().decision("r1").seq
        body = book.event(seq).event.body
        book.append(approval_event(note, signer.verifier, book.log.event(seq).id.hex(), body), sign=True)
        finding = verify(book).findings[0]
        assert finding.kind == "SIGNATURE"
        assert "eve@example.org" in finding.words


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(["append", "sign", "rotate", "lost"]), min_size=1, max_size=8))
def test_whatever_happens_to_keys_every_checkpoint_opens(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    from tallystick.ledger.events.types import KeyRotated

    with ledger.create(tmp_path_factory.mktemp("any"), timezone="UTC") as book:
        for number, step in enumerate(steps):
            if step in ("append", "sign"):
                book.append(registered(f"p{number}"), sign=step == "sign")
                continue
            old, signer = book.identity.key, key_store.new_signer(book.origin, "file")
            change = KeyRotated(
                old=old.key_id.hex(),
                new=signer.verifier.key_id.hex(),
                old_key=old.format(),
                new_key=signer.verifier.format(),
                signed_by_old=step == "rotate",
                compromised_from=None,
                reason="x",
            )
            book.change_identity(change, signer)
        receipt = parse_receipt(book.checkpoint())
        for size, note in book.log.checkpoints():
            assert open_stored(note, book.identities, size).size == size
        verdict = verify(book, Asked(against=[receipt]))
        # The pin of whoever made it is the first key: it follows good rotations only.
        assert {finding.kind for finding in verdict.findings} == ({"SIGNATURE"} if "lost" in steps else set())
