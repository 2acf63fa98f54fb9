"""The leakage rules, version 2: what proves that a feature was known, what proves that it was not, and what to ask.

Proof from time convicts; a statistic never does. An honest strong feature and a leak look alike, so a feature that
stands out is a question for a person, at most one for each feature.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pandas as pd

from tallystick.ledger.events.types import Check
from tallystick.pipeline.evaluate.backtest import one_thread
from tallystick.pipeline.leakage import canary, clock, encodings, odds, past_answers, strength, waiting_rows
from tallystick.pipeline.leakage.evidence import LeakEvidence
from tallystick.pipeline.leakage.questions import RUN
from tallystick.pipeline.leakage.yardstick import Bench, bench

RULE = 2
FEWEST_OF_A_CLASS = odds.FEWEST_OF_A_CLASS
ALWAYS_RISING = 0.95
Result = Literal["pass", "look", "fail"]

AFTERWARDS = re.compile(
    r"(^|_)(cost|costs|tat|result|results|paid|payout|closed|closure|actual|act|outcome|resolved|resolution|settled|"
    r"settlement|refund|refunded|recovered|recovery|returned|chargeback|cancelled|canceled|finished|completed|"
    r"duration|elapsed|arr_time|dep_time|arr_delay|dep_delay|end_time|end_date|delivered|discharge|discharged)(_|$)"
)
BEFORE = re.compile(
    r"(^|_)(prev|previous|prior|last|past|sched|scheduled|plan|planned|expected|estimated|est|crs|target|forecast|lag\d*|"
    r"median|mean|avg|hist|historic|historical|budget|old)(_|$)"
)


def judge(evidence: LeakEvidence) -> list[Check]:
    """All rules that look at values, in a fixed order; equal for equal evidence. On one thread."""
    with one_thread():
        return _judged(evidence)


def _judged(evidence: LeakEvidence) -> list[Check]:
    parts = clock.parts_of_time(evidence)
    past = past_answers.past_columns(evidence)
    known_by_time = clock.follows_from_clock(evidence, parts)
    checks = [_check("clock", name, "pass", facts, said) for name, (facts, said) in known_by_time.items()]
    answers = list(_answers(evidence, set(known_by_time)))
    checks += answers
    settled = {check.subject for check in answers if check.result == "fail"}
    cleared = {*known_by_time, *(check.subject for check in answers if check.check == "earlier answer")}
    codings = encodings.mean_codings(evidence, [n for n in evidence.names if n not in cleared | settled], past)
    for name, coding in codings.items():
        result: Result = "fail" if coding.r2 >= encodings.EXACT and coding.chance < encodings.FAILS else "look"
        check = _check("mean answer over all time", name, result, coding._asdict(), encodings.sentence_of(name, coding))
        checks.append(check)
        settled |= {name} if result == "fail" else set()
    checks += _waiting(evidence, cleared)
    made = bench(evidence, {**clock.clock_columns(evidence, parts), **past})
    checks += _statistics(evidence, made, {name for name in (*cleared, *settled) if name})
    checks += _named(evidence)
    _measured(checks, made)
    checks += _rising(evidence)
    checks += [canary.canary(made), *canary.self_tests(made)] if evidence.folds else []
    checks += _passed(evidence, checks)
    return checks


def _answers(evidence: LeakEvidence, cleared: set[str]) -> Iterator[Check]:
    """Answers of other rows that a feature repeats or is made of."""
    numeric = [name for name in evidence.columns.numeric if name not in cleared]
    rest = []
    orders = [past_answers.ordered(codes) for codes in evidence.series]
    for name in numeric:
        verdict = past_answers.repeated_answer(evidence, orders, name, evidence.frame[name].to_numpy(np.float64))
        if verdict is None:
            rest.append(name)
        else:
            yield _of_answers(name, verdict)
    for name, verdict in past_answers.made_of_answers(evidence, orders, rest).items():
        yield _of_answers(name, verdict)


def _of_answers(name: str, verdict: past_answers.AnswerProof) -> Check:
    result: Any = "pass" if verdict.result == "cleared" else verdict.result
    return _check(verdict.check, name, result, verdict.facts, verdict.sentence)


def _waiting(evidence: LeakEvidence, cleared: set[Any]) -> Iterator[Check]:
    """Rows whose answer is not known yet."""
    blocks = waiting_rows.blocks_of(evidence)
    for name in evidence.names:
        if (gone := waiting_rows.emptied(evidence, name, blocks)) is not None:
            sentence = (
                f"{name} is filled in {gone.filled:,} of {gone.rows:,} rows whose answer is not known yet; before, "
                f"never in under {gone.before:.1%}. Either it is filled afterwards, or its delivery stopped."
            )
            if gone.stopped:
                sentence += " It stopped before the answers did, which speaks for the delivery."
            result: Result = "fail" if gone.fails else "look"
            yield _check("empty where the answer is not known", name, result, gone._asdict(), sentence)
            continue
        if name in cleared or (moved := waiting_rows.jump(evidence, name, blocks)) is None:
            continue
        times = moved.size / max(moved.largest_before, 1e-12)
        what = "a rate of" if evidence.task == "classification" else "an answer of"
        sentence = (
            f"{name} is another in rows whose answer is not known yet: alone it foretells {what} {moved.waiting:.3g} "
            f"there and {moved.known:.3g} in as many rows before, a step {times:.1f} times the "
            "largest earlier one. Is it written, or changed, when the answer comes?"
        )
        yield _check("other where the answer is not known", name, "look", moved._asdict(), sentence)


def _statistics(evidence: LeakEvidence, made: Bench, settled: set[str]) -> Iterator[Check]:
    """What stands out; never a failure."""
    if evidence.task == "classification":
        y = evidence.y[evidence.known]
        rarer = int(min(y.sum(), (1 - y).sum())) if len(y) else 0
        if rarer < FEWEST_OF_A_CLASS:
            sentence = (
                f"There are {rarer} rows of the rarer answer, too few to tell a leak (at least {FEWEST_OF_A_CLASS}): "
                "the checks of values are silent, not passed."
            )
            yield _check("too few to tell", RUN, "look", {"rarer": rarer}, sentence)
            return
    strong = strength.tells_more(made, settled)
    strong += strength.adds_more(made, settled, {name for item in strong for name in (item.name, *item.copies)})
    filled, telling = odds.odd_values(evidence, [name for name in evidence.names if name not in settled])
    copied = {name for item in strong for name in item.copies}
    for item in strong:
        facts = strength.facts_of(item)
        yield _check(item.check, item.name, "look", facts, strength.sentence_of(item))
    for check, found in (("filled afterwards", filled), ("a value tells", telling)):
        for name, odd in found.items():
            if name not in copied:
                yield _check(check, name, "look", odds.facts_of(odd), _odd_sentence(evidence, check, name, odd))
    for item in strength.row_numbers(evidence, made, settled):
        yield _check(item.check, item.name, "look", strength.facts_of(item), strength.sentence_of(item))


def _measured(checks: list[Check], made: Bench) -> None:
    """What each feature that is asked about leaves of the uncertainty: an answer lapses when it leaves much less."""
    for check in checks:
        single = made.singles.get(check.subject or "")
        if check.result == "look" and single is not None:
            check.facts["left"], check.facts["left_error"] = single.left.share, single.left.error


def _odd_sentence(evidence: LeakEvidence, check: str, name: str, odd: odds.Odd) -> str:
    times = f"odds at least {odd.times:.0f} times" if odd.times > 1 else f"odds at most {odd.times:.2g} times"
    what = "is filled" if check == "filled afterwards" and odd.value == "is filled" else odd.value
    tail = "Fields filled because of the event look like this. Does it exist when the prediction is made?"
    return (
        f"{name} {what} in {odd.rows:,} rows; {odd.rate:.1%} of them are a yes, of the others {odd.rate_elsewhere:.1%} "
        f"({times}). {tail}"
    )


def _named(evidence: LeakEvidence) -> Iterator[Check]:
    """Names that speak of an end, declared as known at the row's own time without a reason."""
    for name in evidence.names:
        declared = evidence.declared.get(name)
        if declared is None or not declared.at_own_time or declared.why:
            continue
        words = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())
        found = AFTERWARDS.search(words)
        if found and not BEFORE.search(words):
            word = found[2]
            sentence = (
                f"The name of {name} says {word!r}, which is often written afterwards, and it is declared as known at "
                "the row's own time without a why. Say why it is known by then."
            )
            yield _check("name", name, "look", {"word": word}, sentence)


