"""A watched period in sentences, by fixed templates: equal facts give the same bytes, on every machine."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import msgspec

from tallystick.ledger.events.sentences import count
from tallystick.pipeline.config.settings import FEWEST_WINDOWS
from tallystick.pipeline.evaluate.metric_words import METRIC_WORDS
from tallystick.pipeline.evaluate.sentences import and_words, p_value, percent, starting, window_words
from tallystick.pipeline.monitoring.facts import Decomposition, Facts, Fault, Movement
from tallystick.pipeline.monitoring.own_range import Level, OwnRange

SHOWN_FEATURES = 3


class PeriodFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a period showed."""

    code: str
    level: Level
    facts: dict[str, Any]
    """The numbers behind the sentence."""
    sentence: str


class PeriodContext(msgspec.Struct, frozen=True, kw_only=True):
    """What the sentences of one pipeline have in common.

    Attributes
    ----------
    metric : str
        The selection metric as the pipeline file writes it.
    positive : str or None
        What a yes is called, ``"late"``; None where numbers are predicted.
    model, reference : str
    when : str or None
        The period in words, where its label does not say how long it is.
    """

    metric: str
    positive: str | None
    model: str
    reference: str
    when: str | None = None


SUGGESTIONS = {
    "nothing": "Suggest: nothing to do.",
    "wait": "Suggest: wait for the next period before retraining.",
    "recalibrate": "Suggest: recalibrate; the order of the predictions need not be learned again.",
    "challenger": "Suggest: train a challenger.",
    "fix data": "Suggest: mend the data first; do not retrain on them.",
    "refuse": "Suggest: do not use this model for this period.",
}


def findings_of(facts: Facts, context: PeriodContext) -> list[PeriodFinding]:
    """Everything worth saying about a period whose labels are known, the cause first."""
    found = [_loss(facts, context)]
    if facts.faults:
        found.insert(0, _data(facts))
    if len(facts.own_windows) < FEWEST_WINDOWS:
        found.append(_short_history(facts))
    if facts.cause == "level" or ("level" in facts.standings and facts.standings["level"].level != "normal"):
        found.append(_level(facts, context))
    if "ranking" in facts.standings:
        found.append(_ranking(facts))
    if facts.worse_than_reference:
        found.append(_worse(facts, context))
    if facts.episode is not None and facts.cause != "nothing":
        found.append(_episode(facts, context))
    if facts.cause in ("level", "ranking", "unexplained") and facts.since.unit is not None:
        found.append(_since(facts))
    if facts.cause != "nothing":
        found += [_segments(item) for item in facts.decompositions if any(level.named for level in item.levels)]
    found += _features(facts)
    if facts.estimate is not None:
        found.append(_estimate(facts))
    return found


def headline(facts: Facts, context: PeriodContext) -> str:
    """The period in one sentence or two."""
    when = context.when or window_words(facts.label)
    lead = f"{starting(when)}: {_predicted(facts, context)}."
    return f"{lead} {_cause(facts, context)}"


def _cause(facts: Facts, context: PeriodContext) -> str:
    match facts.cause:
        case "nothing":
            return "Nothing is out of the ordinary for this model."
        case "data":
            return f"{and_words([item.feature for item in facts.faults])} did not arrive as before."
        case "level":
            return f"{_ranks(facts)}: the level moved, not the order."
        case "ranking":
            return f"{_ranks_worse(facts)}."
        case "episode":
            days = len(facts.days)
            return f"{count(days, 'day')} of {context.when or window_words(facts.label)} {_carry(days)} the extra loss."
        case "unexplained":
            return _unexplained(facts, context)


def suggestion(facts: Facts) -> str:
    """What to do, in words."""
    return SUGGESTIONS[facts.decision]


def _carry(days: int) -> str:
    return "carries" if days == 1 else "carry"


def _predicted(facts: Facts, context: PeriodContext) -> str:
    if context.positive is None:
        return f"the model predicted {facts.predicted:.4g} on average, {facts.observed:.4g} was observed"
    return f"the model predicted {percent(facts.predicted)} {context.positive}, {percent(facts.observed)} were"


def _ranks(facts: Facts) -> str:
    standing = facts.auc_standing
    if standing is None:
        return "The differences between rows are as before"
    return f"It still ranks (AUC {standing.value:.3f}, own range {standing.low:.3f} to {standing.high:.3f})"


