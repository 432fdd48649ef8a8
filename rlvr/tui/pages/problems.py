"""What could not be read, or is not all there, a line each."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from rlvr.tui.prose import Block, Prose
from rlvr.tui.wrap import safe_runs


class Problems(ModalScreen[None]):
    """Over the page."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,exclamation_mark", "dismiss", "close")]
    DEFAULT_CSS = """
    Problems { background: $background 0%; align: center middle; }
    Problems > Vertical { width: 90%; height: 70%; background: $surface; border: round $warning; }
    Problems Prose { background: $surface; }
    """

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__()
        self._lines = lines

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Prose()

    def on_mount(self) -> None:
        title = [("Not all of this run could be read", "warn bold")]
        runs = [run for line in self._lines for run in safe_runs(f"{line}\n")]
        self.query_one(Prose).show([Block("problems", title, runs)])
