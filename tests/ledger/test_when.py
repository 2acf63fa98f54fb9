"""What people mean by a date."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from given import Ticking
from histories import finished
from hypothesis import given
from hypothesis import strategies as st

from tallystick import ledger
from tallystick.ledger.errors import InvalidInput, NotFound
from tallystick.ledger.query.as_of import parse_moment, parse_period
from tallystick.ledger.storage.log import Commit, Log

NEW_YORK = ZoneInfo("America/New_York")
NOON = dt.datetime(2013, 7, 1, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2013-06-30", "2013-07-01T03:59:59.999999+00:00"),
        ("2013-06", "2013-07-01T03:59:59.999999+00:00"),
        ("2013", "2014-01-01T04:59:59.999999+00:00"),
        ("2012-02", "2012-03-01T04:59:59.999999+00:00"),
        ("2013-03-10", "2013-03-11T03:59:59.999999+00:00"),  # a day of 23 hours
        ("2013-11-03", "2013-11-04T04:59:59.999999+00:00"),  # a day of 25 hours
        ("2013-06-30 17:00", "2013-06-30T21:00:00+00:00"),
        ("2013-06-30T17:00:00Z", "2013-06-30T17:00:00+00:00"),
        ("now", "2013-07-01T12:00:00+00:00"),
        ("today", "2013-07-02T03:59:59.999999+00:00"),
        ("yesterday", "2013-07-01T03:59:59.999999+00:00"),
        ("2 weeks ago", "2013-06-17T12:00:00+00:00"),
        ("an hour ago", "2013-07-01T11:00:00+00:00"),
        ("4 months ago", "2013-03-01T13:00:00+00:00"),
        ("1 year ago", "2012-07-01T12:00:00+00:00"),
    ],
)
def test_a_period_means_its_end_in_the_ledgers_zone(text: str, moment: str) -> None:
    assert parse_moment(text, NEW_YORK, NOON).astimezone(dt.UTC) == dt.datetime.fromisoformat(moment)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Sept 2013", "2013-09"),
        ("Sep. 2013", "2013-09"),
        ("september 2013", "2013-09"),
        ("May 2013", "2013-05"),
        ("15 Oct 2013", "2013-10-15"),
        ("15. October 2013", "2013-10-15"),
        ("Oct 1st, 2013", "2013-10-01"),
        ("2013/10/15", "2013-10-15"),
        ("2013/3", "2013-03"),
        ("05.09.2013", "2013-09-05"),
        ("25/12/2012", "2012-12-25"),
        ("12/25/2012", "2012-12-25"),
        ("5/5/2013", "2013-05-05"),
        ("last month", "2013-06"),
        ("this month", "2013-07"),
        ("last year", "2012"),
        ("2013-Q2", "2013-06-30"),
        ("2012-Q4", "2012-12-31"),
        ("2013-W26", "2013-06-30"),
        ("2012-W52", "2012-12-30"),
    ],
)
def test_dates_as_people_type_them(text: str, plain: str) -> None:
    assert parse_moment(text, NEW_YORK, NOON) == parse_moment(plain, NEW_YORK, NOON)


@pytest.mark.parametrize(
    "text", ["9/5/2013", "31 Sept 2013", "Ju 2013", "Foo 2013", "13.13.2013", "13/13/2013", "last week"]
)
def test_a_date_that_may_be_two_or_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_moment(text, NEW_YORK, NOON)
    if text == "9/5/2013":
        assert "may be 2013-05-09 or 2013-09-05" in caught.value.message
        assert parse_moment(caught.value.hint.rpartition(" ")[2], NEW_YORK, NOON).month == 5


@pytest.mark.parametrize(
    ("wall", "what", "moments"),
    [
        ("2012-11-04 01:30", "was read twice", ["05:30", "06:30"]),
        ("2013-03-10 02:30", "was never read", ["07:30", "06:30"]),
    ],
)
def test_a_reading_at_a_change_of_the_clocks_is_refused_with_both(wall: str, what: str, moments: list[str]) -> None:
    with pytest.raises(InvalidInput, match=f"{wall} {what} on the clocks of America/New_York") as caught:
        parse_moment(wall, NEW_YORK, NOON)
    readings = caught.value.hint.rpartition(": ")[2].split(" or ")
    found = [parse_moment(text, NEW_YORK, NOON) for text in readings]
    assert [f"{moment.astimezone(dt.UTC):%H:%M}" for moment in found] == moments


def test_an_answer_about_a_repeated_hour_shows_its_offset(book: ledger.Ledger, clock: Ticking) -> None:
    clock.now = dt.datetime(2013, 12, 1, tzinfo=dt.UTC)
    first, second = (book.when(f"2013-11-03T01:30-0{hours}:00").words for hours in (4, 5))
    assert first.startswith("known on 2013-11-03 01:30:00-04:00 America/New_York (c0-")
    assert second.startswith("known on 2013-11-03 01:30:00-05:00 America/New_York (c0-")
    assert book.when("Sept 2013").words == book.when("2013-09").words


@given(st.text(max_size=30) | st.from_regex(r"[0-9]{1,5}-?[0-9]{0,3}-?[0-9]{0,3}( [0-9:+]{0,8})?", fullmatch=True))
def test_anything_else_is_refused_in_words(text: str) -> None:
    try:
        assert parse_moment(text, NEW_YORK, NOON).tzinfo is not None
    except InvalidInput as error:
        assert error.hint


def test_positions_and_their_check_letters(book: ledger.Ledger) -> None:
    appended = book.append(finished("r", "p"))
    handle = book.commit_handle(appended.n)
    assert book.when(handle).n == appended.n
    assert book.when(f"before:{handle}").n == appended.n - 1
    letters = handle.partition("-")[2]
    wrong = ("0000", "zzzz")[letters == "0000"]
    with pytest.raises(NotFound, match="not in this ledger"):
        book.when(f"c{appended.n}-{wrong}")
    with pytest.raises(NotFound, match="ends with"):
        book.when("c999")
    with pytest.raises(NotFound, match="before the first commit"):
        book.when("before:c0")
    with pytest.raises(InvalidInput, match="before:"):
        book.when("before:2013-06-30")


def test_before_the_first_commit_nothing_was_known(book: ledger.Ledger) -> None:
    with pytest.raises(NotFound, match="ledger begins on 2013-01-01") as caught:
        book.at("2012-12-31")
    assert caught.value.exit_code == 4


def test_what_has_not_come_yet_is_no_part_of_the_history(book: ledger.Ledger, clock: Ticking) -> None:
    for later in ("2013-01-02", "2013-02", "2014", "2013-01-01 23:00"):
        with pytest.raises(NotFound, match="has not come yet") as caught:
            book.when(later)
        assert (caught.value.exit_code, bool(caught.value.hint)) == (4, True)
    # The day, month and year that are going on are answered as far as they have come, and that is said.
    for going_on in ("2013-01-01", "today", "2013-01", "2013"):
        assert book.when(going_on).words.endswith(", so far"), going_on
    assert not book.when("now").supposed
    # A machine's clock that was set back does not take away what was recorded.
    clock.now = dt.datetime(2012, 6, 1, tzinfo=dt.UTC)
    assert book.when("2013-01-01").n == 0


@pytest.mark.parametrize(
    "text", ["2013-W54", "2013-Q5", "2013-W26-1", "2013W26", "20130630", "2013-6-30", "", "٢٠١٣-٠٦-٣٠"]
)
def test_a_spelling_whose_end_would_be_guessed_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_moment(text, NEW_YORK, NOON)
    with pytest.raises(InvalidInput):
        parse_period(text, NEW_YORK)


def test_every_refusal_says_what_to_do_next(book: ledger.Ledger) -> None:
    for text in ("c999", "#999", "before:c0", "c0-zzzz", "1999", "2999", "nonsense", "before:2013", ""):
        with pytest.raises(ledger.TallyError) as caught:
            book.when(text)
        assert caught.value.hint, text


def test_the_answer_says_what_was_asked(book: ledger.Ledger, clock: Ticking) -> None:
    book.append(finished("r", "p"))
    words = book.when("2013-01-01").words
    assert words.startswith("known on 2013-01-01 23:59:59 America/New_York (c1-")
    assert book.when("c1").words.startswith("known after c1-")


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(0, 100))
def test_a_date_finds_the_last_commit_by_then(gaps: list[int], offset: int) -> None:
    recorded = [sum(gaps[: index + 1]) for index in range(len(gaps))]
    log = Log.__new__(Log)
    log.size = lambda: len(gaps)  # type: ignore[method-assign]
    log.commit = lambda n: Commit(n, n, n, recorded[n], "", b"")  # type: ignore[method-assign]
    found = log.last_commit_by(offset)
    earlier = [n for n, moment in enumerate(recorded) if moment <= offset]
    assert (found.n if found else None) == (earlier[-1] if earlier else None)
