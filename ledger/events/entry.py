"""An event together with its place in a ledger."""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

from tallystick.ledger.events.event import Event


class Entry(NamedTuple):
    """An event with its place in the ledger: all that a projection may look at."""

    seq: int
    n: int
    """The commit that holds it."""
    recorded_at: dt.datetime
    """UTC."""
    actor: str
    event: Event[Any]
    lost: tuple[Event[Any], ...] = ()
    """What is left of events of another ledger that were erased there before their commit, which this is, was
    imported."""


class Erased(NamedTuple):
    """What stands in place of an event whose content was erased.

    Erasing is final: the content is missing at every date, also at dates before the erasure.
    """

    seq: int
    """Position of the ``event.redacted`` that says so."""
    by: str
    at: dt.datetime
    """When that was recorded, UTC."""
    reason: str
    authority: str

    def words(self, event_type: str) -> str:
        """What is said in place of the event's sentence."""
        return f"{event_type}, erased (#{self.seq} says why)"


class Unreadable(NamedTuple):
    """What stands in place of an event whose content is missing without an erasure, or is damaged."""

    message: str

    def words(self, event_type: str) -> str:
        """What is said in place of the event's sentence."""
        return f"{event_type}: {self.message}"
