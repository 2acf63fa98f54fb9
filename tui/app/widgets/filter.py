"""The line in which a filter is typed."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input

FILTER_HELP = "words that the event holds; or type:gate  actor:anna  entity:late-arrivals-v1"


class Filter(Input):
    """What is shown below changes with every character."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "to the rows", key_display="Enter"),
        Binding("escape", "app.leave", "everything again", key_display="Esc"),
    ]

    def __init__(self) -> None:
        super().__init__(id="filter", placeholder=FILTER_HELP)
