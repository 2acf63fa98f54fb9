"""The second axis: what is about a period, whenever it was recorded."""

from __future__ import annotations

from functools import lru_cache

from tallystick import ledger
from tallystick.ledger.events.event import Period
from tallystick.ledger.query.periods import overlaps, runs_tested_in
from tallystick.ledger.views.projection import State

ROLES = ("about", "tested_on", "observed_in", "intended_for", "period")
"""Fields of a state that say which period it is about. What a model was trained on is not what it is about."""


def state_is_elsewhere(state: State | None, about: Period | None) -> bool:
    """Whether a state is about another period; what is about none is not elsewhere."""
    periods = [period for role in ROLES if isinstance(period := getattr(state, role, None), tuple)]
    return about is not None and bool(periods) and not any(overlaps(period, about) for period in periods)


@lru_cache(maxsize=4)
def runs_about(book: ledger.Ledger, about: Period, newest: int) -> dict[str, int]:
    """Runs that tested in a period, each with the event at which it first did, up to commit ``newest``.

    Read once a period and kept, so that a step in time looks at nothing but the positions.
    """
    return runs_tested_in(book.at_commit(newest), about)
