"""Questions of the leakage checks: who answers, what an answer covers, when it lapses, and what waits for it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from given import FIXTURES
from judged import judged_run, looked, passes_everything
from shell import tally

from tallystick import ledger
from tallystick.ledger.errors import InvalidInput, NotFound, Refused
from tallystick.ledger.events import types as say
from tallystick.pipeline.config.load import ConfigurationError, read
from tallystick.pipeline.governance.answers import answer
from tallystick.pipeline.governance.gates import Outcome, judge, standing
from tallystick.pipeline.governance.promotion import promote
from tallystick.pipeline.leakage import checks, questions
from tallystick.pipeline.leakage.questions import ANSWER, Given
from tallystick.pipeline.runs.run import RunReport, run

FILE = FIXTURES / "late-arrivals.toml"
WHY = "Booked load from the reservation system, frozen 24 h before."
STANDS_OUT = "tells more than all others"
GAINS = {"2013-04": 0.05, "2013-05": 0.06, "2013-06": 0.04}


def look(check: str = STANDS_OUT, subject: str = "load", left: float | None = 0.5) -> say.Check:
    facts: dict[str, Any] = {} if left is None else {"left": left, "left_error": 0.01}
    return say.Check(check=check, subject=subject, result="look", facts=facts, sentence=f"{subject}: {check}.")


def given(
    *checks: str, by: str = "ann", second: str | None = None, left: float | None = None, error: float = 0.01
) -> Given:
    return Given(say.LeakAnswer(why=WHY, by=by, second=second, where="file"), frozenset(checks), left, error)


def only(found: list[say.LeakQuestion]) -> say.LeakQuestion:
    (one,) = found
    return one


# What an answer covers -------------------------------------------------------------------------------------


def test_a_feature_is_asked_about_once_and_a_proof_asks_nothing() -> None:
    failed = msgspec.structs.replace(look(subject="risk"), result="fail")
    found = questions.asked([look("a value tells"), look(), look(subject="risk"), failed], {})
    assert only(found).subject == "load"
    assert only(found).checks == ["a value tells", STANDS_OUT]
    assert questions.open_questions(found) == found
    assert questions.provisional(found) == " Provisional: 1 question open."
    assert questions.provisional([]) == ""


@pytest.mark.parametrize("check", sorted(questions.SAME - {ANSWER}))
def test_one_answer_covers_every_check_that_asks_the_same(check: str) -> None:
    found = only(questions.asked([look(check)], {"load": [given(STANDS_OUT)]}))
    assert [item.by for item in found.answers] == ["ann"]
    assert questions.open_questions([found]) == []


@pytest.mark.parametrize(
    "check", ["other where the answer is not known", "empty where the answer is not known", "name"]
)
def test_another_check_asks_anew(check: str) -> None:
    found = only(questions.asked([look(), look(check)], {"load": [given(STANDS_OUT)]}))
    assert found.answers == []
    assert found.open_because == f"It was answered for other checks; nobody has answered {check}."
    both = only(questions.asked([look(), look(check)], {"load": [given(STANDS_OUT), given(check, by="ben")]}))
    assert [item.by for item in both.answers] == ["ann", "ben"]


def test_what_looks_like_the_answer_takes_two_people() -> None:
    checks_ = [look("a value tells"), look(ANSWER)]
    alone = only(questions.asked(checks_, {"load": [given(ANSWER)]}))
    assert alone.checks[0] == ANSWER
    assert (alone.answers, "a second name is needed" in (alone.open_because or "")) == ([], True)
    same = only(questions.asked(checks_, {"load": [given(ANSWER), given(ANSWER, by=" ANN ", second="ann")]}))
    assert same.answers == []
    for pair in ([given(ANSWER, second="ben")], [given(ANSWER), given(ANSWER, by="ben")]):
        assert only(questions.asked(checks_, {"load": pair})).answers


@pytest.mark.parametrize(
    ("then", "now", "error", "holds"),
    [(0.5, 0.5, 0.01, True), (0.5, 0.38, 0.01, True), (0.5, 0.36, 0.01, False), (0.5, 0.36, 0.1, True),
     (None, 0.1, 0.01, True)],
)  # fmt: skip
def test_an_answer_lapses_when_the_feature_tells_much_more(
    then: float | None, now: float, error: float, holds: bool
) -> None:
    found = only(questions.asked([look(left=now)], {"load": [given(STANDS_OUT, left=then, error=error)]}))
    assert bool(found.answers) is holds
    if not holds:
        assert found.open_because == (
            "The answer of ann has lapsed: load leaves 36% of the uncertainty now, and left 50% then."
        )


# In the file -----------------------------------------------------------------------------------------------


def explained(text: str, feature: str = "dep_delay", **settings: str) -> str:
    lines = {"checks": f'["{STANDS_OUT}"]', "why": f'"{WHY}"', "by": '"ann@example.org"', **settings}
    return f"{text}\n[leakage.explained.{feature}]\n" + "".join(f"{name} = {value}\n" for name, value in lines.items())


def test_an_answer_in_the_file_is_part_of_its_meaning_and_its_absence_is_not(tmp_path: Path) -> None:
    path = tmp_path / "late-arrivals.toml"
    path.write_text(explained(FILE.read_text()))
    plain, answered = read(FILE), read(path)
    assert "leakage" not in plain.meaning
    assert not any(name.startswith("leakage") for name in plain.defaulted)
    assert answered.meaning["leakage"]["explained"]["dep_delay"]["by"] == "ann@example.org"
    assert answered.meaning_hash != plain.meaning_hash
    path.write_text(explained(FILE.read_text(), why='"too short"'))
    with pytest.raises(ConfigurationError, match=r"leakage\.explained\.dep_delay\.why"):
        read(path)


# In the ledger ---------------------------------------------------------------------------------------------


def asks(book: ledger.Ledger, found: list[say.Check], run_name: str = "r1") -> None:
    judged = say.LeakageJudged(
        run=run_name, pipeline="late-arrivals", result=checks.worst_of(found), checks=found, rule=2,
        questions=questions.asked(found, questions.given_answers(book.now(), read(FILE).settings)),
    )  # fmt: skip
    book.append(judged)


def leakage_gate(book: ledger.Ledger) -> Outcome:
    now = book.now()
    _, outcomes, _ = standing(now, now.model("late-arrivals-v1"))
    (gate,) = [item for item in outcomes if item.name == "leakage"]
    return gate


@pytest.fixture
def book(tmp_path: Path) -> Any:
    with ledger.create(tmp_path / "team", timezone="America/New_York") as made:
        judged_run(made, FILE, "r1", GAINS)
        passes_everything(made, "r1", "late-arrivals-v1")
        yield made


@pytest.fixture
def unseen(tmp_path: Path) -> Any:
    """A run whose sealed windows nobody has looked at."""
    with ledger.create(tmp_path / "team", timezone="America/New_York") as made:
        judged_run(made, FILE, "r1", GAINS)
        yield made


def test_what_an_older_rule_only_looked_at_holds_nobody_back(book: ledger.Ledger) -> None:
    book.append(say.LeakageChecked(run="r1", pipeline="late-arrivals", result="look", checks=[look()]))
    gate = leakage_gate(book)
    assert (gate.verdict, "Worth a look" in gate.sentence) == ("passed", True)
    asks(book, [look()])
    gate = leakage_gate(book)
    assert (gate.verdict, gate.sentence) == ("open", f"1 question open: {look().sentence}")
    assert gate.facts["open"] == ["load"]
    with pytest.raises(Refused, match="leakage is open: 1 question open") as refused:
        promote(book, "late-arrivals-v1", "it is good")
    assert "tally answer r1 FEATURE --why" in refused.value.hint


def test_an_answer_closes_the_question_and_holds_for_later_runs(unseen: ledger.Ledger) -> None:
    asks(unseen, [look()])
    body, still_open, _ = answer(unseen, "r1", "load", why=f"  {WHY}\n")
    assert (body.why, body.checks, body.left, still_open) == (WHY, [STANDS_OUT], 0.5, None)
    assert body.by == unseen.recorder.actor
    gate = leakage_gate(unseen)
    assert (gate.verdict, f"1 question answered by {body.by}" in gate.sentence) == ("passed", True)
    known = {state.name: state.verdict for state in unseen.now().gates()}
    assert known["leakage"] == "passed"
    judged_run(unseen, FILE, "r2", GAINS, model=None)
    asks(unseen, [look()], "r2")
    assert not questions.open_questions(questions.judgements(unseen.now(), "late-arrivals")[-1].questions)
    asks(unseen, [look(left=0.2)], "r2")
    lapsed = only(questions.judgements(unseen.now(), "late-arrivals")[-1].questions)
    assert "has lapsed" in (lapsed.open_because or "")


def test_an_answer_that_is_set_aside_opens_the_question_again(unseen: ledger.Ledger) -> None:
    from tallystick.ledger.amend.correction import correct

    asks(unseen, [look()])
    _, _, appended = answer(unseen, "r1", "load", why=WHY)
    assert leakage_gate(unseen).verdict == "passed"
    correct(unseen, appended.last_seq, "it was another load")
    gate = leakage_gate(unseen)
    assert (gate.verdict, gate.facts.get("set_aside") is not None) == ("open", True)
    assert {state.name: state.verdict for state in unseen.now().gates()}["leakage"] == "passed"
    answer(unseen, "r1", "load", why=WHY)
    assert leakage_gate(unseen).verdict == "passed"


def test_answers_come_before_the_sealed_windows(unseen: ledger.Ledger) -> None:
    asks(unseen, [look()])
    for arguments, error, words in (
        (("r1", "speed"), NotFound, "has no question about 'speed'. It asks about load."),
        (("r0", "load"), NotFound, "r0"),
    ):
        with pytest.raises(error, match=re.escape(words)):
            answer(unseen, *arguments, why=WHY)
    with pytest.raises(InvalidInput, match="fewer than 20 characters"):
        answer(unseen, "r1", "load", why="I know  it.        ")
    with pytest.raises(InvalidInput, match="another person"):
        answer(unseen, "r1", "load", why=WHY, second=unseen.recorder.actor.upper())
    looked(unseen, "r1", "late-arrivals-v1", drop=0.5)
    with pytest.raises(Refused, match="answers come first") as refused:
        answer(unseen, "r1", "load", why=WHY)
    assert "[leakage.explained.load]" in refused.value.hint


def test_who_answered_is_not_the_only_one_who_approves(book: ledger.Ledger) -> None:
    from tallystick.pipeline.governance.evidence import evidence_of
    from tallystick.pipeline.records.run_record import record_of

    asked = questions.asked([look()], {"load": [given(STANDS_OUT)]})
    book.append(
        say.LeakageJudged(
            run="r1", pipeline="late-arrivals", result="look", checks=[look()], rule=2, questions=asked
        )
    )  # fmt: skip
    now = book.now()
    evidence = evidence_of(now, record_of(now, now.run("r1")), "late-arrivals-v1", "small_trees")

    def verdict(**approvals: str) -> str:
        gates = read(FILE).settings.gates
        found = judge(gates, evidence._replace(approvals=approvals))
        return next(item.verdict for item in found if item.name == "leakage")

    assert verdict() == "passed"
    assert verdict(key1="Ann") == "open"
    assert verdict(key1="ann", key2="ben") == "passed"


# In a run --------------------------------------------------------------------------------------------------


def written(folder: Path, *changes: tuple[str, str]) -> Path:
    """The sample's pipeline with the departure delay among the features, and few candidates."""
    text = FILE.read_text()
    text = re.sub(r"\[candidates\.(big_trees|small_trees)\].*?(?=\[)", "", text, flags=re.DOTALL)
    seats = ('"plane_year, seats"  ', '"plane_year, seats, dep_delay"  ')
    for old, new in ((', "dep_delay"', ""), seats, *changes):
        assert old in text, old
        text = text.replace(old, new)
    path = folder / "late-arrivals.toml"
    path.write_text(text)
    shutil.copy(FIXTURES / "late-arrivals.parquet", folder)
    return path


