"""One task through training: its group at each step it was sampled, and its first and last answer side by side."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from rlvr.traces.groups import GroupSummary
from rlvr.traces.index import TraceIndex
from rlvr.traces.rows import GroupKey, Row
from rlvr.traces.runs import find_runs
from rlvr.traces.text import visible
from rlvr.tui.ask import Note, Pick
from rlvr.tui.describe import question, solved, text_blocks
from rlvr.tui.glyphs import extent, fixed, percent
from rlvr.tui.lines import Piece
from rlvr.tui.page import Fetch, Page
from rlvr.tui.pages.compare import ComparePage
from rlvr.tui.pages.groups import glyphs
from rlvr.tui.prose import Block
from rlvr.tui.session import MOST_SIBLINGS, Session
from rlvr.tui.side import SideBySide
from rlvr.tui.table import Cell, Column, Table

_COLUMNS = (
    Column("stage", 12, grow=1),
    Column("step", 6, right=True),
    Column("group", 6, right=True),
    Column("rewards", 16),
    Column("mean", 6, right=True),
    Column("best", 6, right=True),
    Column("solved", 6, right=True),
    Column("tokens", 6, right=True),
)


def open_task(page: Page, session: Session, task_id: str | None, stage: str) -> None:
    """Looks for every group of a task, in all stages, and shows them over a page."""
    if not task_id:
        page.say("this completion names no task", "warn")
        return

    def look(fetch: Fetch) -> tuple[list[GroupSummary], list[Row]]:
        history = session.index.task_history(task_id, progress=fetch.progress, cancelled=fetch.cancelled)
        best = [_best(session.index, group.key) for group in _ends(history)]
        return history, [row for row in best if row is not None]

    page.fetch(f"looking for {task_id}", look, lambda found: page.open(TaskPage(session, task_id, *found)))


class TaskPage(Page):
    """Enter opens the group; `c` puts the best answers of the first and the last step side by side."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "c", "ends", "first and last", tooltip="the best answer of the first and of the last step, side by side"
        ),
        Binding("R", "other", "other run", tooltip="this task in another run, side by side"),
    ]
    AUTO_FOCUS = "Table"
    DEFAULT_CSS = """
    TaskPage > #asked { height: 3; background: $surface; }
    TaskPage > Table { height: 1fr; }
    TaskPage > SideBySide { height: 45%; border-top: solid $t-faint; }
    """

    def __init__(self, session: Session, task_id: str, history: Sequence[GroupSummary], ends: Sequence[Row]) -> None:
        super().__init__()
        self.session, self.task_id, self.history, self.ends = session, task_id, history, ends

    def body(self) -> Iterable[Widget]:
        yield Note(id="asked")
        yield Table()
        yield SideBySide()

    def way(self) -> Sequence[str]:
        return ["runs", self.session.name, f"task {self.task_id}"]

    def on_mount(self) -> None:
        super().on_mount()
        asked = visible(question(self.ends[0]).strip()) if self.ends else ""
        lines = [line for line in asked.splitlines() if line.strip()]
        shown = lines[:3] if len(lines) <= 3 else [*lines[:2], "…"]
        self.query_one("#asked", Note).put(*([(line, "dim")] for line in shown))
        self.query_one(SideBySide).show([list(_answer(row)) for row in self.ends])
        low, high = extent([reward for group in self.history for reward in group.rewards])
        cells = [_cells(group, low, high) for group in self.history]
        self.query_one(Table).fill(_COLUMNS, len(cells), cells.__getitem__, 0, "it was never sampled")

    def on_table_chosen(self, event: Table.Chosen) -> None:
        from rlvr.tui.pages.group import open_group

        open_group(self, self.session, self.history[event.row].key)

    def action_ends(self) -> None:
        if len(self.ends) < 2:
            self.say("it was sampled once only", "warn")
        else:
            self._side(self.ends, [_place(row) for row in self.ends])

    def _side(self, rows: Sequence[Row | None], names: Sequence[str]) -> None:
        found = [row for row in rows if row is not None]
        if len(found) == len(names):
            self.app.push_screen(ComparePage(self.session, found, names, [*self.way(), "side by side"]))
        else:
            self.say("one of them cannot be read", "bad")

    def action_other(self) -> None:
        """Asks for another run, then puts the last group's best answers of both side by side."""
        home = (self.session.index.run or self.session.index.path).resolve()
        runs = [run for run in find_runs(home.parent) if run.path.resolve() != home]
        if not runs:
            self.say(f"there is no other run in {home.parent}", "warn")
            return

        def chosen(at: int | None) -> None:
            if at is not None:
                path = runs[at].path
                self.fetch(
                    f"looking in {path.name}",
                    lambda fetch: self._in_both(path, fetch),
                    lambda rows: self._both(rows, path.name),
                )

        self.app.push_screen(Pick("compare with the run", [[(visible(run.name), "")] for run in runs]), chosen)

    def _in_both(self, path: Path, fetch: Fetch) -> list[Row | None]:
        other = TraceIndex.open(path)
        theirs = other.task_history(self.task_id, progress=fetch.progress, cancelled=fetch.cancelled)
        ours = self.history[-1] if self.history else None
        return [
            _best(self.session.index, ours.key) if ours else None,
            _best(other, theirs[-1].key) if theirs else None,
        ]

    def _both(self, rows: Sequence[Row | None], name: str) -> None:
        if rows[1] is None:
            self.say(f"{name} never sampled this task", "warn")
        else:
            self._side(rows, [self.session.name, name])


def _ends(history: Sequence[GroupSummary]) -> list[GroupSummary]:
    """The first and the last group: of training, where it was trained on twice; one where there is but one."""
    trained = [group for group in history if group.key.step > 0]
    groups = trained if len(trained) > 1 else list(history)
    return [groups[0], groups[-1]] if len(groups) > 1 else groups


def _place(row: Row) -> str:
    return f"{row.stage} step {row.step}"


def _answer(row: Row) -> Iterable[Block]:
    """The best answer of a group, under where it is from."""
    title: list[Piece] = [(visible(_place(row)), "title"), (f"  reward {fixed(row.reward)} ", "dim"), solved(row)]
    yield Block("head", title)
    yield from text_blocks(row.completion[:20_000])


def _best(index: TraceIndex, key: GroupKey) -> Row | None:
    rows = index.rows(key, MOST_SIBLINGS)
    return max(rows, key=lambda row: (row.reward is not None, row.reward or 0.0), default=None)


def _cells(group: GroupSummary, low: float, high: float) -> Sequence[Cell]:
    key = group.key
    return [
        visible(f"{key.stage} · {key.split}"),
        str(key.step),
        str(key.group),
        glyphs(group.rewards, low, high),
        [(fixed(group.mean), "bold")],
        fixed(group.best),
        percent(group.success),
        "–" if group.length is None else f"{group.length:.0f}",
    ]
