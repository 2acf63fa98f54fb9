"""Everything that a new pipeline file says, before it is written: features, windows, candidates, gates."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events.commit import to_micros
from tallystick.ledger.system.clock import utc_now
from tallystick.pipeline.begin.answers import (
    Answers,
    Floats,
    Look,
    days,
    moments,
    suspects,
    target_values,
    windows_for,
)
from tallystick.pipeline.begin.calendar import WindowPlan
from tallystick.pipeline.begin.look import ID_NAMES, ColumnFacts, is_step
from tallystick.pipeline.begin.sentences import useless
from tallystick.pipeline.config.durations import parse_span
from tallystick.pipeline.config.settings import Csv
from tallystick.pipeline.data.answers import still_open
from tallystick.pipeline.data.periods_as_text import Period

COUNTS_ON = 0.95
"""Rank correlation with time from which a number only counts on, such as a row number."""
MOST_SEGMENT_LEVELS = 20
FEW_SHARE, HALF = 0.01, 0.5
"""Where one row in a hundred makes up more than half of the squared error, these rows would choose the model."""


class NewPipeline(NamedTuple):
    """What is written."""

    answers: Answers
    """Complete: what nobody said holds the proposal."""
    features: dict[str, list[str]]
    """When it is known -> names."""
    forbidden: dict[str, str]
    left_out: dict[str, str]
    """Columns that are no feature, with the reason."""
    windows: WindowPlan
    steps: bool
    rows: int
    missing_answers: int
    """Rows without an answer that was due."""
    waiting_answers: int
    """Rows whose answer is not known yet."""
    segments: list[str]
    source: str
    csv: Csv
    doubts: tuple[str, ...]
    proposed: list[str]
    """Dotted names of the settings that nobody has confirmed."""
    metric: str
    """What fits the answers to be judged by."""
    period: Period | None
    """What each time is, where times are text such as ``1974Q1``."""


def draft(look: Look, answers: Answers, proposed: list[str]) -> NewPipeline:
    """The pipeline that complete answers lead to.

    Raises
    ------
    InvalidInput
        Where no feature is left, or the table is too short for any windows.
    """
    reasons = suspects(look, answers)
    forbidden = {name: reasons.get(name, "said to be written afterwards") for name in answers.afterwards or []}
    for name in forbidden:
        look.facts.column(name)
    features, left_out = _features(look, answers, set(forbidden))
    windows = windows_for(look, answers, answers.label_delay)
    segments = [
        column.name
        for column in look.facts.columns
        if column.kind in ("text", "yes or no") and 2 <= column.levels <= MOST_SEGMENT_LEVELS
        and any(column.name in names for names in features.values())
    ][:2]  # fmt: skip
    return NewPipeline(
        answers, features, forbidden, left_out, windows, is_step(look.facts.column(answers.time or "")),
        look.facts.rows, *_missing_answers(look, answers), segments, look.facts.source, look.csv, look.doubts,
        proposed, fitting_metric(look, answers), look.facts.column(answers.time or "").period,
    )  # fmt: skip


def fitting_metric(look: Look, answers: Answers) -> str:
    """Log-loss for a yes or no; for a number squared error, or absolute error where a few rows would decide alone."""
    if answers.rule != "number":
        return "log_loss"
    values = target_values(look, answers)
    squares = np.sort(np.square(values[np.isfinite(values)] - np.nanmedian(values)))
    few = max(1, int(len(squares) * FEW_SHARE))
    return "absolute_error" if squares[-few:].sum() > HALF * squares.sum() else "squared_error"


def _missing_answers(look: Look, answers: Answers) -> tuple[int, int]:
    """Rows without an answer: those where it was due, and those where it is not known yet."""
    answered = np.isfinite(target_values(look, answers))
    if answered.all():
        return 0, 0
    delay = parse_span(answers.label_delay or "0d").exact_micros("label_delay")
    waiting = ~answered & still_open(moments(look, answers), answered, delay, to_micros(utc_now()))
    return int((~answered & ~waiting).sum()), int(waiting.sum())


def _features(look: Look, answers: Answers, forbidden: set[str]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The features by when they are known, and the other columns with the reason."""
    known: dict[str, list[str]] = {}
    said: set[str] = set()
    for names, moment in answers.known.items():
        for name in (part.strip() for part in names.split(",")):
            look.facts.column(name)
            known.setdefault(moment, []).append(name)
            said.add(name)
    when = np.asarray(pd.Series(days(look, answers)).rank(), dtype=np.float64)
    left_out = {}
    for column in look.facts.columns:
        if column.name in said or column.name in forbidden or column.name in (answers.target, answers.time):
            continue
        reason = _no_feature(look, answers, column, when)
        if reason is None:
            known.setdefault(answers.predict_at or "", []).append(column.name)
        else:
            left_out[column.name] = reason
    if not known:
        raise InvalidInput(
            f"No column of {look.facts.source} is left as a feature.",
            "Say which are known at the moment of prediction: --known 'COLUMN, COLUMN'.",
        )
    return known, left_out


def _no_feature(look: Look, answers: Answers, column: ColumnFacts, when: Floats) -> str | None:
    """Why a column is no feature; None where it may be one."""
    if (words := useless(column, look.facts)) is not None:
        return words
    name_of_rows = column.levels == look.facts.rows and column.kind in ("whole number", "text")
    reasons = {
        "is a time; a model needs a number made of it, such as days since": column.kind == "time",
        "is neither number nor text": column.kind == "other",
        "has a name that a pipeline file cannot list": _unlisted(column.name),
        "names what comes back": column.name == answers.group,
        "names rows": name_of_rows or bool(column.words & ID_NAMES and column.levels > 50),
    }
    for reason, holds in reasons.items():
        if holds:
            return reason
    counts = column.kind in ("number", "whole number") and _counts_on(look.table[column.name], when)
    return "only counts on with time, so every later row lies outside what was learned" if counts else None


def _unlisted(name: str) -> bool:
    """Whether ``[data.features]`` cannot name it: there, names are separated by commas and spaces."""
    return "," in name or name != name.strip() or name in ("", "forbidden")


def _counts_on(column: pa.ChunkedArray, when: Floats) -> bool:
    ranks = column.cast(pa.float64(), safe=False).to_pandas().rank().to_numpy()
    both = ~np.isnan(ranks)
    if both.sum() <= 20 or np.ptp(when[both]) == 0 or np.ptp(ranks[both]) == 0:
        return False
    return bool(abs(np.corrcoef(ranks[both], when[both])[0, 1]) >= COUNTS_ON)
