"""Environments in which runs ran."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant
from tallystick.ledger.views.projection import Change, Lookup, State, projection


class EnvironmentState(State, frozen=True, kw_only=True):
    environment: str
    python: str
    platform: str
    packages: int
    source_hash: str
    captured_at: Instant
    described_by: int
    """Position of the ``environment.captured`` event."""


def environments(entry: Entry, _current: Lookup) -> Iterator[Change]:
    """Environments as they were captured."""
    body: say.EnvironmentCaptured = entry.event.body
    yield (
        body.environment,
        EnvironmentState(
            seq=entry.seq,
            environment=body.environment,
            python=body.python,
            platform=body.platform,
            packages=len(body.packages),
            source_hash=body.source_hash,
            captured_at=entry.recorded_at,
            described_by=entry.seq,
        ),
    )


ENVIRONMENTS = projection(
    "environments",
    "environment",
    EnvironmentState,
    (say.EnvironmentCaptured,),
    environments,
)
