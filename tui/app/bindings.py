"""The keys of the app in words, from the bindings themselves: for the help and for the palette."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING

from textual.binding import Binding

from tallystick.tui.app.screens.dialogs import Help
from tallystick.tui.app.widgets.filter import FILTER_HELP
from tallystick.tui.app.widgets.lines import Lines

if TYPE_CHECKING:
    from tallystick.tui.app.reading.host import Host
    from tallystick.tui.app.screens.pane import Pane

MORE = (
    "◆ a promotion  ▲ a waiver  ✖ a failed gate  ! an alarm  ✓ a signed checkpoint; the bars are events.",
    f"Filter: {FILTER_HELP}.",
    "Mouse: click a line to select it, again to open it; click the strip to go there.",
)


def pane_class(name: str) -> type[Pane]:
    """The class of a pane, imported when it is first wanted."""
    found: type[Pane] = getattr(import_module(f"tallystick.tui.app.screens.{name}"), f"{name.capitalize()}Pane")
    return found


def own_bindings(cls: type) -> list[Binding]:
    """What a class binds itself."""
    return [binding for binding in cls.__dict__.get("BINDINGS", []) if isinstance(binding, Binding)]


def commands(app: Host) -> Iterator[tuple[str, str, str]]:
    """Every action that a key does here: the key, its words, the action."""
    for binding in (*own_bindings(type(app)), *own_bindings(type(app.pane))):
        yield app.get_key_display(binding), words(binding), binding.action


async def run_command(app: Host, action: str) -> None:
    """Do what a key does, in the pane in front or in the app."""
    name = action.partition("(")[0]
    await app.run_action(action, app.pane if hasattr(app.pane, f"action_{name}") else None)


def words(binding: Binding) -> str:
    """What a key does, in full."""
    return binding.tooltip or binding.description


def help_screen(app: Host, panes: tuple[str, ...]) -> Help:
    """Every key with its words."""

    def keys(cls: type) -> list[tuple[str, str]]:
        return [(app.get_key_display(binding), words(binding)) for binding in own_bindings(cls)]

    groups = [("everywhere", keys(type(app)))]
    groups += [(cls.TITLE, keys(cls)) for cls in map(pane_class, panes) if own_bindings(cls)]
    groups.append(("in tables and texts", keys(Lines)))
    return Help(groups, MORE)
