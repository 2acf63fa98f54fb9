"""Data slices and the runs that saw them."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant, Period
from tallystick.ledger.views.projection import Change, Lookup, State, amended, follow, projection


class SliceState(State, frozen=True, kw_only=True):
    slice: str
    pipeline: str
    source: str
    fingerprint: str
    rows: int
    kept_rows: int
    period: Period | None
    taken_at: Instant
    runs: int
    last_run: str


def slices(entry: Entry, current: Lookup) -> Iterator[Change]:
    """Data slices and the runs that saw them."""
    body: say.SliceTaken = entry.event.body
    before: SliceState | None = current(body.slice)
    if before is not None:
        yield body.slice, follow(before, entry, runs=before.runs + 1, last_run=body.run)
        return
    about = entry.event.about
    yield (
        body.slice,
        SliceState(
            seq=entry.seq,
            slice=body.slice,
            pipeline=body.pipeline,
            source=body.source,
            fingerprint=body.fingerprint,
            rows=body.rows,
            kept_rows=body.kept_rows,
            period=about.observed_in if about else None,
            taken_at=entry.recorded_at,
            runs=1,
            last_run=body.run,
        ),
    )


SLICES = amended(
    projection(
        "slices",
        "slice",
        SliceState,
        (say.SliceTaken,),
        slices,
        steady=(("slice", "pipeline", "source", "fingerprint", "rows", "kept_rows", "period", "taken_at"),),
    ),
    writes={
        say.SliceTaken: ("runs", "last_run"),
    },
)
