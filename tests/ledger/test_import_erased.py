"""What was erased in another ledger before it was imported is unknown here, too, and not absent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import older
import pytest
from histories import promoted, refitted

from tallystick import ledger
from tallystick.ledger.amend.redaction import redact
from tallystick.ledger.errors import NotFound
from tallystick.ledger.events import types as say
from tallystick.ledger.events.unknown import Unknown
from tallystick.ledger.importing.importer import import_history
from tallystick.ledger.verify.verify import verify

ERASE = pytest.mark.parametrize("erase", [redact, older.redact], ids=["now", "as before"])


def promote_another(ann: ledger.Ledger) -> int:
    """A second model that replaces the first; the position of its promotion."""
    ann.append(refitted("p-v2", "r1", "p"))
    return ann.append(promoted("p-v2", "p", "p-v1"), sign=True).last_seq


@ERASE
@pytest.mark.parametrize("under", [None, "ann"])
def test_a_promotion_that_was_erased_there_is_not_forgotten_here(
    book: ledger.Ledger, ann: ledger.Ledger, erase: Any, under: str | None
) -> None:
    seq = promote_another(ann)
    erase(ann, seq, "it names a person", "the law")
    import_history(book, ann.folder, named_under=under)
    prefix = "" if under is None else f"{under}/"
    now = book.now()
    (item,) = now.erased([say.ModelPromoted.TYPE])
    assert (item.event.type, item.event.id.hex()) == ("model.promoted", ann.log.event(seq).id.hex())
    assert item.refers_to == (None if erase is older.redact else {
        "model": f"{prefix}p-v2", "pipeline": f"{prefix}p", "previous": f"{prefix}p-v1", "run": f"{prefix}r1"
    }) or erase is redact  # fmt: skip
    there, here = ann.now().champion_if_known("p"), now.champion_if_known(f"{prefix}p")
    if erase is redact:
        assert not isinstance(here, Unknown | None) and here.model == f"{prefix}p-v2"
        assert isinstance(here.reason, Unknown)
        assert here.reason.event == item.event.seq
    else:
        assert isinstance(there, Unknown) and isinstance(here, Unknown)
        with pytest.raises(NotFound, match=f"unknown: the content of #{item.event.seq} was erased on"):
            now.champion(f"{prefix}p")
    assert verify(book).findings == []
    # The same from views that are folded anew, and after a correction of something else.
    book.views.discard()
    assert book.now().champion_if_known(f"{prefix}p") == here


def test_a_new_promotion_here_is_a_new_answer(book: ledger.Ledger, ann: ledger.Ledger) -> None:
    older.redact(ann, promote_another(ann), "it names a person", "the law")
    import_history(book, ann.folder)
    assert isinstance(book.now().champion_if_known("p"), Unknown)
    book.append(promoted("p-v1", "p", None))
    champion = book.now().champion("p")
    assert champion is not None and champion.model == "p-v1"


@ERASE
def test_a_correction_that_was_erased_there_keeps_its_effect_here(
    book: ledger.Ledger, ann: ledger.Ledger, erase: Any
) -> None:
    seq = promote_another(ann)
    said = older.set_aside(ann, seq, "Mrs Miller told me so").last_seq
    erase(ann, said, "it names a person", "the law")
    import_history(book, ann.folder)
    champion = book.now().champion_if_known("p")
    if erase is redact:
        assert not isinstance(champion, Unknown | None) and champion.model == "p-v1"
        (correction,) = book.now().corrections()
        assert correction.reason.startswith("Why it does not count was erased in the other ledger on ")
    else:
        assert isinstance(champion, Unknown)
    assert verify(book).findings == []


@ERASE
def test_it_stays_unknown_when_the_history_is_passed_on(
    book: ledger.Ledger, ann: ledger.Ledger, tmp_path: Path, erase: Any
) -> None:
    erase(ann, promote_another(ann), "it names a person", "the law")
    with ledger.create(tmp_path / "carl", timezone="UTC", key_home="file") as carl:
        import_history(carl, ann.folder, named_under="ann")
        carl.checkpoint()
        import_history(book, carl.folder, named_under="carl")
        there, here = carl.now().champion_if_known("ann/p"), book.now().champion_if_known("carl/ann/p")
    assert isinstance(here, Unknown) == isinstance(there, Unknown)
    assert here is not None and (isinstance(here, Unknown) or here.model == "carl/ann/p-v2")
    assert verify(book).findings == []
