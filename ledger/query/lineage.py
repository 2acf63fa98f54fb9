"""The lineage: which data is behind a decision, and what is touched if a slice is wrong.

A directed graph without cycles, whose edges are made by events (:mod:`ledger.views.entities.links`): environment,
pipeline and slice above a run; windows, models and decisions below it; promotions and approvals at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from tallystick.ledger.errors import NotFound
from tallystick.ledger.views.entities import LinkState

Direction = Literal["up", "down", "both"]
Links = Callable[[str, str], list[LinkState]]
"""Edges of a node, ``down`` or ``up``."""


class Edge(NamedTuple):
    """``upper`` *kind* ``lower``: slice:045c *fed* run:2013-01-01.1."""

    upper: str
    kind: str
    lower: str
    seq: int
    """The event that drew it."""


class Lineage(NamedTuple):
    """A part of the graph."""

    start: str
    nodes: list[str]
    """In the order in which they were met, the start first."""
    edges: list[Edge]
    left_out: int
    """Nodes that were seen at the rim but not walked to."""


def lineage(links: Links, start: str, direction: Direction = "both", depth: int = 100, most: int = 1_000) -> Lineage:
    """Everything upstream, downstream, or both, of a node; nearest first, at most ``most`` nodes."""
    nodes: dict[str, None] = {start: None}
    edges: dict[Edge, None] = {}
    rim: set[str] = set()
    for towards in ("up", "down") if direction == "both" else (direction,):
        level = [start]
        for _ in range(depth):
            following: list[str] = []
            for node in level:
                for edge in neighbours(links, node, towards):
                    other = edge.upper if towards == "up" else edge.lower
                    if other not in nodes:
                        if len(nodes) >= most:
                            rim.add(other)
                            continue
                        nodes[other] = None
                        following.append(other)
                    edges[edge] = None
            level = following
        if level:
            rim |= {
                other
                for node in level
                for edge in neighbours(links, node, towards)
                if (other := edge.upper if towards == "up" else edge.lower) not in nodes
            }
    return Lineage(start, list(nodes), list(edges), len(rim))


def between(links: Links, upper: str, lower: str) -> Lineage:
    """Every path from one node down to another.

    Raises
    ------
    NotFound
        When no path leads from one to the other, either way.
    """
    for first, last in ((upper, lower), (lower, upper)):
        below = lineage(links, first, "down", most=1_000_000)
        if last in below.nodes:
            above = set(lineage(links, last, "up", most=1_000_000).nodes)
            nodes = [node for node in below.nodes if node in above]
            edges = [edge for edge in below.edges if edge.upper in above and edge.lower in above]
            return Lineage(first, nodes, edges, 0)
    raise NotFound(
        f"No event links {upper} and {lower}, neither way.",
        f"`tally lineage {upper}` shows what it does come from and lead to.",
    )


def neighbours(links: Links, node: str, towards: str) -> list[Edge]:
    """Edges of one node; an end that is unknown since an erasure is named in words, and leads nowhere."""
    if towards == "down":
        return [Edge(node, link.kind, str(link.other), link.drawn_by) for link in links(node, "down")]
    return [Edge(str(link.other), link.kind, node, link.drawn_by) for link in links(node, "up")]


Label = Callable[[str], str]


def tree(part: Lineage, label: Label, towards: Literal["up", "down"]) -> list[str]:
    """Lines of a tree with lanes, from the start on; a node that stands already elsewhere is named and not repeated."""
    below: dict[str, list[Edge]] = {}
    for edge in part.edges:
        below.setdefault(edge.upper if towards == "down" else edge.lower, []).append(edge)
    lines = [label(part.start)]
    met = {part.start}
    # A stack instead of recursion: a chain may be longer than Python's.
    stack = [(edge, "", index == 0) for index, edge in enumerate(reversed(below.get(part.start, [])))]
    while stack:
        edge, lanes, last = stack.pop()
        node = edge.lower if towards == "down" else edge.upper
        again = node in met and bool(below.get(node))
        lines.append(f"{lanes}{'└─' if last else '├─'} {edge.kind} → {label(node)}" if towards == "down" else
                     f"{lanes}{'└─' if last else '├─'} {label(node)} {edge.kind}")  # fmt: skip
        if again:
            lines[-1] += "  (see above)"
            continue
        met.add(node)
        inner = lanes + ("   " if last else "│  ")
        stack += [(following, inner, index == 0) for index, following in enumerate(reversed(below.get(node, [])))]
    return lines


def mermaid(part: Lineage, label: Label) -> str:
    """A Mermaid flowchart, which GitHub and GitLab draw in Markdown."""
    names = {node: f"n{index}" for index, node in enumerate(part.nodes)}
    lines = ["flowchart TD"]
    lines += [f'  {names[node]}["{_escaped(label(node))}"]' for node in part.nodes]
    lines += [f'  {names[e.upper]} -->|"{_escaped(e.kind)}"| {names[e.lower]}' for e in _inner(part)]
    return "\n".join(lines) + "\n"


def dot(part: Lineage, label: Label) -> str:
    """A graph for Graphviz."""
    names = {node: f"n{index}" for index, node in enumerate(part.nodes)}
    lines = ["digraph lineage {", "  rankdir=TB;", "  node [shape=box];"]
    lines += [f"  {names[node]} [label={_quoted(label(node))}];" for node in part.nodes]
    lines += [f"  {names[e.upper]} -> {names[e.lower]} [label={_quoted(e.kind)}];" for e in _inner(part)]
    return "\n".join([*lines, "}"]) + "\n"


def _inner(part: Lineage) -> Iterable[Edge]:
    nodes = set(part.nodes)
    return (edge for edge in part.edges if edge.upper in nodes and edge.lower in nodes)


def _escaped(text: str) -> str:
    # Mermaid has no escape for a quote inside quotes but its own entity codes.
    return "".join(
        f"#{ord(character)};" if character in '"#<>&`\\[]{}|;' or ord(character) < 32 else character
        for character in text
    )


def _quoted(text: str) -> str:
    inner = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{inner}"'