def done(book: ledger.Ledger, path: Path) -> RunReport:
    return run(book, read(path), workers=1, on_outline=lambda _: None, on_progress=lambda *_: None)


def test_a_choice_with_an_open_question_is_provisional_until_somebody_answers(tmp_path: Path) -> None:
    path = written(tmp_path)
    with ledger.create(tmp_path, timezone="America/New_York") as book:
        first = done(book, path)
        assert first.selection.chosen == "logistic"
        assert first.headline.endswith(" Provisional: 1 question open.")
        assert only(first.questions).subject == "dep_delay"
        gates = {state.name: state for state in book.now().gates()}
        assert gates["leakage"].verdict == "open"
        assert book.now().run(first.outline.run).leakage == "look"
    said = tally(tmp_path, "answer", first.outline.run, "dep_delay", "--why", WHY, "--json")
    assert said.code == 0, said.err
    assert msgspec.json.decode(said.out)["open_because"] is None
    refused = tally(tmp_path, "answer", first.outline.run, "seats", "--why", WHY)
    assert refused.code != 0
    assert "It asks about dep_delay" in " ".join(refused.err.split())
    with ledger.open(tmp_path) as book:
        assert {state.name: state.verdict for state in book.now().gates()}["leakage"] == "passed"
        again = done(book, path)
        assert "Provisional" not in again.headline
        assert any("dep_delay was asked about" in line for line in checks.summary(again.checks, again.questions))


def test_without_the_gate_a_decision_says_that_leaks_were_not_judged(tmp_path: Path) -> None:
    gate = next(line for line in FILE.read_text().splitlines() if line.startswith("leakage "))
    with ledger.create(tmp_path, timezone="America/New_York") as book:
        report = done(book, written(tmp_path, (gate, "")))
        assert report.selection.chosen == "logistic"
        assert "Provisional" not in report.headline
        assert report.remarks[0] == (
            "Leaks were not judged, because the pipeline file has no leakage gate: 0 checks failed, 1 question open."
        )
        assert "leakage" not in {state.name for state in book.now().gates()}
