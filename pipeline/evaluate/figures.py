"""Numbers as people read them: as many digits as their uncertainty allows, thousands separated, with their unit."""

from __future__ import annotations

import math

MOST_DECIMALS = 6
DIGITS = 3
"""Significant digits of a number whose uncertainty is unknown, and decimals of one below 1."""
ERROR_DIGITS = 2
"""Digits of an uncertainty that are worth writing: those of the number end where they do."""


def figure(value: float, error: float | None = None) -> str:
    """``0.537``, ``12,750,000``; with its standard error as far as that allows: ``316,000`` for 315,663 ± 12,000.

    Without an uncertainty no digit before the decimal point is given up.
    """
    if not math.isfinite(value):
        return str(value)
    if error is not None and math.isfinite(error) and error > 0.0:
        decimals = ERROR_DIGITS - 1 - math.floor(math.log10(error))
    elif abs(value) >= 1.0:
        decimals = max(0, DIGITS - 1 - math.floor(math.log10(abs(value))))
    elif value == 0.0 or abs(value) >= 0.5 * 10**-DIGITS:
        decimals = DIGITS
    else:
        decimals = 1 - math.floor(math.log10(abs(value)))
    return _written(value, min(decimals, MOST_DECIMALS))


def _written(value: float, decimals: int) -> str:
    rounded = round(value, decimals)
    text = f"{rounded:,.{max(decimals, 0)}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0.0 else text


def amount(value: float, unit: str | None, error: float | None = None) -> str:
    """A number of the target: ``1,240 bikes``."""
    return f"{figure(value, error)} {unit}" if unit else figure(value, error)


SHORT = ((1e12, "T"), (1e9, "G"), (1e6, "M"))


def short(value: float | None) -> str:
    """At most seven signs for a narrow column: ``0.571``, ``315,663``, ``12.7M``, ``–`` for none."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if size < 1e6:
        return f"{value:.3f}" if size < 100.0 else f"{value:,.1f}" if size < 1000.0 else f"{value:,.0f}"
    for divisor, letter in SHORT:
        if divisor <= size < 1000.0 * divisor:
            return f"{value / divisor:.1f}{letter}"
    return f"{value:.1e}"
