"""What the holder of a ledger's own key may claim of imported histories, and which of it verification contradicts."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import msgspec
import pytest
from histories import registered, started
from stories import damage, rewrite_everything

from tallystick import ledger
from tallystick.ledger.errors import Refused
from tallystick.ledger.events import types as say
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.importing.importer import import_history
from tallystick.ledger.tlog import pins
from tallystick.ledger.tlog.note import SignerKey, parse_receipt, receipt_line
from tallystick.ledger.verify.report import Asked
from tallystick.ledger.verify.verify import verify
from tallystick.ledger.writing.appender import Copy
from tallystick.tui.output.import_label import imported_json, source_words

LAST_YEAR = dt.datetime(2012, 1, 1, 12, tzinfo=dt.UTC)


def found(book: ledger.Ledger) -> list[tuple[str, str]]:
    return [(finding.kind, finding.words) for finding in verify(book).findings]


def announced(book: ledger.Ledger) -> say.HistoryImported:
    return next(e.event.body for e in book.events() if isinstance(e.event.body, say.HistoryImported))


def signed_again(book: ledger.Ledger, old: bytes, new: bytes, *statements: str) -> None:
    rewrite_everything(book, lambda data: data.replace(old, new))
    damage(book, *statements, "DELETE FROM checkpoints WHERE size > 1")
    pins.forget(book.origin)
    pins.write_pin(book.identity.key, "made here")
    book.checkpoint()


def test_a_commit_that_claims_to_be_imported_is_found(book: ledger.Ledger) -> None:
    """Its head puts another's name to it; without saying which commit it was nothing can hold it against theirs."""
    batch = book.appender.encoded([Draft(registered("q"))], LAST_YEAR)
    book.append_copies([Copy(batch, frozenset(), "boss@example.org", "imported: c3 of a-bank", {}, lambda _seq: [])])
    book.checkpoint()
    assert found(book) == [("IMPORT", "c1 says that it was imported, but not which commit of which ledger.")]


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        ({"vouched": "receipt", "receipt": "it was shown to me"}, "no receipt in this text"),
        ({"vouched": "receipt", "receipt": f"receipt x@6 {'A' * 43}="}, "that receipt is of x"),
        ({"vouched": "receipt", "receipt": f"receipt ANN@6 {'A' * 43}="}, "not what that receipt saw"),
        ({"vouched": "receipt", "receipt": f"receipt ANN@7 {'A' * 43}="}, "not what that receipt saw"),
        ({"vouched": "key", "key": SignerKey.generate("ann").verifier.format()}, "has not signed it"),
        ({"vouched": "pin", "key": "none"}, "cannot be read"),
        ({"vouched": "import"}, "nothing before it was"),
        ({"named_under": "bob"}, "under something else"),
    ],
)
def test_a_claim_that_somebody_vouched_is_held_against_what_it_names(
    claim: dict[str, Any], words: str, book: ledger.Ledger, ann: ledger.Ledger
) -> None:
    import_history(book, ann.folder, named_under="ann")
    if "receipt" in claim:
        claim = claim | {"receipt": claim["receipt"].replace("ANN", ann.origin)}
    book.append(msgspec.structs.replace(announced(book), first=6, **claim), sign=True)
    ((kind, said),) = found(book)
    assert kind == "IMPORT"
    assert words in said


def test_a_receipt_of_an_earlier_state_vouches_in_every_verification(book: ledger.Ledger, ann: ledger.Ledger) -> None:
    old = parse_receipt(ann.checkpoint())
    import_history(book, ann.folder)
    ann.append(started("r7", "p"), sign=True)
    done = import_history(book, ann.folder, against=old)
    assert done.said.receipt == receipt_line(old.checkpoint)
    assert found(book) == []
    other = receipt_line(old.checkpoint._replace(root=bytes(32)))
    signed_again(book, done.said.receipt.encode(), other.encode())
    ((kind, words),) = found(book)
    assert kind == "IMPORT" and "not what that receipt saw" in words


def test_a_receipt_of_more_than_is_signed_there_vouches_for_nothing(book: ledger.Ledger, ann: ledger.Ledger) -> None:
    receipt = parse_receipt(ann.checkpoint())
    damage(ann, "DELETE FROM checkpoints WHERE size = 6")
    with pytest.raises(Refused, match="only 5 of them are signed there"):
        import_history(book, ann.folder, against=receipt)


def test_no_label_vanishes_from_a_commit(book: ledger.Ledger, ann: ledger.Ledger) -> None:
    import_history(book, ann.folder)
    signed_again(book, b'"proven":false', b'"proven":true')
    assert {kind for kind, _ in found(book)} == {"IMPORT"}
    assert "nobody vouched for it" in found(book)[0][1]


def test_names_stay_under_what_was_said(
    book: ledger.Ledger, ann: ledger.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else somebody could let one promotion of Ann's speak of a model of ours, with an index that fits."""
    monkeypatch.setattr("tallystick.ledger.importing.plan.under_both", lambda _outer, _inner: "bob")
    import_history(book, ann.folder, named_under="ann")
    assert {kind for kind, _ in found(book)} == {"IMPORT"}
    assert "under something else" in found(book)[0][1]


def test_what_the_other_ledger_had_from_a_third_keeps_its_own_label(
    book: ledger.Ledger, ann: ledger.Ledger, tmp_path: Path
) -> None:
    """A receipt of Ann's vouches for what Ann recorded, not for what she had brought in and labelled herself."""
    with ledger.create(tmp_path / "carl", timezone="UTC", key_home="file") as carl:
        carl.append(registered("c"), sign=True)
        pins.forget(carl.origin)
    import_history(ann, tmp_path / "carl", named_under="carl")
    import_history(book, ann.folder, against=parse_receipt(ann.checkpoint()))
    now = book.now()
    assert source_words(now, now.as_of.n, book.zone).endswith(
        f"that ledger had imported it itself, from {carl.origin}, UNPROVEN"
    )
    told_of = imported_json(now, now.as_of.n)
    assert told_of is not None and told_of["proven"] is False
    verdict = verify(book)
    assert dict(verdict.lines)["import"].endswith("; 2 commits that it had imported itself: UNPROVEN")
    assert verdict.findings == []


def test_a_false_size_of_an_artifact_does_not_accuse_our_file(book: ledger.Ledger, ann: ledger.Ledger) -> None:
    kept = book.store(b"ours")

    def stored(size_bytes: int) -> say.ArtifactStored:
        return say.ArtifactStored(artifact=kept.hash, size_bytes=size_bytes, media_type="x/y", role="model", run="r1")

    book.append(stored(kept.size_bytes))
    ann.append(stored(77), sign=True)
    with pytest.raises(Refused, match="which is not its size"):
        import_history(book, ann.folder, named_under="ann")
    book.append(stored(77), sign=True)
    verdict = verify(book)
    assert verdict.findings == []
    assert "the event is wrong, the file is not" in verdict.warnings[0]


def test_a_verification_that_goes_on_from_an_earlier_one_keeps_the_label(
    book: ledger.Ledger, ann: ledger.Ledger
) -> None:
    import_history(book, ann.folder)
    book.checkpoint()
    verify(book)
    verdict = verify(book, Asked(since_last=True))
    assert verdict.exit_code == 4
    (line,) = (words for name, words in verdict.lines if name == "import")
    assert "NOT recomputed" in line and "UNPROVEN" in line
