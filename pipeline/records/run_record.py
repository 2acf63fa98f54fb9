"""What a ledger holds of one run: every recorded fact of it, and nothing that is not recorded."""

from __future__ import annotations

from typing import NamedTuple, cast
from zoneinfo import ZoneInfo

from tallystick.ledger.errors import NotFound
from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry, Erased
from tallystick.ledger.events.event import Event
from tallystick.ledger.events.unknown import is_unknown
from tallystick.ledger.query.evidence import RecordedEvent
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.views.entities import EnvironmentState, PipelineState, RunState
from tallystick.pipeline.config.windows import with_empty

TYPES = frozenset(
    body.TYPE
    for body in (
        say.RunStarted, say.SliceTaken, say.WindowDescribed, say.WindowEvaluated, say.OptimismMeasured,
        say.CandidateRefitted, say.CandidateDeclared, say.CandidateTried, say.DecisionTaken, say.RunFinished,
        say.RunFailed,
    )
)  # fmt: skip


class RunRecord(NamedTuple):
    """One run, as it was recorded; windows and candidates in the order in which they were recorded."""

    state: RunState
    began: int
    """Position of its first event."""
    started: say.RunStarted | None
    registered: say.PipelineRegistered
    environment: say.EnvironmentCaptured | None
    slice: say.SliceTaken | None
    reading: int
    """The version that its table was read by."""
    windows: dict[str, say.WindowDescribed]
    """By label."""
    evaluations: dict[tuple[str, str], say.WindowEvaluated]
    """By label and candidate."""
    optimism: list[say.OptimismMeasured]
    model: say.CandidateRefitted | None
    decision: say.DecisionTaken | None
    decided: Entry | None
    """The event of the decision with its place."""
    not_judged: dict[str, frozenset[str]]
    """Imported model -> labels of the windows that it was not judged in, because it was trained until later."""
    unsteady: dict[str, str]
    """Candidate that answers differently each time it is fitted -> the sentence that says so."""

    @property
    def empty(self) -> list[str]:
        """Labels of the windows between the judged ones that the file declares empty."""
        time = self.registered.meaning.get("time")
        declared = time.get("empty_windows") if isinstance(time, dict) else None
        skipped = declared.get("skip") if isinstance(declared, dict) else None
        names = [label for label in skipped if isinstance(label, str)] if isinstance(skipped, list) else []
        return [label for label in with_empty(list(self.windows), names) if label not in self.windows]


def record_of(now: Snapshot, state: RunState, until: int | None = None) -> RunRecord:
    """Everything of a run that counts, as known then.

    Parameters
    ----------
    until : int, optional
        The last position to read, such as the end of the run; by default that of the snapshot.

    Raises
    ------
    NotFound
        Where its beginning or its configuration cannot be read any more, or was set aside.
    """
    began = _began(now, state)
    found: dict[str, list[Entry]] = {}
    for entry in now.counted_events(began, until, types=TYPES, names=[state.run]):
        if getattr(entry.event.body, "run", None) == state.run:
            found.setdefault(entry.event.t, []).append(entry)

    def bodies(kind: type[say.Body]) -> list[say.Body]:
        return [entry.event.body for entry in found.get(kind.TYPE, ())]

    def last(kind: type[say.Body]) -> say.Body | None:
        return bodies(kind)[-1] if bodies(kind) else None

    windows = cast("list[say.WindowDescribed]", bodies(say.WindowDescribed))
    evaluations = cast("list[say.WindowEvaluated]", bodies(say.WindowEvaluated))
    declared = cast("list[say.CandidateDeclared]", bodies(say.CandidateDeclared))
    decided = found.get(say.DecisionTaken.TYPE, [None])[-1]
    taken = cast("say.SliceTaken | None", last(say.SliceTaken))
    return RunRecord(
        state,
        began,
        cast("say.RunStarted | None", last(say.RunStarted)),
        registered_for(now, state),
        _environment(now, state),
        taken,
        reading_of(taken),
        {body.label: body for body in windows},
        {(body.label, body.candidate): body for body in evaluations},
        cast("list[say.OptimismMeasured]", bodies(say.OptimismMeasured)),
        cast("say.CandidateRefitted | None", last(say.CandidateRefitted)),
        decided.event.body if decided else None,
        decided,
        {body.candidate: _labels(body.source.get("not_judged")) for body in declared},
        {body.candidate: body.sentence for body in cast("list[say.CandidateTried]", bodies(say.CandidateTried))},
    )


