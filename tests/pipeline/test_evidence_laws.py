"""Two laws of evidence: taking some away never improves an answer, and what comes later changes no answer of the past.

The history is that of :func:`life`: a run that passes its gates or not, a repetition, two looks at the sealed windows,
signatures, waivers, promotions, watched months and automation. What is set aside or erased of it is generated.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from unittest import mock

import older
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from judged_life import MODEL, PIPELINE, RUN, copy_of, level, life, passed

from tallystick import ledger
from tallystick.ledger.amend.correction import correct
from tallystick.ledger.amend.redaction import KEPT, redact
from tallystick.ledger.amend.undoing import DECISIONS
from tallystick.ledger.errors import Damaged, Refused, TallyError
from tallystick.ledger.verify.verify import verify
from tallystick.tui.cli.main import tally

AMENDMENTS = ("correct", "redact", "redact as before")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("laws") / "team"
    life(folder)
    return folder


def amend(book: ledger.Ledger, seq: int, how: str) -> bool:
    """Take an event away; False where that is refused."""
    try:
        match how:
            case "correct":
                correct(book, seq, "it was a mistake")
            case "redact":
                redact(book, seq, "it names a person", "the law")
            case _:
                older.redact(book, seq, "it names a person", "the law")
    except (Refused, Damaged):  # a decision, what the rest rests on, or what is gone already
        return False
    return True


amendments = st.lists(st.tuples(st.integers(1, 60), st.sampled_from(AMENDMENTS)), min_size=1, max_size=4)


@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(amendments)
def test_evidence_that_is_taken_away_improves_nothing(told: Path, amended: list[tuple[int, str]]) -> None:
    with copy_of(told) as book:
        for seq, how in amended:
            before = book.now()
            gates, automated = passed(before), level(before)
            if seq <= before.as_of.seq and amend(book, seq, how):
                after = book.now()
                assert passed(after) <= gates, (before.event(seq).type, how)
                assert level(after) <= automated, (before.event(seq).type, how)
        assert verify(book).findings == []


@pytest.mark.parametrize("how", AMENDMENTS)
def test_no_single_event_improves_anything_by_going(told: Path, how: str) -> None:
    """Every event that may be taken away, one by one."""
    with copy_of(told) as book:
        last, gates, automated = book.now().as_of.seq, passed(book.now()), level(book.now())
        types = {seq: book.log.event(seq).type for seq in range(last + 1)}
    assert gates
    taken = 0
    for seq, event_type in types.items():
        if event_type in KEPT:
            continue
        with copy_of(told) as book:
            if amend(book, seq, how):
                taken += 1
                after = book.now()
                assert passed(after) <= gates, (seq, event_type)
                assert level(after) <= automated, (seq, event_type)
    assert taken > 20


@pytest.mark.parametrize("how", AMENDMENTS)
def test_whatever_is_taken_away_reading_answers_or_says_why_not(told: Path, how: str) -> None:
    """One event of every type, and the commands that read much; a failure is an error of ours, with its reason."""
    with copy_of(told) as book:
        first: dict[str, int] = {}
        for found in book.now().events():
            first.setdefault(found.type, found.seq)
    asked = (["lineage", MODEL], ["lineage", MODEL, "--json"], ["explain", RUN], ["audit"], ["automation", PIPELINE])
    for event_type, seq in first.items():
        with copy_of(told) as book:
            if event_type in KEPT or not amend(book, seq, how):
                continue
            for words in asked:
                done = CliRunner().invoke(tally, [*words, "--ledger", str(book.folder)])
                assert isinstance(done.exception, TallyError | SystemExit | None), (event_type, words)
                if words[0] == "explain" and event_type == "pipeline.registered" and how == "redact":
                    assert f"unknown: the content of #{seq} was erased" in str(done.exception)


def test_a_decision_is_undone_by_the_command_that_the_refusal_names(told: Path) -> None:
    with copy_of(told) as book:
        decisions = [found.seq for found in book.now().events(types=DECISIONS)]
    followed = []
    for seq in decisions:
        with copy_of(told) as book:
            with pytest.raises(Refused, match="a decision is undone by a new decision") as refused:
                correct(book, seq, "it was wrong")
            said, _, command = refused.value.hint.rpartition(": tally ")
            if command.endswith("…") or said.startswith("A new promotion"):
                continue  # what a person has to fill in, or what the gates have to let through
            words = [*shlex.split(command), "--ledger", str(book.folder)]
            with mock.patch.dict(os.environ, TALLY_ALLOW_JUMP="1"):
                done = CliRunner().invoke(tally, words)
            assert (done.exit_code, done.exception) == (0, None), (seq, refused.value.hint, done.output)
            followed.append(words[0])
    assert {"retire", "story", "automation"} <= {*followed}
