"""The runs under a folder: how each stands, the newest first."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from rlvr.traces.index import TraceIndex
from rlvr.traces.runs import RunState, RunSummary, find_runs
from rlvr.traces.text import visible
from rlvr.tui.glyphs import fixed
from rlvr.tui.page import Fetch, Page
from rlvr.tui.table import Cell, Column, Table

_COLUMNS = (
    Column("run", 18, grow=3),
    Column("state", 10),
    Column("stages", 12, grow=2),
    Column("steps", 6, right=True),
    Column("reward", 7, right=True),
    Column("age", 7, right=True),
    Column("now", 8, grow=1),
)
_STATES = {
    RunState.RUNNING: ("● running", "good"),
    RunState.FINISHED: ("✓ finished", "dim"),
    RunState.BROKEN: ("✗ broken", "bad"),
}
_RENEW_S = 2.0


class RunsPage(Page):
    """Enter opens a run."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("r", "renew", "look again", show=False)]

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.runs: list[RunSummary] = []

    def body(self) -> Iterable[Widget]:
        yield Table()

    def way(self) -> Sequence[str]:
        return [str(self.folder)]

    def on_mount(self) -> None:
        super().on_mount()
        self._show(find_runs(self.folder))
        self.set_interval(_RENEW_S, self.renew)

    def renew(self) -> None:
        if self.is_current and not self.working:
            self.fetch("looking for runs", lambda fetch: find_runs(self.folder), self._show)

    def action_renew(self) -> None:
        self.renew()

    def _show(self, runs: list[RunSummary]) -> None:
        table = self.query_one(Table)
        before = self.runs[table.cursor].path if table.cursor < len(self.runs) else None
        self.runs = runs
        cursor = next((row for row, run in enumerate(runs) if run.path == before), 0)
        empty = f"no run under {self.folder}: train one with rlvr run quickstart"
        table.fill(_COLUMNS, len(runs), lambda row: _cells(self.runs[row]), cursor, empty)

    def on_table_chosen(self, event: Table.Chosen) -> None:
        path = self.runs[event.row].path
        self.fetch(f"opening {path.name}", lambda fetch: _opened(path, fetch), self.browser.open_run)

    def on_screen_resume(self) -> None:
        self.browser.close_run()
        super().on_screen_resume()
        if self.runs:
            self.renew()


def _opened(path: Path, fetch: Fetch) -> TraceIndex:
    return TraceIndex.open(path, fetch.progress)


def _cells(run: RunSummary) -> Sequence[Cell]:
    steps = "–" if run.steps is None else str(run.steps)
    return [
        visible(run.name),
        [_STATES[run.state]],
        [(visible(" → ".join(run.stages)) or "–", "dim")],
        steps,
        fixed(run.reward, 3),
        [(age(run.age_s), "dim")],
        visible(run.stage or "–"),
    ]


def age(seconds: float) -> str:
    """A time ago in its largest unit.

    >>> age(3), age(200), age(7300), age(200_000)
    ('3 s', '3 min', '2 h', '2 d')
    """
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"