def _ranks_worse(facts: Facts) -> str:
    """How much worse it ranks; a number may be out of the ordinary and still have been there before."""
    standing, auc = facts.standings["ranking"], facts.auc_standing
    assert auc is not None
    if standing.inside:
        return "It ranks worse than it mostly did"
    if auc.value >= auc.low:
        return "Its ranking falls farther short of what its own probabilities promise than ever"
    return "It ranks worse than it ever did"


def _unexplained(facts: Facts, context: PeriodContext) -> str:
    """What is out of the ordinary where neither a new level nor another order would mend it."""
    if facts.standings["extra_loss"].bad:
        return "It loses more than it should, and neither the level nor the order alone explains it."
    if facts.worse_than_reference:
        return f"It loses more than {context.reference}, and neither the level nor the order alone explains it."
    part = percent(facts.recoverable or 0.0)
    only = f"a new intercept would take away only {part} of the extra loss"
    return f"The level is farther off than it mostly was, but {only}."


def _place(standing: OwnRange) -> str:
    """``highest of 9``, ``3rd highest of 9``."""
    of = standing.of + 1
    if standing.of == 0:
        return "the first of its kind"
    if standing.rank == 1:
        return f"the highest of {of}"
    if standing.rank == of:
        return f"the lowest of {of}"
    endings = {1: "st", 2: "nd", 3: "rd"}
    ending = "th" if 10 <= standing.rank % 100 <= 20 else endings.get(standing.rank % 10, "th")
    return f"the {standing.rank}{ending} highest of {of}"


def _evidence(standing: OwnRange) -> dict[str, Any]:
    return dict(msgspec.to_builtins(standing))


def _loss(facts: Facts, context: PeriodContext) -> PeriodFinding:
    standing, extra = facts.loss_standing, facts.standings["extra_loss"]
    name = METRIC_WORDS[context.metric]
    sentence = f"{name[0].upper()}{name[1:]} {standing.value:.3f}, {_place(standing)}"
    if standing.of:
        sentence += f" (own range {standing.low:.3f} to {standing.high:.3f})"
    usual = "its own probabilities expect at this level" if context.positive is not None else "in its own windows"
    more = "more" if extra.value >= 0 else "less"
    sentence += f"; that is {abs(extra.value):.3f} {more} than {usual}, {_place(extra)}."
    return PeriodFinding(
        code="loss",
        level=extra.level,
        facts={"loss": _evidence(standing), "extra_loss": _evidence(extra), "own": facts.own},
        sentence=sentence,
    )


def _short_history(facts: Facts) -> PeriodFinding:
    have = count(len(facts.own_windows), "own window")
    return PeriodFinding(
        code="history",
        level="normal",
        facts={"own_windows": facts.own_windows, "needed": FEWEST_WINDOWS},
        sentence=f"There {'is' if len(facts.own_windows) == 1 else 'are'} only {have} to compare with; what is usual "
        f"for this model can be said from {FEWEST_WINDOWS} on.",
    )


def _level(facts: Facts, context: PeriodContext) -> PeriodFinding:
    standing = facts.standings["level"]
    sentence = f"{_predicted(facts, context)[0].upper()}{_predicted(facts, context)[1:]}"
    if context.positive is not None:
        off = f"{'too high' if standing.value > 0 else 'too low'} by {abs(standing.value) * 100:.1f} points"
        own = f"{standing.low * 100:+.1f} to {standing.high * 100:+.1f}"
    else:
        off = f"{'too high' if standing.value > 0 else 'too low'} by {abs(standing.value):.4g}"
        own = f"{standing.low:+.4g} to {standing.high:+.4g}"
    sentence += f": {off} (own range {own})."
    if facts.cause == "level":
        sentence += f" {_ranks(facts)}: the level moved, not the order."
    if facts.recoverable is not None and standing.bad:
        taken = "all" if facts.recoverable >= 0.995 else percent(facts.recoverable)
        sentence += f" A new intercept alone would take away {taken} of the extra loss."
    return PeriodFinding(
        code="level",
        level=standing.level,
        facts={
            "predicted": facts.predicted,
            "observed": facts.observed,
            "level": _evidence(standing),
            "recoverable": facts.recoverable,
        },
        sentence=sentence,
    )


