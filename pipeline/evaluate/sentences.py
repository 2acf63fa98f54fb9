"""From facts to sentences by fixed templates: equal facts give the same bytes, on every machine.

A sentence names who, how much and how sure, in the words of somebody who answers for the model and does not build
it. Gains are shares of the reference's loss; a difference of two gains is said in points.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from tallystick.ledger.events.sentences import count
from tallystick.pipeline.config.settings import RANKINGS, Time
from tallystick.pipeline.config.windows import first_day, with_empty
from tallystick.pipeline.evaluate import selection as rule
from tallystick.pipeline.evaluate.figures import figure
from tallystick.pipeline.evaluate.metric_words import METRIC_WORDS
from tallystick.pipeline.evaluate.selection import RuleStep
from tallystick.pipeline.evaluate.stability import Pair, Score, Scores

MONTHS = "January February March April May June July August September October November December"
SMALL_AUC_GAP = 0.02
SMALL_LOSS_GAP = 0.05
"""As a share of the walk-forward loss."""
MOSTLY_NOISE = 0.5

Facts = Mapping[str, Any]


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the sentences of one run have in common.

    Attributes
    ----------
    metric : str
        The selection metric as the pipeline file writes it, ``"log_loss"``.
    reference : str
        What the reference is called in a sentence, ``"base_rate"`` or ``"the base rate"``.
    confidence : float
        Coverage of the intervals, between 0 and 1.
    period : str
        What a window is called where its movement is described: ``"month"``.
    labels : dict of str to str
        Window label -> words, for labels that are not calendar periods.
    detail : str
        What must be said beside the metric's name, see
        :func:`pipeline.evaluate.metric_words.metric_detail`.
    """

    metric: str
    reference: str
    confidence: float
    period: str = "window"
    labels: dict[str, str] = {}
    detail: str = ""

    @property
    def name(self) -> str:
        """What is judged by, ``cost (EUR a row)``."""
        return f"{METRIC_WORDS[self.metric]}{f' ({self.detail})' if self.detail else ''}"

    def gain(self, value: float) -> str:
        """A gain: a share of the reference's loss, or points of a ranking."""
        return gain_size(value, self.metric)

    def gains(self, low: float, high: float) -> str:
        """``6.4% to 12.0%``, ``1.2 to 3.4 points``."""
        return (
            f"{_hundredths(low)} to {points(high)}" if self.metric in RANKINGS else f"{percent(low)} to {percent(high)}"
        )

    def gain_brackets(self, low: float, high: float) -> str:
        """``[0.1%, 8.1%]``, ``[0.1, 8.1]`` of points."""
        return point_brackets(low, high) if self.metric in RANKINGS else percent_brackets(low, high)


def gain_size(value: float, metric: str) -> str:
    """A gain without words: ``2.4%``; of a ranking ``2.4 points``, each of which is 0.01."""
    return points(value) if metric in RANKINGS else percent(value)


# Parts -----------------------------------------------------------------------------------------------------------


def percent(share: float) -> str:
    """``9.3%``; more decimals only where one would turn a value into zero."""
    return f"{_hundredths(share)}%"


def points(difference: float) -> str:
    """A difference of two percentages: ``2.4 points``, ``1.0 point``."""
    number = _hundredths(difference)
    return f"{number} {'point' if number.lstrip('-') == '1.0' else 'points'}"


def _hundredths(value: float) -> str:
    for decimals in (1, 2, 3):
        text = f"{value * 100:.{decimals}f}"
        if float(text) != 0:
            return text
    return "0.0"


def interval(low: float, high: float) -> str:
    """``6.4% to 12.0%``."""
    return f"{percent(low)} to {percent(high)}"


def percent_brackets(low: float, high: float) -> str:
    """``[0.1%, 8.1%]``."""
    return f"[{percent(low)}, {percent(high)}]"


def point_brackets(low: float, high: float) -> str:
    """``[2.1, 5.6]``, in points."""
    return f"[{_hundredths(low)}, {_hundredths(high)}]"


def confidence_words(confidence: float) -> str:
    """``90%``, ``97.5%``."""
    return f"{round(confidence * 100, 6):g}%"


