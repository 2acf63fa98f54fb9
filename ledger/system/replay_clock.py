"""The clock of a story: a ledger that lives the past again says so in its first event, and is written at its times.

A replayed ledger is made with ``create(..., clock_kind="replayed", clock=StoryClock(…))``. Commits of the wall clock
are refused there: a record that mixes told and lived times could be read as a life that never was.
"""

from __future__ import annotations

import datetime as dt

from tallystick.ledger.errors import InvalidInput


class StoryClock:
    """A clock that stands still until it is moved, and only forward.

    Parameters
    ----------
    at : datetime
        Where the story begins; aware of its zone.

    Raises
    ------
    InvalidInput
        For a time without a zone.
    """

    is_live = False

    def __init__(self, at: dt.datetime) -> None:
        self._at = _aware(at)

    def __call__(self) -> dt.datetime:
        """The time of the story, in UTC."""
        return self._at

    def move_to(self, at: dt.datetime) -> None:
        """Let the story go on at a later time; InvalidInput for an earlier one."""
        at = _aware(at)
        if at < self._at:
            raise InvalidInput(
                f"A story does not go back: its clock says {self._at:%Y-%m-%d %H:%M}, not yet {at:%Y-%m-%d %H:%M}.",
                "Go on at a later time.",
            )
        self._at = at


def _aware(at: dt.datetime) -> dt.datetime:
    if at.tzinfo is None:
        raise InvalidInput(f"{at} has no time zone.", "Give the story's clock a time with one, such as UTC.")
    return at.astimezone(dt.UTC)
