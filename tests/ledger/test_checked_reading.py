"""Whatever is read is hashed: an altered body is never shown, proved, exported or counted."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from shell import tally
from stories import damage, told

from tallystick import ledger
from tallystick.ledger.errors import Damaged
from tallystick.ledger.events import types as say
from tallystick.ledger.publish.bundle import prove
from tallystick.ledger.publish.segments import seal
from tallystick.ledger.verify.verify import verify
from tallystick.ledger.views.entities import DECISIONS


@pytest.fixture
def altered(book: ledger.Ledger) -> int:
    """The position of a decision whose body somebody edited in the file; it is still valid JSON of its type."""
    told(book)
    seq = next(entry.seq for entry in book.events() if isinstance(entry.event.body, say.DecisionTaken))
    damage(book, f"UPDATE events SET body = replace(body, 'chosen.', 'refused') WHERE seq = {seq}")
    with closing(sqlite3.connect(book.log.path)) as connection:
        assert "refused" in connection.execute("SELECT body FROM events WHERE seq = ?", (seq,)).fetchone()[0]
    return seq


QUESTIONS: dict[str, Callable[[ledger.Ledger, int], object]] = {
    "one event": lambda book, seq: book.event(seq),
    "its handle": lambda book, seq: book.log.event(seq),
    "some events": lambda book, seq: book.log.some([seq]),
    "a range of events": lambda book, seq: list(book.events(seq - 1, seq + 1)),
    "events of a type": lambda book, seq: list(book.log.events(types={"decision.taken"})),
    "why": lambda book, seq: book.now().why("decision:r1.outcome"),
    "a story": lambda book, seq: book.now().story("decision:r1"),
    "a what-if": lambda book, seq: book.now().without(seq + 1),
    "by time of occurrence": lambda book, seq: book.at("2013", axis="occurred").decisions(),
    "a segment": lambda book, seq: seal(book),
    "a bundle": lambda book, seq: prove(book, f"event:{seq}", [seq], book.folder.parent / "bundle", False),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_question_is_answered_from_an_altered_body(book: ledger.Ledger, altered: int, question: str) -> None:
    with pytest.raises(Damaged, match=rf"event #{altered} .* was altered") as raised:
        QUESTIONS[question](book, altered)
    assert "tally verify" in (raised.value.hint or "")


def test_views_are_never_folded_from_an_altered_body(book: ledger.Ledger, altered: int) -> None:
    book.views.discard()
    with pytest.raises(Damaged, match=f"event #{altered} "):
        book.now().decisions()
    # Nothing of it was kept: the next question does not find half of the views, either.
    with pytest.raises(Damaged, match=f"event #{altered} "):
        book.views.get(DECISIONS, "r1", altered)


@pytest.mark.parametrize(
    "words",
    [
        ("show", "#{seq}"), ("show", "c{commit}"), ("log",), ("prove", "#{seq}", "-o", "proof"),
        ("correct", "#{seq}", "--reason", "x"), ("redact", "#{seq}", "--reason", "x", "--authority", "y", "--yes"),
    ],
)  # fmt: skip
def test_commands_name_the_event_and_the_next_step(book: ledger.Ledger, altered: int, words: tuple[str, ...]) -> None:
    commit = book.log.commit_of(altered).n
    before = book.log.size()
    book.close()
    answer = tally(book.folder.parent, *(word.format(seq=altered, commit=commit) for word in words))
    assert answer.code == 1, (answer.out, answer.err)
    assert f"event #{altered} " in answer.err
    assert "tally verify" in answer.err
    assert "refused" not in answer.out
    assert book.log.size() == before


def test_verification_still_reads_it_and_says_where(book: ledger.Ledger, altered: int) -> None:
    verdict = verify(book)
    assert [(finding.kind, finding.where.partition("-")[0]) for finding in verdict.findings] == [
        ("BODY ALTERED", f"#{altered}")
    ]
    assert "run r1" in verdict.findings[0].words
    # What is read afterwards through the same object is checked again.
    with pytest.raises(Damaged):
        book.event(altered)


def test_the_genesis_is_checked_and_a_damaged_one_can_be_verified(book: ledger.Ledger, tmp_path: Path) -> None:
    told(book)
    damage(book, "UPDATE events SET body = replace(body, 'New_York', 'New_Yorl') WHERE seq = 0")
    with pytest.raises(Damaged, match="event #0 "), ledger.open(book.folder) as again:
        assert again.zone
    answer = tally(book.folder.parent, "verify")
    assert (answer.code, answer.out.splitlines()[0].partition(" at ")[0]) == (1, "NOT VERIFIED: BODY ALTERED")
