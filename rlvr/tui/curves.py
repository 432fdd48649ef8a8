"""Curves over steps: one drawn large in braille, all as sparklines under it, and one cursor through them all."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip

from rlvr.tui.glyphs import braille, column_of, extent, index_at, number, sparkline
from rlvr.tui.lines import Lines, Piece, fitted

_VALUE = 9
_LEAST_CHART = 5


class Curves(Lines):
    """A cursor over the steps (left, right), another over the curves (up, down); Enter opens the step."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "step(-1)", "step", key_display="←→"),
        Binding("right,l", "step(1)", "a step on", show=False),
        Binding("shift+left,H", "step(-10)", "ten steps back", show=False),
        Binding("shift+right,L", "step(10)", "ten steps on", show=False),
        Binding("home,g", "end(0)", "first step", show=False),
        Binding("end,G", "end(-1)", "last step", show=False),
        Binding("up,k", "curve(-1)", "curve", key_display="↑↓"),
        Binding("down,j", "curve(1)", "the next curve", show=False),
        Binding("enter", "choose", "open step"),
    ]

    class Chosen(Message):
        """Enter, or a second click, on a step."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

    def __init__(self, **options: str) -> None:
        super().__init__(**options)
        self.steps: Sequence[int] = ()
        self.cursor = 0
        self.chosen = 0
        self.empty = ""
        self._curves: dict[str, Sequence[float | None]] = {}
        self._drawn: tuple[object, list[str]] = ((), [])

    def show(self, steps: Sequence[int], curves: Mapping[str, Sequence[float | None]], empty: str = "") -> None:
        """Shows curves with a value a step; the cursor stays on its step, or on the last one where it was there."""
        at_end = not self.steps or self.cursor >= len(self.steps) - 1
        before = self.steps[self.cursor] if not at_end else None
        self.steps, self._curves, self.empty = steps, dict(curves), empty
        self.cursor = steps.index(before) if before in steps else max(len(steps) - 1, 0)
        self.chosen = min(self.chosen, max(len(self._curves) - 1, 0))
        self.refresh()
        self.screen.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without a step there is nothing to go to."""
        return bool(self.steps)

    def to_step(self, step: int) -> None:
        """Puts the cursor on a step, where it is there."""
        if step in self.steps:
            self.cursor = self.steps.index(step)
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Called by Textual for each line that is seen."""
        width = self.size.width
        if not self.steps:
            return self.strip([(f"  {self.empty}", "dim")] if y == 1 else [], width)
        chart = self._chart_height()
        if y < chart:
            return self.strip(self._chart_line(y, chart), width)
        if y < chart + 2:
            return self.strip(self._axis() if y == chart else [], width)
        index = self._first_listed() + y - chart - 2
        if index >= len(self._curves):
            return self.strip([], width)
        return self.strip(self._listed(index), width, "cursor" if index == self.chosen else "")

    def _chart_height(self) -> int:
        return max(_LEAST_CHART, self.size.height - 2 - len(self._curves))

    def _first_listed(self) -> int:
        room = self.size.height - self._chart_height() - 2
        return max(0, min(self.chosen - room + 1 if self.chosen >= room else 0, len(self._curves) - room))

    def _gutter(self) -> int:
        return min(max(cell_len(name) for name in [*self._curves, "x" * 8]) + 3, 28)

    def _plot_width(self) -> int:
        return max(self.size.width - self._gutter() - _VALUE - 1, 4)

    def _chart_line(self, y: int, height: int) -> list[Piece]:
        name, values = list(self._curves.items())[self.chosen]
        low, high = extent(values)
        labels = {0: high, height - 1: low, height // 2: (low + high) / 2}
        label = number(labels[y]) if y in labels and (high > low or y == height // 2) else ""
        if y == 0:
            label = f"{name[: self._gutter() - 10]}  {label}"
        drawn = self._draw(name, values, height, low, high)[y]
        return [
            *fitted([(label, "dim")], self._gutter() - 1, True),
            ("┤" if label else "│", "faint"),
            *self._crossed(drawn, "key"),
        ]

    def _draw(self, name: str, values: Sequence[float | None], height: int, low: float, high: float) -> list[str]:
        """The drawing of the chosen curve, kept until something of it changes."""
        key = (name, id(values), len(values), height, self._plot_width())
        if self._drawn[0] != key:
            self._drawn = key, braille(values, self._plot_width(), height, low, high)
        return self._drawn[1]

    def _crossed(self, drawn: str, names: str) -> list[Piece]:
        """A line of a drawing with the cursor's column marked."""
        column = column_of(self.cursor, len(self.steps), self._plot_width())
        return [(drawn[:column], names), (drawn[column], f"{names} match"), (drawn[column + 1 :], names)]

    def _axis(self) -> list[Piece]:
        width, step = self._plot_width(), str(self.steps[self.cursor])
        column = column_of(self.cursor, len(self.steps), width)
        start = max(0, min(column - len(step) // 2, width - len(step)))
        first, last = str(self.steps[0]), str(self.steps[-1])
        line = [" "] * width
        for at, text in ((0, first), (width - len(last), last)) if len(self.steps) > 1 else ():
            if at + len(text) < start or at > start + len(step):  # what would touch the cursor's step is left out
                line[at : at + len(text)] = text
        before, after = "".join(line[:start]), "".join(line[start + len(step) :])
        return [
            *fitted([("step ", "dim")], self._gutter(), True),
            (before, "dim"),
            (step, "bold match"),
            (after, "dim"),
        ]

    def _listed(self, index: int) -> list[Piece]:
        name, values = list(self._curves.items())[index]
        mark = "▸ " if index == self.chosen else "  "
        value = number(values[self.cursor])
        return [
            *fitted([(mark, "key"), (name, "bold" if index == self.chosen else "")], self._gutter()),
            *self._crossed(sparkline(values, self._plot_width()), "key" if index == self.chosen else "faint"),
            *fitted([(value, "")], _VALUE, True),
        ]

    def action_step(self, steps: int) -> None:
        self.cursor = max(0, min(self.cursor + steps, len(self.steps) - 1))
        self.refresh()

    def action_end(self, end: int) -> None:
        self.cursor = 0 if end == 0 else max(len(self.steps) - 1, 0)
        self.refresh()

    def action_curve(self, curves: int) -> None:
        self.chosen = max(0, min(self.chosen + curves, len(self._curves) - 1))
        self.refresh()

    def action_choose(self) -> None:
        if self.steps:
            self.post_message(self.Chosen(self.steps[self.cursor]))

    def on_click(self, event: events.Click) -> None:
        """A click moves to the step, and in the list to the curve; a second one opens the step."""
        if not self.steps:
            return
        listed = self._first_listed() + event.y - self._chart_height() - 2
        if event.y >= self._chart_height() + 2 and listed < len(self._curves):
            self.chosen = listed
        column = event.x - self._gutter()
        if 0 <= column < self._plot_width():
            self.cursor = index_at(column, len(self.steps), self._plot_width())
        self.refresh()
        if event.chain > 1:
            self.action_choose()
