"""The page of keys: what can be done here and everywhere, made from the bindings, and what the signs mean."""

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from rlvr.tui.prose import Block, Prose
from rlvr.tui.wrap import Run

_SIGNS = """\
▁▄█·      the rewards of a group, sibling by sibling, over the range of the run; a dot has none
+0.53     an advantage: above the mean of its group, and so made likelier; the bar is its size
–         no value: it was not recorded, or the part does not apply
✓ ✗       solved, not solved          ★  won a comparison    ● good   ○ bad   ✎ has a note
think     greyed; the answer is not   \\x1b  an unsafe character of the text, shown and not carried out
"""


class Help(ModalScreen[None]):
    """Over the page that it is of."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark", "dismiss", "close")]
    DEFAULT_CSS = """
    Help { background: $background 0%; align: center middle; }
    Help > Vertical { width: 78; max-width: 100%; height: 90%; background: $surface; border: round $t-faint; }
    Help Prose { background: $surface; }
    """

    def __init__(self, bindings: Iterable[ActiveBinding]) -> None:
        super().__init__()
        self._found = list(bindings)

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Prose()

    def on_mount(self) -> None:
        everywhere = [each for each in self._found if each.node is self.app]
        here = [each for each in self._found if each.node is not self.app]
        blocks = [
            Block("here", [("On this page", "title")], list(self._keys(here))),
            Block("", [], [("\n", "", -1)]),
            Block("everywhere", [("Everywhere", "title")], list(self._keys(everywhere))),
            Block("", [], [("\n", "", -1)]),
            Block("signs", [("Signs", "title")], [(_SIGNS, "", -1)]),
        ]
        self.query_one(Prose).show(blocks)

    def _keys(self, bindings: Iterable[ActiveBinding]) -> Iterable[Run]:
        keys: dict[str, tuple[list[str], str]] = {}
        for active in bindings:
            binding = active.binding
            if not binding.description or binding.system:
                continue
            shown, _ = keys.setdefault(f"{active.node}.{binding.action}", ([], binding.tooltip or binding.description))
            key = self.app.get_key_display(binding)
            shown += [key] if key not in shown else []
        for shown, description in keys.values():
            yield " ".join(shown).ljust(22), "key", -1
            yield f"{description}\n", "", -1
