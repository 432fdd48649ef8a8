"""What the browser asks: a line of text, or a choice. Both stand over the page and leave it in sight."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widgets import Input

from rlvr.tui.lines import Lines, Piece
from rlvr.tui.table import Column, Table

Check = Callable[[str], "str | None"]
"""What is wrong with a text, in one line; `None` where nothing is."""


class Note(Lines, can_focus=False):
    """A line or two of pieces that can be changed."""

    DEFAULT_CSS = "Note { height: 1; background: $surface; }"

    def __init__(self, lines: Sequence[Sequence[Piece]] = (), **options: str) -> None:
        super().__init__(**options)
        self.lines = lines

    def put(self, *lines: Sequence[Piece]) -> None:
        """Shows other lines."""
        self.lines = lines
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Called by Textual for each line that is seen."""
        return self.strip([(" ", ""), *(self.lines[y] if y < len(self.lines) else ())], self.size.width)


class Ask(ModalScreen["str | None"]):
    """A line of text at the foot of the page; Enter gives it, Esc gives `None`.

    Args:
        title: What is asked for.
        value: What stands there first.
        check: Called at each change; what it says stands under the line, and Enter then does nothing.
        hint: Said where nothing is wrong.
        replaces: Whether typing replaces what stands there; else it goes on from it.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "leave")]
    DEFAULT_CSS = """
    Ask { background: $background 0%; align: left bottom; }
    Ask > Vertical { height: auto; background: $surface; border-top: solid $t-faint; }
    Ask Input { border: none; height: 1; padding: 0 1; background: $surface; }
    Ask Input:focus { border: none; }
    """

    def __init__(
        self, title: str, value: str = "", check: Check | None = None, hint: str = "", replaces: bool = False
    ) -> None:
        super().__init__()
        self._replaces = replaces
        self._title, self._value, self._check, self._hint = title, value, check, hint

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Note([[(self._title, "title")]], id="title")
            yield Input(self._value, select_on_focus=self._replaces)
            yield Note([[(self._hint, "dim")]], id="said")

    def retitle(self, title: str, hint: str) -> None:
        """Asks for something else; what was typed is looked at again."""
        self._title, self._hint = title, hint
        if self.is_mounted:
            self.query_one("#title", Note).put([(title, "title")])
            self._tell_about(self.query_one(Input).value)

    def error(self, text: str) -> str | None:
        """What is wrong with a text."""
        return self._check(text) if self._check and text.strip() else None

    def on_input_changed(self, event: Input.Changed) -> None:
        self._tell_about(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if not self.error(event.value):
            self.dismiss(event.value)

    def _tell_about(self, text: str) -> None:
        error = self.error(text)
        self.query_one("#said", Note).put([(error, "bad")] if error else [(self._hint, "dim")])


class Pick(ModalScreen["int | None"]):
    """A choice among lines; Enter gives the number of the one under the cursor, Esc `None`."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "dismiss(None)", "leave")]
    DEFAULT_CSS = """
    Pick { background: $background 0%; align: center middle; }
    Pick > Vertical { width: 76; max-width: 96%; height: auto; max-height: 90%; background: $surface;
                      border: round $t-faint; }
    Pick Table { height: auto; background: $surface; }
    """

    def __init__(self, title: str, choices: Sequence[Sequence[Piece]], chosen: int = 0) -> None:
        super().__init__()
        self._title, self._choices, self._chosen = title, choices, chosen

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Table()

    def on_mount(self) -> None:
        table = self.query_one(Table)
        table.styles.height = min(len(self._choices) + 1, 18)
        table.fill(
            [Column(self._title, 10, grow=1)], len(self._choices), lambda row: [self._choices[row]], self._chosen
        )

    def on_table_chosen(self, event: Table.Chosen) -> None:
        self.dismiss(event.row)
