"""The answers of a table as numbers, with the values that were seen in every message."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tallystick.ledger.errors import InvalidInput
from tallystick.pipeline.config.conditions import parse_rule
from tallystick.pipeline.data.answers import truth
from tallystick.pipeline.data.sources import is_text

Floats = npt.NDArray[np.float64]
MOST_EXAMPLES = 6


def target_numbers(column: pa.ChunkedArray, name: str, rule: str | None) -> Floats:
    """The answers as float64, 0 or 1 where there is a rule; NaN where they are missing.

    Raises
    ------
    InvalidInput
        Where the column cannot be read so, or a rule holds in every row or in none.
    """
    seen_as = as_rules_see(column)
    values, text = seen_as.to_pandas().rename(name), is_text(seen_as.type)
    missing = values.isna().to_numpy()
    seen = ", ".join(repr(value) for value in values.dropna().unique()[:MOST_EXAMPLES].tolist())
    parsed = None if rule is None else parse_rule(rule)
    found: Floats
    spelled = None if parsed is None or missing.all() else truth(values[~missing], text, parsed)
    if spelled is not None:
        found = np.full(len(values), np.nan)
        found[~missing] = spelled
        return _of_both_kinds(found, f"{name} {rule}", seen)
    if parsed is None or isinstance(parsed.value, float):
        numbers: Floats = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64)
        unread = np.isnan(numbers) & ~missing
        if unread.any():
            raise InvalidInput(
                f"{name} is not a number in {int(unread.sum()):,} of {len(values):,} rows; it holds {seen}.",
                f"Say which value counts as yes, with a rule such as == {values[unread].iloc[0]!r}.",
            )
        values = pd.Series(numbers, name=name)
    if parsed is None:
        return np.asarray(values, dtype=np.float64)
    try:
        found = parsed.holds(values).to_numpy(dtype=np.float64)
    except InvalidInput as error:
        raise InvalidInput(f"{error.message} It holds {seen}.", error.hint) from error
    found[missing] = np.nan
    return _of_both_kinds(found, f"{name} {rule}", seen)


def _of_both_kinds(found: Floats, rule: str, seen: str) -> Floats:
    share = float(np.nanmean(found)) if (~np.isnan(found)).any() else 0.0
    if share in (0.0, 1.0):
        raise InvalidInput(
            f"{rule} holds in {'every row' if share else 'no row'}; the column holds {seen}.",
            "Give a rule that some rows fulfil and others do not.",
        )
    return found


def as_rules_see(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column as rules see it: yes and no are the texts true and false."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_boolean(column.type):
        return pc.if_else(column, "true", "false")
    if pa.types.is_integer(column.type) or pa.types.is_decimal(column.type):
        return column.cast(pa.float64(), safe=False)
    return column
