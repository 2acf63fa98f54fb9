"""What follows from erased content is unknown; a correction that is erased keeps its effect."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import older
import pytest
from given import Ticking
from histories import commits as histories
from histories import promoted, refitted, registered
from hypothesis import HealthCheck, given, settings
from lives import LATE, live, waiver, watched

from tallystick import ledger
from tallystick.ledger.amend.redaction import redact
from tallystick.ledger.errors import NotFound
from tallystick.ledger.events import types as say
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.unknown import Unknown, guesses
from tallystick.ledger.verify.verify import verify
from tallystick.ledger.views.entities import PROJECTIONS, AutomationState
from tallystick.ledger.views.fold import changed_fields
from tallystick.ledger.views.store import Version

ERASE = pytest.mark.parametrize("erase", [redact, older.redact], ids=["now", "as before"])
Erase = Callable[[ledger.Ledger, int, str, str], object]


@pytest.fixture
def lived(tmp_path: Path) -> Iterator[ledger.Ledger]:
    with live(tmp_path / "lived") as book:
        yield book


def first(book: ledger.Ledger, kind: type[say.Body]) -> int:
    return next(found.seq for found in book.now().events(types=[kind.TYPE]))


def test_an_unknown_value_answers_every_question_with_itself() -> None:
    value = Unknown(event=50, redaction=60, on="2013-07-01")
    words = "unknown: the content of #50 was erased on 2013-07-01"
    assert (str(value), f"{value:%Y}", f"{value.since.astimezone():%Y}") == (words, words, words)
    assert value + 1 is value
    before = guesses()
    assert not value == "champion" and value != "champion" and not value < 3 and not value > 3  # noqa: SIM201
    assert guesses() > before
    assert msgspec.to_builtins(value) == {"unknown": "erased", "event": 50, "redaction": 60, "on": "2013-07-01"}


@ERASE
def test_a_redacted_correction_keeps_what_it_had_set_aside_aside(book: ledger.Ledger, erase: Erase) -> None:
    book.append(registered("p"))
    book.append(refitted("p-v1", "r", "p"), refitted("p-v2", "r", "p"))
    book.append(promoted("p-v1", "p", None))
    wrong = book.append(promoted("p-v2", "p", "p-v1")).last_seq
    said = older.set_aside(book, wrong, "Mrs Miller told me so").last_seq
    erase(book, said, "it names a person", "the law")
    now = book.now()
    if erase is redact:
        assert now.correction(wrong) is not None
        champion = now.champion("p")
        assert champion is not None and champion.model == "p-v1"
    else:  # which event it set aside is not known any more, so no champion is named
        with pytest.raises(NotFound, match=f"unknown: the content of #{said} was erased on"):
            now.champion("p")
    assert verify(book).findings == []


@ERASE
def test_a_new_promotion_is_a_new_answer(lived: ledger.Ledger, erase: Erase) -> None:
    for found in list(lived.now().events(types=[say.ModelPromoted.TYPE])):
        erase(lived, found.seq, "it names a person", "the law")
    champion = lived.now().champion_if_known(LATE)
    assert isinstance(champion, Unknown) == (erase is older.redact)
    lived.append(promoted(f"{LATE}-v1", LATE, None))
    champion = lived.now().champion(LATE)
    assert champion is not None and champion.model == f"{LATE}-v1" and champion.status == "champion"
    assert lived.now().pipeline(LATE).champion is not None


@ERASE
def test_an_erased_alarm_unlocks_nothing(book: ledger.Ledger, erase: Erase) -> None:
    meaning = {"automation": {"level": "auto_refit", "unlock": {"stable_windows": 1}, "relock_on": ["alarm"]}}
    book.append(msgspec.structs.replace(registered("p"), meaning=meaning))
    book.append(watched("p", "p-v1", 3, "quiet", "As usual."))
    book.append(
        say.AutomationChanged(automation="p", pipeline="p", level="auto_refit", before="manual", quiet_periods=1,
                              needed=1, approvers=[], reason="so")
    )  # fmt: skip
    alarm = book.append(watched("p", "p-v1", 4, "alarm", "It got worse.")).last_seq
    before = book.now().automations()[0]
    assert (before.level, before.quiet_periods) == ("manual", 0)
    erase(book, alarm, "it names a person", "the law")
    state: AutomationState = book.now().automations()[0]
    assert isinstance(state.level, Unknown) and isinstance(state.quiet_periods, Unknown)


def test_an_alarm_that_is_set_aside_stays_a_lock(book: ledger.Ledger) -> None:
    meaning = {"automation": {"level": "auto_refit", "unlock": {"stable_windows": 1}, "relock_on": ["alarm"]}}
    book.append(msgspec.structs.replace(registered("p"), meaning=meaning))
    book.append(
        say.AutomationChanged(automation="p", pipeline="p", level="auto_refit", before="manual", quiet_periods=1,
                              needed=1, approvers=[], reason="so")
    )  # fmt: skip
    alarm = book.append(watched("p", "p-v1", 4, "alarm", "It got worse.")).last_seq
    older.set_aside(book, alarm, "of another month")
    assert book.now().automations()[0].level == "manual"
    assert book.now().periods() == []


def test_a_verdict_that_is_set_aside_leaves_its_gate_open(lived: ledger.Ledger) -> None:
    gate = next(state for state in lived.now().gates() if state.verdict == "failed")
    older.set_aside(lived, first(lived, say.GateEvaluated), "judged on other months")
    for found in lived.now().events(types=[say.GateEvaluated.TYPE]):
        if found.counts:
            older.set_aside(lived, found.seq, "judged on other months")
    assert {state.verdict for state in lived.now().gates()} == {"open"}
    assert not any(state.verdict == "passed" for state in lived.now().gates())
    assert gate.gate in {state.gate for state in lived.now().gates()}


def test_what_is_kept_of_an_erased_event_are_names_that_others_hold(lived: ledger.Ledger) -> None:
    secret = waiver("karl-miller-v1", LATE, "leakage", dt.datetime(2013, 12, 1, tzinfo=dt.UTC), "it is repaired soon")
    seq = lived.append(secret).last_seq
    done = redact(lived, seq, "it names a person", "the law")
    assert done.appended is not None
    said = lived.event(done.appended.last_seq).event.body
    assert (said.version, said.refers_to) == (1, {"pipeline": LATE})
    assert "karl-miller" not in (lived.folder / "ledger.db").read_bytes().decode("utf-8", "replace")


@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(histories)
def test_an_event_changes_only_the_fields_that_its_type_declares(
    tmp_path_factory: pytest.TempPathFactory, commits: list[list[say.Body | Draft]]
) -> None:
    """Erasing one makes exactly these unknown: a field that is not declared would keep a value it never had."""
    clock = Ticking(dt.datetime(2013, 1, 1, tzinfo=dt.UTC))
    with ledger.create(tmp_path_factory.mktemp("fields"), timezone="UTC", clock=clock, key_home="file") as book:
        for commit in commits:
            book.append(*commit)
        end = book.now().as_of.seq
        for projection in PROJECTIONS:
            for state in book.views.all(projection, end):
                history: list[Version] = book.views.history(projection, getattr(state, projection.key), -1, end)
                for one, other in itertools.pairwise(history):
                    if one.state is None or other.state is None:
                        continue
                    event_type = book.log.event(other.position).type
                    assert {*changed_fields(one.state, other.state)} <= {*projection.written_by(event_type, one.state)}