def p_value(p: float) -> str:
    """``p = 0.0039``: two significant digits, so that it can be held against the smallest possible one; never zero."""
    if p < 0.0001:
        return "p < 0.0001"
    if p >= 0.995:
        return "p = 1"
    # Through scientific notation, so that 0.0996 counts as 0.10 before its decimals are counted.
    decimals = 1 - int(f"{p:.1e}".partition("e")[2])
    return f"p = {p:.{decimals}f}"


def window_words(label: str, context: Context | None = None) -> str:
    """``April 2013`` for ``2013-04``, ``5 April 2013`` for ``2013-04-05``; any other label as it is."""
    if context is not None and label in context.labels:
        return context.labels[label]
    if label[4:6] in ("-Q", "-W"):
        try:
            begins = first_day(label)
        except ValueError:
            return label
        return f"the quarter from {begins:%B %Y}" if label[5] == "Q" else f"the week from {begins:%-d %B %Y}"
    parts = label.split("-")
    numbers = len(parts) in (2, 3) and all(part.isdecimal() and part.isascii() for part in parts)
    if not numbers or [len(part) for part in parts] != [4, 2, 2][: len(parts)] or not 1 <= int(parts[1]) <= 12:
        return label
    day = f"{int(parts[2])} " if len(parts) == 3 else ""
    return f"{day}{MONTHS.split()[int(parts[1]) - 1]} {parts[0]}"


def empty_windows_sentence(labels: Sequence[str], why: str, context: Context | None = None) -> str:
    """Windows that the file declares empty: ``No rows in February 2020, as declared: the counters were off.``"""
    return f"No rows in {windows_words(labels, context)}, as declared: {_stop(why)}"


def empty_between(time: Time, labels: Sequence[str], context: Context | None = None) -> list[str]:
    """The sentence about windows declared empty among these; nothing where there are none."""
    empty = [label for label in with_empty(labels, time.skipped) if label not in labels]
    if not empty or time.empty_windows is None:
        return []
    return [empty_windows_sentence(empty, time.empty_windows.why, context)]


def starting(text: str) -> str:
    """Words as a sentence begins with them."""
    return text[:1].upper() + text[1:]


def windows_words(labels: Sequence[str], context: Context | None = None) -> str:
    """Several windows, a common year said once: ``April, November, October 2013``."""
    said = [window_words(label, context) for label in labels]
    years = {text.rpartition(" ")[2] for text in said}
    changed = all(text != label for text, label in zip(said, labels, strict=True))
    if len(years) == 1 and changed and next(iter(years)).isdecimal():
        return f"{', '.join(text.rpartition(' ')[0] for text in said)} {years.pop()}"
    return ", ".join(said)


