"""What the timeline at the bottom shows, read from the ledger: how much was recorded when, and what was decided."""

from __future__ import annotations

from bisect import bisect_right

from tallystick import ledger
from tallystick.ledger.events.commit import from_micros
from tallystick.tui.app.widgets.timeline import MARKS, Shape

FROM_VIEWS = {
    "◆": "SELECT from_seq FROM pipelines_versions WHERE instr(changed, ',champion,')",
    "▲": "SELECT from_seq FROM waivers_versions WHERE changed = '*'",
    "✖": "SELECT from_seq FROM gates_versions WHERE json_extract(state, '$.verdict') = 'failed' "
    "AND (changed = '*' OR instr(changed, ',evaluated_at,'))",
    "!": "SELECT from_seq FROM periods_versions WHERE json_extract(state, '$.status') = 'alarm'",
}


def read_shape(book: ledger.Ledger, width: int) -> Shape:
    """Count and mark; one binary search a column, and what the views know of decisions."""
    log = book.log
    last = log.commit(log.size() - 1)
    start, end = log.commit(0).recorded_at, last.recorded_at
    edges: list[int] = []
    for column in range(width):
        found = last if column == width - 1 else log.last_commit_by(start + (end - start) * (column + 1) // width)
        edges.append(-1 if found is None else found.last_seq)
    counts = [edge - before for edge, before in zip(edges, [-1, *edges], strict=False)]
    connection = book.views.caught_up()
    placed: dict[str, set[int]] = {}
    for mark, query in FROM_VIEWS.items():
        placed[mark] = {bisect_right(edges, row[0] - 1) for row in connection.execute(query)}
    sizes = [row[0] for row in log.reader.execute("SELECT size FROM checkpoints ORDER BY size DESC LIMIT 5000")]
    placed["✓"] = {bisect_right(edges, log.commit(size - 1).first_seq - 1) for size in _spread(sizes, 4 * width)}
    marks = {column: mark for mark in reversed(MARKS) for column in placed[mark] if column < width}
    return Shape(from_micros(start), from_micros(end), counts, marks, book.zone)


def _spread(sizes: list[int], most: int) -> list[int]:
    """Checkpoints in equal distances: a mark a column is all that can be drawn."""
    step = max(1, len(sizes) // most)
    return sizes[::step]
