"""A table of any length: it asks for the cells of the rows on the screen alone, and its columns never move.

Columns that there is no room for are to the right, and come by the arrows; the first ones stay.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from rlvr.tui.lines import Lines, Piece, fitted

Cell = str | Sequence[Piece]
_GAP = 2


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        title: Its head.
        width: In columns of the terminal; at least so many where it grows.
        right: Whether it stands to the right, as numbers do.
        key: What clicking on its head sorts by; nothing where it is empty.
        grow: Its share of the room that is left over.
    """

    title: str
    width: int
    right: bool = False
    key: str = ""
    grow: int = 0


class Table(Lines):
    """Rows under heads, one of them under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", show=False),
        Binding("down,j", "move(1)", "down", show=False),
        Binding("pageup,ctrl+b", "page(-1)", "a page up", show=False),
        Binding("pagedown,ctrl+f", "page(1)", "a page down", show=False),
        Binding("home,g", "to(0)", "first", show=False),
        Binding("end,G", "to(-1)", "last", show=False),
        Binding("enter", "choose", "open"),
        Binding("left,h", "shift(-1)", "columns", key_display="← →", tooltip="the columns that there is no room for"),
        Binding("right,l", "shift(1)", "columns to the right", show=False),
    ]

    class Moved(Message):
        """The cursor came to a row."""

        def __init__(self, table: "Table", row: int) -> None:
            super().__init__()
            self.table, self.row = table, row

        @property
        def control(self) -> "Table":
            return self.table

    class Chosen(Moved):
        """Enter, or a second click, on a row."""

    class Headed(Message):
        """A click on the head of a column."""

        def __init__(self, table: "Table", key: str) -> None:
            super().__init__()
            self.table, self.key = table, key

        @property
        def control(self) -> "Table":
            return self.table

    def __init__(self, **options: str) -> None:
        super().__init__(**options)
        self.columns: Sequence[Column] = ()
        self.num_rows = 0
        self.cursor = 0
        self._staying, self._shifted = 1, 0
        self.sorted_by, self.descending = "", False
        self.empty = ""
        self._cells_of: Callable[[int], Sequence[Cell]] = lambda row: ()

    def fill(
        self,
        columns: Sequence[Column],
        num_rows: int,
        cells_of: Callable[[int], Sequence[Cell]],
        cursor: int | None = None,
        empty: str = "",
        staying: int = 1,
    ) -> None:
        """Shows other rows, under the same cursor unless one is given.

        Args:
            columns: What stands over them.
            num_rows: How many there are.
            cells_of: The cells of a row, one a column; called when the row is drawn.
            cursor: The row that the cursor comes to.
            empty: What is said where there is no row.
            staying: How many columns stay in sight where not all fit.
        """
        self.columns, self.num_rows, self._cells_of, self.empty = columns, num_rows, cells_of, empty
        self._staying = staying
        self._shifted = min(self._shifted, max(len(columns) - staying - 1, 0))
        self.virtual_size = Size(self.size.width, num_rows + 1)
        self._go(self.cursor if cursor is None else cursor)
        self.refresh()
        self.screen.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that would do nothing are not offered."""
        if action == "choose":
            return self.num_rows > 0
        if action == "shift":
            return len(self._shown(0)) < len(self.columns)
        return True

    def render_line(self, y: int) -> Strip:
        """Called by Textual for each line that is seen."""
        width = self.size.width
        if y == 0:
            return self.strip(self._heads(), width)
        row = self.scroll_offset.y + y - 1
        if row >= self.num_rows:
            return self.strip([(f"  {self.empty}", "dim")] if self.num_rows == 0 and y == 2 else [], width)
        return self.strip(self._line(self._cells_of(row)), width, "cursor" if row == self.cursor else "")

    def _shown(self, shifted: int) -> list[int]:
        """The numbers of the columns that there is room for, from the one that it was shifted to."""
        shown, room = [], self.size.width - 1 + _GAP
        staying = min(self._staying, len(self.columns))
        for number in [*range(staying), *range(staying + shifted, len(self.columns))]:
            room -= self.columns[number].width + _GAP
            if room < 0 and number >= staying:
                break
            shown.append(number)
        return shown

    def _heads(self) -> list[Piece]:
        """The heads, with marks where columns are out of sight."""
        pieces = self._line([self._head(column) for column in self.columns], self._arrow)
        if self._shifted:
            pieces[0] = ("‹", "key")
        if len(self.columns) - 1 not in self._shown(self._shifted):
            pieces[-1] = (pieces[-1][0][:1], pieces[-1][1])  # half of the last gap may be all that there is room for
            pieces = [*fitted(pieces, self.size.width - 1), ("›", "key")]
        return pieces

    def _head(self, column: Column) -> Cell:
        if not column.key or column.key != self.sorted_by:
            return [(column.title, "head")]
        return [(column.title, "title")]

    def _line(self, cells: Sequence[Cell], gap_after: Callable[[Column], str] | None = None) -> list[Piece]:
        pieces: list[Piece] = [(" ", "")]
        for number, width in self._widths():
            column, cell = self.columns[number], cells[number]
            pieces += fitted([(cell, "")] if isinstance(cell, str) else cell, width, column.right)
            pieces.append((gap_after(column) if gap_after else " " * _GAP, "title"))
        return pieces

    def _arrow(self, column: Column) -> str:
        """The gap behind a head; which way it is sorted stands in it, so that nothing moves."""
        if not column.key or column.key != self.sorted_by:
            return " " * _GAP
        return ("▾" if self.descending else "▴").ljust(_GAP)

    def _widths(self) -> list[tuple[int, int]]:
        """The columns in sight by number, each with its width."""
        shown = self._shown(self._shifted)
        columns = [self.columns[number] for number in shown]
        left = self.size.width - 1 - sum(column.width + _GAP for column in columns)
        shares = sum(column.grow for column in columns)
        more = [max(left, 0) * column.grow // shares if shares else 0 for column in columns]
        return [(number, self.columns[number].width + extra) for number, extra in zip(shown, more, strict=True)]

    def action_move(self, rows: int) -> None:
        self.move_to(self.cursor + rows)

    def action_page(self, pages: int) -> None:
        self.move_to(self.cursor + pages * max(self.size.height - 2, 1))

    def action_to(self, row: int) -> None:
        self.move_to(row if row >= 0 else self.num_rows + row)

    def action_shift(self, columns: int) -> None:
        if columns < 0 or len(self.columns) - 1 not in self._shown(self._shifted):
            self._shifted = max(self._shifted + columns, 0)
            self.refresh()

    def action_choose(self) -> None:
        if self.num_rows:
            self.post_message(self.Chosen(self, self.cursor))

    def move_to(self, row: int) -> None:
        """Brings the cursor to a row, or as near as there is one."""
        before = self.cursor
        self._go(row)
        if self.cursor != before:
            self.refresh_line(before + 1)
            self.refresh_line(self.cursor + 1)
            self.post_message(self.Moved(self, self.cursor))

    def _go(self, row: int) -> None:
        self.cursor = max(0, min(row, self.num_rows - 1))
        top, seen = self.scroll_offset.y, max(self.size.height - 1, 1)
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False)
        elif self.cursor >= top + seen:
            self.scroll_to(y=self.cursor - seen + 1, animate=False)

    def on_resize(self) -> None:
        self.virtual_size = Size(self.size.width, self.num_rows + 1)
        if len(self._shown(0)) == len(self.columns):
            self._shifted = 0
        self._go(self.cursor)
        self.screen.refresh_bindings()

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor, on the row under it opens it, and on a head sorts."""
        if event.y == 0:
            if key := self._key_at(event.x):
                self.post_message(self.Headed(self, key))
            return
        row = self.scroll_offset.y + event.y - 1
        if row < self.num_rows:
            was_there = row == self.cursor
            self.move_to(row)
            if was_there or event.chain > 1:
                self.action_choose()

    def _key_at(self, x: int) -> str:
        start = 1
        for number, width in self._widths():
            if start <= x < start + width + _GAP:
                return self.columns[number].key
            start += width + _GAP
        return ""
