"""Environments in which runs ran."""

from __future__ import annotations

from collections.abc import Iterator

from ledger import vocabulary as say
from ledger.event import Instant
from ledger.projection import Change, Entry, Lookup, State, projection


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
    __file__,
)
