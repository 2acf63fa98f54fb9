"""Aliases of registered models: which version each points to, since when, by whom, why, and which before."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant
from tallystick.ledger.views.projection import Change, Lookup, State, projection


class AliasState(State, frozen=True, kw_only=True):
    alias: str
    """``fraud-model/champion``."""
    registered: str
    name: str
    version: str | None
    """None where it was taken away."""
    previous: str | None
    since: Instant
    by: str
    reason: str | None
    observed: bool
    """Seen at an import: since when it points there, and who moved it, is unknown."""


def aliases(entry: Entry, _current: Lookup) -> Iterator[Change]:
    """The newest move of each alias."""
    body: say.AliasMoved = entry.event.body
    yield (
        body.alias,
        AliasState(
            seq=entry.seq,
            alias=body.alias,
            registered=body.registered,
            name=body.name,
            version=body.version,
            previous=body.previous,
            since=entry.event.occurred_at,
            by=entry.actor,
            reason=body.reason,
            observed=body.observed,
        ),
    )


ALIASES = projection("aliases", "alias", AliasState, (say.AliasMoved,), aliases)
