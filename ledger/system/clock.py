"""Clocks: where a ledger takes the time of its commits from."""

from __future__ import annotations

import datetime as dt
from typing import Protocol


class Clock(Protocol):
    """What says the time of a commit."""

    @property
    def is_live(self) -> bool:
        """Whether it says the time that it is now, instead of the time of a story or a test."""

    def __call__(self) -> dt.datetime:
        """The time, with its zone."""


def utc_now() -> dt.datetime:
    """The wall clock, in UTC."""
    return dt.datetime.now(dt.UTC)


class WallClock:
    """The time that it is now."""

    is_live = True

    def __call__(self) -> dt.datetime:
        """The time, in UTC."""
        return utc_now()


WALL_CLOCK = WallClock()
