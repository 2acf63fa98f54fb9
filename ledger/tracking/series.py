"""Numbers of one metric as an event holds them: JSON has no NaN and no infinity, so the index of each names it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from tallystick.ledger.events.types import Series

MeasuredOf = tuple[str | None, str | None, str | None]
"""A kept model, a table and the table's digest."""
OF_NOTHING: MeasuredOf = (None, None, None)


def series_of(
    key: str,
    steps: Sequence[int | None],
    at_ms: Sequence[int],
    values: Sequence[float],
    measured_of: MeasuredOf = OF_NOTHING,
) -> Series:
    """A series of numbers that may be infinite or NaN.

    Parameters
    ----------
    steps, at_ms, values : sequences of the same length
        Steps, milliseconds since 1970 (UTC), and the numbers, in the order in which they were measured.
    """
    odd = {} if all(map(math.isfinite, values)) else _not_finite(values)
    model, dataset, digest = measured_of
    return Series(
        key=key,
        steps=list(steps),
        at_ms=list(at_ms),
        values=[None if str(at) in odd else value for at, value in enumerate(values)] if odd else list(values),
        not_finite=odd,
        model=model,
        dataset=dataset,
        dataset_digest=digest,
    )


def _not_finite(values: Sequence[float]) -> dict[str, Literal["nan", "inf", "-inf"]]:
    return {
        str(at): "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
        for at, value in enumerate(values)
        if not math.isfinite(value)
    }
