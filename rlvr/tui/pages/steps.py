"""The steps of a stage as a table: what each came to."""

from collections.abc import Iterable, Sequence

from textual.widget import Widget

from rlvr.traces.tally import StepSummary
from rlvr.traces.text import visible
from rlvr.tui.glyphs import fixed, percent
from rlvr.tui.page import Page
from rlvr.tui.session import Session
from rlvr.tui.table import Cell, Column, Table

_COLUMNS = (
    Column("step", 6, right=True),
    Column("n", 6, right=True),
    Column("reward", 7, right=True),
    Column("success", 7, right=True),
    Column("zero-var", 8, right=True),
    Column("tokens", 6, right=True),
    Column("clipped", 7, right=True),
    Column("errors", 6, right=True),
)
_PART = 14


class StepsPage(Page):
    """Enter opens a step."""

    def __init__(self, session: Session, stage: str, split: str, step: int | None) -> None:
        super().__init__()
        self.session, self.stage, self.split, self._first = session, stage, split, step
        self.steps: list[StepSummary] = []

    def body(self) -> Iterable[Widget]:
        yield Table()

    def way(self) -> Sequence[str]:
        return ["runs", self.session.name, f"{self.stage} · {self.split}", "steps"]

    def on_mount(self) -> None:
        super().on_mount()
        self.renew()

    def renew(self) -> None:
        """Takes up new steps; the cursor stays on its step."""
        table = self.query_one(Table)
        before = self.steps[table.cursor].step if self.steps else self._first
        self.steps = [s for s in self.session.index.steps() if (s.stage, s.split) == (self.stage, self.split)]
        if self.session.follow and self.steps:
            before = self.steps[-1].step
        cursor = next((row for row, step in enumerate(self.steps) if step.step == before), 0)
        parts = list(dict.fromkeys(name for step in self.steps for name in step.parts))
        columns = [
            *_COLUMNS,
            *(Column(visible(name)[:_PART], min(max(len(name), 7), _PART), right=True) for name in parts),
        ]
        table.fill(columns, len(self.steps), lambda row: _cells(self.steps[row], parts), cursor, "no steps yet")

    def on_table_chosen(self, event: Table.Chosen) -> None:
        from rlvr.tui.pages.groups import open_step

        open_step(self, self.session, self.stage, self.split, self.steps[event.row].step)


def _cells(step: StepSummary, parts: Sequence[str]) -> Sequence[Cell]:
    if step.num_rows is None:
        return [str(step.step), [("…", "dim")], *[""] * (len(_COLUMNS) - 2 + len(parts))]
    return [
        str(step.step),
        str(step.num_rows),
        [(fixed(step.reward, 3), "bold")],
        percent(step.success),
        percent(step.zero_variance),
        "–" if step.length is None else f"{step.length:.0f}",
        percent(step.clipped),
        [(percent(step.errors), "bad" if step.errors else "")],
        *(fixed(step.parts.get(name), 3) for name in parts),
    ]
