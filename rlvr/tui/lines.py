"""Lines of styled pieces, drawn only where they are seen: what every view of the browser is made of.

A piece is a text and the names of its styles (`rlvr.tui.theme`), as `("0.75", "good bold")`. Textual asks for the lines
on the screen alone, so that half a million of them cost as much as thirty. Nothing here knows of traces.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, cast

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.scroll_view import ScrollView
from textual.strip import Strip

Piece = tuple[str, str]
"""A text without line breaks or control characters, and the names of its styles, blank between them."""


class Painted(Protocol):
    """What the app gives to its lines: styles by name, of its own and not of a style sheet, so that pages open fast."""

    @property
    def looks(self) -> Mapping[str, Style]: ...


class Lines(ScrollView, can_focus=True, inherit_bindings=False):
    """A view that draws its own lines; a child class says what they are by `render_line`."""

    DEFAULT_CSS = """
    Lines { background: $background; color: $foreground; overflow-x: hidden; scrollbar-size-vertical: 1;
            scrollbar-background: $background; scrollbar-background-hover: $background;
            scrollbar-background-active: $background; scrollbar-color: $panel; scrollbar-color-hover: $t-faint;
            scrollbar-color-active: $t-faint; }
    """

    def __init__(self, **options: str) -> None:
        super().__init__(**options)  # pyright: ignore[reportArgumentType]
        self._styles_made: dict[tuple[str, str], Style] = {}

    def notify_style_update(self) -> None:
        """Called by Textual when the theme has changed."""
        super().notify_style_update()
        self._styles_made = {}

    def strip(self, pieces: Iterable[Piece], width: int, under: str = "") -> Strip:
        """One line, cut or filled to a width; `under` names styles that lie below every piece."""
        segments: list[Segment] = []
        room = width
        for text, names in pieces:
            length = cell_len(text)
            if length > room:
                text, length = set_cell_size(text, room), room
            if text:
                segments.append(Segment(text, self._style(names, under)))
            room -= length
            if room <= 0:
                break
        if room > 0:
            segments.append(Segment(" " * room, self._style("", under)))
        return Strip(segments, width)

    def _style(self, names: str, under: str) -> Style:
        made = self._styles_made.get((names, under))
        if made is None:
            made = self.rich_style
            for name in [*under.split(), *names.split()]:
                made += self.looks[name]
            self._styles_made[names, under] = made
        return made

    @property
    def looks(self) -> Mapping[str, Style]:
        """What the names of styles look like in the app's theme."""
        return cast(Painted, self.app).looks


def width_of(pieces: Sequence[Piece]) -> int:
    """How many columns of a terminal the pieces take."""
    return sum(cell_len(text) for text, _ in pieces)


def fitted(pieces: Sequence[Piece], width: int, to_the_right: bool = False) -> list[Piece]:
    """The pieces in exactly so many columns, an ellipsis where something was cut.

    >>> fitted([("reward", "dim")], 4), fitted([("0.5", "")], 5, to_the_right=True)
    ([('rew', 'dim'), ('…', 'faint')], [('  ', ''), ('0.5', '')])
    """
    length = width_of(pieces)
    if length <= width:
        blank = [(" " * (width - length), "")] if length < width else []
        return [*blank, *pieces] if to_the_right else [*pieces, *blank]
    kept, room = [], width - 1
    for text, names in pieces:
        if (length := cell_len(text)) > room:
            if room > 0:
                kept.append((set_cell_size(text, room), names))
            break
        kept.append((text, names))
        room -= length
    return [*kept, ("…", "faint")] if width > 0 else []
