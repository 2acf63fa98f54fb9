"""Short questions above the panes: a date, a period; a reason before something is appended; the keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from tallystick.tui.app.widgets.lines import Line, Lines, code_line
from tallystick.tui.output.escape import show


class Ask(ModalScreen[str | None]):
    """One line of text; Escape gives None."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "back")]

    def __init__(self, title: str, hint: str, value: str = "") -> None:
        super().__init__()
        self._title, self._hint, self._value = title, hint, value

    def compose(self) -> ComposeResult:
        with Vertical(id="ask"):
            yield Static(self._title, markup=False, classes="ask-title")
            yield Input(self._value, id="ask-input", select_on_focus=False)
            yield Static(show(self._hint, 400), markup=False, classes="ask-hint")
            yield Static("Enter goes, Esc leaves everything as it is.", markup=False, classes="ask-hint")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value)


class Field(NamedTuple):
    """Something that must be said before an event can be appended."""

    name: str
    hint: str
    value: str = ""


class AppendForm(ModalScreen[dict[str, str] | None]):
    """What is asked before something is appended, and the very event that it would be.

    The first Enter shows the event, the second one appends it; Escape records nothing.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "record nothing")]

    def __init__(self, title: str, fields: list[Field], words: str, preview: Callable[[AppendForm], None]) -> None:
        super().__init__()
        self._title, self._fields, self._words, self._preview = title, fields, words, preview
        self.ready = False

    def compose(self) -> ComposeResult:
        with Vertical(id="append"):
            yield Static(show(self._title), markup=False, classes="ask-title")
            yield Static(show(self._words, 600), markup=False, classes="ask-hint")
            for field in self._fields:
                yield Input(field.value, placeholder=field.hint, id=f"field-{field.name}")
            yield Static("Enter shows the event that would be appended.", markup=False, id="append-hint")
            yield Lines(id="append-lines")

    @property
    def values(self) -> dict[str, str]:
        """What was typed."""
        return {field.name: self.query_one(f"#field-{field.name}", Input).value.strip() for field in self._fields}

    def on_input_changed(self) -> None:
        self.ready = False

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        empty = [field for field in self._fields if not self.values[field.name]]
        if empty:
            self.query_one(f"#field-{empty[0].name}", Input).focus()
            self.query_one("#append-hint", Static).update(f"{empty[0].name}: {empty[0].hint}")
        elif self.ready:
            self.dismiss(self.values)
        else:
            self._preview(self)

    def show_event(self, text: str, trouble: bool = False) -> None:
        """The event that would be appended, or why it would not."""
        mark = "bad" if trouble else ""
        shown = [code_line(show(line, 2_000), mark) for line in text.split("\n")]
        self.query_one("#append-lines", Lines).begin(shown)
        self.ready = not trouble
        hint = "Nothing is recorded." if trouble else "Enter appends exactly this; Esc records nothing."
        self.query_one("#append-hint", Static).update(hint)


class Help(ModalScreen[None]):
    """Every key, from the bindings themselves."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,q", "dismiss", "back")]

    def __init__(self, groups: Iterable[tuple[str, list[tuple[str, str]]]], more: Iterable[str]) -> None:
        super().__init__()
        self._lines = []
        for title, keys in groups:
            self._lines.append(Line(title, "bold"))
            self._lines += [Line(f"{key:<12} {words}", indent=2, as_it_is=True) for key, words in keys]
            self._lines.append(Line(""))
        self._lines += [Line(text) for text in more]

    def compose(self) -> ComposeResult:
        with Vertical(id="help"):
            yield Static("Keys", markup=False, classes="ask-title")
            yield Lines(id="help-lines")

    def on_mount(self) -> None:
        lines = self.query_one(Lines)
        lines.begin(self._lines)
        lines.focus()