def _rising(evidence: LeakEvidence) -> Iterator[Check]:
    """Features that only count up with time, as ids and counters do: a note, with nothing to answer."""
    times = pd.Series(evidence.times).rank().to_numpy()
    for name in evidence.columns.numeric:
        values = evidence.frame[name]
        present = values.notna().to_numpy()
        distinct = values.min() < values.max() and np.ptp(times[present]) > 0
        rho = float(np.corrcoef(values[present].rank(), times[present])[0, 1]) if distinct else 0.0
        if abs(rho) >= ALWAYS_RISING:
            way = "rises" if rho > 0 else "falls"
            sentence = (
                f"{name} {way} with time (rank correlation {rho:.2f}), as an id or a counter does. In the future it "
                "takes values that no model has seen."
            )
            yield _check("rises with time", name, "pass", {"rank_correlation": rho, "note": True}, sentence)


def _passed(evidence: LeakEvidence, checks: list[Check]) -> Iterator[Check]:
    """One line for each feature about which nothing was found."""
    named = {check.subject for check in checks if check.check != "rises with time"}
    for name in evidence.names:
        if name not in named:
            yield _check("values", name, "pass", {}, f"Nothing in the values of {name} asks for an explanation.")


def _check(check: str, subject: str | None, result: Result, facts: dict[str, Any], sentence: str) -> Check:
    return Check(check=check, subject=subject, result=result, facts=facts, sentence=sentence)