def _ranking(facts: Facts) -> PeriodFinding:
    standing, auc = facts.standings["ranking"], facts.auc_standing
    assert auc is not None
    short = "" if standing.value < 0.0005 else f", {standing.value:.3f} below what its own probabilities promise"
    verdict = _ranks_worse(facts) if standing.bad else "It ranks as before"
    return PeriodFinding(
        code="ranking",
        level=standing.level,
        facts={"auc": _evidence(auc), "ranking": _evidence(standing)},
        sentence=f"{verdict}: AUC {auc.value:.3f} (own range {auc.low:.3f} to {auc.high:.3f}){short}.",
    )


def _worse(facts: Facts, context: PeriodContext) -> PeriodFinding:
    assert facts.reference_loss is not None
    name = METRIC_WORDS[context.metric]
    return PeriodFinding(
        code="reference",
        level="alarm",
        facts={"loss": facts.statistics["loss"], "reference_loss": facts.reference_loss},
        sentence=f"{context.reference} would have done better: {name} {facts.reference_loss:.3f} instead of "
        f"{facts.statistics['loss']:.3f}.",
    )


def _episode(facts: Facts, context: PeriodContext) -> PeriodFinding:
    assert facts.episode is not None
    days = and_words([_day(day.unit) for day in facts.days])
    low, high = min(day.observed for day in facts.days), max(day.observed for day in facts.days)
    under, over = min(day.predicted for day in facts.days), max(day.predicted for day in facts.days)
    if context.positive is not None:
        seen = f"{_between(low, high)} {context.positive} against {_between(under, over)} predicted"
    else:
        seen = f"{low:.4g} to {high:.4g} observed against {under:.4g} to {over:.4g} predicted"
    share = "all" if facts.episode.share >= 0.995 else percent(facts.episode.share)
    rest = "the other days are as usual" if not facts.bad_without_episode else "the other days are not as usual either"
    return PeriodFinding(
        code="episode",
        level="notable",
        facts={
            "days": msgspec.to_builtins(facts.days),
            "share": facts.episode.share,
            "without_them": facts.bad_without_episode,
        },
        sentence=f"{count(len(facts.days), 'day')} ({days}) {_carry(len(facts.days))} {share} of the extra loss: "
        f"{seen}; {rest}.",
    )


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
        sentence=f"The loss {way} by {abs(item.change):.3f} against the own windows, {_share(inside)} of it {how} of "
        f"{item.segment}: {_carriers([(level.level, level.part) for level in named])}.{_of_extra(item)}",
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
    return [summary, *(_movement(item) for item in ordered[:SHOWN_FEATURES])]


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
            f"{item.extra_in_moved:.3f} more than the others."
        )
    else:
        sentence += " The loss does not follow it. No action."
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
        sentence=" ".join(_fault(item) for item in facts.faults),
    )


def _fault(item: Fault) -> str:
    if item.kind == "constant":
        return f"{item.feature} has one and the same value in every row; it never had before."
    before = percent(item.own_highest)
    return f"{item.feature} is missing in {percent(item.share)} of the rows (own past maximum {before})."


def _estimate(facts: Facts) -> PeriodFinding:
    assert facts.estimate is not None
    missed = abs(facts.estimate - facts.statistics["loss"])
    return PeriodFinding(
        code="estimate",
        level="normal",
        facts={"estimate": facts.estimate, "loss": facts.statistics["loss"], "own_error": facts.estimate_error},
        sentence=f"{_estimated(facts.estimate, facts.estimate_error, len(facts.own_windows))} This time it missed by "
        f"{missed:.3f}.",
    )


def _estimated(estimate: float, error: float | None, windows: int) -> str:
    if error is None:
        return f"Estimate without labels: {estimate:.3f}. This estimator has no past yet."
    return (
        f"Estimate without labels: {estimate:.3f}. This estimator has missed by {error:.3f} on average in "
        f"{count(windows, 'own window')}."
    )


# Where the labels or the model are not there -------------------------------------------------------------------


