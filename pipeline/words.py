"""From facts to sentences, by fixed templates: equal facts give the same bytes, on every machine, for ever."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ledger.words import count
from pipeline.selection import Selection, Step

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
LOSS_WORDS = {
    "log_loss": "log-loss",
    "brier": "Brier score",
    "squared_error": "squared error",
    "absolute_error": "absolute error",
    "roc_auc": "AUC",
}
SMALL_AUC_GAP = 0.02
SMALL_LOSS_GAP = 0.05


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What every sentence of a run has in common."""

    metric: str
    reference: str
    confidence: float
    pipeline: str


# Parts -----------------------------------------------------------------------------------------------------


def percent(value: float) -> str:
    """``9.3%``; a true minus sign for negative values."""
    return _signed(f"{abs(value) * 100:.1f}%", value)


def points(value: float) -> str:
    """A difference of two percentages: ``2.4 points``."""
    return _signed(f"{abs(value) * 100:.1f} points", value)


def _signed(text: str, value: float) -> str:
    shown = any(digit in text for digit in "123456789")
    return f"−{text}" if value < 0 and shown else text


def interval(low: float, high: float) -> str:
    """``6.4% to 12.0%``."""
    return f"{percent(low)} to {percent(high)}"


def p_value(p: float) -> str:
    """``p = 0.004``, and never zero."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def window_words(label: str) -> str:
    """``April 2013`` for a month; the label itself for anything else."""
    year, dash, month = label.partition("-")
    if dash and len(month) == 2 and month.isdigit() and 1 <= int(month) <= 12:
        return f"{MONTHS[int(month) - 1]} {year}"
    return label


def list_words(items: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else "none"


def windows_words(labels: Sequence[str]) -> str:
    """Several windows, the year said once: ``April, November and October 2013``."""
    said = [window_words(label) for label in labels]
    years = {text.rpartition(" ")[2] for text in said}
    if len(said) > 1 and len(years) == 1 and all(" " in text for text in said):
        return f"{list_words([text.rpartition(' ')[0] for text in said])} {years.pop()}"
    return list_words(said)


# The decision ----------------------------------------------------------------------------------------------


def step_sentence(step: Step, context: Context) -> str:
    """The sentence of one step of the selection rule."""
    return _STEPS[step.code](step.facts, context)


def _not_eligible(facts: Mapping[str, Any], _: Context) -> str:
    return f"{facts['candidate']} does not take part: {facts['reason']}"


def _too_few(facts: Mapping[str, Any], _: Context) -> str:
    return (
        f"{count(facts['windows'], 'complete window')} cannot carry a choice; at least {facts['needed']} are needed. "
        "Nobody is chosen."
    )


def _leads(facts: Mapping[str, Any], context: Context) -> str:
    return (
        f"{facts['candidate']} leads: {percent(facts['mean_gain'])} lower {LOSS_WORDS[context.metric]} than "
        f"{context.reference} on average over {count(facts['windows'], 'window')} "
        f"({percent_of(context.confidence)} interval {interval(facts['low'], facts['high'])})."
    )


def percent_of(confidence: float) -> str:
    """``90%``, ``97.5%``."""
    return f"{confidence * 100:g}%"


def _not_above(facts: Mapping[str, Any], context: Context) -> str:
    return (
        f"That interval includes zero, so {facts['candidate']} cannot be told apart from {context.reference}. "
        "Nobody is chosen: what is in place stays, and that is a valid outcome."
    )


def _not_every(facts: Mapping[str, Any], context: Context) -> str:
    return (
        f"With only {facts['windows']} windows all of them would have to agree; {facts['candidate']} beats "
        f"{context.reference} in {facts['wins']}. Nobody is chosen: what is in place stays."
    )


def _difference(facts: Mapping[str, Any]) -> str:
    return f"{points(facts['difference'])} lower gain on average [{points_pair(facts['low'], facts['high'])}]"


def points_pair(low: float, high: float) -> str:
    """``1.3, 3.8`` for the bounds of a difference in points."""
    return f"{_signed(f'{abs(low) * 100:.1f}', low)}, {_signed(f'{abs(high) * 100:.1f}', high)}"


def _equal(facts: Mapping[str, Any], _: Context) -> str:
    if facts["low"] <= 0:
        return f"{facts['candidate']} cannot be told apart from {facts['leader']}: {_difference(facts)}."
    return (
        f"{facts['candidate']} is an equal of {facts['leader']}: {_difference(facts)}, within the margin of "
        f"{points(facts['margin'])} that nobody would act on."
    )


def _not_equal(facts: Mapping[str, Any], context: Context) -> str:
    worst = ""
    if facts["worst_gain"] < 0:
        worst = (
            f", and in {window_words(facts['worst_window'])} it was worse than {context.reference} "
            f"({percent(facts['worst_gain'])})"
        )
    return f"{facts['candidate']} is not an equal of {facts['leader']}: {_difference(facts)}{worst}."


def _best_quarter(facts: Mapping[str, Any], _: Context) -> str:
    gain = f"{percent(facts['worst_quarter'])} [{interval(facts['low'], facts['high'])}]"
    months = windows_words(facts["worst_windows"])
    if facts["among"] == 1:
        return f"It has no equal. In its worst quarter of windows ({months}) its gain is {gain}."
    return (
        f"Among {facts['among']} equals {facts['candidate']} has the best worst quarter: a gain of {gain} in {months}."
    )


def _simpler(facts: Mapping[str, Any], _: Context) -> str:
    return (
        f"The worst quarter of {facts['candidate']} cannot be told apart from that of {facts['instead_of']} "
        f"({points(facts['difference'])} lower [{points_pair(facts['low'], facts['high'])}]), and it is simpler "
        f"(complexity {facts['complexity']} against {facts['other_complexity']})."
    )


def _never_worse(facts: Mapping[str, Any], context: Context) -> str:
    worse: Mapping[str, float] = facts["worse"]
    if not worse:
        return f"{facts['candidate']} was never worse than {context.reference}."
    months = list_words([f"{window_words(label)} ({percent(gain)})" for label, gain in worse.items()])
    return f"{facts['candidate']} was worse than {context.reference} in {months}."


def _champion_kept(facts: Mapping[str, Any], _: Context) -> str:
    reason = "its bad months are worse" if facts["worst_quarter_difference"] < 0 else "the difference could be chance"
    return (
        f"{facts['candidate']} does not replace the champion's recipe {facts['champion']}: {reason} "
        f"({points(facts['difference'])} on average [{points_pair(facts['low'], facts['high'])}], "
        f"{points(facts['worst_quarter_difference'])} in the worst quarter). In doubt the champion stays."
    )


def _champion_confirmed(facts: Mapping[str, Any], _: Context) -> str:
    return f"That is the champion's own recipe, {facts['candidate']}: the champion is confirmed."


def _beats_champion(facts: Mapping[str, Any], _: Context) -> str:
    return (
        f"{facts['candidate']} beats the champion's recipe {facts['champion']} beyond doubt: "
        f"{points(facts['difference'])} on average [{points_pair(facts['low'], facts['high'])}], "
        f"{points(facts['worst_quarter_difference'])} in the worst quarter."
    )


_STEPS: dict[str, Callable[[Mapping[str, Any], Context], str]] = {
    "not-eligible": _not_eligible,
    "too-few-windows": _too_few,
    "leads": _leads,
    "leader-not-above-reference": _not_above,
    "leader-not-in-every-window": _not_every,
    "equal": _equal,
    "not-equal": _not_equal,
    "best-worst-quarter": _best_quarter,
    "simpler": _simpler,
    "never-worse": _never_worse,
    "champion-kept": _champion_kept,
    "champion-confirmed": _champion_confirmed,
    "beats-champion": _beats_champion,
}


def headline(selection: Selection, context: Context) -> str:
    """The decision in one sentence."""
    facts = next((step.facts for step in selection.steps if step.code == "leads"), None)
    if selection.outcome in ("nobody", "too-few-windows"):
        return f"Nobody is chosen for {context.pipeline}."
    if selection.outcome == "champion-kept":
        return f"The champion's recipe {selection.chosen} stays for {context.pipeline}."
    if selection.outcome == "champion-confirmed":
        return f"The champion's recipe {selection.chosen} is confirmed for {context.pipeline}."
    best = " although it does not lead" if selection.chosen != selection.leader else ""
    gain = f" ({percent(facts['mean_gain'])} lower {LOSS_WORDS[context.metric]})" if facts and not best else ""
    return f"{selection.chosen} is chosen for {context.pipeline}{best}{gain}."


# Optimism --------------------------------------------------------------------------------------------------


def optimism_sentence(
    candidate: str, metric: str, walk_forward: float | None, random: float | None, gaps: Sequence[float]
) -> str:
    """What a random split would have promised; ``gaps`` are oriented so that positive flatters."""
    if walk_forward is None or random is None or not gaps:
        return f"The optimism of a random split cannot be told for {candidate}: {LOSS_WORDS[metric]} has no value."
    mean = math.fsum(gaps) / len(gaps)
    relative = mean if metric == "roc_auc" else mean / walk_forward
    positive = sum(gap > 0 for gap in gaps)
    name = LOSS_WORDS[metric]
    numbers = f"{random:.3f} instead of {walk_forward:.3f}"
    if relative <= (SMALL_AUC_GAP if metric == "roc_auc" else SMALL_LOSS_GAP):
        return f"A random split would say nearly the same of {candidate}: {name} {numbers}."
    return (
        f"A random split would flatter {candidate} by {mean:.3f} {name} on average "
        f"({min(gaps):.3f} to {max(gaps):.3f}; in {positive} of {count(len(gaps), 'window')}): {numbers}."
    )


def random_choice_sentence(by_random: str, by_time: str, metric: str) -> str:
    """Said when a random split would have put another candidate first."""
    return f"By {LOSS_WORDS[metric]}, a random split would have put {by_random} before {by_time}."


# Data ------------------------------------------------------------------------------------------------------


def dropped_sentence(where: str, rows: int, why: str) -> str:
    """Rows that the pipeline file leaves out."""
    return f"{count(rows, 'row')} dropped where {where}: {why}"


def immature_sentence(rows: int, of: int, partial: bool) -> str:
    """Test rows whose label is not known yet."""
    sentence = f"{rows:,} of {of:,} test rows have no mature label yet"
    return sentence + (", so the window is partial and does not count for selection." if partial else ".")


def one_class_sentence(rows: int, positive: bool) -> str:
    """A test window with a single class."""
    kind = "positive" if positive else "negative"
    return f"All {rows:,} labels are {kind}: nothing can be ranked, so AUC has no value here."


def few_rows_sentence(rows: int, needed: int) -> str:
    """A window that is too small to count."""
    return f"Only {count(rows, 'test row')}, fewer than the {needed:,} that a window needs to count for selection."
