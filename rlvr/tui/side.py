"""Two or three texts side by side, block beside block, scrolled as one."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.strip import Strip

from rlvr.tui.lines import Lines, Piece, fitted
from rlvr.tui.prose import Block

_RULE: Piece = (" │ ", "faint")


class SideBySide(Lines):
    """Columns of blocks; the n-th blocks of all columns start on the same line."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll(-1)", "up", show=False),
        Binding("down,j", "scroll(1)", "down", show=False),
        Binding("pageup,ctrl+b", "pages(-1)", "a page up", show=False),
        Binding("pagedown,ctrl+f,space", "pages(1)", "a page down", show=False),
        Binding("home,g", "ends(0)", "top", show=False),
        Binding("end,G", "ends(1)", "bottom", show=False),
    ]

    def __init__(self, **options: str) -> None:
        super().__init__(**options)
        self.columns: Sequence[Sequence[Block]] = ()
        self._laid: list[list[Sequence[Piece]]] = []

    def show(self, columns: Sequence[Sequence[Block]]) -> None:
        """Shows other columns, at the same place."""
        self.columns = columns
        self._lay()

    def render_line(self, y: int) -> Strip:
        """Called by Textual for each line that is seen."""
        line = self.scroll_offset.y + y
        if line >= len(self._laid):
            return self.strip([], self.size.width)
        pieces: list[Piece] = [(" ", "")]
        for index, cell in enumerate(self._laid[line]):
            pieces += [_RULE] if index else []
            pieces += fitted(cell, self._column_width())
        return self.strip(pieces, self.size.width)

    def _column_width(self) -> int:
        count = max(len(self.columns), 1)
        return max((self.size.width - 2 - len(_RULE[0]) * (count - 1)) // count, 4)

    def _lay(self) -> None:
        width = self._column_width()
        self._laid = []
        for blocks in zip_longest(*self.columns):
            cells = [_cells(block, width) for block in blocks]
            self._laid += [list(line) for line in zip_longest(*cells, fillvalue=())]
            self._laid.append([()] * len(cells))
        self.virtual_size = Size(self.size.width, len(self._laid))
        self.refresh()

    def on_resize(self) -> None:
        self._lay()

    def action_scroll(self, lines: int) -> None:
        self.scroll_to(y=self.scroll_offset.y + lines, animate=False)

    def action_pages(self, pages: int) -> None:
        self.action_scroll(pages * max(self.size.height - 1, 1))

    def action_ends(self, end: int) -> None:
        self.scroll_to(y=end * len(self._laid), animate=False)


def _cells(block: Block | None, width: int) -> list[Sequence[Piece]]:
    if block is None:
        return []
    title: list[Sequence[Piece]] = [block.title] if block.title else []
    return [*title, *([(text, names) for text, names, _ in line] for line in block.lines(width))]
