"""The lineage around one node: what it comes from to its left, what comes of it to its right, in lanes.

Each line is one node with the word of the edge that leads to it; a node that stands elsewhere already is named and not
drawn twice, so no line ever seems to lead where it does not. Only a neighbourhood is read, however large the graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tallystick import ledger
from tallystick.ledger.errors import NotFound
from tallystick.ledger.events.event import Period
from tallystick.ledger.events.sentences import count
from tallystick.ledger.query.lineage import Edge, Lineage, between, neighbours
from tallystick.ledger.query.periods import overlaps
from tallystick.tui.app.reading.period_filter import state_is_elsewhere
from tallystick.tui.app.reading.position import Moment
from tallystick.tui.app.reading.reader_thread import Job
from tallystick.tui.app.screens.pane import Pane, Question
from tallystick.tui.app.widgets.rows import ListColumn, Row, Rows
from tallystick.tui.output.escape import show

MOST_NODES = 400
NOT_DRAWN = "not drawn"
BRANCHES = 12
"""Edges of one node that are drawn; how many more there are is said."""
Towards = Literal["both", "up", "down"]
SIGNS = {
    "slice": "▤", "environment": "⌂", "pipeline": "≡", "run": "▸", "window": "▫", "model": "◆", "decision": "◇",
    "gate": "╫", "waiver": "▲", "prediction": "→", "period": "◷", "finding": "!", "look": "◎", "reproduction": "↻",
}  # fmt: skip


class Drawn(NamedTuple):
    """A neighbourhood as rows."""

    start: str
    rows: list[Row]
    missing: bool = False
    trouble: str = ""


class Wish(NamedTuple):
    """What is to be drawn."""

    start: str
    towards: Towards = "both"
    depth: int = 2
    opened: frozenset[str] = frozenset()
    """Nodes whose edges are drawn although they are farther away."""
    closed: frozenset[str] = frozenset()
    other: str = ""
    """The far end of a path."""


def draw(book: ledger.Ledger, moment: Moment, wish: Wish) -> Drawn:
    """Rows around a node, or along all paths between two."""
    snapshot = ledger.Snapshot(book.views, moment.as_of)
    about = moment.at.about
    start = wish.start or _default(snapshot, about)
    if not start:
        return Drawn("", [])

    try:
        start = snapshot.node(start)
        if wish.other:
            part = between(snapshot.links, start, snapshot.node(wish.other))
            return Drawn(start, _told_apart(_path_rows(part, snapshot), snapshot, about))
    except NotFound as error:
        return Drawn(start, [], not wish.other, error.message)

    def row(node: str, lanes: str, more: str) -> Row:
        return _row(node, lanes, snapshot, more)

    drawing = _Drawing(snapshot.links, wish._replace(start=start), row)
    rows: list[Row] = []
    if wish.towards != "down":
        rows += reversed(drawing.lines("up"))
    rows.append(_row(start, "●─ ", snapshot, ""))
    if wish.towards != "up":
        rows += drawing.lines("down")
    return Drawn(start, _told_apart(rows, snapshot, about))


def _told_apart(rows: list[Row], snapshot: ledger.Snapshot, about: Period | None) -> list[Row]:
    """Nodes that are about another period than the one asked about stay in their place, and say so."""
    if about is None:
        return rows
    return [
        row._replace(cells=(f"{row.cells[0]}  (of another time)",), mark="dim")
        if not row.key.startswith(("#", "source:")) and state_is_elsewhere(snapshot.find(row.key), about)
        else row
        for row in rows
    ]


def _default(snapshot: ledger.Snapshot, about: Period | None) -> str:
    if about is not None:
        intended = [model for model in snapshot.models() if overlaps(model.intended_for, about)]
        if intended:
            return f"model:{intended[-1].model}"
    for pipeline in snapshot.pipelines():
        if pipeline.champion is not None:
            return f"model:{pipeline.champion.model}"
        if pipeline.last_run is not None:
            return f"run:{pipeline.last_run}"
    return ""


class Older(NamedTuple):
    """Edges of a node that are not drawn."""

    of: str
    number: int


class _Drawing:
    def __init__(self, links: Any, wish: Wish, row: Callable[[str, str, str], Row]) -> None:
        self.links = links
        self.wish = wish
        self.row = row
        self.met = {wish.start}

    def lines(self, towards: Literal["up", "down"]) -> list[Row]:
        """From the start outwards; what is left out is a line, too."""
        found: list[Row] = []
        stack = self._children(self.wish.start, towards, 0, "")
        while stack:
            edge, lanes, last, depth = stack.pop()
            corner = ("└" if last else "├") if towards == "down" else ("┌" if last else "├")
            if isinstance(edge, Older):
                words = f"{lanes}{corner}─ … {edge.number:,} older ones are {NOT_DRAWN}: space draws them"
                found.append(Row(edge.of, (words,), "dim"))
                continue
            if len(found) >= MOST_NODES:
                words = f"{lanes}{corner}─ … more than {MOST_NODES} lines: c draws around another node"
                return [*found, Row(self.wish.start, (words,), "dim")]
            node = edge.lower if towards == "down" else edge.upper
            text = f"{lanes}{corner}─ {edge.kind} ─ "
            if node in self.met:
                found.append(self.row(node, text, "  (drawn elsewhere)"))
                continue
            self.met.add(node)
            hidden = len(neighbours(self.links, node, towards))
            goes_on = (depth + 1 < self.wish.depth or node in self.wish.opened) and node not in self.wish.closed
            found.append(self.row(node, text, f"  [+{hidden:,}]" if hidden and not goes_on else ""))
            if goes_on:
                stack += self._children(node, towards, depth + 1, lanes + ("   " if last else "│  "))
        return found

    def _children(self, node: str, towards: str, depth: int, lanes: str) -> list[tuple[Edge | Older, str, bool, int]]:
        edges = neighbours(self.links, node, towards)
        # The newest are drawn: the oldest are those that people looked at long ago.
        shown: list[Edge | Older] = [*(edges[-BRANCHES:] if node not in self.wish.opened else edges)]
        if len(shown) < len(edges):
            shown.append(Older(node, len(edges) - len(shown)))
        return [(edge, lanes, at == 0, depth) for at, edge in enumerate(reversed(shown))]


def _row(node: str, lanes: str, snapshot: ledger.Snapshot, more: str) -> Row:
    from tallystick.tui.output.changes import node_words

    kind = node.partition(":")[0] if not node.startswith("#") else "event"
    sign = SIGNS.get(kind, "·")
    return Row(node, (f"{lanes}{sign} {show(node_words(node, snapshot), 300)}{more}",),
               "dim" if "elsewhere" in more else "")  # fmt: skip


def _path_rows(part: Lineage, snapshot: ledger.Snapshot) -> list[Row]:
    below: dict[str, list[Edge]] = {}
    for edge in part.edges:
        below.setdefault(edge.upper, []).append(edge)
    rows = [_row(part.start, "●─ ", snapshot, "")]
    met = {part.start}
    stack = [(edge, "", at == 0) for at, edge in enumerate(reversed(below.get(part.start, [])))]
    while stack:
        edge, lanes, last = stack.pop()
        again = edge.lower in met and bool(below.get(edge.lower))
        rows.append(_row(edge.lower, f"{lanes}{'└' if last else '├'}─ {edge.kind} ─ ", snapshot,
                         "  (drawn elsewhere)" if again else ""))  # fmt: skip
        if again:
            continue
        met.add(edge.lower)
        inner = lanes + ("   " if last else "│  ")
        stack += [(e, inner, at == 0) for at, e in enumerate(reversed(below.get(edge.lower, [])))]
    return rows


class LineagePane(Pane):
    """A neighbourhood of the graph."""

    TITLE = "Lineage"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "fold", "fold", tooltip="show or hide what hangs on it"),
        Binding("c", "centre", "centre", tooltip="draw around the selected"),
        Binding("u", "towards", "up/down", tooltip="only its sources, only its effects, both"),
        Binding("plus,equals_sign", "depth(1)", "deeper", key_display="+ =", show=False),
        Binding("minus", "depth(-1)", "nearer", show=False),
        Binding("p", "path", "path from mark A", show=False),
    ]
    wish = Wish("")
    drawn_start = ""

    def compose(self) -> ComposeResult:
        yield Rows(
            (ListColumn("lineage", 0),), "Nothing is linked yet: the first run draws the first edges.", id="graph"
        )

    @property
    def rows(self) -> Rows:
        """The drawing."""
        return self.query_one(Rows)

    def question(self) -> Question:
        wish = self.wish

        def read(book: ledger.Ledger, moment: Moment, _job: Job) -> Drawn:
            return draw(book, moment, wish)

        return read

    def answer(self, moment: Moment, found: Any) -> None:
        drawn = cast("Drawn", found)
        self.tally.missing(self.wish.start, not drawn.missing)
        keys = [row.key for row in drawn.rows]
        old = self.rows.key
        place = keys.index(old) if old in keys and drawn.start == self.drawn_start else (
            keys.index(drawn.start) if drawn.start in keys else 0)  # fmt: skip
        # Around another node, what stands above it is seen, too.
        line = (self.rows.size.height or self.tally.size.height) // 2 if drawn.start != self.drawn_start else None
        self.drawn_start = drawn.start
        towards = {"both": "from its sources to its effects", "up": "what it comes from", "down": "what comes of it"}
        words = f"all paths to {self.wish.other}" if self.wish.other else towards[self.wish.towards]
        step = f"{count(self.wish.depth, 'step')} far"
        self.rows.columns = [ListColumn(show(f"{drawn.start or 'lineage'} · {words} · {step}", 200), 0)]
        self.rows.nothing = drawn.trouble or "Nothing is linked yet: the first run draws the first edges."
        self.rows.begin(len(drawn.rows), 0, drawn.rows, place, line)

    def centre(self, handle: str) -> None:
        """Draw around another node."""
        self.wish = Wish(handle, self.wish.towards, self.wish.depth)
        self.tally.look()

    def action_centre(self) -> None:
        """Draw around the selected node."""
        if self.rows.key:
            self.centre(self.rows.key)

    def action_fold(self) -> None:
        """Show or hide what hangs on the selected node."""
        key, wish = self.rows.key, self.wish
        if not key:
            return
        text = self.rows.row.cells[0] if self.rows.row else ""
        is_open = "[+" not in text and NOT_DRAWN not in text
        if is_open:
            self.wish = wish._replace(closed=wish.closed | {key}, opened=wish.opened - {key})
        else:
            self.wish = wish._replace(opened=wish.opened | {key}, closed=wish.closed - {key})
        self.tally.look()

    def action_towards(self) -> None:
        """Only upstream, only downstream, or both."""
        order: tuple[Towards, ...] = ("both", "up", "down")
        self.wish = self.wish._replace(towards=order[(order.index(self.wish.towards) + 1) % 3], other="")
        self.tally.look()

    def action_depth(self, by: int) -> None:
        """Farther or nearer."""
        self.wish = self.wish._replace(depth=max(1, min(12, self.wish.depth + by)), other="")
        self.tally.look()

    def action_path(self) -> None:
        """All paths between mark A and the selected node."""
        mark = self.tally.mark_a
        if mark is None or not mark.handle:
            self.tally.say("Mark the other end first: select it and press d.")
            return
        self.wish = self.wish._replace(start=mark.handle, other=self.rows.key)
        self.tally.look()

    def on_rows_opened(self, event: Rows.Opened) -> None:
        event.stop()
        self.tally.open(event.key)

    def mark_changed(self, handles: frozenset[str]) -> None:
        self.rows.mark_changed(handles)

    @property
    def selected(self) -> str:
        return self.rows.key
