"""Findings: what a watched period showed, one sentence each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant
from tallystick.ledger.views.projection import Change, Lookup, State, projection


class FindingState(State, frozen=True, kw_only=True):
    finding: str
    period: str
    pipeline: str
    model: str
    code: str
    level: Literal["normal", "notable", "alarm"]
    sentence: str
    found_at: Instant


def findings(entry: Entry, _current: Lookup) -> Iterator[Change]:
    """Findings as they were made."""
    body: say.FindingMade = entry.event.body
    yield (
        body.finding,
        FindingState(
            seq=entry.seq,
            finding=body.finding,
            period=body.period,
            pipeline=body.pipeline,
            model=body.model,
            code=body.code,
            level=body.level,
            sentence=body.sentence,
            found_at=entry.recorded_at,
        ),
    )


FINDINGS = projection("findings", "finding", FindingState, (say.FindingMade,), findings)