def and_words(items: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


# The decision ------------------------------------------------------------------------------------------------------


def reason_sentence(reason: RuleStep, context: Context) -> str:
    """The words of one step of the selection rule.

    Raises
    ------
    KeyError
        The code is not one of :data:`pipeline.evaluate.selection.CODES`.
    """
    return _REASONS[reason.code](reason.facts, context)


def _not_eligible(facts: Facts, _: Context) -> str:
    verb = "do not take part" if ", " in facts["candidate"] else "does not take part"
    return f"{facts['candidate']} {verb}: {_stop(facts['why'])}"


def _explodes(facts: Facts, context: Context) -> str:
    when = window_words(facts["window"], context)
    return (
        f"{facts['candidate']} lost {figure(facts['times'])} times as much as {context.reference} in {when}: "
        f"{context.name} {figure(facts['loss'])} instead of {figure(facts['reference_loss'])}."
    )


def _too_few_windows(facts: Facts, _: Context) -> str:
    windows = facts["windows"]
    have = "There is no complete window" if windows == 0 else f"There {_is(windows)} only {count(windows, 'window')}"
    return f"{have}; a choice needs at least {facts['needed']}. {_stays(facts)}"


def _few_windows(facts: Facts, _: Context) -> str:
    return (
        f"With only {count(facts['windows'], 'window')} (the full rule needs {facts['full_rule_from']}) no interval is "
        "trusted: one candidate counts as better than another only where every window says so."
    )


def _nobody_eligible(facts: Facts, _: Context) -> str:
    many = facts["candidates"]
    who = {0: "There is no candidate", 1: "The only candidate does not take part"}
    return f"{who.get(many, f'None of {many} candidates takes part')}. {_stays(facts)}"


def _stays(facts: Facts) -> str:
    return f"Nobody is chosen: {facts['stays']} stays in place."


def _leader(facts: Facts, context: Context) -> str:
    side = "lower" if (facts["mean_gain"] >= 0) != (context.metric in RANKINGS) else "higher"
    return (
        f"{facts['candidate']} leads: {context.gain(abs(facts['mean_gain']))} {side} {context.name} than "
        f"{context.reference} on average over {count(facts['windows'], 'window')} "
        f"({_gain_interval(facts, context)})."
    )


def _gain_interval(facts: Facts, context: Context) -> str:
    low, high = facts["low"], facts["high"]
    if facts["mean_gain"] < 0:
        low, high = -high, -low
    return f"{confidence_words(context.confidence)} interval {context.gains(low, high)}"


def _leader_not_clear(facts: Facts, context: Context) -> str:
    if facts["high"] < 0:
        return f"Even the leader is clearly worse than {context.reference}. {_stays(facts)}"
    return (
        f"The interval reaches zero: {count(facts['windows'], 'window')} cannot tell {facts['candidate']} apart from "
        f"{context.reference}. Nobody is chosen, which is a valid result: {facts['stays']} stays in place until there "
        "is better evidence."
    )


def _windows_disagree(facts: Facts, context: Context) -> str:
    return (
        f"{facts['candidate']} beats {context.reference} in only {facts['wins']} of {facts['windows']} windows. "
        f"With so few, all of them would have to agree. {_stays(facts)}"
    )


def _lower(facts: Facts) -> str:
    return f"{points(facts['difference'])} lower on average {point_brackets(facts['low'], facts['high'])}"


def _equal(facts: Facts, _: Context) -> str:
    because = {
        "margin": f"within the margin of {points(facts['margin'])} that nobody would act on",
        "interval": "which could be chance",
        "windows": f"but {facts['leader']} is better in only {facts['leader_won']} of "
        f"{count(facts['windows'], 'window')}",
    }[facts["because"]]
    return f"{facts['candidate']} is an equal of {facts['leader']}: {_lower(facts)}, {because}."


def _not_equal(facts: Facts, context: Context) -> str:
    worse = ""
    if facts["worst_gain"] < 0:
        worse = (
            f", and in {window_words(facts['worst_window'], context)} it was worse than {context.reference} "
            f"({context.gain(facts['worst_gain'])})"
        )
    return f"{facts['candidate']} is not an equal: {_lower(facts)}{worse}."


def _behind(facts: Facts, context: Context) -> str:
    return (
        f"{facts['candidate']} is not an equal: it is {context.gain(-facts['mean_gain'])} worse than "
        f"{context.reference} on average, however little it can be told apart from {facts['leader']}."
    )


def _best_worst_quarter(facts: Facts, context: Context) -> str:
    return (
        f"Among the {facts['among']} equals {facts['candidate']} has the best worst quarter of windows: "
        f"a gain of {context.gain(facts['worst_quarter'])}."
    )


def _lower_worst_quarter(facts: Facts, _: Context) -> str:
    return (
        f"The worst quarter of {facts['candidate']} is clearly lower than that of {facts['best']}: by "
        f"{points(facts['difference'])} {point_brackets(facts['low'], facts['high'])}."
    )


def _alike(facts: Facts) -> str:
    return (
        f"The worst quarter of {facts['candidate']} cannot be told apart from that of {facts['best']} "
        f"({points(facts['difference'])} lower {point_brackets(facts['low'], facts['high'])})"
    )


def _simpler(facts: Facts, _: Context) -> str:
    return (
        f"{_alike(facts)}, and it is the simpler one (complexity {facts['complexity']} instead of "
        f"{facts['other_complexity']}), so it goes first."
    )


def _earlier_in_file(facts: Facts, _: Context) -> str:
    return (
        f"{_alike(facts)}, and both have complexity {facts['complexity']}; it stands earlier in the pipeline file, so "
        "it goes first."
    )


def _reference_is_enough(facts: Facts, context: Context) -> str:
    return (
        f"The gain is within the margin of {points(facts['margin'])} that nobody would act on, so {context.reference} "
        f"is enough. {_stays(facts)}"
    )


def _worst_quarter(facts: Facts, context: Context) -> str:
    value, low, high = facts["worst_quarter"], facts["low"], facts["high"]
    months = windows_words(facts["worst_quarter_windows"], context)
    if value < 0:
        return f"its worst quarter ({months}) loses {context.gain(-value)} {context.gain_brackets(-high, -low)}"
    still = "still gains" if value > 0 else "gains"
    return f"its worst quarter ({months}) {still} {context.gain(value)} {context.gain_brackets(low, high)}"


def _never_worse(facts: Facts, context: Context) -> str:
    return f"{facts['candidate']} was never worse than {context.reference}; {_worst_quarter(facts, context)}."


def _sometimes_worse(facts: Facts, context: Context) -> str:
    labels, gains = facts["worse_windows"], facts["worse_gains"]
    when = [f"{window_words(label, context)} ({context.gain(gain)})" for label, gain in zip(labels, gains, strict=True)]
    return (
        f"{facts['candidate']} was worse than {context.reference} in {len(labels)} of "
        f"{count(facts['windows'], 'window')}, {and_words(when)}; {_worst_quarter(facts, context)}."
    )


def _champion_confirmed(facts: Facts, _: Context) -> str:
    return f"{facts['candidate']} is already the champion. It is confirmed and stays."


def _champion_not_eligible(facts: Facts, _: Context) -> str:
    return (
        f"The champion, {facts['champion']}, does not take part, so it cannot be held against {facts['candidate']}. "
        "A person must weigh the two."
    )


def _below_champion(facts: Facts, _: Context) -> str:
    return (
        f"{facts['candidate']} does not replace the champion, {facts['champion']}: its worst quarter is "
        f"{points(-facts['worst_quarter_difference'])} lower."
    )


def _not_clearly_better(facts: Facts, _: Context) -> str:
    average = _by_points(facts["difference"], facts["low"], facts["high"])
    stays = "In doubt the champion stays."
    if facts["few_windows"]:
        doubt = f", but better in only {facts['won']} of {facts['windows']} windows"
    elif facts["high"] < 0:
        doubt, stays = "", "The champion stays."
    else:
        doubt = ", which could be chance"
    return f"{facts['candidate']} does not replace the champion, {facts['champion']}: {average}{doubt}. {stays}"


def _by_points(difference: float, low: float, high: float) -> str:
    if difference < 0:
        return f"it is {points(-difference)} lower on average {point_brackets(-high, -low)}"
    return f"it is {points(difference)} higher on average {point_brackets(low, high)}"


def _beats_champion(facts: Facts, _: Context) -> str:
    return (
        f"{facts['candidate']} replaces the champion, {facts['champion']}: "
        f"{_by_points(facts['difference'], facts['low'], facts['high'])}, and its worst quarter is "
        f"{_no_lower(facts['worst_quarter_difference'])}."
    )


def _no_lower(difference: float) -> str:
    return f"{points(difference)} higher" if difference > 0 else "the same"


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


def _stop(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


_REASONS: dict[str, Callable[[Facts, Context], str]] = {
    rule.EXPLODES: _explodes,
    rule.NOT_ELIGIBLE: _not_eligible,
    rule.TOO_FEW_WINDOWS: _too_few_windows,
    rule.FEW_WINDOWS: _few_windows,
    rule.NOBODY_ELIGIBLE: _nobody_eligible,
    rule.LEADER: _leader,
    rule.LEADER_NOT_CLEAR: _leader_not_clear,
    rule.WINDOWS_DISAGREE: _windows_disagree,
    rule.EQUAL: _equal,
    rule.NOT_EQUAL: _not_equal,
    rule.BEHIND_REFERENCE: _behind,
    rule.BEST_WORST_QUARTER: _best_worst_quarter,
    rule.LOWER_WORST_QUARTER: _lower_worst_quarter,
    rule.SIMPLER: _simpler,
    rule.EARLIER_IN_FILE: _earlier_in_file,
    rule.REFERENCE_IS_ENOUGH: _reference_is_enough,
    rule.NEVER_WORSE: _never_worse,
    rule.SOMETIMES_WORSE: _sometimes_worse,
    rule.CHAMPION_CONFIRMED: _champion_confirmed,
    rule.CHAMPION_NOT_ELIGIBLE: _champion_not_eligible,
    rule.BELOW_CHAMPION_IN_WORST_QUARTER: _below_champion,
    rule.NOT_CLEARLY_BETTER_THAN_CHAMPION: _not_clearly_better,
    rule.BEATS_CHAMPION: _beats_champion,
}


def headline(selection: rule.Selection, pipeline: str, scores: Scores | None, context: Context) -> str:
    """The decision in one sentence."""
    if selection.chosen is None or scores is None:
        return f"Nobody is chosen for {pipeline}."
    if selection.outcome == "champion-kept":
        return f"The champion's recipe, {selection.chosen}, stays for {pipeline}."
    gain = context.gain(scores.of(selection.chosen).mean_gain)
    side = "higher" if context.metric in RANKINGS else "lower"
    lead = "" if selection.chosen == selection.leader else f", although {selection.leader} leads"
    return f"{selection.chosen} is chosen for {pipeline}: {gain} {side} {context.name}{lead}."


# Behaviour over time -------------------------------------------------------------------------------------------------


def trajectory_words(score: Score, windows: Sequence[str], context: Context) -> str:
    """How a candidate's gain moved: its range, and whether a trend can be told.

    ``windows`` are the labels that the gains belong to, as in :class:`pipeline.evaluate.stability.Scores`.
    """
    best = max(range(len(windows)), key=lambda index: score.gains[index])
    span = (
        f"The gain of {score.candidate} over {context.reference} lies between {context.gain(score.worst_gain)} "
        f"({window_words(score.worst_window, context)}) and {context.gain(score.gains[best])} "
        f"({window_words(windows[best], context)})"
    )
    if score.slope is None or score.slope_interval is None or len(windows) < rule.FULL_RULE_WINDOWS:
        return f"{span}; {count(len(windows), 'window')} cannot show a trend."
    low, high = score.slope_interval.low, score.slope_interval.high
    if not score.slope_interval.excludes_zero():
        said = f"({points(score.slope)} a {context.period} {point_brackets(low, high)})"
        return f"{span}, without a trend that can be told from chance {said}."
    moves = "rises"
    if high < 0:
        moves, low, high = "falls", -high, -low
    return f"{span} and {moves} by {points(abs(score.slope))} a {context.period} {point_brackets(low, high)}."


def noise_share_sentence(score: Score, context: Context) -> str:
    """How much of the movement between windows the size of the test windows explains."""
    movement = f"{context.period}-to-{context.period} movement of {score.candidate}"
    if score.noise_share is None:
        return f"How much of the {movement} is sampling noise cannot be told."
    if score.noise_share >= 1:
        return f"All of the {movement} could be sampling noise."
    if score.noise_share > MOSTLY_NOISE:
        return f"Most of the {movement} is sampling noise ({score.noise_share * 100:.0f}%)."
    return f"About {score.noise_share * 100:.0f}% of the {movement} is sampling noise."


def pair_sentence(pair: Pair, scores: Scores, context: Context) -> str:
    """Two candidates compared, with both kinds of evidence."""
    side = "better" if pair.mean_difference >= 0 else "worse"
    low, high = pair.mean_interval.low, pair.mean_interval.high
    if pair.mean_difference < 0:
        low, high = -high, -low
    return (
        f"{pair.first} is {points(abs(pair.mean_difference))} {side} than {pair.second} on average "
        f"({confidence_words(context.confidence)} interval {point_brackets(low, high)}) and wins "
        f"{pair.windows_won} of {count(len(scores.windows), 'window')} ({p_value(pair.sign_flip_p)}; the smallest "
        f"possible is {_bare_p(scores.smallest_p)})."
    )


def smallest_p_sentence(windows: int, smallest_p: float) -> str:
    """What a sign-flip test over so few windows can show at best."""
    never = ", so no comparison can fall below 0.05" if smallest_p >= 0.05 else ""
    return f"With {count(windows, 'window')} the smallest possible p is {_bare_p(smallest_p)}{never}."


def _bare_p(p: float) -> str:
    return p_value(p).removeprefix("p ").removeprefix("= ")


# Optimism --------------------------------------------------------------------------------------------------------


def optimism_sentence(
    candidate: str, walk_forward_mean: float | None, random_mean: float | None, gaps: Sequence[float], metric: str
) -> str:
    """What a random split would have promised, against walk-forward in time.

    Parameters
    ----------
    candidate : str
    walk_forward_mean, random_mean : float or None
        Means over windows, in the unit of the metric.
    gaps : sequence of float
        By window, positive where the random split flatters.
    metric : str
    """
    name = METRIC_WORDS[metric]
    if walk_forward_mean is None or random_mean is None or not gaps:
        return f"What a random split would promise of {candidate} is not known: {name} has no value in any window."
    mean = math.fsum(gaps) / len(gaps)
    limit = SMALL_AUC_GAP if metric in RANKINGS else SMALL_LOSS_GAP * walk_forward_mean
    numbers = f"{figure(random_mean)} instead of {figure(walk_forward_mean)}"
    if metric not in RANKINGS and walk_forward_mean > 0.0:
        numbers += f", {percent(abs(mean) / walk_forward_mean)} {'less' if mean >= 0.0 else 'more'}"
    spread = f"({figure(min(gaps))} to {figure(max(gaps))}; positive in {sum(gap > 0 for gap in gaps)} of"
    evidence = f"{spread} {count(len(gaps), 'window')}): {numbers}"
    if mean < -limit:
        return f"A random split would undersell {candidate} by {figure(-mean)} {name} on average {evidence}."
    if mean <= limit:
        return f"A random split would say nearly the same about {candidate}: {name} {numbers}, a small difference."
    return f"A random split would flatter {candidate} by {figure(mean)} {name} on average {evidence}."


def random_choice_sentence(by_random: str, by_time: str, metric: str) -> str:
    """Said where the random split puts another candidate first; empty where it does not."""
    if by_random == by_time:
        return ""
    return f"By {METRIC_WORDS[metric]} a random split would have chosen {by_random} instead of {by_time}."


# The data --------------------------------------------------------------------------------------------------------


def one_class_sentence(label: str, rows: int, positive: bool) -> str:
    """Why a window has no AUC."""
    kind = "positive" if positive else "negative"
    all_rows = f"its only row is {kind}" if rows == 1 else f"all {count(rows, 'row')} are {kind}"
    return f"AUC has no value in {window_words(label)}: {all_rows}, so there is nothing to rank."


def partial_window_sentence(label: str, immature: int, rows: int) -> str:
    """Why a window does not count."""
    when = starting(window_words(label))
    return (
        f"{when} is partial: {immature:,} of {count(rows, 'row')} ({percent(immature / rows)}) "
        f"{'has' if immature == 1 else 'have'} no mature label yet. It does not count for selection."
    )


def few_rows_sentence(label: str, rows: int, needed: int) -> str:
    """A window that is too small to count."""
    when = starting(window_words(label))
    return (
        f"{when} has {count(rows, 'test row')}, fewer than the {needed:,} that a window needs. "
        "It does not count for selection."
    )


def removed_rows_sentence(label: str, removed: int, rows: int, column: str) -> str:
    """Training rows that are not used because their group is tested on."""
    return (
        f"{starting(window_words(label))} is trained on {count(rows - removed, 'row')}: {removed:,} of {rows:,} "
        f"({percent(removed / rows)}) are left out because their {column} is tested on."
    )


def dropped_rows_sentence(where: str, dropped: int, rows: int, why: str) -> str:
    """Rows that the pipeline file leaves out, ``rows`` being all there were."""
    return f"{dropped:,} of {count(rows, 'row')} ({percent(dropped / rows)}) left out where {where}: {_stop(why)}"


def group_overlap_sentence(column: str, share: float, seen: float | None, unseen: float | None, metric: str) -> str:
    """How much of the test data belongs to groups that were trained on, and whether that matters."""
    name = METRIC_WORDS[metric]
    known = f"{percent(share)} of the test rows share their {column} with training rows"
    if seen is None or unseen is None:
        return f"{known}; {name} cannot be compared between the two kinds of rows."
    return f"{known}: {name} is {figure(seen)} on these and {figure(unseen)} on the others."
