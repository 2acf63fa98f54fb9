"""Links between entities: the edges of the lineage, each made by an event.

An edge is kept twice, at either end, so that what is upstream and what is downstream of a node are one range of
keys. A promotion or an approval is an event and nothing else; it stands in the graph under its position, ``#76``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.views.projection import Change, Lookup, State, projection

SEPARATOR = "\x1f"


class LinkState(State, frozen=True, kw_only=True):
    link: str
    node: str
    towards: Literal["down", "up"]
    """``down``: the other follows from the node."""
    kind: str
    """What the upper one is to the lower, read downwards: slice *fed* run."""
    other: str
    drawn_by: int
    """Position of the first event, of those that count, that says so."""


def links(entry: Entry, current: Lookup) -> Iterator[Change]:
    """Edges that an event draws."""
    for upper, kind, lower in _edges(entry):
        for node, towards, other in ((upper, "down", lower), (lower, "up", upper)):
            key = SEPARATOR.join((node, towards, other, kind))
            if current(key) is None:
                yield (
                    key,
                    LinkState(
                        seq=entry.seq,
                        link=key,
                        node=node,
                        towards=towards,  # type: ignore[arg-type]
                        kind=kind,
                        other=other,
                        drawn_by=entry.seq,
                    ),
                )


def _edges(entry: Entry) -> Iterator[tuple[str, str, str]]:
    here = f"#{entry.seq}"
    match entry.event.body:
        case say.RunStarted() as body:
            yield f"pipeline:{body.pipeline}", "asked for", f"run:{body.run}"
            yield f"environment:{body.environment}", "was where it ran", f"run:{body.run}"
        case say.SliceTaken() as body:
            yield f"source:{body.source}", "was cut into", f"slice:{body.slice}"
            yield f"slice:{body.slice}", "fed", f"run:{body.run}"
        case say.WindowDescribed() as body:
            yield f"run:{body.run}", "opened", f"window:{body.window}"
        case say.CandidateDeclared() as body:
            if body.trial is not None:
                yield f"trial:{body.trial}", "gave a candidate to", f"run:{body.run}"
        case say.CandidateRefitted() as body:
            yield f"run:{body.run}", "made", f"model:{body.model}"
            yield f"slice:{body.slice}", "trained", f"model:{body.model}"
        case say.DecisionTaken() as body:
            yield f"run:{body.run}", "led to", f"decision:{body.decision}"
            # A decision is free to say in its own form what it weighed; a list of windows is what a rule writes.
            weighed = body.scores.get("windows") if isinstance(body.scores, dict) else None
            for label in weighed if isinstance(weighed, list) else ():
                yield f"window:{body.pipeline}/{label}", "was weighed in", f"decision:{body.decision}"
            if body.model is not None:
                yield f"model:{body.model}", "was chosen by", f"decision:{body.decision}"
        case say.DecisionApproved() as body:
            if body.decision is not None:
                yield f"decision:{body.decision}", "was approved in", here
        case say.ModelPromoted() as body:
            yield f"model:{body.model}", "was promoted in", here
            if body.decision is not None:
                yield f"decision:{body.decision}", "was followed in", here
            if body.previous is not None:
                yield f"model:{body.previous}", "was replaced in", here
        case say.ModelRetired() as body:
            yield f"model:{body.model}", "was retired in", here
            yield f"decision:{body.decision}", "was followed in", here
        case say.PromotionDecided() as body:
            yield f"model:{body.model}", "was decided on in", f"decision:{body.decision}"
            for gate in body.gates:
                if gate.waiver is not None:
                    yield f"waiver:{gate.waiver}", "was relied on in", f"decision:{body.decision}"
        case say.GateEvaluated() as body:
            yield f"model:{body.model}", "was held to", f"gate:{body.gate}"
        case say.WaiverGranted() as body:
            yield f"gate:{body.gate}", "was waived by", f"waiver:{body.waiver}"
        case say.ExperimentCrossed() as body:
            yield f"run:{body.experiment}", "was done again for production in", f"run:{body.run}"
        case say.FinalLooked() as body:
            yield f"model:{body.model}", "was judged on sealed windows in", f"look:{body.look}"
        case say.RunReproduced() as body:
            yield f"run:{body.run}", "was done again in", f"reproduction:{body.reproduction}"
        case say.PredictionMade() as body:
            yield f"model:{body.model}", "made", f"prediction:{body.prediction}"
        case say.PeriodMonitored() as body:
            yield f"model:{body.model}", "was watched in", f"period:{body.period}"
        case say.FindingMade() as body:
            yield f"period:{body.period}", "showed", f"finding:{body.finding}"
        case body:
            yield from _edges_of_trials(body)


def _edges_of_trials(body: say.Body) -> Iterator[tuple[str, str, str]]:
    match body:
        case say.TrialBegun():
            if body.experiment is not None:
                yield f"experiment:{body.experiment}", "holds", f"trial:{body.trial}"
            if body.parent is not None:
                yield f"trial:{body.parent}", "is made up of", f"trial:{body.trial}"
        case say.TrialLinked():
            for table in body.inputs:
                yield f"source:{table.name} {table.digest}".strip(), "fed", f"trial:{body.trial}"
            for read in body.models_read:
                yield f"logged:{read}", "was read by", f"trial:{body.trial}"
            for output in body.outputs:
                yield f"trial:{body.trial}", "made", f"logged:{output.model}"
        case say.LoggedCreated():
            if body.trial is not None:
                yield f"trial:{body.trial}", "made", f"logged:{body.logged}"
        case say.VersionCreated():
            yield f"registered:{body.registered}", "has the version", f"version:{body.version}"
            if body.logged is not None:
                yield f"logged:{body.logged}", "was registered as", f"version:{body.version}"
            elif body.trial is not None:
                yield f"trial:{body.trial}", "made", f"version:{body.version}"
        case say.AliasMoved():
            if body.version is not None:
                yield f"version:{body.version}", "was called", f"alias:{body.alias}"


LINKS = projection(
    "links",
    "link",
    LinkState,
    (
        say.RunStarted,
        say.SliceTaken,
        say.WindowDescribed,
        say.CandidateDeclared,
        say.CandidateRefitted,
        say.DecisionTaken,
        say.DecisionApproved,
        say.ModelPromoted,
        say.ModelRetired,
        say.PromotionDecided,
        say.GateEvaluated,
        say.WaiverGranted,
        say.ExperimentCrossed,
        say.FinalLooked,
        say.RunReproduced,
        say.PredictionMade,
        say.PeriodMonitored,
        say.FindingMade,
        say.TrialBegun,
        say.TrialLinked,
        say.LoggedCreated,
        say.VersionCreated,
        say.AliasMoved,
    ),
    links,
)
