"""What must fit together in a pipeline file, beyond the type of each setting."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events.commit import from_micros
from tallystick.pipeline.config.alert_rules import compares_live, parse_alarm, parse_notice
from tallystick.pipeline.config.conditions import parse_condition, parse_rule
from tallystick.pipeline.config.durations import (
    LARGEST_STEP,
    Span,
    parse_span,
    parse_time_expression,
    windows_between_looks,
    words,
)
from tallystick.pipeline.config.gate_rules import parse_share, parse_standard_errors
from tallystick.pipeline.config.settings import FEWEST_WINDOWS, HOUR_BAND, Candidate, Pipeline, Rolling, Time
from tallystick.pipeline.config.toml_lines import Path
from tallystick.pipeline.config.windows import (
    all_windows,
    as_day,
    development_windows,
    empty_windows,
    midnight,
    period_window,
)

Wrong = tuple[Path, str]
T = TypeVar("T")

WINDOWS_FOR_A_TREND = 6
MOST_CANDIDATES = 50
CLASSIFICATION_METRICS = ("log_loss", "brier", "roc_auc", "average_precision", "cost")
REGRESSION_METRICS = ("squared_error", "absolute_error", "pinball", "poisson_deviance")
ZONES_OF_THE_MACHINE = ("localtime", "posixrules", "Factory")
"""Names that mean another zone on every machine."""


def wrong_together(settings: Pipeline, sound: Collection[str]) -> list[Wrong]:
    """Every contradiction among the sections that are sound by themselves, with the path of the setting to mend."""
    wrong: list[Wrong] = []
    for check, sections in CHECKED.items():
        if sections <= set(sound):
            wrong.extend(check(settings))
    return wrong


def notes_about(settings: Pipeline) -> list[str]:
    """Remarks that do not stop a run."""
    notes = []
    count = len(development_windows(settings.time))
    if count < WINDOWS_FOR_A_TREND:
        notes.append(
            f"{count} development windows: enough to report, too few to claim a trend or a winner. Unless every "
            "window agrees, the reference or champion is kept."
        )
    if not settings.data.key:
        notes.append(
            "key = []: rows have no name of their own. Equal rows count as often as they are there, and a changed "
            "row cannot be told from a new one."
        )
    return notes


def _parsed(parse: Callable[[str], T], text: str, path: Path, wrong: list[Wrong]) -> T | None:
    """What a text means, or a note of why it means nothing."""
    try:
        return parse(text)
    except InvalidInput as error:
        wrong.append((path, error.message))
        return None


def _exact(text: str, path: Path, wrong: list[Wrong]) -> int | None:
    span = _parsed(parse_span, text, path, wrong)
    if span is not None and span.months:
        wrong.append((path, f"{path[-1]} = {text!r}: months differ in length; say it in days."))
        return None
    return None if span is None else span.micros


def _time(settings: Pipeline) -> list[Wrong]:
    wrong: list[Wrong] = []
    time = settings.time
    try:
        ZoneInfo(time.timezone)
        known = time.timezone not in ZONES_OF_THE_MACHINE
    except (ZoneInfoNotFoundError, ValueError, OSError):
        known = False
    if not known:
        hint = "Names look like Europe/Berlin, America/New_York, UTC."
        wrong.append((("time", "timezone"), f"timezone = {time.timezone!r} is not a time zone. {hint}"))
    for name in ("gap", "label_delay"):
        _exact(getattr(time, name), ("time", name), wrong)
    if isinstance(time.train, Rolling):
        rolling = _parsed(parse_span, time.train.rolling, ("time", "train"), wrong)
        if rolling is not None and rolling.months == rolling.micros == 0:
            wrong.append((("time", "train"), "A rolling training set of no length trains on nothing."))
    step = _parsed(parse_span, time.window, ("time", "window"), wrong)
    if step is not None:
        wrong += _step_fits(step, settings)
    if isinstance(time.first_test, int) or isinstance(time.last_test, int):
        if time.unit == "calendar" or not isinstance(time.first_test, int) or not isinstance(time.last_test, int):
            words_ = 'first_test and last_test are both dates, or both whole numbers with unit = "step".'
            return [*wrong, (("time", "first_test"), words_)]
        if max(abs(time.first_test), abs(time.last_test)) > LARGEST_STEP:
            words_ = f"first_test and last_test are steps between -{LARGEST_STEP:,} and {LARGEST_STEP:,}."
            return [*wrong, (("time", "first_test"), words_)]
    elif time.unit == "step":
        words_ = 'With unit = "step" first_test and last_test are whole numbers.'
        return [*wrong, (("time", "first_test"), words_)]
    if as_day(time.first_test) > as_day(time.last_test):
        words_ = f"first_test {time.first_test} lies after last_test {time.last_test}."
        wrong.append((("time", "first_test"), words_))
    return wrong


def _units(settings: Pipeline) -> Iterator[Wrong]:
    """Every length counts what the time column counts: steps, or hours and days and months."""
    time = settings.time
    lengths: list[tuple[Path, str]] = [
        (("time", "window"), time.window),
        (("time", "gap"), time.gap),
        (("time", "label_delay"), time.label_delay),
        (("validity", "valid_for"), settings.validity.valid_for),
        (("monitoring", "every"), settings.monitoring.every),
    ]
    if isinstance(time.train, Rolling):
        lengths.append((("time", "train"), time.train.rolling))
    moments: list[tuple[Path, str]] = [(("questions", "prediction_at"), settings.questions.prediction_at)]
    moments += [(("data", "features", name), item.known_at) for name, item in settings.data.features.known_at.items()]
    in_steps = time.unit == "step"
    meant = "7 steps" if in_steps else '30d, or say unit = "step" in [time] where time is a whole number'
    for path, text in lengths:
        if (span := _or_none(parse_span, text)) is not None and span.in_steps != in_steps:
            yield path, f"{path[-1]} = {text!r}: time is counted in {'steps' if in_steps else 'days'}; write {meant}."
    for path, text in moments:
        known = _or_none(parse_time_expression, text)
        if known is not None and known.offset_micros and known.in_steps != in_steps:
            yield path, f"{text!r}: time is counted in {'steps' if in_steps else 'days'}; write {meant}."
    if in_steps and time.timezone != "UTC":
        yield ("time", "timezone"), 'timezone: steps belong to no zone; with unit = "step" say "UTC".'
    if in_steps and HOUR_BAND in settings.monitoring.segments:
        yield ("monitoring", "segments"), f"{HOUR_BAND!r}: a step has no hours."


def _or_none(parse: Callable[[str], T], text: str) -> T | None:
    """What a text means; None where it means nothing, which is said elsewhere."""
    try:
        return parse(text)
    except InvalidInput:
        return None


def _step_fits(step: Span, settings: Pipeline) -> Iterator[Wrong]:
    path: Path = ("time", "window")
    day_micros = 86_400_000_000
    if not step.months and (step.micros == 0 or step.micros % day_micros):
        yield path, f"window = {step.text!r}: windows are whole days, weeks, months or years."
    if step.months:
        for name in ("first_test", "last_test"):
            date = getattr(settings.time, name)
            if isinstance(date, dt.date) and date.day != 1:
                yield ("time", name), f"{name} = {date} does not begin a month; windows are whole calendar months."


def _windows(settings: Pipeline) -> list[Wrong]:
    if _time(settings):
        return []
    wrong: list[Wrong] = []
    try:
        windows = all_windows(settings.time)
    except InvalidInput as error:
        return [(("time", "window"), error.message)]
    last = midnight(as_day(settings.time.last_test), ZoneInfo(settings.time.timezone))
    if windows and windows[-1].start != last and as_day(settings.time.last_test) not in _skipped_days(settings.time):
        words_ = (
            f"last_test {settings.time.last_test} does not begin a window: counted in steps of {settings.time.window} "
            f"from {settings.time.first_test}, the last before it is {windows[-1].label}."
        )
        wrong.append((("time", "last_test"), words_))
    wrong += _empty(settings.time)
    labels = [window.label for window in windows]
    for label in settings.time.final.test:
        if label not in labels:
            shown = f"{labels[0]} to {labels[-1]}" if labels else "none"
            wrong.append((("time", "final", "test"), f"{label!r} is not one of the test windows ({shown})."))
    sealed = [label for label in labels if label in settings.time.final.test]
    if sealed != labels[len(labels) - len(sealed) :]:
        words_ = f"Sealed windows come last: {sealed[0]} would be trained on by the windows after it."
        wrong.append((("time", "final", "test"), words_))
    development = len([label for label in labels if label not in settings.time.final.test])
    if development < FEWEST_WINDOWS:
        words_ = f"Windows left to judge candidates on: {development}; at least {FEWEST_WINDOWS} are needed."
        wrong.append((("time", "last_test"), words_))
    return wrong


def _skipped_days(time: Time) -> set[dt.date]:
    """First days of the windows that are declared empty."""
    zone = ZoneInfo(time.timezone)
    return {from_micros(window.start).astimezone(zone).date() for window in empty_windows(time)}


def _empty(time: Time) -> Iterator[Wrong]:
    """Windows that are declared empty are windows, lie between others, and are not sealed."""
    path: Path = ("time", "empty_windows")
    tested = {window.label for window in [*all_windows(time), *empty_windows(time)]}
    skipped = _skipped_days(time)
    for name in ("first_test", "last_test"):
        if as_day(getattr(time, name)) in skipped:
            yield path, f"{name} is in a window that is declared empty; begin and end with windows that have rows."
    for label in time.skipped:
        try:
            window = period_window(time, label)
        except InvalidInput as error:
            yield path, f"{error.message} {error.hint}"
            continue
        if label in time.final.test:
            yield path, f"{label} is sealed and declared empty at once."
        elif label not in tested and window.start < midnight(as_day(time.last_test), ZoneInfo(time.timezone)):
            yield path, f"{label!r} is neither one of the test windows nor a period after them."


def _countable(settings: Pipeline) -> bool:
    """Whether the windows can be made; where they cannot, :func:`_windows` says why."""
    if _time(settings):
        return False
    try:
        all_windows(settings.time)
    except InvalidInput:
        return False
    return True


def _target(settings: Pipeline) -> list[Wrong]:
    wrong: list[Wrong] = []
    target = settings.data.target
    if target.rule is not None:
        _parsed(parse_rule, target.rule, ("data", "target", "rule"), wrong)
    if (target.rule is None) != (target.positive is None):
        words_ = "rule and positive go together: the rule makes a yes or no, and positive is the name of the yes."
        wrong.append((("data", "target"), words_))
    if settings.data.fingerprint and not re.fullmatch(r"blake3:[0-9a-f]{64}", settings.data.fingerprint):
        words_ = "fingerprint has the form blake3: and 64 hexadecimal digits; a run prints it."
        wrong.append((("data", "fingerprint"), words_))
    return wrong


def _features(settings: Pipeline) -> list[Wrong]:
    wrong: list[Wrong] = []
    data, column = settings.data, settings.time.column
    forbidden = data.features.forbidden.columns if data.features.forbidden else []
    prediction = _parsed(parse_time_expression, settings.questions.prediction_at, ("questions", "prediction_at"), wrong)
    if prediction is not None and prediction.column != column:
        words_ = f"prediction_at is counted from {column}, the time column; {prediction.column} is another."
        wrong.append((("questions", "prediction_at"), words_))
    for name, feature in data.features.known_at.items():
        path: Path = ("data", "features", name)
        if name in forbidden:
            wrong.append((("data", "features", "forbidden"), f"{name} is a feature and forbidden at once."))
        if name == data.target.column:
            wrong.append((path, f"{name} is the target; a feature that is the answer proves nothing."))
        known = _parsed(parse_time_expression, feature.known_at, path, wrong)
        if known is None or prediction is None:
            continue
        if known.column != column:
            # A column of times: every row is checked against it when the data is there.
            if known.column in data.features.known_at or known.column == data.target.column:
                words_ = f"{name}: known_at = {feature.known_at!r} is a feature or the target, not a column of times."
                wrong.append((path, words_))
        elif known.offset_micros > prediction.offset_micros:
            late = words(known.offset_micros - prediction.offset_micros, in_steps=settings.time.unit == "step")
            words_ = f"{name} is known at {feature.known_at}, {late} after prediction_at: the model cannot have it."
            wrong.append((path, words_))
    return wrong


def _joins(settings: Pipeline) -> list[Wrong]:
    wrong: list[Wrong] = []
    data = settings.data
    for name, feature in data.features.known_at.items():
        if feature.join is not None and feature.join not in data.joins:
            known = ", ".join(data.joins) or "none"
            words_ = f"{name} comes from {feature.join!r}, but there is no [data.joins.{feature.join}]. Known: {known}."
            wrong.append((("data", "features", name), words_))
    for name, join in data.joins.items():
        path: Path = ("data", "joins", name)
        if not join.on:
            wrong.append((path, f"[data.joins.{name}] must say on which columns the tables are joined."))
        for expression in join.on.values():
            _parsed(parse_time_expression, expression, (*path, "on"), wrong)
    return wrong


def _drops(settings: Pipeline) -> list[Wrong]:
    wrong: list[Wrong] = []
    for index, drop in enumerate(settings.data.drop_rows):
        _parsed(parse_condition, drop.where, ("data", "drop_rows", index, "where"), wrong)
    return wrong


def _candidates(settings: Pipeline) -> Iterator[Wrong]:
    path: Path = ("candidates",)
    references = [name for name, item in settings.candidates.items() if item.role == "reference"]
    if len(references) != 1:
        found = ", ".join(references) or "none"
        words_ = f'exactly one candidate has role = "reference", what the others must beat; found {found}.'
        yield path, f"[candidates]: {words_}"
    if len(settings.candidates) - len(references) < 1:
        yield path, "[candidates]: there is nothing to compare with the reference."
    if len(settings.candidates) > MOST_CANDIDATES:
        yield (
            path,
            f"[candidates]: {len(settings.candidates)}; more than {MOST_CANDIDATES} is a search, not a choice.",
        )
    steps = settings.time is not None and settings.time.unit == "step"
    for name, candidate in settings.candidates.items():
        until = candidate.trained_until
        if until is not None and settings.time is not None and isinstance(until, int) != steps:
            kind = "a whole number" if steps else "a date"
            yield (*path, name, "trained_until"), f"[candidates.{name}] trained_until is {kind}, as first_test is."
        if not re.fullmatch(r"[A-Za-z_]\w{0,59}", name):
            words_ = f"{name!r} cannot name a candidate; use letters, digits and underscores."
            yield (*path, name), words_
        yield from _made_of(name, candidate)


def _made_of(name: str, candidate: Candidate) -> Iterator[Wrong]:
    """Exactly one thing that makes a candidate, and what belongs to it."""
    path: Path = ("candidates", name)
    ways = {"estimator": candidate.estimator, "from": candidate.origin, "predictions": candidate.predictions}
    said = [way for way, value in ways.items() if value is not None]
    if len(said) != 1:
        found = " and ".join(said) or "none of them"
        words_ = f"[candidates.{name}] says one of estimator, from and predictions; found {found}."
        if not said:
            words_ = (
                f"[candidates.{name}] must say estimator, from or predictions. We never guess this one: it changes "
            )
            words_ += "what the result means."
        yield path, words_
        return
    (way,) = said
    if candidate.estimator is not None and not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", candidate.estimator):
        words_ = f"estimator = {candidate.estimator!r} does not have the form module:callable."
        yield (*path, "estimator"), words_
    if candidate.trial is not None and not re.fullmatch(r"trial:[^\s/]+/[^\s/#]+(#.+)?", candidate.trial):
        words_ = (
            f"from = {candidate.trial!r} has neither the form trial:NAME/DATE, as `tally trials` shows it, nor "
            "onnx:FILE."
        )
        yield (*path, "from"), words_
    if (candidate.predictions is None) != (candidate.declared_by is None):
        words_ = f"[candidates.{name}] predictions and declared_by go together: who says how they were computed."
        yield path, words_
    if (candidate.onnx is None) != (candidate.trained_until is None):
        words_ = f'[candidates.{name}] from = "onnx:FILE" and trained_until go together: its model saw nothing later.'
        yield path, words_
    if candidate.onnx == "":
        yield (*path, "from"), f'[candidates.{name}] from = "onnx:" names no file.'
    given = [word for word in ("params", "class_weight") if getattr(candidate, word)]
    if not candidate.is_fitted and given:
        what = "predictions that were computed elsewhere take" if candidate.predictions else "an imported model takes"
        yield (*path, given[0]), f"[candidates.{name}] {given[0]}: {what} none."
    if candidate.role == "reference" and way != "estimator":
        yield (*path, way), f"[candidates.{name}] is the reference, which is fitted in every window; say estimator."


def _selection(settings: Pipeline) -> Iterator[Wrong]:
    metric = settings.selection.metric
    classification = settings.data.target.rule is not None
    if classification != (metric in CLASSIFICATION_METRICS):
        *others, last = CLASSIFICATION_METRICS if classification else REGRESSION_METRICS
        kind = "a yes or no" if classification else "a number"
        words_ = f"metric = {metric!r} does not fit a target that is {kind}; use {', '.join(others)} or {last}."
        if metric == "cost":
            words_ += " For a number, pinball with quantile = UNDER / (UNDER + OVER) judges by what a unit too little"
            words_ += " and a unit too much cost."
        yield ("selection", "metric"), words_
    yield from _needed(settings)


def _needed(settings: Pipeline) -> Iterator[Wrong]:
    """What a metric needs beside its name is there, and belongs to it."""
    rule = settings.selection
    if rule.metric == "pinball" and rule.quantile is None:
        words_ = (
            "[selection] must say quantile with pinball: with quantile = 0.9 what is predicted is the 90% quantile."
        )
        yield ("selection",), words_
    if rule.metric != "pinball" and rule.quantile is not None:
        yield ("selection", "quantile"), f"quantile belongs to pinball; the metric is {rule.metric}."
    if rule.metric == "cost" and rule.costs is None:
        words_ = "[selection] must say costs with cost. Write [selection.costs] with currency, false_alarm, missed."
        yield ("selection",), words_
    if rule.metric != "cost" and rule.costs is not None:
        yield ("selection", "costs"), f"costs belong to the metric cost; the metric is {rule.metric}."
    if rule.costs is not None:
        for mistake, right in (("false_alarm", "right_no"), ("missed", "right_yes")):
            if getattr(rule.costs, mistake) <= getattr(rule.costs, right):
                words_ = f"{mistake} must cost more than {right}, the right answer; otherwise it is no mistake."
                yield ("selection", "costs", mistake), words_


def _weights(settings: Pipeline) -> Iterator[Wrong]:
    data = settings.data
    if data.weight is not None and data.weight.column == data.target.column:
        yield ("data", "weight", "column"), f"{data.target.column} is the target; it cannot be the weight as well."
    if data.target.rule is None:
        for name, item in settings.candidates.items():
            if item.class_weight is not None:
                words_ = "class_weight weighs a yes and a no; this target is a number. [data.weight] weighs rows."
                yield ("candidates", name, "class_weight"), words_


def _gates(settings: Pipeline) -> Iterator[Wrong]:
    gates = settings.gates
    classification = settings.data.target.rule is not None
    if gates.beats_reference_in is not None:
        text = gates.beats_reference_in.at_least
        path: Path = ("gates", "beats_reference_in")
        wrong: list[Wrong] = []
        share = _parsed(parse_share, text, path, wrong)
        yield from wrong
        if share is not None and share.won == 0:
            yield path, f"at_least = {text!r}: a gate that asks for no window holds back nothing."
        elif share is not None and _countable(settings):
            count = len(development_windows(settings.time))
            if share.of != count or share.won > count:
                yield path, f"at_least = {text!r}, but there are {count} development windows."
    if gates.optimism_gap is not None and gates.optimism_gap.metric is not None:
        fitting = CLASSIFICATION_METRICS if classification else REGRESSION_METRICS
        if gates.optimism_gap.metric not in fitting:
            words_ = f"metric = {gates.optimism_gap.metric!r} does not fit this target."
            yield ("gates", "optimism_gap"), words_
    if gates.final_test is not None:
        unread: list[Wrong] = []
        _parsed(parse_standard_errors, gates.final_test.drop_at_most, ("gates", "final_test"), unread)
        yield from unread
        if not settings.time.final.test:
            yield ("gates", "final_test"), "There is a gate on the final test, but [time.final] seals no window."


def _rest(settings: Pipeline) -> list[Wrong]:
    wrong: list[Wrong] = []
    if _exact(settings.validity.valid_for, ("validity", "valid_for"), wrong) == 0:
        wrong.append((("validity", "valid_for"), "A model that is valid for no time can never be used."))
    if settings.waivers and _exact(settings.waivers.longest, ("waivers", "longest"), wrong) == 0:
        wrong.append((("waivers", "longest"), "longest = 0: a waiver that ends when it begins excuses nothing."))
    every = _parsed(parse_span, settings.monitoring.every, ("monitoring", "every"), wrong)
    if every is not None and every.months == every.micros == 0:
        wrong.append((("monitoring", "every"), "every = 0: a period that is watched has a length."))
    window = _or_none(parse_span, settings.time.window)
    if every is not None and window is not None and windows_between_looks(every, window) is None:
        words_ = (
            f"every = {settings.monitoring.every!r}: what is watched are windows of {settings.time.window}, so "
            "say that or a multiple of it."
        )
        wrong.append((("monitoring", "every"), words_))
    rules: dict[str, Callable[[str], object]] = {
        "notice": parse_notice, "alarm": parse_alarm, "compare_to": compares_live,
    }  # fmt: skip
    for name, parse in rules.items():
        _parsed(parse, getattr(settings.monitoring, name), ("monitoring", name), wrong)
    lists: list[tuple[Path, list[str]]] = [
        (("data", "key"), settings.data.key),
        (("time", "final", "test"), settings.time.final.test),
        (("time", "empty_windows"), list(settings.time.skipped)),
        (("monitoring", "segments"), settings.monitoring.segments),
    ]
    for path, names in lists:
        twice = sorted({name for name in names if names.count(name) > 1})
        wrong += [(path, f"{path[-1]}: {name!r} is listed twice.") for name in twice]
    if settings.automation.level != "manual" and settings.automation.unlock is None:
        words_ = "[automation] must say unlock: what has to be stable before anything runs by itself."
        wrong.append((("automation",), words_))
    return wrong


CHECKED: dict[Callable[[Pipeline], Iterable[Wrong]], set[str]] = {
    _time: {"time"},
    _units: {"time", "validity", "monitoring", "questions", "data"},
    _windows: {"time"},
    _target: {"data"},
    _features: {"data", "questions", "time"},
    _joins: {"data"},
    _drops: {"data"},
    _candidates: {"candidates"},
    _selection: {"selection", "data"},
    _weights: {"candidates", "data"},
    _gates: {"gates", "data", "time"},
    _rest: {"validity", "monitoring", "time", "data", "automation"},
}
"""Each check with the sections that it reads."""
