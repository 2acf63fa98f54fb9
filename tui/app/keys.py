"""The keys that work in every pane."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from tallystick.tui.app.panes import PANES

COMMIT, DAY, DECISION = (Binding.Group(words, compact=True) for words in ("commit", "day", "decision"))

KEYS: tuple[BindingType, ...] = (
    Binding("left", "step(-1)", "one commit back", key_display="←", group=COMMIT),
    Binding("right", "step(1)", "one commit on", key_display="→", group=COMMIT),
    Binding("left_square_bracket", "decision(-1)", "the decision before", key_display="[", group=DECISION),
    Binding("right_square_bracket", "decision(1)", "the next decision", key_display="]", group=DECISION),
    Binding("t,colon", "date", "date", key_display="t", tooltip="to a date, a month, 2 weeks ago, #812, c55"),
    Binding("slash", "filter", "filter", key_display="/", tooltip="filter by text"),
    Binding("d", "mark", "diff", tooltip="mark A, then B: their difference"),
    Binding("a", "about", "about", tooltip="only what is about a period"),
    Binding("y", "copy", "copy", tooltip="copy the name of what is selected, or the receipt"),
    Binding("shift+left", "day(-1)", "a day back", key_display="⇧←", group=DAY),
    Binding("shift+right", "day(1)", "a day on", key_display="⇧→", group=DAY),
    Binding("g,home", "first", "to the beginning", key_display="g Home", show=False),
    Binding("G,end", "now", "to now, and on with it", key_display="G End", show=False),
    Binding("l", "lineage_of", "lineage of the selected", show=False),
    Binding("escape", "leave", "back", key_display="Esc", show=False),
    *(Binding(str(at + 1), f"show('{name}')", name.capitalize(), show=False) for at, name in enumerate(PANES)),
    Binding("tab", "app.focus_next", "to the list below, and back", show=False),
    Binding("x", "append('correct')", "correct: it does not count any more", show=False),
    Binding("A", "append('approve')", "approve with your own key", show=False),
    Binding("W", "append('waive')", "waive a gate", show=False),
    Binding("question_mark", "help", "keys", key_display="?", tooltip="every key"),
    Binding("ctrl+p", "command_palette", "everything by name", show=False, priority=True),
    Binding("q", "quit", "quit", tooltip="end the app; nothing is lost"),
)
