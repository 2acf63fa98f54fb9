"""The ledger as it was known at one position: a read-only value with all the questions as methods."""

from __future__ import annotations

from typing import TypeVar, cast

from ledger.entities import BY_STATE, NAMED, DecisionState, ModelState, PipelineState, RunState, SliceState
from ledger.errors import NotFound
from ledger.projection import State
from ledger.views import Views
from ledger.when import AsOf

S = TypeVar("S", bound=State)


class Snapshot:
    """Everything that was known right after one commit.

    Attributes
    ----------
    as_of : AsOf
        The position, and the words to head an answer with.
    """

    def __init__(self, views: Views, as_of: AsOf) -> None:
        self._views = views
        self.as_of = as_of

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

    def decisions(self) -> list[DecisionState]:
        """All decisions, oldest first."""
        return self._all(DecisionState)

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
        """The model that a pipeline decided with; None where nobody had been promoted yet."""
        champion = self.pipeline(pipeline).champion
        return None if champion is None else self.model(champion.model)

    def find(self, handle: str) -> State | None:
        """The state behind a name with or without its kind: ``model:late-arrivals-v1``, ``late-arrivals-v1``."""
        kind, colon, name = handle.partition(":")
        for projection in NAMED:
            if colon and projection.key != kind:
                continue
            state = self._views.get(projection, name if colon else handle, self.as_of.seq)
            if state is not None:
                return state
        return None

    def _all(self, state: type[S]) -> list[S]:
        return cast("list[S]", self._views.all(BY_STATE[state], self.as_of.seq))

    def _one(self, state: type[S], name: str) -> S:
        projection = BY_STATE[state]
        name = name.removeprefix(f"{projection.key}:")
        found = self._views.get(projection, name, self.as_of.seq)
        if found is not None:
            return cast("S", found)
        names = [getattr(candidate, projection.key) for candidate in self._all(state)]
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
