"""What the timeline at the bottom shows, read from the ledger: how much was recorded when, and what was decided."""

from __future__ import annotations

from bisect import bisect_right

from tallystick import ledger
from tallystick.ledger.query import timeline
from tallystick.tui.app.widgets.timeline import MARKS, Shape

SIGNED_PER_COLUMN = 4
"""Checkpoints that are looked at for each column; one mark is all that can be drawn in it."""


def read_shape(book: ledger.Ledger, width: int) -> Shape:
    """Count and mark; one binary search a column, and what the views know of decisions."""
    now = book.now()
    recorded = timeline.density(now, width)
    found = timeline.marks(now, SIGNED_PER_COLUMN * width)
    placed = {
        mark: {bisect_right(recorded.last_seqs, seq - 1) for seq in seqs}
        for mark, seqs in (
            ("◆", found.promotions),
            ("▲", found.waivers),
            ("✖", found.failed_gates),
            ("!", found.alarms),
            ("✓", found.signed),
        )
    }
    marks = {column: mark for mark in reversed(MARKS) for column in placed[mark] if column < width}
    return Shape(recorded.start, recorded.end, recorded.counts, marks, book.zone)