def waiting(
    label: str,
    rows: int,
    immature: int,
    matures_at: str,
    estimate: float | None,
    error: float | None,
    past: int,
) -> list[PeriodFinding]:
    """Too few labels are known: when they will be, and what can be said without them."""
    found = [
        PeriodFinding(
            code="immature",
            level="normal",
            facts={"rows": rows, "immature": immature, "matures_at": matures_at},
            sentence=f"The labels of {immature:,} of {count(rows, 'row')} of {window_words(label)} are not known yet; "
            f"the last will be {_on(matures_at)}.",
        )
    ]
    if estimate is not None:
        found.append(
            PeriodFinding(
                code="estimate",
                level="normal",
                facts={"estimate": estimate, "own_error": error, "own_windows": past},
                sentence=_estimated(estimate, error, past),
            )
        )
    return found


def overdue(label: str, rows: int, missing: int, label_delay: str) -> PeriodFinding:
    """Answers that were due have not come: those that did may be no fair sample, so nothing is judged on them."""
    return PeriodFinding(
        code="overdue",
        level="normal",
        facts={"rows": rows, "overdue": missing, "label_delay": label_delay},
        sentence=f"{missing:,} of {count(rows, 'row')} of {window_words(label)} have no answer, although it was due "
        f"after {label_delay}. The rows with an answer may differ from those without, so nothing is judged on them.",
    )


def look_for_answers(label: str) -> str:
    """What to do about a period whose answers should have come."""
    return (
        f"Suggest: find out why answers of {window_words(label)} are missing, and watch it again once they are there."
    )


def _on(moment: str) -> str:
    return f"at {moment}" if moment.startswith("step") else f"on {moment}"


def look_again(label: str, matures_at: str) -> str:
    """What to do about a period whose labels are not known yet."""
    return f"Suggest: watch {window_words(label)} again after {matures_at}, when its labels are known."


def schema_changed(
    gone: list[str], other_kind: list[str], odd: dict[str, tuple[int, list[str]]] | None = None
) -> PeriodFinding:
    """Columns that the model needs and that are not there, or hold something else."""
    said = []
    if gone:
        said.append(f"{and_words(gone)} {'is' if len(gone) == 1 else 'are'} not in the source any more.")
    if other_kind:
        verb = "holds" if len(other_kind) == 1 else "hold"
        said.append(f"{and_words(other_kind)} {verb} another kind of value than the model was made for.")
    odd = {name: found for name, found in (odd or {}).items() if found[0]}
    for name, (rows, examples) in odd.items():
        verb = "is no number" if rows == 1 else "are no numbers"
        said.append(f"{count(rows, 'value')} of {name} {verb}: {', '.join(map(repr, examples))}.")
    return PeriodFinding(
        code="schema",
        level="alarm",
        facts={
            "gone": gone,
            "other_kind": other_kind,
            **({"no_numbers": {name: rows for name, (rows, _) in odd.items()}} if odd else {}),
        },
        sentence=" ".join([*said, "The model was not asked."]),
    )


def mend_words(odd: dict[str, tuple[int, list[str]]]) -> str | None:
    """What to do about words among the numbers of a CSV file; None where there are none."""
    if not odd:
        return None
    found = ", ".join(json.dumps(word, ensure_ascii=False) for _, examples in odd.values() for word in examples)
    return f"{SUGGESTIONS['fix data']} If these words mean a missing value, say so in [data.csv]: missing = [{found}]"


def new_columns(new: list[str], model: str) -> PeriodFinding:
    """Columns that nobody asked for: the model is not touched, but somebody changed the source."""
    one = len(new) == 1
    return PeriodFinding(
        code="new columns",
        level="notable",
        facts={"new": new},
        sentence=(
            f"{and_words(new)} {'is' if one else 'are'} in the source and {'was' if one else 'were'} not when {model} "
            f"was made. The model does not use {'it' if one else 'them'}; somebody changed the source."
        ),
    )


def expired(model: str, label: str, until: str) -> PeriodFinding:
    """The model is not meant for the period."""
    return PeriodFinding(
        code="validity",
        level="alarm",
        facts={"until": until},
        sentence=f"{model} was meant to be used until {until}; {window_words(label)} begins after that.",
    )


def expires_within(model: str, label: str, until: str) -> PeriodFinding:
    """The validity ends inside the period."""
    return PeriodFinding(
        code="validity",
        level="notable",
        facts={"until": until},
        sentence=f"{model} is meant to be used until {until}, which lies inside {window_words(label)}.",
    )


def no_rows(label: str) -> PeriodFinding:
    """The source is silent."""
    return PeriodFinding(
        code="data", level="alarm", facts={"rows": 0}, sentence=f"The source has no row of {window_words(label)}."
    )
