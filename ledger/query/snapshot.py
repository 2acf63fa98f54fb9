"""The ledger as it was known at one position: a read-only value with all the questions as methods."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable, Iterable
from typing import TypeVar, cast

from tallystick.ledger.errors import InvalidInput, NotFound
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Period
from tallystick.ledger.query import blame, knowledge, lineage
from tallystick.ledger.query.as_of import AsOf, resolve_event
from tallystick.ledger.query.blame import Told, Why
from tallystick.ledger.query.diff import Difference, compare, difference
from tallystick.ledger.query.evidence import Evidence
from tallystick.ledger.query.knowledge import Knowledge
from tallystick.ledger.query.lineage import Direction, Lineage
from tallystick.ledger.storage.entries import entries
from tallystick.ledger.views.entities import (
    BY_KEY,
    BY_NAME,
    BY_STATE,
    NAMED,
    AnchorState,
    ApprovalState,
    AutomationState,
    CorrectionState,
    DecisionState,
    EnvironmentState,
    EvaluationState,
    FindingState,
    GateState,
    HistoryState,
    KeyState,
    LinkState,
    LookState,
    ModelState,
    PeriodState,
    PipelineState,
    PredictionState,
    ReproductionState,
    RunState,
    SliceState,
    TrialFileState,
    TrialMetricState,
    TrialState,
    WaiverState,
    WindowState,
)
from tallystick.ledger.views.entities.corrections import CORRECTIONS
from tallystick.ledger.views.fold import READ_TYPES
from tallystick.ledger.views.projection import Projection, State
from tallystick.ledger.views.store import MemoryViews, Views

S = TypeVar("S", bound=State)


class Snapshot(Evidence):
    """Everything that was known right after one commit.

    Attributes
    ----------
    as_of : AsOf
        The position, and the words to head an answer with.
    """

    def __init__(self, views: Views, as_of: AsOf, clock: Callable[[], dt.datetime] | None = None) -> None:
        super().__init__(views, as_of)
        self._clock = clock

    @property
    def moment(self) -> dt.datetime:
        """The moment of this answer, UTC: what has an end, such as a waiver, has ended by then or not.

        For a date it is that date; for an event or commit the time when it was recorded; for now it is the ledger's
        clock, because a waiver ends without anybody recording it.
        """
        if self.as_of.moment is not None:
            return self.as_of.moment.astimezone(dt.UTC)
        return self.as_of.recorded_at if self._clock is None else self._clock().astimezone(dt.UTC)

    # Entities ----------------------------------------------------------------------------------------------

    def pipelines(self) -> list[PipelineState]:
        """All pipelines, in the order in which they were registered."""
        return self._all(PipelineState)

    def runs(self) -> list[RunState]:
        """All runs, oldest first."""
        return self._all(RunState)

    def models(self) -> list[ModelState]:
        """All models, oldest first."""
        return self._all(ModelState)

    def slices(self) -> list[SliceState]:
        """All data slices, oldest first."""
        return self._all(SliceState)

    def windows(self) -> list[WindowState]:
        """All windows of all pipelines, in the order in which they were first opened."""
        return self._all(WindowState)

    def evaluations(self) -> list[EvaluationState]:
        """What each candidate reached in each window, as the newest run found it."""
        return self._all(EvaluationState)

    def decisions(self) -> list[DecisionState]:
        """All decisions, oldest first."""
        return self._all(DecisionState)

    def approvals(self, decision: str | None = None) -> list[ApprovalState]:
        """Approvals, oldest first, of one decision by its whole name or of all."""
        found = self._all(ApprovalState) if decision is None else self._within(ApprovalState, decision)
        return [state for state in found if decision in (None, state.decision)]

    def gates(self) -> list[GateState]:
        """Gates of all models, in the order in which they were first evaluated."""
        return self._all(GateState)

    def waivers(self) -> list[WaiverState]:
        """Waivers, oldest first; ``holds(moment)`` says which count."""
        return self._all(WaiverState)

    def waivers_in_force(self, model: str | None = None) -> list[WaiverState]:
        """Waivers that excuse their gate at this moment, of one model or of all."""
        moment = self.moment
        return [state for state in self.waivers() if state.holds(moment) and model in (None, state.model)]

    def looks(self) -> list[LookState]:
        """Looks at sealed windows, oldest first."""
        return self._all(LookState)

    def reproductions(self) -> list[ReproductionState]:
        """Runs that were done again, oldest first."""
        return self._all(ReproductionState)

    def predictions(self) -> list[PredictionState]:
        """Predictions, oldest first."""
        return self._all(PredictionState)

    def periods(self) -> list[PeriodState]:
        """Watched periods, in the order in which they were first watched."""
        return self._all(PeriodState)

    def findings(self) -> list[FindingState]:
        """Findings of watched periods, oldest first."""
        return self._all(FindingState)

    def automations(self) -> list[AutomationState]:
        """What each pipeline may do by itself."""
        return self._all(AutomationState)

    def trials(self) -> list[TrialState]:
        """What notebooks and training loops tried, in the order in which it was recorded."""
        return self._all(TrialState)

    def trial_metrics(self, trial: str | None = None) -> list[TrialMetricState]:
        """The newest number of each name, of one trial by its whole name or of all."""
        found = self._all(TrialMetricState) if trial is None else self._within(TrialMetricState, trial)
        return [state for state in found if trial in (None, state.trial)]

    def trial_files(self, trial: str | None = None) -> list[TrialFileState]:
        """Files that trials stored, of one trial by its whole name or of all."""
        found = self._all(TrialFileState) if trial is None else self._within(TrialFileState, trial)
        return [state for state in found if trial in (None, state.trial)]

    def environments(self) -> list[EnvironmentState]:
        """Environments in which runs ran, oldest first."""
        return self._all(EnvironmentState)

    def keys(self) -> list[KeyState]:
        """Keys of the log, oldest first."""
        return self._all(KeyState)

    def anchors(self) -> list[AnchorState]:
        """Receipts that are recorded as kept elsewhere, oldest first."""
        return self._all(AnchorState)

    def histories(self) -> list[HistoryState]:
        """Histories of other ledgers that were imported, in the order in which they first were."""
        return self._all(HistoryState)

    def corrections(self) -> list[CorrectionState]:
        """Events that do not count, in the order in which they were first set aside."""
        return self._all(CorrectionState)

    def states(self, kind: str) -> list[State]:
        """All entities of a kind by its name, ``models`` or ``model``; InvalidInput for an unknown kind."""
        return self._views.all(_projection(kind), self._position)

    def pipeline(self, name: str) -> PipelineState:
        """One pipeline by its name or an unambiguous beginning of it; NotFound otherwise."""
        return self._one(PipelineState, name)

    def run(self, name: str) -> RunState:
        """One run by its name or an unambiguous beginning of it; NotFound otherwise."""
        return self._one(RunState, name)

    def model(self, name: str) -> ModelState:
        """One model by its name or an unambiguous beginning of it; NotFound otherwise."""
        return self._one(ModelState, name)

    def slice(self, name: str) -> SliceState:
        """One slice by its name or an unambiguous beginning of it; NotFound otherwise."""
        return self._one(SliceState, name)

    def decision(self, name: str) -> DecisionState:
        """One decision by its name or an unambiguous beginning of it; NotFound otherwise."""
        return self._one(DecisionState, name)

    def champion(self, pipeline: str) -> ModelState | None:
        """The model that decides, or None where nobody has promoted one yet; NotFound for an unknown pipeline."""
        champion = self.pipeline(pipeline).champion
        return None if champion is None else self.model(champion.model)

    def correction(self, seq: int) -> CorrectionState | None:
        """The correction that sets event ``seq`` aside, where one holds."""
        return cast("CorrectionState | None", self._views.get(CORRECTIONS, str(seq), self._position))

    def find(self, handle: str) -> State | None:
        """The state behind a whole name with or without its kind: ``model:late-arrivals-v1``, ``late-arrivals-v1``."""
        found = self._find(handle)
        return None if found is None else found[2]

    def entity(self, handle: str) -> State:
        """The same, where an unambiguous beginning of the name will do; NotFound where there is none."""
        return self._named(handle)[2]

    def sql(self) -> sqlite3.Connection:
        """A connection for questions in SQL: one view for each kind of entity, as it was known; it cannot write."""
        return self._views.sql(self._position)

    # Questions ---------------------------------------------------------------------------------------------

    def diff(self, other: Snapshot) -> Difference:
        """What is different in ``other``: entity by entity and field by field, with the events that made it so."""
        if self._views is other._views:
            return difference(self._views, self.as_of, other.as_of)
        return compare(self._views, self.as_of, self._position, other._views, other.as_of, other._position)

    def why(self, question: str) -> Why:
        """Why a field is what it is: ``pipeline:late-arrivals.champion``, ``late-arrivals-v1.status``.

        Raises
        ------
        NotFound
            When there is no such entity, or it has no such field.
        """
        handle, _, field = question.rpartition(".")
        # A run and its decision bear one name: the one that has the field is meant.
        found = self._find(handle, field) if handle else None
        if found is None and self._find(question) is None and handle:
            found = self._named(handle, field)
        if found is None or field == "seq" or field not in found[2].__struct_fields__:
            projection, name, state = found or self._named(question)
            fields = [field for field in state.__struct_fields__ if field not in ("seq", projection.key)]
            raise NotFound(
                f"Which field of {projection.key}:{name}? It has {', '.join(fields)}.",
                f"For example {projection.key}:{name}.{fields[-1]}",
            )
        answer = blame.why(self._views, found[0], found[1], field, self._position)
        assert answer is not None
        return answer

    def story(self, handle: str) -> list[Told]:
        """The life of an entity: every event that changed it, oldest first; NotFound where it is unknown."""
        projection, name, _ = self._named(handle)
        return list(blame.story(self._views, projection, name, self._position))

    def lineage(self, handle: str, direction: Direction = "both", *, depth: int = 100, most: int = 1_000) -> Lineage:
        """What an entity comes from (``up``), what comes from it (``down``), or both; see
        :mod:`ledger.query.lineage`."""
        return lineage.lineage(self._links, self.node(handle), direction, depth, most)

    def paths(self, one: str, other: str) -> Lineage:
        """Every path between two entities; NotFound where none leads from one to the other."""
        return lineage.between(self._links, self.node(one), self.node(other))

    def know(self, about: Period, pipeline: str | None = None) -> Knowledge:
        """What was known about a period ``[from, to)``, and how late it came."""
        return knowledge.know(self._views, about, self._position, pipeline and self.pipeline(pipeline).pipeline)

    def node(self, handle: str) -> str:
        """How an entity, an event (``#76``) or a source of data is called in the lineage; NotFound where unknown."""
        if handle.startswith("#"):
            handle = f"#{resolve_event(handle, self._views.log)}"
        if handle.startswith(("#", "source:")):
            if self._links(handle, "up") or self._links(handle, "down"):
                return handle
            raise NotFound(
                f"Nothing in the lineage hangs on {handle}, {self.as_of.words}.",
                "Promotions, approvals and retirements stand there as events; everything else by its name.",
            )
        projection, name, _ = self._named(handle)
        return f"{projection.key}:{name}"

    def links(self, node: str, towards: str) -> list[LinkState]:
        """The edges of a node of the lineage, downwards (``down``) or upwards (``up``), oldest first."""
        return self._links(node, towards)

    # What if -----------------------------------------------------------------------------------------------

    def without(self, *events: int | str) -> Snapshot:
        """The same moment as if these events (``812`` or ``"#812"``) had not been recorded.

        Folded in memory and never stored; its cost is that of reading everything that the views follow from.
        """
        seqs = [event if isinstance(event, int) else resolve_event(event, self._views.log) for event in events]
        told = self._entries()
        missing = set(seqs) - {entry.seq for entry in told}
        if missing:
            raise NotFound(
                f"Nothing that is known then follows from {_hash_list(missing)}.",
                "`tally story` and `tally why` name the events that something follows from.",
            )
        kept = [entry for entry in told if entry.seq not in set(seqs)]
        said = f"supposing that {_hash_list(seqs)} had not been recorded" if seqs else ""
        supposed = f"{self.as_of.supposed} {said}".strip()
        return Snapshot(MemoryViews(self._views.log, kept), self.as_of._replace(supposed=supposed), self._clock)

    def _entries(self) -> list[Entry]:
        if isinstance(self._views, MemoryViews):
            return list(self._views.told)
        return list(entries(self._views.log, 0, self.as_of.seq, READ_TYPES))

    # Names -------------------------------------------------------------------------------------------------

    def _links(self, node: str, towards: str) -> list[LinkState]:
        return self._views.links(node, towards, self._position)

    def _find(self, handle: str, field: str | None = None) -> tuple[Projection, str, State] | None:
        kind, colon, name = handle.partition(":")
        for projection in NAMED:
            if colon and projection.key != kind:
                continue
            wanted = name if colon else handle
            if field is not None and field not in projection.state.__struct_fields__:
                continue
            state = self._views.get(projection, wanted, self._position)
            if state is not None:
                return projection, wanted, state
        return None

    def _named(self, handle: str, field: str | None = None) -> tuple[Projection, str, State]:
        found = self._find(handle, field) or self._find(handle)
        if found is not None:
            return found
        kind, colon, name = handle.partition(":")
        wanted = name if colon else handle
        begins = [
            (projection, name)
            for projection in NAMED
            if wanted and (not colon or projection.key == kind)
            for name in self._names(projection)
            if name.startswith(wanted)
        ]
        # Only a pipeline has a champion: a field that is asked for may say which kind is meant.
        begins = [one for one in begins if field in one[0].state.__struct_fields__] or begins
        # One name may belong to several kinds, as that of a run and its decision: then the first kind is meant.
        if begins and len({name for _, name in begins}) == 1:
            projection, name = begins[0]
            state = self._views.get(projection, name, self._position)
            assert state is not None
            return projection, name, state
        if begins:
            some = ", ".join(f"{projection.key}:{name}" for projection, name in begins[:5])
            raise NotFound(
                f"{handle!r} could be any of {len(begins)}: {some}{', …' if len(begins) > 5 else ''}.",
                "Type a few letters more, or the kind before it: model:late-arrivals-v1.",
            )
        raise self._nothing(handle)

    def _nothing(self, handle: str) -> NotFound:
        kind, colon, name = handle.partition(":")
        for projection in NAMED:
            if not colon or projection.key == kind:
                versions = self._views.history(projection, name if colon else handle, -1, self._position)
                if versions:
                    gone = self._views.event_at(versions[-1].position)
                    return NotFound(
                        f"There is no {handle!r} any more: what it followed from does not count since #{gone}.",
                        f"Ask for it as it was: --as-of 'before:#{gone}'",
                    )
        return NotFound(
            f"There is no {handle!r}, {self.as_of.words}.",
            "Give a name from `tally runs`, `tally models` or `tally status`, with its kind where it could be several: "
            "model:late-arrivals-v1.",
        )

    def _names(self, projection: Projection) -> list[str]:
        return [getattr(state, projection.key) for state in self._views.all(projection, self._position)]

    def _all(self, state: type[S]) -> list[S]:
        return cast("list[S]", self._views.all(BY_STATE[state], self._position))

    def _within(self, state: type[S], owner: str) -> list[S]:
        """Entities whose names begin with that of the entity that they belong to."""
        return cast("list[S]", self._views.beginning(BY_STATE[state], f"{owner}/", self._position))

    def _one(self, state: type[S], name: str) -> S:
        projection = BY_STATE[state]
        name = name.removeprefix(f"{projection.key}:")
        found = self._views.get(projection, name, self._position)
        if found is not None:
            return cast("S", found)
        names = self._names(projection)
        begins = [candidate for candidate in names if candidate.startswith(name)]
        if name and len(begins) == 1:
            return self._one(state, begins[0])
        if name and begins:
            raise NotFound(
                f"{name!r} could be any of {len(begins)} {projection.name}: {', '.join(begins[:5])}"
                f"{', …' if len(begins) > 5 else ''}.",
                "Type a few letters more.",
            )
        known = (
            f"Known {projection.name}: {', '.join(names[-5:])}." if names else f"There are no {projection.name} yet."
        )
        raise NotFound(f"There is no {projection.key} {name!r}, {self.as_of.words}. {known}")


def _projection(kind: str) -> Projection:
    found = BY_NAME.get(kind) or BY_KEY.get(kind)
    if found is None or found not in NAMED:
        raise InvalidInput(f"There is no kind {kind!r}.", f"There are {', '.join(p.name for p in NAMED)}.")
    return found


def _hash_list(seqs: Iterable[int]) -> str:
    return ", ".join(f"#{seq}" for seq in sorted(seqs))
