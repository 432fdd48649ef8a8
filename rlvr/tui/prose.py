"""Text to read: titled blocks that fold, wrapped to the room there is, with a cursor over tokens where it has any."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from textual import events
from textual.message import Message
from textual.strip import Strip

from rlvr.tui.lines import Piece
from rlvr.tui.scrolled import Scrolled
from rlvr.tui.wrap import Run, wrapped

_INDENT = 2


@dataclass
class Block:
    """A part of a text with a title of its own.

    Attributes:
        name: What folding knows it by.
        title: Its first line; without one it has no title and cannot fold.
        runs: What it says.
        folded: Whether its title stands for it.
    """

    name: str
    title: Sequence[Piece] = ()
    runs: Sequence[Run] = ()
    folded: bool = False
    _lines: dict[int, list[list[Run]]] = field(default_factory=dict, repr=False)

    def lines(self, width: int) -> list[list[Run]]:
        """Its text as lines of a width, nothing where it is folded."""
        if self.folded or not self.runs:
            return []
        if width not in self._lines:
            lines = wrapped(self.runs, width)
            while lines and not lines[-1]:  # blank lines around a text say nothing
                lines.pop()
            while lines and not lines[0]:
                lines.pop(0)
            self._lines = {width: lines}
        return self._lines[width]

    def head(self) -> list[Piece]:
        """Its title, with whether it is folded."""
        if not self.runs:
            return list(self.title)
        return [("▸ " if self.folded else "▾ ", "faint"), *self.title]


class Prose(Scrolled[tuple[int, Sequence[Run] | None]]):
    """Blocks, one under the other."""

    class Folded(Message):
        """A block was folded or opened by a click."""

        def __init__(self, prose: "Prose", name: str, folded: bool) -> None:
            super().__init__()
            self.prose, self.name, self.folded = prose, name, folded

    def __init__(self, **options: str) -> None:
        super().__init__(**options)
        self.blocks: Sequence[Block] = ()
        self.token = -1

    def show(self, blocks: Sequence[Block], keep_place: bool = False) -> None:
        """Shows other blocks, from their top unless the place is kept."""
        self.blocks = blocks
        self.lay()
        if not keep_place:
            self.scroll_to(y=0, animate=False)

    def to_token(self, token: int) -> None:
        """Puts the cursor over a token and brings it into sight; -1 takes the cursor away."""
        self.token = token
        line = next(
            (y for y, (_, runs) in enumerate(self._laid) if runs and any(run[2] == token for run in runs)), None
        )
        if token >= 0 and line is not None:
            self._see(line)
        self.refresh()

    def to_run(self, names: str) -> None:
        """Brings the first run with these styles into sight."""
        line = next(
            (y for y, (_, runs) in enumerate(self._laid) if runs and any(names in run[1] for run in runs)), None
        )
        if line is not None:
            self._see(line)

    def render_line(self, y: int) -> Strip:
        """Called by Textual for each line that is seen."""
        width = self.size.width
        line = self.scroll_offset.y + y
        if line >= len(self._laid):
            return self.strip([], width)
        index, runs = self._laid[line]
        if runs is None:
            return self.strip([(" ", ""), *self.blocks[index].head()], width)
        shown = [(text, f"{names} token" if ref >= 0 and ref == self.token else names) for text, names, ref in runs]
        return self.strip([(" " * _INDENT, ""), *shown], width)

    def laid_out(self) -> list[tuple[int, Sequence[Run] | None]]:
        """For each line the number of its block, and its runs; a title has none."""
        width = max(self.size.width - _INDENT - 1, 2)
        laid: list[tuple[int, Sequence[Run] | None]] = []
        for index, block in enumerate(self.blocks):
            if block.title:
                laid.append((index, None))
            laid += [(index, runs) for runs in block.lines(width)]
        return laid

    def _see(self, line: int) -> None:
        top, height = self.scroll_offset.y, max(self.size.height, 1)
        if not top <= line < top + height:
            self.scroll_to(y=max(line - height // 3, 0), animate=False)

    def on_click(self, event: events.Click) -> None:
        """A click on a title folds its block."""
        line = self.scroll_offset.y + event.y
        if line < len(self._laid) and self._laid[line][1] is None:
            block = self.blocks[self._laid[line][0]]
            if block.runs:
                block.folded = not block.folded
                self.lay()
                self.post_message(self.Folded(self, block.name, block.folded))
