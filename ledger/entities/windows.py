"""Windows of a pipeline, as the newest run saw them, with what each candidate reached there."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ledger import vocabulary as say
from ledger.event import Instant, Period
from ledger.projection import Change, Entry, Lookup, State, follow, projection


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """What a candidate reached in a window."""

    metrics: dict[str, float | None]
    gain: float | None
    """Relative to the reference, on average over resample units; None for the reference itself."""
    seq: int
    """Position of the ``window.evaluated`` event."""


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
    evaluations: dict[str, Evaluation]
    """By the name of the candidate."""


def windows(entry: Entry, current: Lookup) -> Iterator[Change]:
    """Windows: opened by a run, then evaluated once for each candidate."""
    match entry.event.body:
        case say.WindowDescribed() as body:
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
                    evaluations={},
                ),
            )
        case say.WindowEvaluated() as body:
            state: WindowState | None = current(body.window)
            # Two runs at once may interleave; each candidate's result belongs to the run that opened the window last.
            if state is not None and state.run == body.run:
                metrics = {name: metric.value for name, metric in body.metrics.items()}
                evaluation = Evaluation(metrics=metrics, gain=body.gain, seq=entry.seq)
                yield (
                    body.window,
                    follow(state, entry, evaluations={**state.evaluations, body.candidate: evaluation}),
                )


WINDOWS = projection(
    "windows",
    "window",
    WindowState,
    (say.WindowDescribed, say.WindowEvaluated),
    windows,
    __file__,
)
