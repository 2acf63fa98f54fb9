"""Gates, waivers and promotions: what holds a model back, what excuses it, and for how long."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import msgspec
import pytest
from given import FIXTURES, Ticking, seeded_salts
from histories import started
from hypothesis import given
from hypothesis import strategies as st
from judged import judged_run, looked, passes_everything, registration
from older import set_aside

from tallystick import ledger
from tallystick.ledger.amend.correction import correct
from tallystick.ledger.amend.redaction import redact
from tallystick.ledger.errors import Damaged, InvalidInput, NotFound, Refused
from tallystick.ledger.events import types as say
from tallystick.ledger.events.approval import approval_event, sign_approval
from tallystick.ledger.importing.importer import import_history
from tallystick.ledger.tlog.note import SignerKey
from tallystick.ledger.views.entities import WaiverState
from tallystick.pipeline.config.canonical import configuration_in
from tallystick.pipeline.config.load import read
from tallystick.pipeline.config.loosening import refuse_silent_loosening
from tallystick.pipeline.config.settings import ApprovedByGate, Gates, WaiverRule
from tallystick.pipeline.governance import automation
from tallystick.pipeline.governance.audit import audit
from tallystick.pipeline.governance.evidence import GateEvidence
from tallystick.pipeline.governance.gates import judge, standing
from tallystick.pipeline.governance.promotion import GatesClosed, promote, retire
from tallystick.pipeline.governance.waivers import end, expired_under, in_force, longest, refuse_unfit, waive
from tallystick.pipeline.runs.final_test import look

FILE = FIXTURES / "late-arrivals.toml"
RUN, MODEL = "2013-01-01.1", "late-arrivals-v1"
GOOD = {f"2013-{month:02d}": 0.05 for month in range(4, 11)}
BAD = {**GOOD, "2013-04": -0.037}
REASON = "April was one storm; the team watches it daily"

numbers = st.floats(-1.0, 1.0, allow_nan=False)
gains = st.dictionaries(st.sampled_from(sorted(GOOD)), st.none() | numbers, max_size=7)


def evidence(**changes: Any) -> GateEvidence:
    plain = GateEvidence(
        candidate="small_trees", reference="base_rate", gains=GOOD, calibration=dict.fromkeys(GOOD, 0.01),
        optimism=None, leakage=None, run=RUN, model=MODEL, reproduction=None, looks=[], budget=1, approvals={},
    )  # fmt: skip
    return plain._replace(**changes)


def has_file(_artifact: str) -> bool:
    """These ledgers name model files that nobody made."""
    return False


def verdict(gate: str, rule: dict[str, Any], given_evidence: GateEvidence) -> str:
    (outcome,) = judge(msgspec.convert({gate: {**rule, "why": "-"}}, Gates), given_evidence)
    assert outcome.sentence.endswith("."), outcome.sentence
    return outcome.verdict


# Laws ------------------------------------------------------------------------------------------------------


@given(gains, numbers, numbers)
def test_a_laxer_threshold_never_closes_a_gate(found: dict[str, float | None], one: float, other: float) -> None:
    lax, strict = sorted((one, other))
    seen = evidence(gains=found, calibration=found)
    if verdict("worst_window_gain", {"at_least": strict}, seen) == "passed":
        assert verdict("worst_window_gain", {"at_least": lax}, seen) == "passed"
    if verdict("calibration_in_large", {"at_most": lax}, seen) == "passed":
        assert verdict("calibration_in_large", {"at_most": strict}, seen) == "passed"


@given(gains, st.integers(1, 7))
def test_asking_for_fewer_windows_never_closes_a_gate(found: dict[str, float | None], asked: int) -> None:
    seen = evidence(gains=found)
    if verdict("beats_reference_in", {"at_least": f"{asked + 1} of 7 windows"}, seen) == "passed":
        assert verdict("beats_reference_in", {"at_least": f"{asked} of 7 windows"}, seen) == "passed"


@given(gains, st.sampled_from(sorted(GOOD)), numbers, numbers)
def test_a_worse_window_never_opens_a_gate(
    found: dict[str, float | None], label: str, one: float, other: float
) -> None:
    worse, better = sorted((one, other))
    for gate, rule in (("worst_window_gain", {"at_least": 0.0}), ("beats_reference_in", {"at_least": "every window"})):
        if verdict(gate, rule, evidence(gains={**found, label: worse})) == "passed":
            assert verdict(gate, rule, evidence(gains={**found, label: better})) == "passed"


@given(numbers, numbers, numbers)
def test_a_larger_gap_never_opens_the_gate_and_a_laxer_one_never_closes_it(
    gap: float, one: float, other: float
) -> None:
    measured = say.OptimismMeasured(
        run=RUN, pipeline="p", candidate="small_trees", metric="roc_auc", windows=[], mean_walk_forward=None,
        mean_random=None, mean_gap=gap, positive_windows=0, sentence="x",
    )  # fmt: skip
    low, high = sorted((one, other))
    seen = evidence(optimism=measured)
    if verdict("optimism_gap", {"at_most": low}, seen) == "passed":
        assert verdict("optimism_gap", {"at_most": high}, seen) == "passed"
    assert verdict("optimism_gap", {"at_most": high, "metric": "brier"}, seen) == "open"


moments = st.datetimes(dt.datetime(2013, 1, 1), dt.datetime(2015, 1, 1), timezones=st.just(dt.UTC))


@given(moments, st.timedeltas(dt.timedelta(days=-10), dt.timedelta(days=400)), st.integers(1, 120))
def test_no_waiver_is_open_ended_or_begins_over(at: dt.datetime, length: dt.timedelta, most_days: int) -> None:
    most = dt.timedelta(days=most_days)
    fits = dt.timedelta(0) < length <= most
    ask = {"reason": REASON, "owner": "ann", "approver": "ben", "at": at, "until": at + length, "most": most}
    if fits:
        refuse_unfit(**ask)  # type: ignore[arg-type]
    else:
        with pytest.raises(Refused):
            refuse_unfit(**ask)  # type: ignore[arg-type]


@given(moments, moments, moments, moments, st.none() | moments)
def test_what_has_ended_never_holds_again(
    granted: dt.datetime, until: dt.datetime, one: dt.datetime, other: dt.datetime, ended: dt.datetime | None
) -> None:
    waiver = WaiverState(
        seq=1, waiver="m/g/1", gate="m/g", name="g", model="m", pipeline="p", reason=REASON, owner="ann",
        approver="ben", granted_at=granted, until=until, ends_when=None, evidence=None, renewal=0, ended_at=ended,
    )  # fmt: skip
    earlier, later = sorted((one, other))
    if earlier >= granted and not waiver.holds(earlier):
        assert not waiver.holds(later)
    assert not waiver.holds(max(until, granted))
    if ended is not None and ended <= earlier:
        assert not waiver.holds(earlier)


def test_a_waiver_says_everything_that_it_lacks_at_once() -> None:
    at = dt.datetime(2013, 1, 1, tzinfo=dt.UTC)
    with pytest.raises(Refused) as refused:
        refuse_unfit(
            reason="too short", owner="ann@x.org", approver=" Ann@X.org", at=at, until=at + dt.timedelta(days=91),
            most=longest(None),
        )  # fmt: skip
    for words in ("fewer than 20 characters", "another person", "longer than 90 days"):
        assert words in refused.value.message
    assert longest(WaiverRule(longest="30 days", why="-")) == dt.timedelta(days=30)


# A life ----------------------------------------------------------------------------------------------------


def grant(book: ledger.Ledger, gate: str, days: int = 30, model: str = MODEL) -> say.WaiverGranted:
    until = book.now().moment + dt.timedelta(days=days)
    return waive(
        book, gate, model, reason=REASON, owner="ann", approver="ben", until=until, evidence=None, ends_when=None
    )[0]


def test_a_model_that_passes_everything_is_promoted_in_one_commit(book: ledger.Ledger) -> None:
    judged_run(book, FILE, RUN, GOOD)
    with pytest.raises(GatesClosed) as closed:
        promote(book, MODEL, "steady")
    assert [gate.name for gate in closed.value.gates if gate.verdict == "open"] == [
        "leakage",
        "reproduced",
        "final_test",
    ]
    assert f"tally reproduce {RUN}" in closed.value.hint
    assert f"tally final-test {MODEL}" in closed.value.hint
    assert book.now().champion("late-arrivals") is None
    # What the gates said is kept, though nothing was promoted; asking again adds nothing.
    assert len(book.now().gates()) == 7
    size = book.log.size()
    with pytest.raises(GatesClosed):
        promote(book, MODEL, "steady")
    assert book.log.size() == size
    passes_everything(book, RUN, MODEL)
    done = promote(book, MODEL, "steady")
    assert (
        done.body.headline == "late-arrivals-v1 (small_trees) becomes champion of late-arrivals: 7 of 7 gates passed."
    )
    assert (done.body.decision, done.body.followed) == ("late-arrivals/promotion-1", RUN)
    types = [entry.event.t for entry in book.events(done.appended.first_seq, done.appended.last_seq)]
    assert types[-2:] == ["promotion.decided", "model.promoted"]
    champion = book.now().champion("late-arrivals")
    assert champion is not None
    assert champion.model == MODEL
    with pytest.raises(Refused, match="already"):
        promote(book, MODEL, "again")


def test_a_waiver_lets_a_model_through_and_its_end_holds_it_back_again(
    book: ledger.Ledger, clock: Ticking, tmp_path: Path
) -> None:
    judged_run(book, FILE, RUN, BAD)
    passes_everything(book, RUN, MODEL)
    with pytest.raises(GatesClosed) as closed:
        promote(book, MODEL, "small enough")
    assert "2 of 7 gates hold it back" in closed.value.message
    assert "Not in 2013-04 (-3.7%)" in closed.value.message
    with pytest.raises(Refused, match="optimism_gap of late-arrivals-v1 passed"):
        grant(book, "optimism_gap")
    with pytest.raises(NotFound, match="has no gate"):
        grant(book, "optimism")
    grant(book, "beats_reference_in", 30)
    grant(book, "worst_window_gain", 60)
    done = promote(book, MODEL, "small enough")
    assert done.body.headline.endswith("5 of 7 gates passed, beats_reference_in, worst_window_gain waived.")
    now = book.now()
    model = now.model(MODEL)
    assert expired_under(now, model, book.zone) == []
    assert [gap.code for gap in audit(now, has_file) if gap.code == "waiver-ended"] == []
    promoted = book.log.size() - 1
    # A month later nobody has recorded anything, and one waiver is over.
    clock.now += dt.timedelta(days=31)
    now = book.now()
    assert in_force(now, MODEL, "beats_reference_in") is None
    assert in_force(now, MODEL, "worst_window_gain") is not None
    (item,) = expired_under(now, model, book.zone)
    assert "gate beats_reference_in counts again" in item.sentence
    assert "waiver-ended" in [gap.code for gap in audit(now, has_file)]
    # The past is what it was: right after the promotion, and on its evening, nothing had ended.
    for when in (f"c{promoted}", "2013-01-01"):
        then = book.at(when)
        assert expired_under(then, then.model(MODEL), book.zone) == []
    # Out and in again: the waiver that is over holds nothing open.
    retire(book, MODEL, "to try")
    with pytest.raises(GatesClosed, match="1 of 7"):
        promote(book, MODEL, "back")
    renewed = grant(book, "beats_reference_in", 30)
    assert (renewed.renewal, renewed.waiver) == (1, f"{MODEL}/beats_reference_in/2")
    again = promote(book, MODEL, "back")
    assert (again.body.kind, again.body.decision) == ("rollback", "late-arrivals/rollback-3")
    end(book, f"{MODEL}/worst_window_gain", "the storm is understood now")
    assert "taken back" in expired_under(book.now(), model, book.zone)[0].sentence


def test_what_was_excused_in_another_ledger_opens_no_gate_here(book: ledger.Ledger, tmp_path: Path) -> None:
    """Else whoever has a ledger of their own could excuse a model here, in any two names."""
    with ledger.create(tmp_path / "ann", timezone="UTC", key_home="file", clock=book.clock) as ann:
        judged_run(ann, FILE, RUN, BAD)
        passes_everything(ann, RUN, MODEL)
        grant(ann, "beats_reference_in")
        grant(ann, "worst_window_gain")
    import_history(book, tmp_path / "ann")
    assert in_force(book.now(), MODEL, "beats_reference_in") is not None
    with pytest.raises(GatesClosed) as closed:
        promote(book, MODEL, "excused by Ann")
    assert "beats_reference_in, worst_window_gain: waived in the ledger that it comes from" in closed.value.message
    assert [gate.waiver for gate in closed.value.gates if gate.verdict == "failed"] == [None, None]
    assert grant(book, "beats_reference_in").renewal == 1
    grant(book, "worst_window_gain")
    assert promote(book, MODEL, "excused by us").body.model == MODEL


def test_waivers_run_by_the_clock_of_a_replayed_ledger(tmp_path: Path, clock: Ticking) -> None:
    with ledger.create(
        tmp_path / "team", timezone="UTC", clock=clock, salts=seeded_salts(), clock_kind="replayed"
    ) as book:
        judged_run(book, FILE, RUN, BAD)
        grant(book, "worst_window_gain", 30)
    # Opened years later by anybody: in that ledger it is still the day of its last commit.
    with ledger.open(tmp_path / "team", allow_jump=True) as book:
        assert book.now().moment.year == 2013
        assert in_force(book.now(), MODEL, "worst_window_gain") is not None


def test_an_experiment_is_never_promoted_and_crossing_over_is(book: ledger.Ledger) -> None:
    trying = say.ExperimentDeclared(run=RUN, pipeline="late-arrivals", reason="what if")
    judged_run(book, FILE, RUN, GOOD, before=(trying,))
    passes_everything(book, RUN, MODEL)
    with pytest.raises(Refused, match="is an experiment") as refused:
        promote(book, MODEL, "it looks good")
    assert f"--crosses {RUN}" in refused.value.hint
    # Nor does it become a run of production by losing the event that says so.
    (declared,) = (entry.seq for entry in book.events() if entry.event.t == "experiment.declared")
    with pytest.raises(Refused, match="experiment"):
        redact(book, declared, "privacy", "law")
    with pytest.raises(Refused, match="experiment"):
        correct(book, declared, "a slip")
    second = "2013-01-02.1"
    crossed = say.ExperimentCrossed(run=second, experiment=RUN, pipeline="late-arrivals", reason="worth it")
    judged_run(book, FILE, second, GOOD, before=(crossed,))
    book.append(say.LeakageChecked(run=second, pipeline="late-arrivals", result="pass", checks=[]))
    assert promote(book, MODEL, "done again").body.run == second


def test_people_who_signed_are_counted_by_their_keys(book: ledger.Ledger, tmp_path: Path) -> None:
    text = FILE.read_text().replace(
        "[gates] ", '[gates]\napproved_by = { at_least = 2, why = "Four eyes." }\n#'
    )  # fmt: skip
    (tmp_path / "eyes.toml").write_text(text)
    judged_run(book, tmp_path / "eyes.toml", RUN, GOOD)
    passes_everything(book, RUN, MODEL)
    ann, ben = SignerKey.generate("ann"), SignerKey.generate("ben")

    def sign(key: SignerKey, seq: int) -> None:
        stored = book.log.event(seq)
        note = sign_approval(book.origin, stored.id.hex(), key)
        book.append(approval_event(note, key.verifier, stored.id.hex(), book.event(seq).event.body))

    sign(ann, book.now().model(MODEL).made_by_event)
    sign(ann, book.now().decision(RUN).described_by)
    with pytest.raises(GatesClosed, match="1 person has signed"):
        promote(book, MODEL, "x")
    # A signature that does not fit is nobody's word.
    stored = book.log.event(book.now().model(MODEL).made_by_event)
    forged = approval_event(sign_approval("elsewhere", stored.id.hex(), ben), ben.verifier, stored.id.hex(), None)
    book.append(forged)
    with pytest.raises(GatesClosed, match="1 person has signed"):
        promote(book, MODEL, "x")
    sign(ben, book.now().decision(RUN).described_by)
    assert promote(book, MODEL, "x").body.approvals == ["ann", "ben"]


@pytest.mark.parametrize(
    ("drop", "state", "words"),
    [(0.5, "passed", "It held."), (2.5, "failed", "at most 2"), (None, "failed", "never came")],
)
def test_the_final_gate_asks_for_one_look_that_came_to_a_result(
    book: ledger.Ledger, drop: float | None, state: str, words: str
) -> None:
    judged_run(book, FILE, RUN, GOOD)
    looked(book, RUN, MODEL, drop=drop)
    now = book.now()
    outcome = next(item for item in standing(now, now.model(MODEL))[1] if item.name == "final_test")
    assert outcome.verdict == state
    assert words in outcome.sentence


def test_a_look_beyond_the_budget_fails_the_gate(book: ledger.Ledger) -> None:
    judged_run(book, FILE, RUN, GOOD)
    looked(book, RUN, MODEL, drop=0.1)
    looked(book, RUN, MODEL, drop=0.0, number=2)
    now = book.now()
    outcome = next(item for item in standing(now, now.model(MODEL))[1] if item.name == "final_test")
    assert (outcome.verdict, outcome.sentence) == ("failed", "Looked at more often than allowed: late-arrivals/2.")


# Evidence that was set aside --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "gates"),
    [
        (say.WindowDescribed, ("beats_reference_in", "worst_window_gain", "calibration_in_large")),
        (say.WindowEvaluated, ("beats_reference_in", "worst_window_gain", "calibration_in_large")),
        (say.OptimismMeasured, ("optimism_gap",)),
        (say.LeakageChecked, ("leakage",)),
        (say.RunReproduced, ("reproduced",)),
        (say.FinalEvaluated, ("final_test",)),
        (say.FinalLooked, ("final_test",)),
    ],
)
def test_a_gate_whose_evidence_was_set_aside_is_open_again(
    book: ledger.Ledger, kind: type[say.Body], gates: tuple[str, ...]
) -> None:
    judged_run(book, FILE, RUN, GOOD)
    passes_everything(book, RUN, MODEL)
    before = book.now()
    assert {outcome.verdict for outcome in standing(before, before.model(MODEL))[1]} == {"passed"}
    seq = next(found.seq for found in before.events(types=[kind.TYPE]))
    correct(book, seq, "it was of another month")
    with pytest.raises(GatesClosed, match=f"Its evidence, #{seq}, was set aside on 20") as closed:
        promote(book, MODEL, "steady")
    assert {gate.name for gate in closed.value.gates if gate.verdict == "open"} == set(gates)
    assert {gate.name for gate in closed.value.gates if gate.verdict == "failed"} == set()
    assert f"by {book.recorder.actor}." in str(closed.value)
    # At the earlier date it counted, whatever was said later.
    assert {outcome.verdict for outcome in standing(before, before.model(MODEL))[1]} == {"passed"}
    correct(book, book.now().corrections()[-1].seq, "it was of this month after all")
    assert promote(book, MODEL, "steady").body.gates


def test_erased_evidence_is_missing_in_words(book: ledger.Ledger) -> None:
    judged_run(book, FILE, RUN, GOOD)
    passes_everything(book, RUN, MODEL)
    seq = next(found.seq for found in book.now().events(types=[say.WindowEvaluated.TYPE]))
    redact(book, seq, "names a patient", "data protection officer")
    with pytest.raises(GatesClosed, match=rf"Its evidence, #{seq}, was erased on"):
        promote(book, MODEL, "steady")


def test_a_configuration_that_was_set_aside_judges_nothing(book: ledger.Ledger, tmp_path: Path) -> None:
    judged_run(book, FILE, "2012-12-31.1", GOOD, model=None)
    judged_run(book, changed(tmp_path, LOOSER, NEW_WHY), RUN, GOOD)
    seq = book.now().pipeline("late-arrivals").registered_by
    correct(book, seq, "that file was never agreed")
    with pytest.raises(NotFound, match=f"is not in the ledger: #{seq} was set aside on .* by {book.recorder.actor}"):
        promote(book, MODEL, "steady")


def test_a_look_that_was_set_aside_still_counts_against_the_budget(book: ledger.Ledger) -> None:
    judged_run(book, FILE, RUN, GOOD)
    looked(book, RUN, MODEL, drop=2.5)
    correct(book, book.now().looks()[0].seq, "nobody looked")
    for found in list(book.now().events(types=[say.FinalLooked.TYPE])):
        if found.counts:
            correct(book, found.seq, "nobody looked")
    assert book.now().looks() == []
    with pytest.raises(Refused, match="This would be look 2"):
        look(book, MODEL, command="tally final-test", file=None, workers=1, on_progress=lambda *_: None)


def test_a_waiver_that_was_set_aside_keeps_its_name(book: ledger.Ledger) -> None:
    judged_run(book, FILE, RUN, BAD)
    assert grant(book, "worst_window_gain").waiver == f"{MODEL}/worst_window_gain/1"
    set_aside(book, book.now().waivers()[0].seq, "granted for another model")
    assert book.now().waivers() == []
    assert grant(book, "worst_window_gain").waiver == f"{MODEL}/worst_window_gain/2"


def test_what_was_approved_at_a_date_does_not_depend_on_what_came_later(book: ledger.Ledger) -> None:
    judged_run(book, FILE, RUN, GOOD)
    book.append(quiet("2013-04"))
    period = book.now().periods()[0].described_by
    nobody = book.now()
    key, stored = SignerKey.generate("ann"), nobody.event(period)
    note = sign_approval(book.origin, stored.id.hex(), key)
    book.append(approval_event(note, key.verifier, stored.id.hex(), None))
    one = book.now()
    set_aside(book, one.as_of.seq, "signed for another period")
    assert automation.automation_of(nobody, "late-arrivals").approvers == []
    assert automation.automation_of(one, "late-arrivals").approvers == ["ann"]
    assert automation.automation_of(book.now(), "late-arrivals").approvers == []
    assert automation.automation_of(book.at(f"c{one.as_of.n}"), "late-arrivals").approvers == ["ann"]


# Loosening -------------------------------------------------------------------------------------------------


def changed(tmp_path: Path, *pairs: tuple[str, str]) -> Path:
    text = FILE.read_text()
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    (tmp_path / "changed.toml").write_text(text)
    return tmp_path / "changed.toml"


LOOSER = ("optimism_gap         = { at_most = 0.05", "optimism_gap         = { at_most = 0.08")
NEW_WHY = ("A larger gap means that", "After the review of 12 May: a larger gap means that")


def test_loosening_without_a_new_why_is_refused_in_words(book: ledger.Ledger, tmp_path: Path) -> None:
    from tallystick.pipeline.config.load import read

    judged_run(book, FILE, RUN, GOOD)
    with pytest.raises(Refused) as refused:
        refuse_silent_loosening(book.now(), read(changed(tmp_path, LOOSER)))
    assert refused.value.message == "Gate optimism_gap loosened 0.05 -> 0.08; its why did not change - say why."
    refuse_silent_loosening(book.now(), read(changed(tmp_path, LOOSER, NEW_WHY)))
    refuse_silent_loosening(book.now(), read(changed(tmp_path, (LOOSER[0], LOOSER[1].replace("0.08", "0.01")))))
    text = "\n".join(line for line in FILE.read_text().splitlines() if not line.startswith("leakage "))
    (tmp_path / "gone.toml").write_text(text)
    with pytest.raises(Refused, match="Gate leakage was taken away"):
        refuse_silent_loosening(book.now(), read(tmp_path / "gone.toml"))
    (tmp_path / "gone.toml").write_text(text.replace("[gates] ", '[gates]\nwhy = "Checked elsewhere."\n#'))
    refuse_silent_loosening(book.now(), read(tmp_path / "gone.toml"))


def test_a_gate_loosened_after_the_windows_were_seen_is_marked(book: ledger.Ledger, tmp_path: Path) -> None:
    judged_run(book, FILE, RUN, GOOD)
    judged_run(book, changed(tmp_path, LOOSER, NEW_WHY), "2013-01-02.1", GOOD, model="late-arrivals-v2")
    now = book.now()
    marks = {
        model: {body.name: body.loosened for body in standing(now, now.model(model))[2] if body.loosened}
        for model in (MODEL, "late-arrivals-v2")
    }
    assert marks == {MODEL: {}, "late-arrivals-v2": {"optimism_gap": ["at_most 0.05 → 0.08"]}}


def test_optional_tables_that_came_later_leave_older_files_their_meaning(tmp_path: Path) -> None:
    from tallystick.pipeline.config.load import read

    plain = read(FILE)
    assert "approved_by" not in plain.meaning["gates"]
    assert "waivers" not in plain.meaning
    longer = changed(tmp_path, ("[validity]", '[waivers]\nlongest = "30 days"\nwhy = "We are fast."\n\n[validity]'))
    assert read(longer).meaning["waivers"] == {"longest": "30 days"}
    assert read(longer).meaning_hash != plain.meaning_hash


# Automation and audit --------------------------------------------------------------------------------------


def test_automation_says_what_is_missing_and_stays_locked(book: ledger.Ledger, tmp_path: Path) -> None:
    file = changed(tmp_path, ('level     = "manual"', 'level = "suggest"'))
    judged_run(book, file, RUN, GOOD)
    passes_everything(book, RUN, MODEL)
    promote(book, MODEL, "steady")
    for month in range(4, 8):
        book.append(quiet(f"2013-{month:02d}"))
    where = automation.automation_of(book.now(), "late-arrivals")
    assert automation.automation_words(where, book.zone) == (
        "late-arrivals is at level manual; its file allows up to suggest. 4 of 6 quiet periods; unlock earliest "
        "2013-09."
    )
    with pytest.raises(Refused, match="4 of 6 quiet periods; 0 of 2 people signed"):
        automation.change(book, "late-arrivals", "suggest", "boring")
    for month in (8, 9):
        book.append(quiet(f"2013-{month:02d}"))
    newest = next(state for state in book.now().periods() if state.label == "2013-09")
    for name in ("ann", "ben"):
        key, stored = SignerKey.generate(name), book.log.event(newest.described_by)
        book.append(
            approval_event(
                sign_approval(book.origin, stored.id.hex(), key), key.verifier, stored.id.hex(), None
            )
        )  # fmt: skip
    with pytest.raises(Refused, match="at most suggest"):
        automation.change(book, "late-arrivals", "auto_refit", "boring")
    with pytest.raises(InvalidInput):
        automation.change(book, "late-arrivals", "suggest", " ")
    body, _ = automation.change(book, "late-arrivals", "suggest", "half a year of nothing")
    assert (body.before, body.level, body.approvers) == ("manual", "suggest", ["ann", "ben"])
    grant(book, "final_test_looks")
    assert automation.automation_of(book.now(), "late-arrivals").state.level == "manual"


def quiet(label: str) -> say.PeriodMonitored:
    number = say.Metric(value=0.5, standard_error=None, reason=None)
    return say.PeriodMonitored(
        period=f"late-arrivals/{label}", label=label, pipeline="late-arrivals", model=MODEL,
        labels_as_of=dt.datetime(2013, 12, 1, tzinfo=dt.UTC), source="parquet:x", fingerprint="ab" * 32, rows=100,
        immature_rows=0, status="quiet", decision="nothing", metrics={"log_loss": number},
        reference={"log_loss": number}, history=(), estimate=None, facts={}, reliability=[], histograms={}, columns={},
        losses=None, headline="Quiet.", suggestion="Nothing to do.",
    )  # fmt: skip


def test_the_audit_names_what_is_not_there(book: ledger.Ledger, clock: Ticking) -> None:
    judged_run(book, FILE, RUN, GOOD)
    book.append(started("2013-01-01.2", "late-arrivals"))
    book.append(
        say.RunFailed(run="2013-01-01.2", pipeline="late-arrivals", stage="x", error="E", message="no"),
    )
    let = say.ModelPromoted(
        model=MODEL, pipeline="late-arrivals", previous=None, run=RUN, decision=None, reason="in a hurry"
    )
    book.append(let)
    clock.now += dt.timedelta(days=120)
    codes = {gap.code for gap in audit(book.now(), has_file)}
    assert codes >= {"no-slice", "no-decision", "no-answer", "no-file", "past-validity", "not-watched"}
    assert "not-watched" not in {gap.code for gap in audit(book.at("2013-01-20"), has_file)}


def test_the_audit_asks_for_looks_as_often_as_the_file_says(
    book: ledger.Ledger, clock: Ticking, tmp_path: Path
) -> None:
    text = FILE.read_text().replace('every      = "1 month"', 'every      = "2 months"')
    (tmp_path / "late.toml").write_text(text)
    judged_run(book, tmp_path / "late.toml", RUN, GOOD)
    book.append(
        say.ModelPromoted(model=MODEL, pipeline="late-arrivals", previous=None, run=RUN, decision=None, reason="x")
    )

    def unwatched(days: int) -> list[str]:
        clock.now += dt.timedelta(days=days)
        return [gap.sentence for gap in audit(book.now(), has_file) if gap.code == "not-watched"]

    clock.now = dt.datetime(2013, 1, 1, 12, tzinfo=dt.UTC)
    assert unwatched(70) == []  # February alone is over
    late = unwatched(30)
    assert len(late) == 1
    assert late[0].startswith("2013-02 to 2013-03 are over, late-arrivals-v1 decided in them, and nobody looked")
    book.append(quiet("2013-03"))  # one look in two months is what was asked for
    assert unwatched(0) == []


def test_every_gate_of_a_file_is_a_gate_that_is_judged() -> None:
    gates = read(FILE).settings.gates
    every = msgspec.structs.replace(gates, approved_by=ApprovedByGate(at_least=1, why="two see more than one"))
    names = [field.name for field in msgspec.structs.fields(Gates) if field.name != "why"]
    assert all(getattr(every, name) is not None for name in names)
    assert [outcome.name for outcome in judge(every, evidence())] == names


@pytest.mark.parametrize(
    ("gate", "setting", "words"),
    [
        ("beats_reference_in", "at_least", "most windows"),
        ("beats_reference_in", "at_least", "x of 9 windows"),
        ("final_test", "drop_at_most", "a little"),
        ("worst_window_gain", "at_least", "nothing"),
    ],
)
def test_a_registered_threshold_that_means_nothing_is_damage(gate: str, setting: str, words: str) -> None:
    body = registration(read(FILE))
    assert configuration_in(body).gates.worst_window_gain is not None
    gates = {**body.meaning["gates"], gate: {**body.meaning["gates"][gate], setting: words}}
    with pytest.raises(Damaged, match="not one that this program reads"):
        configuration_in(msgspec.structs.replace(body, meaning={**body.meaning, "gates": gates}))
