"""What a person decides about a table, and what is proposed for each decision where nobody has decided it yet."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.system.provenance import this_process
from tallystick.pipeline.begin.afterwards import written_afterwards
from tallystick.pipeline.begin.calendar import WindowPlan, plan
from tallystick.pipeline.begin.look import (
    ID_NAMES,
    ColumnFacts,
    TableFacts,
    distinct_rows,
    find_key,
    is_step,
    time_columns,
    written,
)
from tallystick.pipeline.begin.target import target_numbers
from tallystick.pipeline.config.conditions import parse_rule
from tallystick.pipeline.config.durations import STEP_MICROS, parse_span, parse_time_expression
from tallystick.pipeline.config.settings import Csv, Final, Time
from tallystick.pipeline.data.periods_as_text import DAYS, SPELLINGS
from tallystick.pipeline.data.timestamps import formatted, row_times

Floats = npt.NDArray[np.float64]
Days = npt.NDArray[np.int64]

TARGET_NAMES = {"target", "label", "churn", "churned", "default", "defaulted", "fraud", "outcome", "survived", "y"}
YES = {"yes", "y", "true", "1", "t", "positive", "late", "default", "fraud", "churned", "ja", "oui", "si"}
LONGEST_DELAY_DAYS = 31


class Answers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person has said; None where nothing was said. The names are those of the options and of the file."""

    target: str | None = None
    rule: str | None = None
    """What counts as yes: ``"> 15"``, ``"== 'yes'"``; ``"number"`` where the number itself is the target."""
    positive: str | None = None
    time: str | None = None
    time_format: str | None = None
    """How the times are written, ``"%m/%d/%Y"``; ``"iso"`` for ISO 8601 and for columns of times."""
    timezone: str | None = None
    predict_at: str | None = None
    known: dict[str, str] = {}
    """Feature names, separated by commas, and when they are known: ``{"age, plan" = "signup - 30d"}``."""
    afterwards: list[str] | None = None
    """Columns that are written only after the moment of prediction."""
    label_delay: str | None = None
    window: str | None = None
    key: list[str] | None = None
    group: str | None = None
    """A column, or ``"none"``."""
    decision: str | None = None
    unit: str | None = None
    cost_of_wrong: str | None = None
    name: str | None = None
    owner: str | None = None
    csv: Csv | None = None
    """How CSV files are written, as in ``[data.csv]``."""


def read_answers(path: Path) -> Answers:
    """Answers from a TOML file.

    Raises
    ------
    InvalidInput
        Where the file cannot be read, or says something that is no answer.
    """
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Answers, strict=True)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        names = ", ".join(Answers.__struct_fields__)
        raise InvalidInput(f"{path} cannot be used: {error}.", f"It may say {names}.") from error


class Look(NamedTuple):
    """The table with what is seen in it."""

    table: pa.Table
    facts: TableFacts
    csv: Csv = Csv()
    """How its CSV files are read."""
    doubts: tuple[str, ...] = ()
    """What could be read in more than one way, and is read as ``csv`` says."""


class Question(NamedTuple):
    """One decision: what is asked, why, and what is proposed."""

    field: str
    ask: Callable[[Look, Answers], str]
    why: str
    propose: Callable[[Look, Answers], Any]
    """None where nothing can be proposed."""
    needed: Callable[[Look, Answers], bool] = lambda look, answers: True
    """Whether a person on a terminal is asked; else the proposal stands."""
    settings: tuple[str, ...] = ()
    """The settings of the pipeline file that follow from it."""


# What follows from the answers ------------------------------------------------------------------------------


def target_values(look: Look, answers: Answers) -> Floats:
    """The answers as numbers, 0 or 1 where there is a rule; NaN where they are missing; InvalidInput otherwise."""
    column = look.facts.column(answers.target or "")
    rule = None if answers.rule in (None, "number") else answers.rule
    return target_numbers(look.table[column.name], column.name, rule)


def moments(look: Look, answers: Answers) -> Days:
    """The time of every row, (n,) int64 microseconds since 1970-01-01 UTC."""
    column = look.facts.column(answers.time or "")
    return row_times(look.table[column.name], column.name, _time_settings(answers, is_step(column)))


def days(look: Look, answers: Answers) -> Days:
    """The day of every row since 1970-01-01 where the pipeline is, or its step."""
    micros = moments(look, answers)
    if is_step(look.facts.column(answers.time or "")):
        return micros // STEP_MICROS
    local = pd.to_datetime(pd.Series(micros), unit="us", utc=True).dt.tz_convert(answers.timezone or "UTC")
    return local.dt.tz_localize(None).astype("datetime64[us]").to_numpy().astype(np.int64) // STEP_MICROS


