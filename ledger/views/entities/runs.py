"""Runs from their start to their end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant
from tallystick.ledger.views.projection import Change, Lookup, State, amended, follow, projection


class RunState(State, frozen=True, kw_only=True):
    run: str
    pipeline: str
    status: Literal["running", "finished", "failed"]
    started_at: Instant
    ended_at: Instant | None = None
    by: str
    host: str
    process: int
    meaning_hash: str
    environment: str
    slice: str | None = None
    windows: int
    windows_evaluated: int = 0
    candidates: tuple[str, ...]
    decision: str | None = None
    outcome: str | None = None
    chosen: str | None = None
    model: str | None = None
    headline: str | None = None
    result_hash: str | None = None
    failure: str | None = None
    experiment: bool = False
    """Whether it is an experiment, whose models are never promoted."""
    leakage: Literal["pass", "look", "fail"] | None = None
    """The worst of its leakage checks; None where none were made."""
    reproduced: Literal["identical", "equal", "different", "cannot compare"] | None = None
    """How its newest repetition came out."""


def runs(entry: Entry, current: Lookup) -> Iterator[Change]:
    """Runs from their start to their end."""
    body = entry.event.body
    if isinstance(body, say.RunStarted):
        yield (
            body.run,
            RunState(
                seq=entry.seq,
                run=body.run,
                pipeline=body.pipeline,
                status="running",
                started_at=entry.recorded_at,
                by=entry.actor,
                host=body.host,
                process=body.process,
                meaning_hash=body.meaning_hash,
                environment=body.environment,
                windows=len(body.windows),
                candidates=body.candidates,
            ),
        )
        return
    state: RunState | None = current(body.run)
    if state is None:
        return
    match body:
        case say.SliceTaken():
            yield body.run, follow(state, entry, slice=body.slice)
        case say.WindowDescribed():
            yield body.run, follow(state, entry, windows_evaluated=state.windows_evaluated + 1)
        case say.DecisionTaken():
            yield (
                body.run,
                follow(
                    state,
                    entry,
                    decision=body.decision,
                    outcome=body.outcome,
                    chosen=body.chosen,
                    model=body.model,
                    headline=body.headline,
                ),
            )
        case say.RunFinished():
            yield (
                body.run,
                follow(
                    state,
                    entry,
                    status="finished",
                    ended_at=entry.recorded_at,
                    result_hash=body.result_hash,
                ),
            )
        case say.ExperimentDeclared():
            yield body.run, follow(state, entry, experiment=True)
        case say.LeakageChecked():
            yield body.run, follow(state, entry, leakage=body.result)
        case say.RunReproduced():
            yield body.run, follow(state, entry, reproduced=body.verdict)
        case say.RunFailed():
            yield (
                body.run,
                follow(state, entry, status="failed", ended_at=entry.recorded_at, failure=body.message),
            )


RUNS = amended(
    projection(
        "runs",
        "run",
        RunState,
        (
            say.RunStarted,
            say.SliceTaken,
            say.WindowDescribed,
            say.DecisionTaken,
            say.RunFinished,
            say.RunFailed,
            say.ExperimentDeclared,
            say.LeakageChecked,
            say.RunReproduced,
        ),
        runs,
        steady=(
            (
                "run",
                "pipeline",
                "started_at",
                "by",
                "host",
                "process",
                "meaning_hash",
                "environment",
                "windows",
                "candidates",
            ),
            ("decision", "outcome", "chosen", "model", "headline"),
            ("ended_at", "result_hash", "failure"),
        ),
    ),
    writes={
        say.SliceTaken: ("slice",),
        say.WindowDescribed: ("windows_evaluated",),
        say.DecisionTaken: ("decision", "outcome", "chosen", "model", "headline"),
        say.RunFinished: ("status", "ended_at", "result_hash"),
        say.RunFailed: ("status", "ended_at", "failure"),
        say.ExperimentDeclared: ("experiment",),
        say.LeakageChecked: ("leakage",),
        say.RunReproduced: ("reproduced",),
    },
)
