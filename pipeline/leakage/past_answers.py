"""Answers of other rows: those that were known by the prediction, and features that are made of some that were not.

A value that repeats the answer of another row of its series, a fixed number of rows away, was either known by then,
which clears it, or was not, which is a proof and needs no threshold on how much it tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tallystick.pipeline.config.durations import words
from tallystick.pipeline.leakage.evidence import Floats, LeakEvidence, Mask, Rows

DAY = 86_400_000_000
REPEATS = 0.99
OLD_ENOUGH = 0.999
FEWEST_ROWS = 50
MOST_LAG = 400
"""Rows of the same series, either way."""
ANCHORS = 300
FEWEST_ANCHORS = 20
ANCHORS_AGREE = 0.93
RECENT = 20
MADE_OF = 0.999
LEAVES_TIMES = 10.0
MOST_MADE_ROWS = 6_000
NEAR = tuple(range(-3, 7))
FAR = tuple(range(-12, 25))
FARTHEST = (*FAR, 48, 72, 96, 144, 168, 336)
"""Row -3 is three rows later: its answer lies in the future."""


class AnswerProof(NamedTuple):
    """What the answers of other rows say about a feature."""

    result: str
    """``cleared``, ``fail`` or ``look``."""
    check: str
    facts: dict[str, Any]
    sentence: str


class SeriesOrder(NamedTuple):
    """Rows by series and time."""

    rows: Rows
    """Row numbers, series by series, each in time order."""
    place: Rows
    """Where each row is in ``rows``."""
    first: Rows
    """For each row, where its series begins in ``rows``."""
    end: Rows


def ordered(codes: Rows) -> SeriesOrder:
    """The order of one way to see series; rows come in time order."""
    rows = np.argsort(codes, kind="stable").astype(np.int64)
    place = np.empty_like(rows)
    place[rows] = np.arange(len(rows))
    sizes = np.bincount(codes)
    ends = np.cumsum(sizes)
    return SeriesOrder(rows, place, (ends - sizes)[codes], ends[codes])


def rows_before(order: SeriesOrder, lag: int | Rows, of: Rows) -> Rows:
    """The row so many rows before in the same series; -1 where there is none. Negative lags lie in the future."""
    wanted = order.place[of] - lag
    there = (wanted >= order.first[of]) & (wanted < order.end[of])
    return np.where(there, order.rows[np.clip(wanted, 0, len(order.rows) - 1)], -1)


# What was known --------------------------------------------------------------------------------------------


def past_columns(evidence: LeakEvidence) -> dict[str, Floats]:
    """What past answers say at the time of each prediction: the last known one, means, the same time earlier.

    By series and overall; only answers that were known by then.
    """
    found: dict[str, Floats] = {}
    for number, codes in enumerate(evidence.series):
        whose = "all" if number == len(evidence.series) - 1 else f"series {number + 1}"
        for name, values in _known_answers(evidence, codes).items():
            found[f"past: {name}, {whose}"] = values
    return {name: values for name, values in found.items() if np.isfinite(values).any()}


def _known_answers(evidence: LeakEvidence, codes: Rows) -> dict[str, Floats]:
    """Last known answer, mean of the last 20 and of all, answers at the same time of an earlier day and week."""
    known = np.flatnonzero(evidence.known)
    known = known[np.argsort(codes[known], kind="stable")]
    y, times = evidence.y[known], evidence.times[known]
    sizes = np.bincount(codes[known], minlength=int(codes.max()) + 1)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    asked = evidence.times - evidence.lead - evidence.delay
    by = np.empty(len(codes), dtype=np.int64)
    grouped = np.argsort(codes, kind="stable")
    bounds = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=len(sizes)))])
    for code in range(len(sizes)):
        rows = grouped[bounds[code] : bounds[code + 1]]
        by[rows] = np.searchsorted(times[starts[code] : starts[code + 1]], asked[rows], side="right")
    start = starts[codes]
    some = by > 0
    last = np.clip(start + by - 1, 0, max(len(y) - 1, 0))
    sums = np.concatenate([[0.0], np.cumsum(y)])
    recent = np.minimum(by, RECENT)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = {
            "last known": np.where(some, y[last] if len(y) else 0.0, np.nan),
            "mean of the last 20": np.where(some, (sums[start + by] - sums[start + by - recent]) / recent, np.nan),
            "mean": np.where(some, (sums[start + by] - sums[start]) / by, np.nan),
        }
    for name, length in (("same time of an earlier day", DAY), ("same time of an earlier week", 7 * DAY)):
        back = length * max(1, -(-(evidence.delay + evidence.lead) // length))
        found[name] = _at(evidence, codes, known, back)
    return found


def _at(evidence: LeakEvidence, codes: Rows, known: Rows, back: int) -> Floats:
    """The mean known answer of the same series exactly so long before."""
    frame = pd.DataFrame({"c": codes[known], "t": evidence.times[known], "y": evidence.y[known]})
    means = frame.groupby(["c", "t"], sort=False)["y"].mean()
    asked = pd.MultiIndex.from_arrays([codes, evidence.times - back])
    places = means.index.get_indexer(asked)
    values = means.to_numpy()
    return np.where(places >= 0, values[np.clip(places, 0, len(values) - 1)], np.nan)


# One earlier answer ----------------------------------------------------------------------------------------


def repeated_answer(
    evidence: LeakEvidence, orders: Sequence[SeriesOrder], name: str, values: Floats
) -> AnswerProof | None:
    """Whether a feature is the answer of another row of its series, a fixed number of rows away."""
    for order in orders:
        lags = _lags_that_repeat(evidence, order, values)
        if not lags:
            continue
        old = [lag for lag in lags if lag > 0 and _old_enough(evidence, order, lag)]
        if old:
            facts = {"rows_before": old[0]}
            sentence = (
                f"{name} repeats the answer of its series {_rows(old[0])} before in 99% of rows, and that was known."
            )
            return AnswerProof("cleared", "earlier answer", facts, sentence)
        young = [lag for lag in lags if lag and _apart_from(evidence, order, values, lag)]
        if young:
            return _too_young(evidence, order, name, min(young, key=abs))
        if 0 in lags:
            sentence = (
                f"{name} has the value of the answer itself in 99% of rows. It may be a quantity that is known and "
                "always comes true, or the answer; numbers cannot tell which."
            )
            return AnswerProof("look", "the answer itself", {"rows_before": 0}, sentence)
    return None


def _rows(lag: int) -> str:
    return "1 row" if abs(lag) == 1 else f"{abs(lag):,} rows"


def _lags_that_repeat(evidence: LeakEvidence, order: SeriesOrder, values: Floats) -> list[int]:
    """Lags at which a feature equals the answer in 99 % of rows, also of those where either is not its usual value."""
    usual = _mode(values)
    unusual = np.flatnonzero(np.isfinite(values) & (values != usual))
    if len(unusual) < FEWEST_ROWS:
        return []
    spread = unusual[np.linspace(0, len(unusual) - 1, min(ANCHORS, len(unusual))).astype(np.int64)]
    longest = min(MOST_LAG, int((order.end - order.first).max()) - 1)
    lags = np.arange(-longest, longest + 1)
    source = rows_before(order, lags[None, :], spread[:, None])
    answers = np.where(source >= 0, evidence.y[source], np.nan)
    there = np.isfinite(answers).sum(axis=0)
    same = _same(values[spread][:, None], answers).sum(axis=0)
    agreeing = lags[(there >= FEWEST_ANCHORS) & (same >= ANCHORS_AGREE * there)]
    return [int(lag) for lag in agreeing if _repeats(evidence, order, values, int(lag), usual)]


def _repeats(evidence: LeakEvidence, order: SeriesOrder, values: Floats, lag: int, usual: float) -> bool:
    source, both = _pairs(evidence, order, values, lag)
    same = _same(values, evidence.y[source])
    telling = both & ((values != usual) | (evidence.y[source] != usual))
    return bool(telling.sum() >= FEWEST_ROWS and same[both].mean() >= REPEATS and same[telling].mean() >= REPEATS)


def _pairs(evidence: LeakEvidence, order: SeriesOrder, values: Floats, lag: int) -> tuple[Rows, Mask]:
    source = rows_before(order, lag, np.arange(len(values)))
    return source, (source >= 0) & np.isfinite(evidence.y[source]) & np.isfinite(values)


def _same(one: Floats, other: Floats) -> Mask:
    return np.asarray(np.abs(one - other) <= 1e-9 + 1e-6 * np.abs(other))


def _mode(values: Floats) -> float:
    present = values[np.isfinite(values)]
    if not len(present):
        return np.nan
    found, counts = np.unique(present, return_counts=True)
    return float(found[counts.argmax()])


def _old_enough(evidence: LeakEvidence, order: SeriesOrder, lag: int) -> bool:
    """Whether the answer so many rows before was known by the prediction in practically all rows."""
    rows = np.arange(len(evidence.times))
    source = rows_before(order, lag, rows)
    there = source >= 0
    apart = _by_the_clock(evidence)
    known = apart[source] + evidence.delay <= apart - evidence.lead
    return bool(there.any() and known[there].mean() >= OLD_ENOUGH)


def _by_the_clock(evidence: LeakEvidence) -> Rows:
    """Times as the clocks of the zone show them, or as they are.

    A delay of whole days is counted in days of the calendar: of rows at midnight, 14 days apart, those that a change to
    summer time lies between are 14 days and not 23 hours less than that apart, and "14 days" clears them.
    """
    if evidence.delay % DAY or evidence.lead % DAY:
        return evidence.times
    moments = pd.DatetimeIndex(evidence.times.astype("datetime64[us]")).tz_localize("UTC").tz_convert(evidence.zone)
    return np.asarray(moments.tz_localize(None).as_unit("us").astype(np.int64))


def _apart_from(evidence: LeakEvidence, order: SeriesOrder, values: Floats, lag: int) -> bool:
    """Whether it is this answer and not the row's own, nor the last one known, that the feature repeats.

    A fee in a contract equals the amount of this month, of the last month and of nearly every month before: the month
    that it repeats is told only by rows in which the amounts differ.
    """
    source, both = _pairs(evidence, order, values, lag)
    same = _same(values, evidence.y[source])
    others = [0]
    old = next((back for back in range(1, MOST_LAG + 1) if _old_enough(evidence, order, back)), None)
    if old is not None:
        others.append(old)
    for back in others:
        other, there = _pairs(evidence, order, values, back)
        differ = both & there & ~_same(evidence.y[source], evidence.y[other])
        if differ.sum() < FEWEST_ROWS or same[differ].mean() < REPEATS - 0.04:
            return False
    return True


def _too_young(evidence: LeakEvidence, order: SeriesOrder, name: str, lag: int) -> AnswerProof:
    rows = np.arange(len(evidence.times))
    source = rows_before(order, lag, rows)
    apart = evidence.times - evidence.times[source]
    usual = int(np.median(apart[source >= 0]))
    needed = evidence.delay + evidence.lead
    where = f"{_rows(lag)} {'before' if lag > 0 else 'after'}"
    if usual:
        where += f" (mostly {words(abs(usual))})"
    sentence = (
        f"{name} repeats the answer of its series {where} in 99% of rows; only answers at least {words(needed)} old "
        f"were known. Use an answer that is {words(needed)} old, or drop it."
    )
    facts = {"rows_before": lag, "usually_seconds": usual / 1e6, "needed_seconds": needed / 1e6}
    return AnswerProof("fail", "answer too young", facts, sentence)


# Made of several -------------------------------------------------------------------------------------------


def made_of_answers(evidence: LeakEvidence, orders: Sequence[SeriesOrder], names: list[str]) -> dict[str, AnswerProof]:
    """Features that are a weighted sum of answers of their series of which some were not known.

    A sum or mean has weights of one sign. A difference may as well be the driver of the answers (an announced
    change), so it is for a person to look at; so is what the row's own answer and known ones make up.
    """
    found: dict[str, AnswerProof] = {}
    for order in orders:
        for lags in (NEAR, FAR, FARTHEST):
            asked = [name for name in names if name not in found]
            found.update(_made_of(evidence, order, lags, asked))
    return found


def _made_of(
    evidence: LeakEvidence, order: SeriesOrder, lags: tuple[int, ...], names: list[str]
) -> Iterator[tuple[str, AnswerProof]]:
    every = np.arange(len(evidence.times))
    there_is = np.isfinite(evidence.y)
    complete = np.ones(len(every), dtype=bool)
    for lag in lags:
        sources = rows_before(order, lag, every)
        complete &= (sources >= 0) & there_is[sources]
    rows = np.flatnonzero(complete)
    if len(rows) < max(200, 6 * len(lags)):
        return
    rows = rows[np.linspace(0, len(rows) - 1, min(MOST_MADE_ROWS, len(rows))).astype(np.int64)]
    design = np.stack([evidence.y[rows_before(order, lag, rows)] for lag in lags], axis=1)
    old = np.array([lag > 0 and _old_enough(evidence, order, lag) for lag in lags])
    own = np.array([lag == 0 for lag in lags])
    for name in names:
        x = evidence.frame[name].to_numpy(np.float64)[rows]
        there = np.isfinite(x)
        if there.sum() < max(200, 6 * len(lags)) or np.ptp(x[there]) == 0.0:
            continue
        whole, weights = _explained(design[there], x[there])
        if whole < MADE_OF:
            continue
        known, _ = _explained(design[there][:, old], x[there])
        if known >= MADE_OF or 1.0 - known < LEAVES_TIMES * (1.0 - whole):
            if known >= MADE_OF:
                sentence = f"{name} is a weighted sum of answers that were known (R² {known:.3f})."
                yield name, AnswerProof("cleared", "earlier answer", {"r2": known}, sentence)
            continue
        with_own, _ = _explained(design[there][:, old | own], x[there])
        heavy = weights[np.abs(weights) > 1e-3 * np.abs(weights).max()]
        sums = bool((heavy > 0).all() or (heavy < 0).all())
        convicted = sums and with_own < MADE_OF
        facts = {"r2": whole, "r2_of_known": known, "rows": int(there.sum())}
        sentence = (
            f"{name} is a weighted sum of answers of its series (R² {whole:.3f}); those known by the prediction make "
            f"up {max(known, 0.0):.3f}. "
        )
        sentence += (
            "It contains answers that were not known. Build it from older ones, or drop it."
            if convicted
            else "Either it contains answers that were not known, or it drives them and is known; say which."
        )
        yield name, AnswerProof("fail" if convicted else "look", "made of answers", facts, sentence)


def _explained(design: Floats, x: Floats) -> tuple[float, Floats]:
    """R² of least squares, learnt on every other row and measured on the rest; and the weights."""
    learn = np.arange(len(x)) % 2 == 0
    whole = np.column_stack([design - design.mean(axis=0), np.ones(len(x))])
    gram = whole[learn].T @ whole[learn]
    gram[np.diag_indices_from(gram)] += 1e-9 * np.trace(gram) / len(gram)
    weights = np.linalg.solve(gram, whole[learn].T @ x[learn])
    missed = np.square(x - whole @ weights)[~learn].sum()
    spread = np.square(x - x.mean())[~learn].sum()
    return (1.0 - float(missed / spread) if spread > 0 else 0.0), weights[:-1]
