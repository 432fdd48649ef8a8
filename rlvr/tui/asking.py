"""The two lines that look through a whole run: a search (`/`), and a filter (`f`) with its error under it."""

import re
from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input

from rlvr.traces.judgments import Judgments
from rlvr.traces.query import FilterError, parse_filter
from rlvr.traces.search import Search, Where
from rlvr.traces.text import visible
from rlvr.tui.ask import Ask, Note, Pick

_WHERES = list(Where)


class AskFilter(Ask):
    """A filter line.

    Args:
        judgments: Where filters are saved.
        part_names: The parts that there are.
        within: The search that stays.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", "save", priority=True),
        Binding("ctrl+o", "saved", "saved", priority=True),
    ]

    def __init__(self, value: str, judgments: Judgments, part_names: list[str], within: str = "") -> None:
        self.judgments = judgments
        title = f"filter what {visible(within)} finds; / changes that" if within else "filter"
        super().__init__(title, value, lambda text: filter_error(text, part_names), filter_hint(part_names))

    def action_save(self) -> None:
        text = self.query_one(Input).value
        if not text.strip() or self.error(text):
            return

        def named(name: str | None) -> None:
            if name and name.strip():
                self._try(lambda: self.judgments.save_filter(name.strip(), text), f"saved as {name.strip()}")

        self.app.push_screen(Ask("save the filter as", hint="a name"), named)

    def action_saved(self) -> None:
        filters = self.judgments.filters()
        if not filters:
            self.query_one("#said", Note).put([("no filter was saved for this run yet: ^s saves one", "warn")])
            return
        names = sorted(filters)

        def chosen(at: int | None) -> None:
            if at is not None:
                field = self.query_one(Input)
                field.value = filters[names[at]]
                field.cursor_position = len(field.value)

        lines = [[(visible(name), "bold"), ("  ", ""), (visible(filters[name]), "dim")] for name in names]
        self.app.push_screen(Pick("saved filters", lines), chosen)

    def _try(self, write: Callable[[], None], said: str) -> None:
        try:
            write()
        except ValueError as error:  # UserError: the folder is read-only, for one
            self.query_one("#said", Note).put([(str(error), "bad")])
        else:
            self.query_one("#said", Note).put([(said, "good")])


def filter_hint(part_names: list[str]) -> str:
    """The keys of the line, and a filter that can be asked of this run."""
    plain = next((name for name in part_names if re.fullmatch(r"\w+", name)), None)
    part = f"parts.{plain} == 1" if plain else "kept"
    return f"^s saves it  ^o opens a saved one   reward < 0.2 and {part}"


def filter_error(text: str, part_names: list[str]) -> str | None:
    """What is wrong with a filter line, with a mark under the place where it is."""
    try:
        parse_filter(text, part_names)
    except FilterError as error:
        return (
            f"{' ' * error.column}▲ {error.message}"
            if error.column < 40
            else f"column {error.column + 1}: {error.message}"
        )
    return None


class AskSearch(Ask):
    """A text to look for; `ctrl+r` reads it as a regular expression, `ctrl+t` changes where it is looked for.

    Args:
        before: The last search.
        within: The filter that stays.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+r", "regex", "regex", priority=True),
        Binding("ctrl+t", "where", "where", priority=True),
    ]

    def __init__(self, before: Search | None, within: str = "") -> None:
        self._within = visible(within)
        self.is_regex = before.regex if before else False
        self.where = before.where if before else Where.COMPLETIONS
        super().__init__("", before.text if before else "", self._problem, replaces=True)
        self._tell()

    def action_regex(self) -> None:
        self.is_regex = not self.is_regex
        self._tell()

    def action_where(self) -> None:
        self.where = _WHERES[(_WHERES.index(self.where) + 1) % len(_WHERES)]
        self._tell()

    def search(self, text: str) -> Search | None:
        """What was asked for; `None` where nothing was."""
        return Search(text, self.is_regex, self.where) if text else None

    def _problem(self, text: str) -> str | None:
        try:
            self.search(text)
        except ValueError as error:  # UserError
            return str(error)
        return None

    def _tell(self) -> None:
        kind = "regular expression" if self.is_regex else "text"
        among = f" among what the filter lets through: {self._within}" if self._within else ""
        hint = "^r text or regular expression   ^t where   case does not matter"
        self.retitle(f"search {self.where} for a {kind}{among}", hint)
