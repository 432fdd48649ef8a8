"""Two or three texts side by side, block beside block, scrolled as one."""

from collections.abc import Sequence
from itertools import zip_longest

from textual.strip import Strip

from rlvr.tui.lines import Piece, fitted
from rlvr.tui.prose import Block
from rlvr.tui.scrolled import Scrolled

_RULE: Piece = (" │ ", "faint")


class SideBySide(Scrolled[list[Sequence[Piece]]]):
    """Columns of blocks; the n-th blocks of all columns start on the same line."""

    def __init__(self, **options: str) -> None:
        super().__init__(**options)
        self.columns: Sequence[Sequence[Block]] = ()

    def show(self, columns: Sequence[Sequence[Block]]) -> None:
        """Shows other columns, at the same place."""
        self.columns = columns
        self.lay()

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

    def laid_out(self) -> list[list[Sequence[Piece]]]:
        """For each line its cells, one a column."""
        width = self._column_width()
        laid: list[list[Sequence[Piece]]] = []
        for blocks in zip_longest(*self.columns):
            cells = [_cells(block, width) for block in blocks]
            laid += [list(line) for line in zip_longest(*cells, fillvalue=())]
            laid.append([()] * len(cells))
        return laid


def _cells(block: Block | None, width: int) -> list[Sequence[Piece]]:
    if block is None:
        return []
    title: list[Sequence[Piece]] = [block.title] if block.title else []
    return [*title, *([(text, names) for text, names, _ in line] for line in block.lines(width))]
