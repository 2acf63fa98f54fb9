"""Two laws of evidence: taking some away never improves an answer, and what comes later changes no answer of the past.

The history is that of :func:`life`: a run that passes its gates or not, a repetition, two looks at the sealed windows,
signatures, waivers, promotions, watched months and automation. What is set aside or erased of it is generated.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shlex
from pathlib import Path
from typing import Any
from unittest import mock

import older
import pytest
from click.testing import CliRunner
from given import Ticking
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from judged_life import FILE, MODEL, PIPELINE, RUN, copy_of, level, life, passed

from tallystick import ledger
from tallystick.ledger.amend.correction import correct
from tallystick.ledger.amend.redaction import KEPT, redact
from tallystick.ledger.amend.undoing import DECISIONS
from tallystick.ledger.errors import Damaged, Refused, TallyError
from tallystick.ledger.events import types as say
from tallystick.ledger.importing.importer import import_history
from tallystick.ledger.verify.verify import verify
from tallystick.pipeline.config.load import LoadedPipeline, read
from tallystick.pipeline.config.loosening import refuse_silent_loosening
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


@pytest.fixture(scope="module")
def with_import(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same life, beside that of another ledger, of which some was erased and set aside before it was imported."""
    folder = tmp_path_factory.mktemp("laws")
    life(folder / "ann")
    with ledger.open(folder / "ann", clock=Ticking(dt.datetime(2013, 8, 10, tzinfo=dt.UTC))) as ann:
        now = ann.now()
        alarm = [found.seq for found in now.events(types=[say.PeriodMonitored.TYPE])][-1]
        window = next(found.seq for found in now.events(types=[say.WindowEvaluated.TYPE]))
        redact(ann, alarm, "it names a person", "the law")
        older.redact(
            ann, next(f.seq for f in now.events(types=[say.RunReproduced.TYPE])), "it names a person", "the law"
        )
        wrong = correct(ann, window, "of another month").last_seq
        redact(ann, wrong, "it names a person", "the law")
        ann.checkpoint()
    life(folder / "team")
    with ledger.open(folder / "team", clock=Ticking(dt.datetime(2013, 8, 20, tzinfo=dt.UTC))) as book:
        import_history(book, folder / "ann", named_under="ann")
    return folder / "team"


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


@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.integers(1, 160), st.sampled_from(AMENDMENTS)), min_size=1, max_size=4))
def test_evidence_of_an_imported_history_improves_nothing_by_going(
    with_import: Path, amended: list[tuple[int, str]]
) -> None:
    with copy_of(with_import) as book:
        assert not {gate for gate in passed(book.now()) if gate[0].startswith("now ann/") and gate[1] == "reproduced"}
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


# Registrations ----------------------------------------------------------------------------------------------


def laxer(tmp_path: Path, why: str = "") -> LoadedPipeline:
    """The file with a gate loosened under its old words; ``why`` for all gates."""
    text = FILE.read_text().replace("at_most = 0.05", "at_most = 0.5", 1)
    assert text != FILE.read_text()
    if why:
        text = text.replace("[gates] ", f'[gates]\nwhy = "{why}"\n', 1)
    file = tmp_path / "laxer.toml"
    file.write_text(text)
    return read(file)


@pytest.mark.parametrize("how", AMENDMENTS)
def test_a_registration_that_is_taken_away_lets_nobody_loosen_in_silence(told: Path, how: str, tmp_path: Path) -> None:
    with copy_of(told) as book:
        registered = max(found.seq for found in book.now().events(types=["pipeline.registered"]))
        assert amend(book, registered, how)
        with pytest.raises(Refused) as refused:
            refuse_silent_loosening(book.now(), laxer(tmp_path))
        if how == "correct":
            assert "loosened 0.05 -> 0.5" in refused.value.message
            return
        assert f"the content of #{registered} (pipeline.registered) was erased on 2013-09-01" in refused.value.message
        assert f"#{registered}" in refused.value.hint
        # The words of the hint help, and another number does not.
        refuse_silent_loosening(book.now(), laxer(tmp_path, f"known before #{registered} was erased"))
        with pytest.raises(Refused):
            refuse_silent_loosening(book.now(), laxer(tmp_path, f"known before #{registered}0 was erased"))


def test_a_pipeline_whose_only_registration_is_erased_is_unknown_and_not_missing(told: Path) -> None:
    with copy_of(told) as book:
        for found in list(book.now().events(types=["pipeline.registered"])):
            assert amend(book, found.seq, "redact as before")
        folder = str(book.folder)
        champion = CliRunner().invoke(tally, ["champion", PIPELINE, "--ledger", folder])
        status = CliRunner().invoke(tally, ["status", "--json", "--ledger", folder])
        words = " ".join(CliRunner().invoke(tally, ["status", "--ledger", folder]).output.split())
    assert "unknown: the content of #" in str(champion.exception), champion.output
    assert json.loads(status.stdout)["pipelines"]["unknown"] == "erased"
    assert "Which pipelines there are is unknown: the content of #" in words
    assert "No pipeline has run yet" not in words


# Every answer about a gate ----------------------------------------------------------------------------------


def asked(folder: str, *words: str) -> Any:
    done = CliRunner().invoke(tally, [*words, "--json", "--ledger", folder])
    assert done.exception is None or isinstance(done.exception, SystemExit), (words, done.exception)
    return json.loads(done.stdout)


@pytest.mark.parametrize("how", AMENDMENTS)
def test_every_answer_about_a_gate_is_the_same(told: Path, how: str) -> None:
    with copy_of(told) as book:
        before, folder, gate = book.now().as_of, str(book.folder), f"{MODEL}/leakage"
        seq = next(found.seq for found in book.now().events(types=[say.LeakageChecked.TYPE]))
        assert asked(folder, "show", f"gate:{gate}")["state"]["verdict"] == "passed"
        assert amend(book, seq, how)
        shown = asked(folder, "show", f"gate:{gate}")["state"]
        assert shown["verdict"] == "open" and f"#{seq}" in shown["sentence"]
        rows = asked(folder, "sql", f"select verdict, sentence from gates where gate = '{gate}'")["rows"]
        assert rows == [{"verdict": "open", "sentence": shown["sentence"]}]
        why = asked(folder, "why", f"gate:{gate}.verdict")
        assert (why["value"], why["before"]) == ("open", "passed")
        assert why["because"]["causes"], "what had been recorded of it"
        changed = asked(folder, "diff", f"c{before.n}", "now")["changes"]
        found = [item for item in changed if item["handle"] == f"gate:{gate}"]
        if how == "correct":  # what was erased is unknown at both moments
            assert [field["field"] for field in found[0]["fields"]] == ["verdict", "sentence"]
            assert {field["event"] for field in found[0]["fields"]} == {f"#{book.now().as_of.seq}"}
        else:
            assert found == []
            assert asked(folder, "show", f"gate:{gate}", "--as-of", f"c{before.n}")["state"]["verdict"] == "open"
