"""A watched period in sentences, by fixed templates: equal facts give the same bytes, on every machine.

The headline, the first finding and the suggestion are functions of the cause. The other findings give numbers and no
advice, and none of them is more serious than the verdict.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import msgspec

from tallystick.ledger.events.sentences import count
from tallystick.pipeline.evaluate.figures import amount, figure
from tallystick.pipeline.evaluate.metric_words import METRIC_WORDS
from tallystick.pipeline.evaluate.sentences import and_words, p_value, percent, starting, window_words
from tallystick.pipeline.monitoring.columns import Unseen
from tallystick.pipeline.monitoring.data_sentences import PeriodFinding, estimated_words, faults_words
from tallystick.pipeline.monitoring.facts import RULES, Facts
from tallystick.pipeline.monitoring.interval import FEWEST_OWN_WINDOWS
from tallystick.pipeline.monitoring.movements import Movement
from tallystick.pipeline.monitoring.own_range import FEWEST_BY_COUNT, Standing
from tallystick.pipeline.monitoring.segments import Decomposition
from tallystick.pipeline.monitoring.verdict import OUTCOMES, Cause, Level

SHOWN_FEATURES = 3
SMALLEST_PSI = 0.005
"""A feature that moved less would be said to differ by 0.00."""
UNJUDGED: tuple[Cause, ...] = ("column", "unseen", "class gone")
"""Causes for which nothing is said of the model."""
MODEL_CAUSES: tuple[Cause, ...] = ("ranking", "level", "small level", "spread", "reference", "notice")
"""Causes for which it is said where the loss moved."""


class PeriodContext(msgspec.Struct, frozen=True, kw_only=True):
    """What the sentences of one pipeline have in common.

    Attributes
    ----------
    metric : str
        The selection metric as the pipeline file writes it.
    positive : str or None
        What a yes is called, ``"late"``; None where numbers are predicted.
    model, reference : str
    unit : str or None
        Of the target, ``"bikes"``.
    when : str or None
        The period in words, where its label does not say how long it is.
    """

    metric: str
    positive: str | None
    model: str
    reference: str
    unit: str | None = None
    when: str | None = None


WAIT = "Suggest: wait for the next period before retraining."
MEND = "Suggest: mend the data first; do not retrain on them."
CHALLENGER = "Suggest: train a challenger."
NOTHING = "Suggest: nothing to do."
LONGER = "Suggest: wait for more rows, or watch longer periods: a longer window holds more events."
SUGGESTIONS: dict[Cause, str] = {
    "expired": "Suggest: do not use this model for this period.",
    "schema": MEND,
    "declared empty": NOTHING,
    "rows": MEND,
    "column": MEND,
    "unseen": MEND,
    "class gone": MEND,
    "labels": "Suggest: wait for the labels, and watch the period again.",
    "few": LONGER,
    "day": WAIT,
    "one class": WAIT,
    "ranking": CHALLENGER,
    "level": "Suggest: recalibrate; the order of the predictions need not be learned again.",
    "small level": NOTHING,
    "spread": CHALLENGER,
    "reference": CHALLENGER,
    "notice": WAIT,
    "note": NOTHING,
    "blind": "Suggest: wait; with more own windows, or longer ones, smaller changes can be told.",
    "quiet": NOTHING,
}
"""What to do, by cause."""


def findings_of(facts: Facts, context: PeriodContext) -> list[PeriodFinding]:
    """Everything worth saying about a period whose labels are known, the cause first."""
    found = []
    if facts.faults:
        found.append(_data(facts))
    if facts.cause in ("class gone", "one class", "few", "blind", "labels"):
        found.append(_not_judged(facts, context))
    if facts.cause in ("few", "one class", "labels"):
        found.append(_loss(facts, context))
    elif facts.cause not in UNJUDGED:
        found += _of_the_model(facts, context)
    if facts.days and facts.cause not in UNJUDGED:
        found.insert(0 if facts.cause == "day" else len(found), _episode(facts, context))
    if facts.cause in MODEL_CAUSES and facts.since.unit is not None:
        found.append(_since(facts))
    if facts.cause in MODEL_CAUSES or facts.cause == "day":
        found += [_segments(item) for item in facts.decompositions if any(level.named for level in item.levels)]
    found += [_unseen(item, context) for item in facts.unseen]
    found += _features(facts)
    if facts.estimate is not None and facts.cause not in UNJUDGED:
        found.append(_estimate(facts))
    return found


def _of_the_model(facts: Facts, context: PeriodContext) -> list[PeriodFinding]:
    """The loss and each statistic that is judged, the cause before the others."""
    found = [_loss(facts, context)]
    tell = {"level": _level, "ranking": _ranking, "spread": _spread}
    told = [make(facts, context, facts.standings[name]) for name, make in tell.items() if name in facts.standings]
    if facts.worse_than_reference:
        told.append(_worse(facts, context))
    named = "level" if facts.cause == "small level" else facts.cause
    found = [*(item for item in told if item.code == named), *found, *(item for item in told if item.code != named)]
    return [*found, *_trends(facts)]


def headline(facts: Facts, context: PeriodContext) -> str:
    """The period in one sentence or two."""
    when = starting(context.when or window_words(facts.label))
    if facts.cause == "quiet":
        windows = count(len(facts.own_windows), "own window")
        return f"{when} is in line with {windows}: {_verdict(facts, context)}"
    return f"{when}: {_verdict(facts, context)}"


def _verdict(facts: Facts, context: PeriodContext) -> str:
    match facts.cause:
        case "column" | "unseen":
            return f"{_faults(facts)} The model was not judged."
        case "day":
            return f"{_days(facts)} missed as no day before; the rest is as usual."
        case "note":
            return [*facts.notes, *(_unseen(item, context).sentence for item in facts.unseen)][0]
        case "quiet":
            return f"{_predicted(facts, context)}."
        case "class gone" | "one class" | "few" | "blind" | "labels":
            return _why_not(facts, context)
    return _of_model(facts, context)


def _of_model(facts: Facts, context: PeriodContext) -> str:
    """The verdict where the model itself is out of the ordinary."""
    match facts.cause:
        case "ranking":
            return _ranks(facts, facts.standings["ranking"], lead="It ranks worse: ")
        case "spread":
            return _errors(facts, facts.standings["spread"])
        case "reference":
            return _reference(facts, context)
        case "level":
            saved = percent(facts.gain)
            return f"{_predicted(facts, context)}. The level moved; recalibrating saves {saved} of the loss."
        case "small level":
            cost = percent(max(facts.gain, 0.0))
            return f"{_predicted(facts, context)}, which costs {cost} of the loss, less than your margin."
    return _notice(facts, context)


# The statistics --------------------------------------------------------------------------------------------------


def _rate_or_amount(value: float, context: PeriodContext) -> str:
    return percent(value) if context.positive is not None else figure(value)


def _predicted(facts: Facts, context: PeriodContext) -> str:
    """``predicted 24.6% late, 13.2% were; 20.1% to 29.3% was to be expected``."""
    predicted, observed = (_rate_or_amount(value, context) for value in (facts.predicted, facts.observed))
    if context.positive is not None:
        said = f"predicted {predicted} {context.positive}, {observed} were"
    else:
        said = f"predicted {amount(facts.predicted, context.unit)} on average, {observed} was observed"
    if facts.foreseen is None:
        return said
    low, high = (_rate_or_amount(value, context) for value in facts.foreseen)
    if facts.standings["level"].by == "own windows":
        return f"{said}; misses as large as in its own windows would give {low} to {high}"
    return f"{said}; {low} to {high} was to be expected"


def _capped(standing: Standing, facts: Facts) -> Level:
    """No finding is more serious than the verdict."""
    status = OUTCOMES[facts.cause][0]
    most: Level = "alarm" if status == "alarm" else "notable" if status == "notable" else "normal"
    order: tuple[Level, ...] = ("normal", "notable", "alarm")
    return min(standing.level, most, key=order.index)


def _evidence(standing: Standing) -> dict[str, Any]:
    return dict(msgspec.to_builtins(standing))


def _loss(facts: Facts, context: PeriodContext) -> PeriodFinding:
    name = METRIC_WORDS[context.metric]
    own = facts.own.get("loss", [])
    sentence = f"{name[0].upper()}{name[1:]} {figure(facts.statistics['loss'])}"
    if own:
        sentence += f"; the own windows had {figure(min(own))} to {figure(max(own))}"
    return PeriodFinding(
        code="loss",
        level="normal",
        facts={"loss": facts.statistics["loss"], "expected_loss": facts.statistics["expected_loss"], "own": facts.own},
        sentence=f"{sentence}.",
    )


def _level(facts: Facts, context: PeriodContext, standing: Standing) -> PeriodFinding:
    said = _predicted(facts, context)
    sentence = f"The model {said}."
    if facts.cause == "level":
        sentence += f" A new intercept alone would take away {percent(facts.gain)} of the loss."
    return PeriodFinding(
        code="level",
        level=_capped(standing, facts),
        facts={
            "predicted": facts.predicted,
            "observed": facts.observed,
            "foreseen": facts.foreseen,
            "level": _evidence(standing),
            "gain": facts.gain,
        },
        sentence=sentence + _again(standing),
    )


def _again(standing: Standing) -> str:
    """What made a notice an alarm."""
    if standing.by == "twice":
        return " It is the second period in a row."
    if standing.by == "drift" and standing.level != "normal":
        return " Small steps the same way have added up over the periods."
    return ""


def _ranks(facts: Facts, standing: Standing, lead: str = "") -> str:
    """How well it ranks, and the least expected: ``AUC 0.61; after 8 own windows at least 0.65 was expected.``"""
    windows = f"after {count(standing.windows, 'own window')} at least"
    if "auc" in facts.statistics:
        least = facts.statistics["expected_auc"] - standing.high
        auc = facts.statistics["auc"]
        return f"{lead}AUC {auc:.3f}; {windows} {least:.3f} was expected.{_again(standing)}"
    slope, least = 1.0 - standing.value, 1.0 - standing.high
    differ = f"where predictions differ by 1, outcomes differ by {slope:.2f}"
    return f"{lead}{differ}; {windows} {least:.2f} was expected.{_again(standing)}"


def _ranking(facts: Facts, context: PeriodContext, standing: Standing) -> PeriodFinding:
    sentence = _ranks(facts, standing, "It ranks worse: " if standing.level == "alarm" else "")
    return PeriodFinding(
        code="ranking",
        level=_capped(standing, facts),
        facts={
            "ranking": _evidence(standing),
            "auc": facts.statistics.get("auc"),
            "expected_auc": facts.statistics.get("expected_auc"),
        },
        sentence=f"{sentence[0].upper()}{sentence[1:]}",
    )


def _larger(value: float, context_is_classes: bool) -> float:
    """A spread as the share by which errors are larger."""
    return value if context_is_classes else math.expm1(min(value, 50.0))


def _errors(facts: Facts, standing: Standing) -> str:
    classes = "auc" in facts.statistics
    value, most = (_larger(number, classes) for number in (standing.value, standing.high))
    way = "larger" if value >= 0.0 else "smaller"
    than = f"{percent(most)} larger" if most >= 0.0 else f"{percent(-most)} smaller"
    return (
        f"Errors are {percent(abs(value))} {way} than for such rows before; after "
        f"{count(standing.windows, 'own window')} at most {than} was expected.{_again(standing)}"
    )


def _spread(facts: Facts, context: PeriodContext, standing: Standing) -> PeriodFinding:
    return PeriodFinding(
        code="spread",
        level=_capped(standing, facts),
        facts={"spread": _evidence(standing), "excess": facts.excess},
        sentence=_errors(facts, standing),
    )


def _reference(facts: Facts, context: PeriodContext) -> str:
    assert facts.reference_loss is not None
    name = METRIC_WORDS[context.metric]
    theirs, ours = figure(facts.reference_loss), figure(facts.statistics["loss"])
    return f"{context.reference} would have done better: {name} {theirs} instead of {ours}."


def _worse(facts: Facts, context: PeriodContext) -> PeriodFinding:
    return PeriodFinding(
        code="reference",
        level="alarm" if OUTCOMES[facts.cause][0] == "alarm" else "notable",
        facts={"loss": facts.statistics["loss"], "reference_loss": facts.reference_loss},
        sentence=_reference(facts, context),
    )


STATISTIC_WORDS = {"level": "The level", "ranking": "The ranking", "spread": "The size of the errors"}


def _notice(facts: Facts, context: PeriodContext) -> str:
    """The rarest of what is out of the ordinary."""
    out = {name: item for name, item in facts.standings.items() if item.level != "normal"}
    if not out:
        return f"{_reference(facts, context)} A larger difference would be an alarm."
    name = min(out, key=lambda key: (out[key].p is None, out[key].p or 0.0))
    standing = out[name]
    told = {
        "level": f"{_predicted(facts, context)}.",
        "ranking": _ranks(facts, standing),
        "spread": _errors(facts, standing),
    }[name]
    if standing.by == "drift":
        return told
    if standing.p is None:
        return f"{told} {STATISTIC_WORDS[name]} is outside most own windows."
    rarity = _one_in(standing.p)
    return (
        f"{told} {STATISTIC_WORDS[name]} is that far off in fewer than 1 in {rarity} quiet periods; a second in a row "
        "is an alarm."
    )


def _one_in(p: float) -> str:
    """``12``, ``1,000,000``: rounded down to two digits, so that it never says more than was found."""
    number = min(1.0 / max(p, 1e-6), 1e6)
    step = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return f"{math.floor(number / step + 1e-9) * step:,}"


def _trends(facts: Facts) -> list[PeriodFinding]:
    """Own windows that grow by themselves: going on like that is no fault of the period."""
    growing = {name: item for name, item in facts.standings.items() if item.trend is not None}
    found = []
    for name, item in growing.items():
        assert item.trend is not None
        way = "grows" if item.trend > 0.0 else "falls"
        found.append(
            PeriodFinding(
                code=f"trend {name}",
                level="normal",
                facts={"statistic": name, "trend": item.trend, "windows": item.windows},
                sentence=f"{STATISTIC_WORDS[name]} already {way} by {figure(abs(item.trend))} from one own window to "
                "the next; that it continues is no fault of the period.",
            )
        )
    return found


# What was not judged -----------------------------------------------------------------------------------------------


def _why_not(facts: Facts, context: PeriodContext) -> str:
    rows = count(facts.rows, "row")
    match facts.cause:
        case "class gone" | "one class":
            return _only_one(facts, context)
        case "labels":
            return (
                f"{rows} have a known answer, and what is said of the level depends on those that have none. "
                "Watch it again when they are known."
            )
        case "few" if facts.too_few == "windows":
            needed = FEWEST_BY_COUNT if facts.rule == RULES[True] else FEWEST_OWN_WINDOWS
            have = count(len(facts.own_windows), "own window")
            return f"{have} cannot say what is usual for this model; {needed} are needed."
        case "few" if facts.too_few == "no errors":
            return "The own windows have no errors that this period could be compared with."
        case "few":
            events = "" if facts.expected_events is None else f" with {facts.expected_events:,.0f} expected events"
            return f"{rows}{events} are too few to judge."
    return _blindness(facts)


def _only_one(facts: Facts, context: PeriodContext) -> str:
    is_yes = facts.observed == 1.0
    all_are = f"All {count(facts.rows, 'row')} are {'' if is_yes else 'not '}{context.positive}"
    other = (1.0 - facts.predicted if is_yes else facts.predicted) * facts.rows
    expected = f"{other:,.0f} of the others were expected"
    if facts.cause == "class gone":
        return f"{all_are}, although {expected}: the answers are not what they were. The model was not judged."
    return f"{all_are}, and only {expected}. Nothing can be said of the order."


def _blindness(facts: Facts) -> str:
    """What would have been seen: a level by its odds or in usual errors, and errors by their growth."""
    assert facts.blind is not None
    windows = count(len(facts.own_windows), "own window")
    events = "" if facts.expected_events is None else f" and {facts.expected_events:,.0f} expected events"
    level, spread = facts.blind.level, facts.blind.spread
    if level is None:
        seen = "no level"
    elif "auc" in facts.statistics:
        seen = f"only odds that are off by a factor of {figure(math.exp(min(level, 50.0)))}"
    else:
        seen = f"only a level off by {figure(level)} usual errors"
    grown = "no growth of the errors" if spread is None else f"errors that are {percent(spread)} larger"
    return f"{windows}{events} show {seen} or {grown}; nothing smaller can be told."


def _not_judged(facts: Facts, context: PeriodContext) -> PeriodFinding:
    return PeriodFinding(
        code="judged",
        level="alarm" if facts.cause == "class gone" else "notable" if facts.cause == "one class" else "normal",
        facts={
            "cause": facts.cause,
            "rows": facts.rows,
            "expected_events": facts.expected_events,
            "too_few": facts.too_few,
            "blind": None if facts.blind is None else msgspec.to_builtins(facts.blind),
        },
        sentence=_why_not(facts, context),
    )


# Days and segments -------------------------------------------------------------------------------------------------


def _days(facts: Facts) -> str:
    days = [_day(day.unit) for day in facts.days]
    return f"{and_words(days)} {'was' if len(days) == 1 else 'were'}"


def _episode(facts: Facts, context: PeriodContext) -> PeriodFinding:
    low, high = min(day.observed for day in facts.days), max(day.observed for day in facts.days)
    under, over = min(day.predicted for day in facts.days), max(day.predicted for day in facts.days)
    if context.positive is not None:
        seen = f"{_between(low, high)} {context.positive} against {_between(under, over)} predicted"
    else:
        seen = f"{_numbers(low, high)} observed against {_numbers(under, over)} predicted"
    rest = "the rest is as usual" if not facts.bad_without_days else "the rest is not as usual either"
    return PeriodFinding(
        code="episode",
        level="normal" if OUTCOMES[facts.cause][0] in ("quiet", "not judged", "waiting") else "notable",
        facts={"days": msgspec.to_builtins(facts.days), "without_them": facts.bad_without_days},
        sentence=f"{_days(facts)} missed as no day before: {seen}; {rest}.",
    )


def _numbers(low: float, high: float) -> str:
    return figure(low) if figure(low) == figure(high) else f"{figure(low)} to {figure(high)}"


def _between(low: float, high: float) -> str:
    return percent(low) if f"{low:.3f}" == f"{high:.3f}" else f"{low * 100:.0f}–{high * 100:.0f}%"


def _day(unit: str) -> str:
    try:
        return f"{dt.date.fromisoformat(unit).day} {dt.date.fromisoformat(unit):%B}"
    except ValueError:
        return unit


def _since(facts: Facts) -> PeriodFinding:
    assert facts.since.unit is not None
    return PeriodFinding(
        code="since",
        level="normal",
        facts={"unit": facts.since.unit, "p_value": facts.since.p_value},
        sentence=f"It goes one way from {_day(facts.since.unit)} on ({p_value(facts.since.p_value)} by shuffled days).",
    )


def _segments(item: Decomposition) -> PeriodFinding:
    named = sorted((level for level in item.levels if level.named), key=lambda level: -level.part)
    way = "rose" if item.change > 0 else "fell"
    inside = item.inside / item.change if item.change else 0.0
    how = "inside the groups" if inside >= 0.5 else "because there are more of the harder rows"
    if item.change < 0 and inside < 0.5:
        how = "because there are fewer of the harder rows"
    return PeriodFinding(
        code=f"segment {item.segment}",
        level="normal",
        facts=dict(msgspec.to_builtins(item)),
        sentence=f"The loss {way} by {figure(abs(item.change))} against the own windows, {_share(inside)} of it {how} "
        f"of {item.segment}: {_carriers([(level.level, level.part) for level in named])}.{_of_extra(item)}",
    )


def _of_extra(item: Decomposition) -> str:
    """Who carries the loss beyond the model's own expectation; more than all of it where others made up for some."""
    parts = [(level.level, level.extra_part) for level in item.levels if level.extra_part is not None]
    heavy = sorted(((name, part) for name, part in parts if part >= 0.2), key=lambda pair: (-pair[1], pair[0]))
    return f" Of the extra loss {_carriers(heavy)}." if heavy else ""


