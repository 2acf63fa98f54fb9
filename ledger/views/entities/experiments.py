"""Experiments as trackers mean them: named groups of trials."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant
from tallystick.ledger.views.projection import Change, Lookup, State, follow, projection


class ExperimentState(State, frozen=True, kw_only=True):
    experiment: str
    name: str
    artifact_uri: str | None
    created_at: Instant
    """When it happened, which may be before it could be recorded."""
    changed_at: Instant
    removed: bool = False


def experiments(entry: Entry, current: Lookup) -> Iterator[Change]:
    """Experiments from their creation on; one that is removed can be restored."""
    body, at = entry.event.body, entry.event.occurred_at
    if isinstance(body, say.TrialBegun):
        # A training loop names its experiment without asking whether there is one.
        if body.experiment is not None and current(body.experiment) is None:
            yield body.experiment, _made(body.experiment, body.experiment, None, entry)
        return
    state: ExperimentState | None = current(body.experiment)
    if isinstance(body, say.ExperimentCreated):
        yield body.experiment, _made(body.experiment, body.name or body.experiment, body.artifact_uri, entry)
    elif state is not None:
        removed = state.removed if body.removed is None else body.removed
        uri = body.artifact_uri or state.artifact_uri
        yield (
            body.experiment,
            follow(state, entry, name=body.name or state.name, artifact_uri=uri, changed_at=at, removed=removed),
        )


def _made(experiment: str, name: str, artifact_uri: str | None, entry: Entry) -> ExperimentState:
    at = entry.event.occurred_at
    return ExperimentState(
        seq=entry.seq, experiment=experiment, name=name, artifact_uri=artifact_uri, created_at=at, changed_at=at
    )


EXPERIMENTS = projection(
    "experiments",
    "experiment",
    ExperimentState,
    (say.ExperimentCreated, say.ExperimentChanged, say.TrialBegun),
    experiments,
)
