"""Rules of a pipeline file that decide nothing: a target or a filter that holds in every row, or in none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from tallystick.ledger.errors import InvalidInput
from tallystick.pipeline.begin.target import MOST_EXAMPLES, as_rules_see, target_numbers
from tallystick.pipeline.config.conditions import Condition, parse_condition
from tallystick.pipeline.config.settings import Pipeline
from tallystick.pipeline.data.reading import csv_reading
from tallystick.pipeline.data.slice import TARGET, Slice, numbers, open_table
from tallystick.pipeline.data.sources import read_source


def dropped_rows(column: pa.ChunkedArray, condition: Condition, where: str) -> pa.Array:
    """The rows that a filter drops, (n,) bool.

    A filter that compares with a text must find it, because a misspelt text is not noticed otherwise. One that looks
    for missing values, or for numbers in a range, may find none.

    Raises
    ------
    InvalidInput
        For a filter that cannot be applied, that drops every row, or whose text no row has.
    """
    values = as_rules_see(column).to_pandas().rename(condition.column)
    holds = condition.holds(values).to_numpy()
    seen = ", ".join(repr(value) for value in values.dropna().unique()[:MOST_EXAMPLES].tolist())
    if holds.all():
        raise InvalidInput(f"{where} holds in every row; the column holds {seen}.", "It would leave no row.")
    rule = condition.rule
    if rule is not None and isinstance(rule.value, str) and not (values == rule.value).any():
        raise InvalidInput(
            f"No row has {condition.column} == {rule.value!r}; the column holds {seen}.",
            "Mend the text, or remove this [[data.drop_rows]].",
        )
    return pa.array(holds)


def refuse_idle_rules(settings: Pipeline, base: Path, slice_: Slice) -> None:
    """Refuse a slice whose target has one value only, or one of whose filters is misspelt.

    Raises
    ------
    InvalidInput
        In the words of ``tally check``, with the values of the column.
    """
    data = settings.data
    texts = {drop.where: parse_condition(drop.where) for drop in data.drop_rows}
    for dropped in slice_.dropped:
        rule = texts[dropped.where].rule
        if not dropped.rows and rule is not None and isinstance(rule.value, str):
            column = texts[dropped.where].column
            dropped_rows(
                read_source(data.source, base, [column], csv_reading(data))[column], texts[dropped.where], dropped.where
            )
    answers = numbers(open_table(slice_), TARGET)
    if data.target.rule is not None and len(np.unique(answers[np.isfinite(answers)])) == 1:
        name = data.target.column
        target_numbers(read_source(data.source, base, [name], csv_reading(data))[name], name, data.target.rule)
