"""Whether the checks work on this table: models of shuffled answers must tell nothing, planted leaks must be found."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tallystick.ledger.events.types import Check
from tallystick.pipeline.evaluate import backtest
from tallystick.pipeline.leakage import odds
from tallystick.pipeline.leakage.evidence import Floats, LeakEvidence
from tallystick.pipeline.leakage.past_answers import ordered, repeated_answer, rows_before
from tallystick.pipeline.leakage.strength import answer_itself
from tallystick.pipeline.leakage.uncertainty import alone, left, reach
from tallystick.pipeline.leakage.yardstick import Bench, Single, whole_model

SHUFFLES = 9
LEAST = 0.02
FEWEST_CHANGES = 300
TREES: dict[str, Any] = {"max_iter": 20, "max_leaf_nodes": 15, "learning_rate": 0.1, "early_stopping": False}
ANSWERS, LAG, FILLED = "planted answers", "planted young answers", "planted afterwards"


class Canary(NamedTuple):
    """Correlations of models of shuffled answers with the true ones."""

    mean: float
    bound: float


def canary(made: Bench) -> Check:
    """Nine shuffles, one-sided; what passes the bound is tried again in nine fresh ones."""
    results = []
    for start in (0, SHUFFLES):
        found = [value for turn in range(start, start + SHUFFLES) if (value := _shuffled(made, turn)) is not None]
        if len(found) < 3:
            sentence = "Too few windows have two different answers to try shuffled ones. This says nothing either way."
            return Check(check="canary", subject="shuffled answers", result="pass", facts={}, sentence=sentence)
        results.append(judge_canary(found))
        if results[-1].mean <= results[-1].bound:
            break
    last = results[-1]
    failed = last.mean > last.bound
    facts = {"correlation": last.mean, "at_most": last.bound, "shuffles": SHUFFLES * len(results)}
    sentence = (
        f"Models trained on shuffled answers still predict the true ones (correlation {last.mean:.3f}, at most "
        f"{last.bound:.3f} by chance), twice. The fault is in the run or in rows that are repeated, not in one feature."
        if failed
        else f"Models trained on shuffled answers predict nothing (correlation {last.mean:.3f}; "
        f"chance: at most {last.bound:.3f})."
    )
    result: Any = "fail" if failed else "pass"
    return Check(check="canary", subject="shuffled answers", result=result, facts=facts, sentence=sentence)


def judge_canary(found: list[float]) -> Canary:
    """The mean, and what chance stays below in 999 of 1,000."""
    error = float(np.std(found, ddof=1) / np.sqrt(len(found)))
    return Canary(float(np.mean(found)), max(LEAST, reach(len(found) - 1) * error))


def _shuffled(made: Bench, turn: int) -> float | None:
    from sklearn.ensemble import HistGradientBoostingRegressor

    evidence = made.evidence
    place = turn % len(evidence.folds)
    fold = evidence.folds[place]
    y, truth = evidence.y[fold.train], evidence.y[fold.test]
    if np.ptp(y) == 0.0 or np.ptp(truth) == 0.0:
        return None
    random = np.random.default_rng(evidence.seed + turn)
    names = [name for name in evidence.names if np.isfinite(made.train[place][name]).any()]
    if not names:
        return None
    train, test = (np.column_stack([rows[place][name] for name in names]) for rows in (made.train, made.test))
    model = HistGradientBoostingRegressor(**TREES, min_samples_leaf=max(5, min(100, len(y) // 50)), random_state=turn)
    with backtest.one_thread():
        predicted = model.fit(train, random.permutation(y)).predict(test)
    return 0.0 if np.ptp(predicted) == 0.0 else float(np.corrcoef(predicted, truth)[0, 1])


# Self-tests ------------------------------------------------------------------------------------------------


def self_tests(made: Bench) -> list[Check]:
    """Three leaks of our own making: each must be found, or the checks are no use on this table."""
    return [check for check in (_answers(made), _young(made.evidence), _filled(made.evidence)) if check is not None]


def _planted(subject: str, caught: bool, what: str) -> Check:
    result: Any = "pass" if caught else "fail"
    told = f"{what} was found." if caught else f"{what} was not found: these checks cannot be trusted here."
    return Check(check="self-test", subject=subject, result=result, facts={}, sentence=told)


def _silent(subject: str, why: str) -> Check:
    return Check(check="self-test", subject=subject, result="pass", facts={"silent": True}, sentence=why)


def _answers(made: Bench) -> Check | None:
    evidence = made.evidence
    random = np.random.default_rng(evidence.seed)
    known = evidence.y[evidence.known]
    if not len(known) or np.ptp(known) == 0.0:
        return None
    noise = 1e-3 * float(known.std())
    values = pd.Series(evidence.y + noise * random.standard_normal(len(evidence.y)))
    predicted = alone(evidence, values)
    found = left(evidence, predicted)
    whole = whole_model(made)
    if found is None or whole is None:
        return None
    everything = min(
        [whole[1].share, *(single.left.share for single in (*made.singles.values(), *made.beside.values()))]
    )
    caught = answer_itself(Single(predicted, found), everything)
    if not caught and everything < 0.5:
        why = (
            f"Everything together leaves {everything:.0%} of the uncertainty, so that a planted column of the answers "
            "does not stand out."
        )
        return _silent(ANSWERS, why)
    if not caught and found.share < 0.2:
        return _silent(
            ANSWERS, "The windows are too small to tell a planted column of the answers from a good feature."
        )
    return _planted(ANSWERS, caught, "A planted column of the answers, changed by little,")


def _young(evidence: LeakEvidence) -> Check | None:
    order = ordered(evidence.series[0])
    source = rows_before(order, -1, np.arange(len(evidence.y)))
    values = np.where(source >= 0, evidence.y[source], np.nan)
    verdict = repeated_answer(evidence, [order], LAG, values)
    if verdict is None or verdict.result != "fail":
        there = np.isfinite(values) & evidence.known
        if verdict is not None or (values != evidence.y)[there].sum() < FEWEST_CHANGES:
            return _silent(LAG, "Answers repeat so often that a planted answer of the next row does not stand out.")
    return _planted(LAG, verdict is not None and verdict.result == "fail", "A planted column of the next row's answers")


def _filled(evidence: LeakEvidence) -> Check | None:
    known = evidence.known
    y: Floats = evidence.y[known]
    if evidence.task != "classification" or min(y.sum(), (1 - y).sum()) < 2 * odds.FEWEST_OF_A_CLASS:
        return None
    random = np.random.default_rng(evidence.seed + 1)
    column = pd.Series(np.where(random.random(len(y)) < np.where(y == 1.0, 0.6, 0.005), 1.0, 0.0))
    clusters = odds.clusters_of(y, [evidence.units[known], *(codes[known] for codes in evidence.series[:-1])])
    found = odds.filled_afterwards(column, y, clusters) or odds.telling_value(column, y, clusters)
    if found is None and odds.design_effect(clusters, column.to_numpy() == 1.0) > 3.0:
        return _silent(FILLED, "Rows of a unit go together so closely that a planted filling does not stand out.")
    return _planted(FILLED, found is not None, "A planted column that is filled after a yes")
