"""The entities that were known at one position, as typed states, all of a kind or one by its name."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection
from functools import cached_property
from typing import TypeVar, cast

from tallystick.ledger.errors import NotFound
from tallystick.ledger.events.types import CandidateRefitted
from tallystick.ledger.events.unknown import Unknown
from tallystick.ledger.query.as_of import AsOf
from tallystick.ledger.query.evidence import Evidence
from tallystick.ledger.query.name_lookup import Names, projection_of
from tallystick.ledger.views.entities import (
    BY_KEY,
    BY_STATE,
    NAMED,
    AnchorState,
    ApprovalState,
    AutomationState,
    Championship,
    CorrectionState,
    DecisionState,
    EnvironmentState,
    EvaluationState,
    FindingState,
    GateState,
    HistoryState,
    KeyState,
    LookState,
    ModelState,
    PeriodState,
    PipelineState,
    PredictionState,
    ReproductionState,
    RunState,
    SliceState,
    WaiverState,
    WindowState,
)
from tallystick.ledger.views.entities.corrections import CORRECTIONS
from tallystick.ledger.views.projection import Projection, State
from tallystick.ledger.views.store import Views

S = TypeVar("S", bound=State)


class EntityReader(Evidence):
    """Every entity as it was known right after one commit, besides the events that it follows from."""

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
        return self._seen(self._views.all(projection_of(kind), self._position))

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
        """The model that decides, or None where nobody has promoted one yet.

        Raises
        ------
        NotFound
            For an unknown pipeline, or where it is unknown which model it is, because content was erased.
        """
        found = self.champion_if_known(pipeline)
        if isinstance(found, Unknown):
            name = self.pipeline(pipeline).pipeline
            raise NotFound(
                f"Which model decides for {name} is {found.words}.",
                f"tally story pipeline:{name} lists every promotion; a new one is a new answer.",
            )
        return found

    def champion_if_known(self, pipeline: str) -> ModelState | Unknown | None:
        """The same, with what stands in its place where it is unknown."""
        champion: Championship | Unknown | None = self.pipeline(pipeline).champion
        if champion is None or isinstance(champion, Unknown):
            return champion
        self._still_there([champion.seq])
        name: str | Unknown = champion.model
        if isinstance(name, Unknown):
            return name
        found = self.find(f"model:{name}")
        if found is None and (erased := self.erased({CandidateRefitted.TYPE})):
            return erased[-1].erasure.unknown  # what described the model
        return cast("ModelState", found) if found is not None else self.model(name)

    def correction(self, seq: int) -> CorrectionState | None:
        """The correction that sets event ``seq`` aside, where one holds."""
        return cast("CorrectionState | None", self._views.get(CORRECTIONS, str(seq), self._position))

    def find(self, handle: str) -> State | None:
        """The state behind a whole name with or without its kind: ``model:late-arrivals-v1``, ``late-arrivals-v1``."""
        found = self._names.find(handle)
        return None if found is None else self._seen([found.state])[0]

    def entity(self, handle: str) -> State:
        """The same, where an unambiguous beginning of the name will do; NotFound where there is none."""
        try:
            return self._seen([self._names.named(handle).state])[0]
        except NotFound as error:
            kind = BY_KEY.get(handle.partition(":")[0])
            raise self._or_erased(error, NAMED if kind is None else [kind]) from None

    def _all(self, state: type[S]) -> list[S]:
        return self._seen(cast("list[S]", self._views.all(BY_STATE[state], self._position)))

    def _within(self, state: type[S], owner: str) -> list[S]:
        """Entities whose names begin with that of the entity that they belong to."""
        return self._seen(cast("list[S]", self._views.beginning(BY_STATE[state], f"{owner}/", self._position)))

    def _one(self, state: type[S], name: str) -> S:
        try:
            found = self._names.one(state, name)
        except NotFound as error:
            raise self._or_erased(error, [BY_STATE[state]]) from None
        self._still_there([found.seq])
        return found

    def _or_erased(self, error: NotFound, kinds: Collection[Projection]) -> NotFound:
        """The error of a name that is not there; it may be one that was erased, and then nobody can say so."""
        types = frozenset(event_type for kind in kinds for event_type in kind.reads)
        for item in self.erased(types):
            if any(kind.key not in (item.refers_to or {}) for kind in kinds if item.event.type in kind.reads):
                words = f"{error.message} What #{item.event.seq} named is {item.erasure.unknown.words}."
                return NotFound(words, f"tally show '#{item.erasure.redaction}' says why.")
        return error

    def _seen(self, states: list[S]) -> list[S]:
        """The same states, once the events that made them so are seen to be there."""
        self._still_there([state.seq for state in states])
        return states

    @cached_property
    def _names(self) -> Names:
        return Names(self._views, self._position, self.as_of.words)
