"""Gates of a model: how it stood the test, and until when a failure is excused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant
from tallystick.ledger.views.projection import Change, Lookup, State, amended, follow, projection


class GateState(State, frozen=True, kw_only=True):
    gate: str
    """Model and gate: ``late-arrivals-v1/optimism_gap``."""
    name: str
    model: str
    pipeline: str
    run: str
    verdict: Literal["passed", "failed", "open"]
    value: float | None
    threshold: str
    sentence: str
    loosened: tuple[str, ...]
    evaluated_at: Instant
    waiver: str | None = None
    """The newest waiver that was not taken back; it counts until its end."""
    waived_until: Instant | None = None

    def excused(self, at: Instant) -> bool:
        """Whether its waiver counts at a moment."""
        return self.waived_until is not None and at < self.waived_until

    def stands(self, at: Instant) -> bool:
        """Whether it holds nothing back at a moment: passed, or excused."""
        return self.verdict == "passed" or self.excused(at)


def gates(entry: Entry, current: Lookup) -> Iterator[Change]:
    """Gates as they were evaluated last, with the newest waiver."""
    body = entry.event.body
    state: GateState | None = current(body.gate)
    match body:
        case say.GateEvaluated():
            yield (
                body.gate,
                GateState(
                    seq=entry.seq,
                    gate=body.gate,
                    name=body.name,
                    model=body.model,
                    pipeline=body.pipeline,
                    run=body.run,
                    verdict=body.verdict,
                    value=body.value,
                    threshold=body.threshold,
                    sentence=body.sentence,
                    loosened=tuple(body.loosened),
                    evaluated_at=entry.recorded_at,
                    waiver=state.waiver if state else None,
                    waived_until=state.waived_until if state else None,
                ),
            )
        case say.WaiverGranted() if state:
            yield body.gate, follow(state, entry, waiver=body.waiver, waived_until=body.until)
        case say.WaiverEnded() if state and state.waiver == body.waiver:
            yield body.gate, follow(state, entry, waiver=None, waived_until=None)


def set_aside(entry: Entry, current: Lookup) -> Iterator[Change]:
    """A verdict that was set aside leaves its gate open: the one before it was of other evidence."""
    if isinstance(entry.event.body, say.GateEvaluated):
        for key, state in gates(entry, current):
            sentence = f"What #{entry.seq} said of it does not count any more, and nobody has judged it since."
            yield key, msgspec.structs.replace(state, verdict="open", value=None, sentence=sentence)


GATES = amended(
    projection(
        "gates",
        "gate",
        GateState,
        (say.GateEvaluated, say.WaiverGranted, say.WaiverEnded),
        gates,
        steady=(
            ("gate", "name", "model", "pipeline", "run", "value", "threshold", "sentence", "loosened", "evaluated_at"),
        ),
    ),
    set_aside=set_aside,
    writes={
        say.WaiverGranted: ("waiver", "waived_until"),
        say.WaiverEnded: ("waiver", "waived_until"),
    },
)
