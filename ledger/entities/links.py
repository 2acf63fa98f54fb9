"""Links between entities: the edges of the lineage, each made by an event.

An edge is kept twice, at either end, so that what is upstream and what is downstream of a node are one range of
keys. A promotion or an approval is an event and nothing else; it stands in the graph under its position, ``#76``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from ledger import vocabulary as say
from ledger.projection import Change, Entry, Lookup, State, projection

SEPARATOR = "\x1f"


class LinkState(State, frozen=True, kw_only=True):
    link: str
    node: str
    towards: Literal["down", "up"]
    """``down``: the other follows from the node."""
    kind: str
    """What the upper one is to the lower, read downwards: slice *fed* run."""
    other: str


def links(entry: Entry, current: Lookup) -> Iterator[Change]:
    """Edges that an event draws."""
    for upper, kind, lower in _edges(entry):
        for node, towards, other in ((upper, "down", lower), (lower, "up", upper)):
            key = SEPARATOR.join((node, towards, other, kind))
            if current(key) is None:
                yield (
                    key,
                    LinkState(seq=entry.seq, link=key, node=node, towards=towards, kind=kind, other=other),  # type: ignore[arg-type]
                )


def _edges(entry: Entry) -> Iterator[tuple[str, str, str]]:
    here = f"#{entry.seq}"
    match entry.event.body:
        case say.RunStarted() as body:
            yield f"pipeline:{body.pipeline}", "asked for", f"run:{body.run}"
            yield f"environment:{body.environment}", "was where it ran", f"run:{body.run}"
        case say.SliceTaken() as body:
            yield f"slice:{body.slice}", "fed", f"run:{body.run}"
        case say.WindowDescribed() as body:
            yield f"run:{body.run}", "opened", f"window:{body.window}"
        case say.CandidateRefitted() as body:
            yield f"run:{body.run}", "made", f"model:{body.model}"
            yield f"slice:{body.slice}", "trained", f"model:{body.model}"
        case say.DecisionTaken() as body:
            yield f"run:{body.run}", "led to", f"decision:{body.decision}"
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


LINKS = projection(
    "links",
    "link",
    LinkState,
    (
        say.RunStarted,
        say.SliceTaken,
        say.WindowDescribed,
        say.CandidateRefitted,
        say.DecisionTaken,
        say.DecisionApproved,
        say.ModelPromoted,
    ),
    links,
    __file__,
)
