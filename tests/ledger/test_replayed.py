"""A ledger that tells a story is written at the story's times, never at the wall clock's."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from histories import registered
from shell import tally

import ledger
from ledger.errors import InvalidInput, Refused
from ledger.replayed import StoryClock

APRIL = dt.datetime(2013, 4, 1, tzinfo=dt.UTC)


def story(folder: Path) -> tuple[ledger.Ledger, StoryClock]:
    clock = StoryClock(APRIL)
    return ledger.create(folder, timezone="UTC", key_home="file", clock_kind="replayed", clock=clock), clock


def test_its_commits_carry_the_times_of_the_story(tmp_path: Path) -> None:
    book, clock = story(tmp_path)
    with book:
        clock.move_to(APRIL + dt.timedelta(days=30))
        book.append(registered("late-arrivals"))
        assert book.now().as_of.recorded_at == APRIL + dt.timedelta(days=30)


def test_the_wall_clock_never_writes_into_a_story(tmp_path: Path) -> None:
    story(tmp_path)[0].close()
    with ledger.open(tmp_path) as book:
        before = book.log.size()
        with pytest.raises(Refused, match="replayed story"):
            book.append(registered("late-arrivals"))
        assert book.log.size() == before
    refused = tally(tmp_path, "key", "rotate", "--to", "file", "--reason", "somebody left us")
    assert refused.code == 1 and "replayed story" in refused.err


def test_a_story_goes_forward_in_times_with_a_zone() -> None:
    clock = StoryClock(APRIL)
    with pytest.raises(InvalidInput, match="does not go back"):
        clock.move_to(APRIL - dt.timedelta(seconds=1))
    with pytest.raises(InvalidInput, match="no time zone"):
        StoryClock(APRIL.replace(tzinfo=None))
    assert clock() == APRIL
