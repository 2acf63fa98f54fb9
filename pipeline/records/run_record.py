"""What a ledger holds of one run: every recorded fact of it, and nothing that is not recorded."""

from __future__ import annotations

from typing import NamedTuple, cast

from tallystick.ledger.errors import NotFound
from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.storage.entries import entries
from tallystick.ledger.views.entities import EnvironmentState, PipelineState, RunState
from tallystick.ledger.views.entities.environments import ENVIRONMENTS
from tallystick.ledger.views.entities.pipelines import PIPELINES
from tallystick.ledger.views.entities.runs import RUNS

TYPES = frozenset(
    body.TYPE
    for body in (
        say.RunStarted, say.SliceTaken, say.WindowDescribed, say.WindowEvaluated, say.OptimismMeasured,
        say.CandidateRefitted, say.DecisionTaken, say.RunFinished, say.RunFailed,
    )
)  # fmt: skip


class Record(NamedTuple):
    """One run, as it was recorded; windows and candidates in the order in which they were recorded."""

    state: RunState
    began: int
    """Position of its first event."""
    started: say.RunStarted | None
    registered: say.PipelineRegistered
    environment: say.EnvironmentCaptured | None
    slice: say.SliceTaken | None
    windows: dict[str, say.WindowDescribed]
    """By label."""
    evaluations: dict[tuple[str, str], say.WindowEvaluated]
    """By label and candidate."""
    optimism: list[say.OptimismMeasured]
    model: say.CandidateRefitted | None
    decision: say.DecisionTaken | None
    decided: Entry | None
    """The event of the decision with its place."""


def record_of(ledger: Ledger, state: RunState, known: int) -> Record:
    """Everything that was recorded of a run up to position ``known``.

    Raises
    ------
    NotFound
        Where its beginning or its configuration cannot be read any more.
    """
    begin = ledger.views.history(RUNS, state.run, -1, known)[0].position
    found: dict[str, list[Entry]] = {}
    for entry in entries(ledger.log, begin, known, TYPES):
        if getattr(entry.event.body, "run", None) == state.run:
            found.setdefault(entry.event.t, []).append(entry)

    def bodies(kind: type[say.Body]) -> list[say.Body]:
        return [entry.event.body for entry in found.get(kind.TYPE, ())]

    def last(kind: type[say.Body]) -> say.Body | None:
        return bodies(kind)[-1] if bodies(kind) else None

    windows = cast("list[say.WindowDescribed]", bodies(say.WindowDescribed))
    evaluations = cast("list[say.WindowEvaluated]", bodies(say.WindowEvaluated))
    decided = found.get(say.DecisionTaken.TYPE, [None])[-1]
    return Record(
        state,
        begin,
        cast("say.RunStarted | None", last(say.RunStarted)),
        registered_for(ledger, state),
        _environment(ledger, state, known),
        cast("say.SliceTaken | None", last(say.SliceTaken)),
        {body.label: body for body in windows},
        {(body.label, body.candidate): body for body in evaluations},
        cast("list[say.OptimismMeasured]", bodies(say.OptimismMeasured)),
        cast("say.CandidateRefitted | None", last(say.CandidateRefitted)),
        decided.event.body if decided else None,
        decided,
    )


def registered_for(ledger: Ledger, state: RunState) -> say.PipelineRegistered:
    """The configuration of a run as it was registered; NotFound where it cannot be read any more."""
    # Only up to the run's beginning: the same meaning may have been registered with other words since.
    begin = ledger.views.history(RUNS, state.run, -1, state.seq)[0].position
    for version in reversed(ledger.views.history(PIPELINES, state.pipeline, -1, begin)):
        pipeline = cast("PipelineState | None", version.state)
        if pipeline is not None and pipeline.meaning_hash == state.meaning_hash:
            body = ledger.event(pipeline.registered_by).event.body
            if body is not None:
                return cast("say.PipelineRegistered", body)
    raise NotFound(
        f"The configuration of run {state.run} is not in the ledger.", f"tally story pipeline:{state.pipeline}"
    )


def _environment(ledger: Ledger, state: RunState, known: int) -> say.EnvironmentCaptured | None:
    environment = cast("EnvironmentState | None", ledger.views.get(ENVIRONMENTS, state.environment, known))
    return None if environment is None else ledger.event(environment.described_by).event.body
