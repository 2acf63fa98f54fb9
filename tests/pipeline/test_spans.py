"""Lengths of time as people write them, and times relative to a column."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.ledger.errors import InvalidInput
from tallystick.pipeline.config.durations import parse_span, parse_time_expression, words

HOUR = 3_600_000_000
DAY = 24 * HOUR


@pytest.mark.parametrize(
    ("text", "months", "micros"),
    [
        ("3h", 0, 3 * HOUR),
        ("30d", 0, 30 * DAY),
        ("62 days", 0, 62 * DAY),
        ("2 weeks", 0, 14 * DAY),
        ("0d", 0, 0),
        ("15 minutes", 0, HOUR // 4),
        ("15min", 0, HOUR // 4),
        ("1 second", 0, 1_000_000),
        (" 1 Day ", 0, DAY),
        ("1 month", 1, 0),
        ("2 years", 24, 0),
    ],
)
def test_lengths_are_read_as_people_write_them(text: str, months: int, micros: int) -> None:
    span = parse_span(text)
    assert (span.months, span.micros) == (months, micros)


@pytest.mark.parametrize(
    "text", ["", "3", "h", "-3h", "1.5h", "3 fortnights", "1m", "3h 5min", "٣d", "9999999d", "3h\n4"]
)
def test_what_is_no_length_is_refused_with_examples(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"is not a length of time\. Examples: 3h, 30d"):
        parse_span(text)


def test_a_month_is_no_exact_length() -> None:
    assert parse_span("1 day").exact_micros("gap") == DAY
    with pytest.raises(InvalidInput, match="gap = '1 month': months differ in length; say it in days"):
        parse_span("1 month").exact_micros("gap")
    with pytest.raises(InvalidInput, match="months differ in length"):
        parse_time_expression("time_hour - 1 month")


@pytest.mark.parametrize(
    ("text", "column", "offset"),
    [
        ("t", "t", 0),
        ("t - 3h", "t", -3 * HOUR),
        ("t-3h", "t", -3 * HOUR),
        ("ordered_at + 2 days", "ordered_at", 2 * DAY),
    ],
)
def test_times_are_counted_from_a_column(text: str, column: str, offset: int) -> None:
    expression = parse_time_expression(text)
    assert (expression.column, expression.offset_micros) == (column, offset)


@pytest.mark.parametrize("text", ["", "3h", "t -", "t * 3h", "t - 3h - 1h", "t + u", "t; drop"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a"):
        parse_time_expression(text)


@given(st.integers(0, 999_999), st.sampled_from(["second", "minute", "hour", "day", "week"]))
def test_the_words_of_a_length_are_read_as_the_same_length(count: int, unit: str) -> None:
    micros = parse_span(f"{count} {unit}s").micros
    said = words(micros).replace(",", "")
    if len(said.split()[0]) <= 6:
        assert parse_span(said).micros == micros


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_span, parse_time_expression):
        try:
            parse(text)
        except InvalidInput as error:
            assert "Examples:" in error.message or "say it in days" in error.message
