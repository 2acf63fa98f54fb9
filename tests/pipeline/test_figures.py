"""Numbers as people read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.pipeline.evaluate.figures import amount, figure, short


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        (0.53712, None, "0.537"),
        (12_747_038.4, None, "12,747,038"),
        (315_663.0, 12_000.0, "316,000"),
        (315_663.0, 0.5, "315,663.00"),
        (0.53712, 0.012, "0.537"),
        (0.53712, 0.12, "0.54"),
        (24.61, None, "24.6"),
        (0.0000213, None, "0.000021"),
        (0.0, None, "0.000"),
        (-0.0001, 0.1, "0.00"),
        (-1_240.0, None, "-1,240"),
        (math.inf, None, "inf"),
    ],
)
def test_a_number_ends_where_its_uncertainty_does(value: float, error: float | None, said: str) -> None:
    assert figure(value, error) == said


def test_a_number_of_the_target_has_its_unit() -> None:
    assert amount(1_240.0, "bikes") == "1,240 bikes"
    assert amount(1_240.0, None) == "1,240"


@given(st.floats(-1e15, 1e15, allow_nan=False))
def test_a_narrow_column_holds_every_number(value: float) -> None:
    """A table of six windows of squared errors in the millions fits 80 columns."""
    text = short(value)
    assert len(text.lstrip("-")) <= 8
    number = text.replace(",", "")
    power = {"M": 1e6, "G": 1e9, "T": 1e12}.get(number[-1], 1.0)
    assert float(number.rstrip("MGT")) * power == pytest.approx(value, rel=0.06, abs=6e-4)


@given(st.floats(0.001, 1e12), st.floats(1e-6, 1e9))
def test_no_digit_that_is_known_is_lost(value: float, error: float) -> None:
    assert float(figure(value, error).replace(",", "")) == pytest.approx(value, abs=max(0.051 * error, 6e-7))
