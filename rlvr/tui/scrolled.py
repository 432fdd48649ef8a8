"""Lines that are read and not chosen from: keys scroll them, and there is no cursor over them."""

from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar

from textual.binding import Binding, BindingType
from textual.geometry import Size

from rlvr.tui.lines import Lines

L = TypeVar("L")
"""What a line is before it is drawn."""


class Scrolled(Lines, Generic[L]):
    """A view that scrolls over lines laid out beforehand; a child class lays them out, for the room there is."""

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
        self._laid: Sequence[L] = ()

    def laid_out(self) -> Sequence[L]:
        """The lines for the width that there is."""
        raise NotImplementedError

    def lay(self) -> None:
        """Lays the lines out anew."""
        self._laid = self.laid_out()
        self.virtual_size = Size(self.size.width, len(self._laid))
        self.refresh()

    def on_resize(self) -> None:
        self.lay()

    def action_scroll(self, lines: int) -> None:
        self.scroll_to(y=self.scroll_offset.y + lines, animate=False)

    def action_pages(self, pages: int) -> None:
        self.action_scroll(pages * max(self.size.height - 1, 1))

    def action_ends(self, end: int) -> None:
        self.scroll_to(y=end * len(self._laid), animate=False)