def _time_settings(answers: Answers, steps: bool) -> Time:
    return Time(
        column=answers.time or "", timezone=answers.timezone or "UTC", window="1 step" if steps else "1 day",
        first_test=1, last_test=1, train="expanding", gap="0d", label_delay="0d", refit="every window", why="-",
        final=Final(test=[], looks=1, why="-"), unit="step" if steps else "calendar", format=format_said(answers),
    )  # fmt: skip


def format_said(answers: Answers) -> str | None:
    """How the times are written, as the pipeline file says it; None for ISO 8601."""
    return None if answers.time_format == "iso" else answers.time_format


def windows_for(look: Look, answers: Answers, delay: str | None = None) -> WindowPlan:
    """The windows that the answers lead to."""
    steps = is_step(look.facts.column(answers.time or ""))
    lag = parse_span(delay).exact_micros("label_delay") if delay else 0
    return plan(
        days(look, answers), target_values(look, answers), steps=steps, delay=-(-lag // STEP_MICROS),
        window=answers.window,
    )  # fmt: skip


def suspects(look: Look, answers: Answers) -> dict[str, str]:
    """Columns that look as if they were written after the answer, with the reason."""
    return written_afterwards(
        look.table, look.facts, answers.target or "", target_values(look, answers), answers.time or ""
    )


# Proposals --------------------------------------------------------------------------------------------------


def _time(look: Look, answers: Answers) -> str | None:
    found = time_columns(look.facts)
    return found[0].name if found else None


def _time_format(look: Look, answers: Answers) -> str | None:
    formats = look.facts.column(answers.time or "").formats
    return formats[0] if len(formats) == 1 else None if formats else "iso"


def _several_formats(look: Look, answers: Answers) -> bool:
    return len(look.facts.column(answers.time or "").formats) > 1


def _target(look: Look, answers: Answers) -> str | None:
    named = [column for column in look.facts.columns if column.words & TARGET_NAMES and column.levels > 1]
    return named[-1].name if named else None


def _rule(look: Look, answers: Answers) -> str | None:
    column = look.facts.column(answers.target or "")
    if column.kind in ("number", "whole number") and column.levels > 2:
        return "number"
    value = _yes(column)
    if value is None:
        return None
    if column.kind in ("number", "whole number"):
        return f"== {value}"
    quote = '"' if "'" in value else "'"
    return f"== {quote}{value.lower() if column.kind == 'yes or no' else value}{quote}"


def _yes(column: ColumnFacts) -> str | None:
    """The value of two that means yes; None where that cannot be seen."""
    if column.levels != 2:
        return None
    named = [value for value in column.examples if value.strip().casefold() in YES]
    if len(named) == 1:
        return named[0]
    return max(column.examples) if column.kind in ("number", "whole number") else None


def _positive(look: Look, answers: Answers) -> str | None:
    if answers.rule in (None, "number"):
        return None
    rule = parse_rule(answers.rule or "")
    plain = isinstance(rule.value, str) and rule.operator == "==" and rule.value.casefold() not in YES
    return str(rule.value) if plain else str(answers.target)


def _timezone(look: Look, answers: Answers) -> str:
    kind = look.table[answers.time or ""].type
    zone = kind.tz if pa.types.is_timestamp(kind) else None
    return zone if zone and re.fullmatch(r"[A-Za-z_]+(/[A-Za-z_+-]+)*", zone) else "UTC"


def _predict_at(look: Look, answers: Answers) -> str:
    return written(answers.time or "")


def _afterwards(look: Look, answers: Answers) -> list[str]:
    said = {name.strip() for names in answers.known for name in names.split(",")}
    return [name for name in suspects(look, answers) if name not in said]


def _label_delay(look: Look, answers: Answers) -> str:
    column = look.facts.column(answers.time or "")
    if is_step(column):
        return windows_for(look, answers).window
    if column.period is not None:
        # A row is dated at the start of its period, and what happened in it is known after its end.
        return f"{DAYS[column.period]}d"
    # Longer is the careful side: a model never learns from answers that nobody had yet.
    return f"{min(windows_for(look, answers).length, LONGEST_DELAY_DAYS)}d"


def _key(look: Look, answers: Answers) -> list[str]:
    found = find_key(look.table, look.facts, answers.time or "", answers.target)
    return found or []


def _group(look: Look, answers: Answers) -> str:
    for column in look.facts.columns:
        repeats = 10 < column.levels <= look.facts.rows / 2 and not column.missing
        if repeats and column.kind == "text" and column.words & ID_NAMES and column.name != answers.target:
            return column.name
    return "none"


def _decision(look: Look, answers: Answers) -> str:
    if answers.rule == "number":
        return f"How large will {answers.target} be?"
    said = answers.positive if answers.positive != answers.target else f"{answers.target} {answers.rule}"
    return f"Should we act on this row because we expect {said}?"


def _unit(look: Look, answers: Answers) -> str:
    return f"one row of the table: one {' + '.join(answers.key)}" if answers.key else "one row of the table"


def _cost(look: Look, answers: Answers) -> str:
    if answers.rule == "number":
        return "A large error costs more than several small ones: errors count squared."
    return "A missed yes and a false yes cost about the same."


def _owner(look: Look, answers: Answers) -> str:
    return this_process().actor


def _name(look: Look, answers: Answers) -> str:
    place = look.facts.source.partition(":")[2]
    file, _, table = place.partition("#")
    stem = table if re.fullmatch(r"\w+", table) else Path(file).name.partition(".")[0]
    stem = Path(file).parent.name if "*" in stem else stem
    return slug(stem)


def slug(text: str) -> str:
    """A text as the name of a pipeline: small letters and digits with hyphens between."""
    words = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    words = words if re.match(r"[a-z]", words) else f"p-{words}".strip("-")
    return words[:60].strip("-")


def _several_times(look: Look, answers: Answers) -> bool:
    return len(time_columns(look.facts)) != 1


def _has_clock(look: Look, answers: Answers) -> bool:
    """Whether its times are readings of a wall clock, whose zone the table does not say."""
    column = look.facts.column(answers.time or "")
    if is_step(column):
        return False
    kind = look.table[column.name].type
    if pa.types.is_date(kind) or (pa.types.is_timestamp(kind) and kind.tz):
        return False
    return any(len(text) > 10 and "00:00:00" not in text for text in column.examples)


def _never(look: Look, answers: Answers) -> bool:
    return False


QUESTIONS = (
    Question(
        "time",
        lambda look, answers: f"When is a row from? ({_names(time_columns(look.facts)) or 'no times were found'})",
        "Models are judged on windows of time after their training; this column says in which window a row lies.",
        _time, _several_times, ("time.column",),
    ),
    Question(
        "time_format",
        lambda look, answers: (
            f"How is {look.facts.column(answers.time or '').examples[0]} written? "
            f"({' or '.join(look.facts.column(answers.time or '').formats) or 'as %d.%m.%Y'})"
        ),
        "The same signs are two different days, depending on whether the day or the month comes first.",
        _time_format, _several_formats, ("time.format",),
    ),
    Question(
        "target",
        lambda look, answers: f"Which column holds the answer? ({_names(look.facts.columns)})",
        "It is what the model predicts; another target is another question.",
        _target, settings=("data.target.column",),
    ),
    Question(
        "rule",
        lambda look, answers: f"What counts as yes? {answers.target} holds {_examples(look, answers)}; or: number",
        "A rule such as == 'yes' or > 15 makes a yes or no of it; number predicts the number itself.",
        _rule, settings=("data.target.rule",),
    ),
    Question("positive", lambda look, answers: "What is a yes called?", "Sentences use this word.", _positive, _never,
             ("data.target.positive",)),
    Question(
        "timezone",
        lambda look, answers: f"In which time zone are the times of {answers.time}? (as Europe/Berlin)",
        "Windows begin at local midnight, and the table does not say the zone.",
        _timezone, _has_clock, ("time.timezone",),
    ),
    Question(
        "predict_at",
        lambda look, answers: f"When must the prediction exist? ({answers.time}, or as {answers.time} - 3h)",
        "A model may use only what is known by then.",
        _predict_at, settings=("questions.prediction_at",),
    ),
    Question(
        "afterwards",
        lambda look, answers: f"Which columns are written after that moment? {_suspected(look, answers)}",
        "They would tell the answer in the test and be empty in use. They are listed as forbidden.",
        _afterwards, settings=("data.features",),
    ),
    Question(
        "label_delay",
        lambda look, answers: f"How long after {answers.time} is {answers.target} known? (as 12h, 30d)",
        "A model must not learn from answers that nobody had yet; longer is the careful side.",
        _label_delay, settings=("time.label_delay",),
    ),
    Question("key", lambda look, answers: "Which columns name a row?", "No row may count twice.", _key, _never,
             ("data.key",)),
    Question("group", lambda look, answers: "Which column names what comes back in several rows?",
             "The result is also reported for those never seen before.", _group, _never, ("data.group",)),
    Question(
        "decision",
        lambda look, answers: "Which decision does the answer support, as a question in words?",
        "Whoever approves the model reads this first.",
        _decision, settings=("questions.decision",),
    ),
    Question("unit", lambda look, answers: "What is one row?", "It is what is counted.", _unit, _never,
             ("questions.unit",)),
    Question(
        "cost_of_wrong",
        lambda look, answers: "What does a mistake cost, in words?",
        "It decides which errors are acceptable, and so the gates.",
        _cost, settings=("questions.cost_of_wrong",),
    ),
    Question("name", lambda look, answers: "What is the pipeline called?", "Models are named after it.", _name, _never),
    Question("owner", lambda look, answers: "Who answers for the model?", "Somebody has to.", _owner, _never,
             ("owner",)),
)  # fmt: skip
"""In the order in which they are asked: each proposal may build on the answers before it."""


def _names(columns: Any) -> str:
    names = [column.name for column in columns]
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _examples(look: Look, answers: Answers) -> str:
    column = look.facts.column(answers.target or "")
    more = f" … ({column.levels:,} values)" if column.levels > len(column.examples) else ""
    return ", ".join(column.examples) + more


def _suspected(look: Look, answers: Answers) -> str:
    found = suspects(look, answers)
    return "; ".join(f"{name}: {reason}" for name, reason in found.items()) or "(none looks like it)"


def parse_answer(field: str, text: str) -> Any:
    """An answer as a person typed it, as the value of its field."""
    if field in ("afterwards", "key"):
        return [name.strip() for name in text.split(",") if name.strip() and name.strip() != "none"]
    return text.strip()


def check_answer(look: Look, answers: Answers, field: str) -> None:
    """Hold one answer against the table.

    Raises
    ------
    InvalidInput
        Where it does not fit, with what would.
    """
    value = getattr(answers, field)
    if field == "time":
        # How text is written as a time is said by the next answer, which is held against every value.
        if look.facts.column(value).kind not in ("time", "whole number") and format_said(answers) is None:
            held = ", ".join(map(repr, look.facts.column(value).examples[:3]))
            raise InvalidInput(
                f"{value} holds no times that can be read, but {held}.",
                "Say how they are written: --time-format '%d.%m.%Y'; or name another --time. Quarters, ISO weeks and "
                f"months are read as {SPELLINGS}.",
            )
    elif field == "time_format":
        if value != "iso" and formatted(look.table[answers.time or ""], value) is None:
            held = ", ".join(look.facts.column(answers.time or "").examples[:3])
            raise InvalidInput(
                f"Not every {answers.time} is written as {value}: {held}.", "%Y is the year, %m the month, %d the day."
            )
        # The zone is asked later, but where it was given as an option the times are read in it from here on.
        _check_zone(answers.timezone or "UTC")
        days(look, answers)
    elif field == "target":
        if look.facts.column(value).levels < 2:
            raise InvalidInput(f"{value} holds one value only; there is nothing to predict.", "Name another --target.")
    elif field == "rule":
        target_values(look, answers)
    elif field == "timezone":
        _check_zone(value)
        days(look, answers)
    elif field == "predict_at":
        _check_moment(answers, value)
    elif field == "label_delay":
        parse_span(value).exact_micros("label_delay")
        windows_for(look, answers, value)
    elif field in ("key", "afterwards"):
        for name in value:
            look.facts.column(name)
        if field == "key" and value and (rows := distinct_rows(look.table, value)) < look.facts.rows:
            raise InvalidInput(
                f"{' + '.join(value)} is the same in {look.facts.rows - rows:,} rows more than once.",
                "Name more columns, so that each row has a name of its own; or none, where rows have no name.",
            )
    elif field == "group" and value != "none":
        look.facts.column(value)


def _check_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInput(f"{name!r} is not a time zone.", "Names look like Europe/Berlin, UTC.") from None


def _check_moment(answers: Answers, text: str) -> None:
    moment = parse_time_expression(text)
    if moment.column != answers.time:
        raise InvalidInput(
            f"The moment of prediction is counted from {answers.time}, not {moment.column}.",
            f"Write {written(answers.time or '')}, or {written(answers.time or '')} - 1d.",
        )


def settle(look: Look, answers: Answers, question: Question) -> tuple[Answers, bool]:
    """The answers with this question's proposal where nobody has answered it; and whether something was proposed.

    Raises
    ------
    InvalidInput
        Where nobody answered and nothing can be proposed.
    """
    if getattr(answers, question.field) is not None or (question.field == "positive" and answers.rule == "number"):
        return answers, False
    proposal = question.propose(look, answers)
    if proposal is None:
        option = question.field.replace("_", "-")
        raise InvalidInput(
            f"{question.ask(look, answers)} Nothing can be proposed.", f"Say it with --{option}. {question.why}"
        )
    return msgspec.structs.replace(answers, **{question.field: proposal}), True