def _carriers(parts: list[tuple[str, float]]) -> str:
    (first, part), rest = parts[0], parts[1:]
    return and_words([f"{first} carries {_share(part)}", *(f"{name} {_share(share)}" for name, share in rest)])


def _share(value: float) -> str:
    return f"{value * 100:.0f}%"


def _features(facts: Facts) -> list[PeriodFinding]:
    outside = [item for item in facts.movements if item.outside]
    if not facts.movements:
        return []
    summary = PeriodFinding(
        code="features",
        level="normal",
        facts={
            "movements": msgspec.to_builtins(facts.movements),
            "expected_by_chance": facts.expected_by_chance,
            "outside": [item.feature for item in outside],
        },
        sentence=_by_chance(facts, outside),
    )
    ordered = sorted(outside, key=lambda item: (not item.follows, -(item.psi - item.own_highest), item.feature))
    return [summary, *(_movement(item) for item in ordered[:SHOWN_FEATURES] if item.psi >= SMALLEST_PSI)]


def _by_chance(facts: Facts, outside: list[Movement]) -> str:
    watched = count(len(facts.movements), "watched feature")
    chance = round(facts.expected_by_chance)
    expected = f"About {chance} of {watched}" if chance else f"Hardly any of {watched}"
    are = "none is" if not outside else f"{len(outside)} {'is' if len(outside) == 1 else 'are'}"
    return f"{expected} would be outside their own past by chance; {are}."


