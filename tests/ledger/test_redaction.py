"""What is erased is gone from every file, and everything else stays provable; also when erasing is interrupted."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stories import damage, told

from tallystick import ledger
from tallystick.ledger.amend import redaction
from tallystick.ledger.errors import Conflict, InvalidInput, NotFound, Refused
from tallystick.ledger.events import types as say
from tallystick.ledger.events.types import ModelPromoted
from tallystick.ledger.publish import segments
from tallystick.ledger.storage.log_writer import LogWriter
from tallystick.ledger.tlog.note import parse_receipt
from tallystick.ledger.verify.report import Asked
from tallystick.ledger.verify.verify import verify

SECRET = "Mrs Miller asked for it"


@pytest.fixture
def secret(book: ledger.Ledger) -> int:
    """A ledger in which a reason names a person; the position of that event."""
    told(book)
    body = ModelPromoted(model="p-v1", pipeline="p", previous=None, run="r1", decision=None, reason=SECRET)
    appended = book.append(body, key="once", sign=True)
    book.append(say.RunFailed(run="r9", pipeline="p", stage="x", error="y", message="z"), sign=True)
    book.now().pipelines()
    return appended.last_seq


def holding(folder: Path, text: str) -> list[str]:
    """Files under a folder in which a text can be found."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes())


def test_the_content_is_in_no_file_and_everything_else_is_proved(book: ledger.Ledger, secret: int) -> None:
    segments.seal(book)
    receipt = parse_receipt(book.checkpoint())
    assert holding(book.folder, SECRET)
    stored = book.log.event(secret)
    done = redaction.redact(book, secret, "a person asked", "GDPR article 17")
    assert done.files == ["0000.jsonl"]
    book.close()
    assert holding(book.folder, SECRET) == []
    left = book.log.event(secret)
    assert (left.data, left.id, left.sha256, left.type) == (None, stored.id, stored.sha256, stored.type)
    verdict = verify(book, Asked(against=[receipt], segments=book.folder / "segments", read_data=True))
    assert verdict.findings == []
    assert dict(verdict.lines)["events"].endswith(f"1 redacted (#{secret})")
    said = book.event(done.appended.last_seq).event if done.appended else None
    assert said is not None
    assert isinstance(said.body, say.EventRedacted)
    assert (said.body.redaction, said.body.event) == (str(secret), stored.id.hex())
    # The champion that only the erased event had made is not one any more; the one before it is.
    assert book.now().pipeline("p").champion is not None
    with pytest.raises(Refused, match="erased already"):
        redaction.redact(book, secret, "again", "me")


def test_a_body_that_is_gone_without_such_an_event_is_damage(book: ledger.Ledger, secret: int) -> None:
    damage(book, f"UPDATE events SET body = NULL WHERE seq = {secret}")
    assert verify(book).findings[0].kind == "BODY MISSING"


def test_the_file_refuses_to_erase_before_the_event_that_says_so(book: ledger.Ledger, secret: int) -> None:
    connection = sqlite3.connect(book.log.path)
    for statement in (
        f"UPDATE events SET body = NULL WHERE seq = {secret}",
        f"UPDATE events SET body = 'x' WHERE seq = {secret}",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="never changed"):
            connection.execute(statement)
    connection.close()


def test_an_interrupted_erasure_is_seen_and_can_be_finished(
    book: ledger.Ledger, secret: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(LogWriter, "erase", cut_off)
    with pytest.raises(KeyboardInterrupt):
        redaction.redact(book, secret, "a person asked", "GDPR article 17")
    monkeypatch.undo()
    verdict = verify(book)
    assert verdict.verified
    assert f"tally redact '#{secret}'" in verdict.warnings[0]
    done = redaction.redact(book, secret, "", "")
    assert done.appended is None
    book.close()
    assert holding(book.folder, SECRET) == []
    assert verify(book).warnings == []


def test_what_the_rest_rests_on_stays(book: ledger.Ledger, secret: int) -> None:
    with pytest.raises(Refused, match="could not be read or believed"):
        redaction.redact(book, 0, "x", "y")
    with pytest.raises(NotFound):
        redaction.redact(book, 10_000, "x", "y")
    with pytest.raises(InvalidInput, match="why"):
        redaction.redact(book, secret, " ", "y")
    assert book.log.event(secret).data is not None


def test_an_artifact_goes_with_the_event_that_names_it_unless_another_does(book: ledger.Ledger) -> None:
    told(book)
    first = next(e for e in book.events() if isinstance(e.event.body, say.ArtifactStored))
    name = first.event.body.artifact
    again = book.append(first.event.body)
    assert redaction.redact(book, first.seq, "x", "y").files == []
    assert book.objects.path(name).exists()
    assert redaction.redact(book, again.last_seq, "x", "y").files == [f"artifact {name[:12]}…"]
    assert not book.objects.path(name).exists()
    assert verify(book).exit_code == 0


def test_an_event_that_names_no_file_goes_like_any_other(book: ledger.Ledger) -> None:
    """What is no hash, as only a stranger's program writes it, is no reason to stop in the middle."""
    strange = say.ArtifactStored(artifact="../" + "x" * 61, size_bytes=1, media_type="x/y", role="other", run="r")
    seq = book.append(strange).last_seq
    assert redaction.redact(book, seq, "a mistake", "the owner").files == []
    assert book.log.event(seq).data is None


def test_the_digest_of_an_idempotency_key_goes_too(book: ledger.Ledger, secret: int) -> None:
    redaction.redact(book, secret, "x", "y")
    assert book.log.reader.execute("SELECT count(*) FROM keys").fetchone()[0] == 0


def test_two_people_redact_once(book: ledger.Ledger, secret: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with ledger.open(book.folder) as other:
        look = other.log.last_seq_of
        monkeypatch.setattr(other.log, "last_seq_of", lambda name: None if name.startswith("redaction") else look(name))
        redaction.redact(book, secret, "x", "y")
        with pytest.raises((Conflict, Refused)):
            redaction.redact(other, secret, "x", "y")
    assert sum(isinstance(entry.event.body, say.EventRedacted) for entry in book.events()) == 1


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seqs=st.sets(st.integers(3, 25), max_size=6), seal_first=st.booleans())
def test_any_set_of_redactions_leaves_a_ledger_that_verifies(
    tmp_path_factory: pytest.TempPathFactory, seqs: set[int], seal_first: bool
) -> None:
    with ledger.create(tmp_path_factory.mktemp("any"), timezone="UTC") as book:
        told(book)
        if seal_first:
            segments.seal(book)
        for seq in seqs:
            if seq < book.log.commit(book.log.size() - 1).last_seq and book.log.event(seq).type not in redaction.KEPT:
                redaction.redact(book, seq, "x", "y")
        if not seal_first:
            segments.seal(book)
        verdict = verify(book, Asked(segments=book.folder / "segments"))
        assert verdict.findings == []
        assert verdict.warnings == []
