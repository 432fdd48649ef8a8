"""One task through training: its group at each step it was sampled, and its first and last answer side by side."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from rlvr.traces.groups import GroupSummary
from rlvr.traces.rows import Row
from rlvr.traces.text import visible
from rlvr.tui.ask import Note
from rlvr.tui.describe import question, solved, text_blocks
from rlvr.tui.glyphs import fixed, percent
from rlvr.tui.lines import Piece
from rlvr.tui.other_run import ask_other
from rlvr.tui.page import Fetch, Page
from rlvr.tui.pages.compare import ComparePage
from rlvr.tui.pages.groups import glyphs
from rlvr.tui.prose import Block
from rlvr.tui.session import Session, best_answer
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
        best = [best_answer(session.index, group.key) for group in _ends(history)]
        return history, [row for row in best if row is not None]

    page.fetch(f"looking for {task_id}", look, lambda found: page.open(TaskPage(session, task_id, *found)))


class TaskPage(Page):
    """Enter opens the group; `c` puts the best answers of the first and the last step side by side."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "c", "ends", "first and last", tooltip="the best answer of the first and of the last step, side by side"
        ),
        Binding("R", "other", "other run", tooltip="this task, or another that both have, in another run"),
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

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """First and last are offered where there are two."""
        return len(self.ends) > 1 if action == "ends" else True

    def on_mount(self) -> None:
        super().on_mount()
        asked = visible(question(self.ends[0]).strip()) if self.ends else ""
        lines = [line for line in asked.splitlines() if line.strip()]
        shown = lines[:3] if len(lines) <= 3 else [*lines[:2], "…"]
        note = self.query_one("#asked", Note)
        note.styles.height = max(len(shown), 1)
        note.put(*([(line, "dim")] for line in shown))
        self.query_one(SideBySide).show([list(_answer(row)) for row in self.ends])
        low, high = self.session.index.reward_range()
        cells = [_cells(group, low, high) for group in self.history]
        self.query_one(Table).fill(_COLUMNS, len(cells), cells.__getitem__, 0, "it was never sampled")

    def on_table_chosen(self, event: Table.Chosen) -> None:
        from rlvr.tui.pages.group import open_group

        open_group(self, self.session, self.history[event.row].key)

    def action_ends(self) -> None:
        self._side(self.task_id, self.ends, [_place(row) for row in self.ends])

    def _side(self, task_id: str, rows: Sequence[Row], names: Sequence[str]) -> None:
        way = ["runs", self.session.name, f"task {task_id}", "side by side"]
        self.app.push_screen(ComparePage(self.session, rows, names, way))

    def action_other(self) -> None:
        """Asks for another run, then puts the last group's best answers of both side by side."""
        ask_other(self, self.session, self.task_id, self._side)


def _ends(history: Sequence[GroupSummary]) -> list[GroupSummary]:
    """The first and the last group: of training, where it was trained on twice, else of models, which write tokens."""
    trained = [group for group in history if group.key.step > 0]
    of_models = [group for group in history if group.length]
    groups = next((found for found in (trained, of_models) if len(found) > 1), list(history))
    return [groups[0], groups[-1]] if len(groups) > 1 else groups


def _place(row: Row) -> str:
    """Where an answer is from; an evaluation has no step."""
    return f"{row.stage} step {row.step}" if row.step else f"{row.stage} · {row.split}"


def _answer(row: Row) -> Iterable[Block]:
    """The best answer of a group, under where it is from."""
    title: list[Piece] = [(visible(_place(row)), "title"), (f"  reward {fixed(row.reward)} ", "dim"), solved(row)]
    yield Block("head", title)
    yield from text_blocks(row.completion[:20_000])


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
