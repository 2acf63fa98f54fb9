"""Windows of a pipeline, as the newest run saw them."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant, Period
from tallystick.ledger.views.projection import Change, Lookup, State, projection


class WindowState(State, frozen=True, kw_only=True):
    window: str
    pipeline: str
    label: str
    run: str
    """The newest run that opened it; what earlier ones saw is in earlier states."""
    slice: str
    cutoff: Instant
    trained_on: Period | None
    tested_on: Period | None
    train_rows: int
    test_rows: int
    complete: bool
    first_opened_at: Instant
    opened_at: Instant
    runs: int
    described_by: int
    """Position of the ``window.described`` event."""


def windows(entry: Entry, current: Lookup) -> Iterator[Change]:
    """Windows: opened by one run after the other."""
    body: say.WindowDescribed = entry.event.body
    before: WindowState | None = current(body.window)
    about = entry.event.about
    yield (
        body.window,
        WindowState(
            seq=entry.seq,
            window=body.window,
            pipeline=body.pipeline,
            label=body.label,
            run=body.run,
            slice=body.slice,
            cutoff=body.cutoff,
            trained_on=about.trained_on if about else None,
            tested_on=about.tested_on if about else None,
            train_rows=body.train_rows,
            test_rows=body.test_rows,
            complete=body.complete,
            first_opened_at=before.first_opened_at if before else entry.recorded_at,
            opened_at=entry.recorded_at,
            runs=before.runs + 1 if before else 1,
            described_by=entry.seq,
        ),
    )


WINDOWS = projection(
    "windows",
    "window",
    WindowState,
    (say.WindowDescribed,),
    windows,
)
