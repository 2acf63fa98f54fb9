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