def _movement(item: Movement) -> PeriodFinding:
    sentence = f"{item.feature} differs from its past (PSI {item.psi:.2f}, own past maximum {item.own_highest:.2f})."
    if item.follows and item.extra_in_moved is not None:
        sentence += (
            f" Rows in the values that have become more frequent ({_share(item.moved_share)} of all) lose "
            f"{figure(item.extra_in_moved)} more than the others."
        )
    else:
        sentence += " The loss does not follow it."
    return PeriodFinding(
        code=f"feature {item.feature}",
        level="notable" if item.follows else "normal",
        facts=dict(msgspec.to_builtins(item)),
        sentence=sentence,
    )


def _data(facts: Facts) -> PeriodFinding:
    return PeriodFinding(
        code="data",
        level="alarm",
        facts={"faults": msgspec.to_builtins(facts.faults), "missing": facts.missing},
        sentence=_faults(facts),
    )


def _faults(facts: Facts) -> str:
    return faults_words(facts.faults)


def _unseen(item: Unseen, context: PeriodContext) -> PeriodFinding:
    loss = "" if item.loss is None else f" Their {METRIC_WORDS[context.metric]} is {figure(item.loss)}."
    return PeriodFinding(
        code=f"unseen {item.feature}",
        level="notable",
        facts=dict(msgspec.to_builtins(item)),
        sentence=f"{item.feature}: {count(item.rows, 'row')} ({percent(item.share)}) hold values that the model never "
        f"saw ({', '.join(item.names)}).{loss}",
    )


def _estimate(facts: Facts) -> PeriodFinding:
    assert facts.estimate is not None
    missed = abs(facts.estimate - facts.statistics["loss"])
    return PeriodFinding(
        code="estimate",
        level="normal",
        facts={"estimate": facts.estimate, "loss": facts.statistics["loss"], "own_error": facts.estimate_error},
        sentence=f"{estimated_words(facts.estimate, facts.estimate_error, len(facts.own_windows))} This time it "
        f"missed by {figure(missed)}.",
    )
