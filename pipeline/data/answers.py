"""The answers of a table: the target as numbers, and which of them are not known yet.

An empty answer is *not known yet* where it cannot have come: its time plus ``label_delay`` lies after the moment that
labels are known by, or no later row of the table has an answer. Such rows stay, without an answer: they are out of
training, are counted as immature, and wait. An empty answer that was due is refused in a run, because nobody can say
what it means; a watched period counts it.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events.commit import from_micros
from tallystick.pipeline.config.conditions import Rule, parse_rule
from tallystick.pipeline.config.durations import parse_span
from tallystick.pipeline.config.settings import Pipeline
from tallystick.pipeline.config.windows import labels_until
from tallystick.pipeline.data.reading import FIRST_READING, READING
from tallystick.pipeline.data.sources import is_text

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Micros = npt.NDArray[np.int64]

SPELLINGS = (("true", "false"), ("t", "f"), ("yes", "no"), ("y", "n"), ("on", "off"), ("1", "0"), ("ja", "nein"),
             ("j", "n"), ("oui", "non"), ("wahr", "falsch"))  # fmt: skip
"""Yes and no as people write them, in any case."""
_YES, _NO = (frozenset(pair[side] for pair in SPELLINGS) for side in (0, 1))
MOST_SEEN = 5


class Terms(msgspec.Struct, frozen=True):
    """On what terms a slice is cut, beside what the pipeline file says."""

    reading: int = READING
    """The version of reading; see :mod:`pipeline.data.reading`."""
    text: frozenset[str] = frozenset()
    """CSV columns that are text, whatever stands in them."""
    lenient: frozenset[str] = frozenset()
    """CSV columns that are text where they can be read in two ways, instead of an error."""
    labels_as_of: int | None = None
    """Answers that are due later may be missing, microseconds UTC. None: every answer must be there."""
    overdue: Literal["refuse", "count"] = "refuse"
    """What an empty answer means that was due."""
    rows: int | None = None
    """Only so many of the first rows, in the order of time and key: a source that has grown, as it was."""
    hide_later_answers: bool = False
    """Whether answers that are not due by ``labels_as_of`` are taken as missing, as they were then."""
    truth: frozenset[str] = frozenset()
    """Of ``text``, those that held nothing but yes and no in training."""


def not_due(table: pa.Table, time_column: str, settings: Pipeline, terms: Terms) -> Mask:
    """Rows whose answer cannot be expected yet, (n,) bool, whether or not it is there."""
    if terms.labels_as_of is None or terms.reading == FIRST_READING:
        return np.zeros(table.num_rows, dtype=np.bool_)
    delay = parse_span(settings.time.label_delay).exact_micros("label_delay")
    times = np.asarray(table[time_column].to_numpy())
    until = labels_until(settings.time, terms.labels_as_of)
    return still_open(times, np.asarray(table[settings.data.target.column].is_valid()), delay, until)


def still_open(times: Micros, answered: Mask, delay: int, labels_as_of: int) -> Mask:
    """Rows whose answer cannot be expected yet, (n,) bool.

    Parameters
    ----------
    times : (n,) int64
        Microseconds since 1970-01-01 UTC, in any order.
    answered : (n,) bool
        Whether an answer is there.
    delay : int
        Microseconds after which an answer is known.
    labels_as_of : int
        The moment that labels are known by, microseconds UTC.
    """
    newest = int(times[answered].max()) if answered.any() else int(times.max())
    found: Mask = (times + delay > labels_as_of) | (times > newest)
    return found


def without_later_answers(table: pa.Table, time_column: str, settings: Pipeline, terms: Terms) -> pa.Table:
    """The table without the answers that came after the moment that labels are known by."""
    name = settings.data.target.column
    column = table[name]
    hidden = pa.array(not_due(table, time_column, settings, terms))
    return table.set_column(
        table.column_names.index(name), name, pc.if_else(hidden, pa.scalar(None, column.type), column)
    )


def answers(table: pa.Table, time_column: str, settings: Pipeline, terms: Terms) -> Floats:
    """The target, (n,) float64: 0 or 1 where there is a rule, else the number itself; NaN where it is not known yet.

    Raises
    ------
    InvalidInput
        With counts and the values seen: answers that were due and are not there, that are no numbers, or that the
        rule cannot be applied to.
    """
    target = settings.data.target
    column = table[target.column].to_pandas().rename(target.column)
    missing = column.isna().to_numpy()
    if terms.overdue == "refuse":
        _refuse_overdue(table, time_column, settings, missing & ~not_due(table, time_column, settings, terms))
    found = np.full(len(column), np.nan)
    if not missing.all():
        rule = parse_rule(target.rule) if target.rule is not None else None
        found[~missing] = _values(column[~missing], is_text(table[target.column].type), rule, terms.reading)
    return found


def _refuse_overdue(table: pa.Table, time_column: str, settings: Pipeline, overdue: Mask) -> None:
    count = int(overdue.sum())
    if not count:
        return
    times = np.asarray(table[time_column].to_numpy())[overdue]
    first, last = (from_micros(int(bound)).date() for bound in (times.min(), times.max()))
    raise InvalidInput(
        f"{count:,} of {len(overdue):,} rows have no {settings.data.target.column}, from {first} to {last}, although "
        f'with label_delay = "{settings.time.label_delay}" their answer was due.',
        "If answers take longer, give label_delay the longest time that one takes. If these rows never get an answer, "
        "say which they are and why in [[data.drop_rows]].",
    )


def _values(column: pd.Series[Any], text: bool, rule: Rule | None, reading: int) -> Floats:
    """Answers that are there as numbers."""
    if rule is not None and reading != FIRST_READING and (found := truth(column, text, rule)) is not None:
        return found
    if text and (rule is None or isinstance(rule.value, float)):
        numbers = pd.to_numeric(column, errors="coerce").astype(np.float64)
        unread = column[numbers.isna()]
        if len(unread):
            examples = ", ".join(repr(value) for value in unread.head(3))
            raise InvalidInput(
                f"{len(unread):,} of {len(column):,} values of the target {column.name} are not numbers, "
                f"for example {examples}.",
                f"{_seen(column)} Compare them with one of these in [data] target, mend them in the source, or drop "
                "those rows by name and say why.",
            )
        column = numbers
    if rule is None:
        infinite = int(np.isinf(np.asarray(column, dtype=np.float64)).sum())
        if infinite:
            raise InvalidInput(f"{infinite:,} of {len(column):,} values of the target {column.name} are infinite.")
        return np.asarray(column, dtype=np.float64)
    return np.asarray(rule.holds(column), dtype=np.float64)


def truth(column: pd.Series[Any], text: bool, rule: Rule) -> Floats | None:
    """Yes and no, however they are spelled, as the rule's own spelling means them; None for other answers.

    Raises
    ------
    InvalidInput
        When the rule compares with a text that no row has.
    """
    written = column if text else column.map({value: f"{value:g}" for value in column.unique()})
    spelled = {str(value).lower() for value in written.unique()}
    pair = next((pair for pair in SPELLINGS if spelled <= set(pair)), None)
    if text and rule.value in set(column):
        return None
    if isinstance(rule.value, float):
        if not text or pair is None:
            return None
        numbers = written.str.lower().map({pair[0]: 1.0, pair[1]: 0.0})
        return np.asarray(rule.holds(numbers.rename(str(column.name))), dtype=np.float64)
    asked = rule.value.lower()
    if pair is not None and rule.operator in ("==", "!=") and asked in _YES | _NO:
        wanted = pair[0] if asked in _YES and asked != pair[1] else pair[1]
        same = (written.str.lower() == wanted).to_numpy()
        return np.asarray(same if rule.operator == "==" else ~same, dtype=np.float64)
    if not text:
        raise InvalidInput(f"{column.name} holds numbers; it cannot be compared with {rule.value!r}.", _seen(column))
    values = ", ".join(repr(value) for value in column.unique()[:MOST_SEEN].tolist())
    rows = "no row" if rule.operator == "==" else "every row"
    raise InvalidInput(
        f"{column.name} {rule.operator} {rule.value!r} holds in {rows}; the column holds {values}.", _seen(column)
    )


def _seen(column: pd.Series[Any]) -> str:
    counts = column.value_counts().head(MOST_SEEN)
    shown = [f"{value:g}" if isinstance(value, float) else repr(value) for value in counts.index]
    listed = ", ".join(f"{value} ({rows:,})" for value, rows in zip(shown, counts, strict=True))
    return f"It holds {listed}{', …' if column.nunique() > MOST_SEEN else ''}."
