"""Looks at sealed windows: who saw results, how often, and what they were shown."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant
from tallystick.ledger.views.projection import Change, Lookup, State, amended, follow, projection


class LookState(State, frozen=True, kw_only=True):
    look: str
    pipeline: str
    run: str
    model: str
    windows: tuple[str, ...]
    number: int
    budget: int
    by: str
    at: Instant
    command: str
    waiver: str | None
    gain: float | None = None
    drop: float | None = None
    """In standard errors of the difference between sealed and development windows."""
    discounted: float | None = None
    sentence: str | None = None
    """None while nothing was shown: the look counts all the same."""


def looks(entry: Entry, current: Lookup) -> Iterator[Change]:
    """Looks as they were announced and answered."""
    match entry.event.body:
        case say.FinalLooked() as body:
            yield (
                body.look,
                LookState(
                    seq=entry.seq,
                    look=body.look,
                    pipeline=body.pipeline,
                    run=body.run,
                    model=body.model,
                    windows=body.windows,
                    number=body.number,
                    budget=body.budget,
                    by=entry.actor,
                    at=entry.recorded_at,
                    command=body.command,
                    waiver=body.waiver,
                ),
            )
        case say.FinalEvaluated() as body:
            state: LookState | None = current(body.look)
            if state is not None:
                shown = {"gain": body.gain, "drop": body.drop, "discounted": body.discounted, "sentence": body.sentence}
                yield body.look, follow(state, entry, **shown)


LOOKS = amended(
    projection(
        "looks",
        "look",
        LookState,
        (say.FinalLooked, say.FinalEvaluated),
        looks,
        steady=(("look", "pipeline", "run", "model", "windows", "number", "budget", "by", "at", "command", "waiver"),),
    ),
    writes={
        say.FinalEvaluated: ("gain", "drop", "discounted", "sentence"),
    },
)
