"""Completions that a filter or a search found, anywhere in the run, in any order; the one under the cursor below."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from rlvr.traces.find import Found, RowRef, Sort, find, sort_names
from rlvr.traces.query import Filter
from rlvr.traces.rows import Row
from rlvr.traces.search import Search
from rlvr.traces.text import visible
from rlvr.tui.ask import Pick
from rlvr.tui.describe import solved, text_blocks
from rlvr.tui.glyphs import fixed
from rlvr.tui.lines import Piece
from rlvr.tui.page import Fetch, Page
from rlvr.tui.prose import Prose
from rlvr.tui.rowpage import RowPage
from rlvr.tui.session import Scope, Session
from rlvr.tui.table import Cell, Column, Table

_COLUMNS = (
    Column("", 3),
    Column("stage", 12),
    Column("step", 6, right=True),
    Column("group", 6, right=True),
    Column("#", 3, right=True),
    Column("reward", 6, right=True),
    Column("ok", 2),
    Column("tokens", 6, right=True),
    Column("text", 12, grow=1),
)
_MOST_HELD = 5000
"""Rows that were read and are kept, so that looking back is fast."""
_AROUND = 6
"""Characters before a hit in the column of texts."""


@dataclass(frozen=True)
class Question:
    """What was looked for."""

    filter: Filter | None = None
    search: Search | None = None
    sort: Sort | None = None

    def text(self) -> str:
        """In a few words."""
        return " · ".join(filter(None, map(self.word, ("search", "filter")))) or "all completions"

    def word(self, name: str) -> str:
        """The search or the filter as it is shown; empty where there is none."""
        if name == "search":
            return f"/{self.search.text}/" if self.search else ""
        return self.filter.text if self.filter else ""


def open_found(page: Page, session: Session, question: Question) -> None:
    """Looks through the run and shows what was found over a page."""
    page.fetch(
        f"looking for {question.text()}",
        lambda fetch: look(session, question, fetch),
        lambda found: page.open(FoundPage(session, question, found)),
    )


def look(session: Session, question: Question, fetch: Fetch) -> Found:
    """Looks through every completion, in the thread of a fetch."""
    return find(session.index, question.filter, question.search, question.sort, fetch.progress, fetch.cancelled)


class FoundPage(RowPage):
    """Enter opens a completion among its siblings."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sort", "sort"),
        Binding("r", "turn", "reverse", show=False, tooltip="the other way round"),
        Binding("t", "task", "task", tooltip="follow this task through training"),
    ]
    AUTO_FOCUS = "Table"
    DEFAULT_CSS = """
    FoundPage > Table { height: 1fr; }
    FoundPage > Prose { height: 40%; border-top: solid $t-faint; }
    """

    def __init__(self, session: Session, question: Question, found: Found) -> None:
        super().__init__()
        self.session, self.question, self.found = session, question, found
        self._rows: dict[RowRef, Row | None] = {}

    def body(self) -> Iterable[Widget]:
        yield Table()
        yield Prose()

    def way(self) -> Sequence[str]:
        return ["runs", self.session.name, self.question.text()]

    def state(self) -> Sequence[Piece]:
        part = "" if self.found.is_whole else " so far"
        return [(f"{len(self.found):,} of {self.found.num_scanned:,}{part} ", "dim")]

    def scope(self) -> Scope:
        return Scope("what was found", "found", len(self.found), self.found)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that would do nothing are not offered."""
        return True if action == "back" else len(self.found) > 0

    def row(self) -> Row | None:
        if not len(self.found):
            return None
        return self._rows.get(self.found[self.query_one(Table).cursor])

    def judged(self) -> None:
        self.query_one(Table).refresh()

    def on_mount(self) -> None:
        super().on_mount()
        self._put(self.found)

    def ask(self, question: Question) -> None:
        """Looks for something else, on this page."""
        self.fetch(
            f"looking for {question.text()}",
            lambda fetch: look(self.session, question, fetch),
            lambda found: self._took(question, found),
        )

    def _took(self, question: Question, found: Found) -> None:
        self.question = question
        self._put(found)

    def _put(self, found: Found) -> None:
        self.found = found
        table = self.query_one(Table)
        table.fill(_COLUMNS, len(found), self._cells, 0, "nothing was found: f changes the filter, / the search", 2)
        self.query_one(Prose).show([])
        self.head()
        self._read_seen()

    def _cells(self, at: int) -> Sequence[Cell]:
        ref = self.found[at]
        place: list[Cell] = [
            visible(f"{ref.key.stage} · {ref.key.split}"),
            str(ref.key.step),
            str(ref.key.group),
            str(ref.sample),
        ]
        row = self._rows.get(ref)
        if row is None:
            return ["", *place, [("…", "faint")], "", "", ""]
        tokens = "–" if row.completion_tokens is None else str(row.completion_tokens)
        return [
            self.judgment_pieces(row),
            *place,
            [(fixed(row.reward), "bold")],
            [solved(row)],
            tokens,
            self._excerpt(row),
        ]

    def _excerpt(self, row: Row) -> list[Piece]:
        """The text around the first hit, or the end of the text."""
        spans = self.session.spans(row.completion[:50_000]) if self.question.search else []
        if not spans:
            return [(visible(row.completion.strip()[-200:]).replace("\n", " "), "dim")]
        start, end = spans[0]
        before = row.completion[max(start - _AROUND, 0) : start]
        pieces = ((before, "dim"), (row.completion[start:end], "match"), (row.completion[end : end + 200], "dim"))
        return [(visible(text).replace("\n", " "), names) for text, names in pieces]

    def on_table_moved(self, event: Table.Moved) -> None:
        self._read_seen()

    def _read_seen(self) -> None:
        """Reads the rows on the screen, the one under the cursor first; those that were read are kept."""
        table = self.query_one(Table)
        self._preview()
        first = max(int(table.scroll_offset.y) - 2, 0)
        seen = range(first, min(first + self.size.height, len(self.found)))
        at = table.cursor
        wanted = [self.found[row] for row in sorted(seen, key=lambda row: abs(row - at))]
        wanted = [ref for ref in wanted if ref not in self._rows]
        if wanted:
            self.run_worker(lambda: self._read(wanted), thread=True, exclusive=True, group="rows", exit_on_error=False)

    def _read(self, refs: Sequence[RowRef]) -> None:
        """In a thread: the rows of these places, group by group, shown as they come."""
        from textual.worker import get_current_worker

        worker = get_current_worker()
        for ref in refs:
            if worker.is_cancelled:
                return
            if len(self._rows) > _MOST_HELD:
                self._rows = {}
            if ref not in self._rows:
                for row in self.session.rows(ref.key, ref.sample):
                    self._rows[RowRef(row.key, row.sample)] = row
                self._rows.setdefault(ref, None)
                self.app.call_from_thread(self._came)

    def _came(self) -> None:
        if self.is_mounted:
            self.query_one(Table).refresh()
            self._preview()

    def _preview(self) -> None:
        row = self.row()
        text = row.completion[:20_000] if row else ""
        spans = [(start, end, "match") for start, end in self.session.spans(text)] if self.question.search else []
        self.query_one(Prose).show(text_blocks(text, spans) if row else [])

    def on_table_chosen(self, event: Table.Chosen) -> None:
        from rlvr.tui.pages.completion import CompletionPage

        ref = self.found[event.row]

        def done(rows: list[Row]) -> None:
            at = next((at for at, row in enumerate(rows) if row.sample == ref.sample), None)
            if at is None:
                self.say("it cannot be read any more: ! says why", "bad")
            else:
                self.app.push_screen(CompletionPage(self.session, rows, at))

        self.fetch("reading the group", lambda fetch: self.session.rows(ref.key, ref.sample), done)

    def action_sort(self) -> None:
        names = ["place", *sort_names(self.session.index.part_names())]
        now = names.index(self.question.sort.name) if self.question.sort and self.question.sort.name in names else 0

        def chosen(at: int | None) -> None:
            if at is not None:
                sort = Sort(names[at], descending=names[at] not in ("step", "finish_reason")) if at else None
                self.ask(replace(self.question, sort=sort))

        self.app.push_screen(Pick("sort completions by", [[(visible(name), "")] for name in names], now), chosen)

    def action_turn(self) -> None:
        sort = self.question.sort
        if sort:
            self.ask(replace(self.question, sort=Sort(sort.name, not sort.descending)))

    def action_task(self) -> None:
        from rlvr.tui.pages.task import open_task

        if row := self.row():
            open_task(self, self.session, row.task_id, row.stage)