def _labels(recorded: object) -> frozenset[str]:
    return frozenset(map(str, recorded)) if isinstance(recorded, list) else frozenset()


def reading_of(taken: say.SliceTaken | None) -> int:
    """The version that a slice was read by; the first form of the event is of the first version."""
    return taken.reading if isinstance(taken, say.SliceRead) else 1


def reading_of_run(now: Snapshot, run: str) -> int:
    """The version that the table of a run was read by, as far as the ledger still says it."""
    found = [
        entry.event.body
        for entry in now.counted_events(types=frozenset({say.SliceTaken.TYPE}), names=[run])
        if getattr(entry.event.body, "run", None) == run
    ]
    return reading_of(found[-1] if found else None)


def truth_of_run(now: Snapshot, run: str) -> frozenset[str]:
    """Text features that held nothing but yes and no when a run began to train.

    A table that knows yes and no, and a CSV file whose whole column says ``True`` or ``FALSE``, were read as ``true``
    and ``false``; what comes later must be spelt as the model learnt it.
    """
    for entry in now.counted_events(types=frozenset({say.WindowDescribed.TYPE}), names=[run]):
        body = entry.event.body
        if isinstance(body, say.WindowDescribed) and body.run == run:
            return frozenset(
                name for name, item in body.histograms.items() if item.levels and set(item.levels) <= {"true", "false"}
            )
    return frozenset()


def registered_for(now: Snapshot, state: RunState) -> say.PipelineRegistered:
    """The configuration of a run as it was registered.

    Raises
    ------
    NotFound
        Where it was set aside or cannot be read any more.
    """
    # Only up to the run's beginning: the same meaning may have been registered with other words since.
    began, missing = _began(now, state), ""
    for pipeline in reversed(now.versions(PipelineState, state.pipeline)):
        if pipeline.seq > began:
            continue
        if is_unknown(pipeline.meaning_hash):
            missing = missing or str(pipeline.meaning_hash)
            continue
        if pipeline.meaning_hash != state.meaning_hash:
            continue
        registration = now.event(pipeline.registered_by)
        body = registration.content.body if isinstance(registration.content, Event) else None
        if registration.counts and isinstance(body, say.PipelineRegistered):
            return body
        missing = missing or withdrawn_words(registration, now.zone)
    raise NotFound(
        f"The configuration of run {state.run} is not in the ledger{missing and f': {missing}'}.",
        f"tally story pipeline:{state.pipeline}",
    )


def newest_registration(now: Snapshot, state: RunState) -> say.PipelineRegistered | None:
    """The newest words under which the configuration of a run was registered; None where none of them counts."""
    for pipeline in reversed(now.versions(PipelineState, state.pipeline)):
        if pipeline.meaning_hash != state.meaning_hash:
            continue
        registration = now.event(pipeline.registered_by)
        body = registration.content.body if isinstance(registration.content, Event) else None
        if registration.counts and isinstance(body, say.PipelineRegistered):
            return body
    return None


def withdrawn_words(found: RecordedEvent, zone: ZoneInfo) -> str:
    """``#50 was set aside on 2013-07-01 by ann@example.org``; empty for an event that counts."""
    content, correction = found.content, found.corrected_by
    if isinstance(content, Erased):
        return f"#{found.seq} was erased on {content.at.astimezone(zone):%Y-%m-%d} by {content.by}"
    if correction is not None:
        return f"#{found.seq} was set aside on {correction.at.astimezone(zone):%Y-%m-%d} by {correction.by}"
    return "" if isinstance(content, Event) else f"#{found.seq} cannot be read"


def _began(now: Snapshot, state: RunState) -> int:
    """Position of the first event of a run."""
    return now.versions(RunState, state.run)[0].seq


def _environment(now: Snapshot, state: RunState) -> say.EnvironmentCaptured | None:
    versions = now.versions(EnvironmentState, state.environment)
    content = now.event(versions[-1].described_by).content if versions else None
    body = content.body if isinstance(content, Event) else None
    return body if isinstance(body, say.EnvironmentCaptured) else None
