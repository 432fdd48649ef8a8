"""The groups of a step: the rewards of each at a glance, sorted by what makes a group worth reading."""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from rlvr.traces.groups import Groups, GroupSummary
from rlvr.traces.text import counted, visible
from rlvr.tui.ask import Pick
from rlvr.tui.glyphs import binned, fixed, glyph, percent
from rlvr.tui.lines import Piece
from rlvr.tui.page import Page
from rlvr.tui.session import Scope, Session
from rlvr.tui.table import Cell, Column, Table

_GLYPHS = 16
_SORTS = {
    "group": ("number", False),
    "spread": ("spread of its rewards", True),
    "mean": ("mean reward", True),
    "best": ("best reward", True),
    "worst": ("worst reward", False),
    "length": ("mean length", True),
    "disagreement": ("disagreement between parts", True),
    "success": ("share solved", True),
    "clipped": ("share cut short", True),
    "errors": ("share with errors", True),
    "size": ("how many siblings", True),
}
"""What groups sort by, in words, and whether the highest comes first."""


def open_step(page: Page, session: Session, stage: str, split: str, step: int) -> None:
    """Reads a step and shows its groups over a page."""
    page.fetch(
        f"reading step {step}",
        lambda fetch: session.index.groups(stage, split, step),
        lambda groups: page.open(GroupsPage(session, groups)),
    )


class GroupsPage(Page):
    """Enter opens a group; `[` and `]` go to the steps beside."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sort", "sort"),
        Binding("r", "turn", "reverse", show=False, tooltip="the other way round"),
        Binding(
            "left_square_bracket", "beside(-1)", "step", key_display="[ ]", tooltip="the step before, the step after"
        ),
        Binding("right_square_bracket", "beside(1)", "", show=False),
        Binding("t", "task", "task", tooltip="follow this task through training"),
    ]

    def __init__(self, session: Session, groups: Groups) -> None:
        super().__init__()
        self.session = session
        self.stage, self.split, self.step = groups.stage, groups.split, groups.step
        self._sort, self._descending = "group", False
        self.groups = groups
        self._summary: Callable[[int], GroupSummary] = groups.__getitem__

    def body(self) -> Iterable[Widget]:
        yield Table()

    def way(self) -> Sequence[str]:
        return ["runs", self.session.name, f"{self.stage} · {self.split}", f"step {self.step}"]

    def state(self) -> Sequence[Piece]:
        return [(f"{counted(len(self.groups), 'group')} ", "dim")]

    def scope(self) -> Scope:
        step = (self.stage, self.split, self.step)
        name = f"{self.stage}-{self.split}-step{self.step}"
        return Scope("this step", name, len(self.groups.rows_in_order), step)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that would do nothing are not offered."""
        return len(self.groups) > 0 if action in ("sort", "turn", "task") else True

    def on_mount(self) -> None:
        super().on_mount()
        self._put(self.groups, 0)

    def renew(self) -> None:
        """Goes to the newest step where it follows, else reads this one again where it grew."""
        newest = self.session.newest(self.stage, self.split)
        if self.session.follow and newest is not None and newest != self.step:
            self.show_step(newest)
        elif newest == self.step:
            self.show_step(self.step)

    def show_step(self, step: int) -> None:
        """Reads another step into this page."""
        self.fetch(
            f"reading step {step}",
            lambda fetch: self._sorted(self.session.index.groups(self.stage, self.split, step)),
            lambda groups: self._put(groups, self.query_one(Table).cursor),
        )

    def _sorted(self, groups: Groups) -> Groups:
        try:
            return groups.sorted_by(self._sort, self._descending)
        except KeyError:  # a part that this step lacks
            return groups

    def _put(self, groups: Groups, cursor: int) -> None:
        self.groups, self.step = groups, groups.step
        self._summary = lru_cache(512)(groups.__getitem__)
        parts = [name for name in groups.parts if name != "success"]
        columns = [
            Column("group", 6, right=True, key="group"),
            Column("task", 8, grow=1),
            Column("rewards", _GLYPHS, key="best"),
            Column("mean", 6, right=True, key="mean"),
            Column("spread", 6, right=True, key="spread"),
            Column("disagr", 6, right=True, key="disagreement"),
            Column("solved", 6, right=True, key="success"),
            Column("tokens", 6, right=True, key="length"),
            *(Column(visible(name)[:9], 9, right=True, key=f"parts.{name}") for name in parts),
        ]
        self._range = self.session.index.reward_range()
        table = self.query_one(Table)
        table.sorted_by, table.descending = self._sort, self._descending
        empty = f"nothing of step {self.step} can be read: ! says why"
        table.fill(columns, len(groups), lambda row: self._cells(self._summary(row), parts), cursor, empty, 2)
        self.head()

    def _cells(self, group: GroupSummary, parts: Sequence[str]) -> Sequence[Cell]:
        attempt = f"·{group.key.attempt}" if group.key.attempt else ""
        same = (group.spread or 0) < 1e-9
        return [
            f"{group.key.group}{attempt}",
            [(visible(group.task_id or "–").replace("\n", " "), "dim")],
            glyphs(group.rewards, *self._range),
            [(fixed(group.mean), "bold")],
            [(fixed(group.spread), "faint" if same else "")],
            fixed(group.disagreement),
            percent(group.success),
            "–" if group.length is None else f"{group.length:.0f}",
            *(fixed(group.parts.get(name)) for name in parts),
        ]

    def on_table_chosen(self, event: Table.Chosen) -> None:
        from rlvr.tui.pages.group import open_group

        open_group(self, self.session, self._summary(event.row).key)

    def on_table_headed(self, event: Table.Headed) -> None:
        if event.key == self._sort:
            self.action_turn()
        else:
            self.sort_by(event.key)

    def action_sort(self) -> None:
        names = [*_SORTS, *(f"parts.{name}" for name in self.groups.parts)]
        labels = [_SORTS[name][0] if name in _SORTS else f"part {visible(name[6:])}" for name in names]

        def chosen(index: int | None) -> None:
            if index is not None:
                self.sort_by(names[index])

        now = names.index(self._sort) if self._sort in names else 0
        self.app.push_screen(Pick("sort groups by", [[(label, "")] for label in labels], now), chosen)

    def sort_by(self, name: str) -> None:
        """Sorts by a name, the most telling first; the cursor goes to the top."""
        self._sort, self._descending = name, _SORTS.get(name, ("", True))[1]
        self._put(self._sorted(self.groups), 0)

    def action_turn(self) -> None:
        self._descending = not self._descending
        self._put(self._sorted(self.groups), 0)

    def action_beside(self, by: int) -> None:
        steps = [s.step for s in self.session.index.steps() if (s.stage, s.split) == (self.stage, self.split)]
        at = steps.index(self.step) + by if self.step in steps else 0
        if 0 <= at < len(steps):
            self.show_step(steps[at])
        else:
            self.say("this is the last step so far" if by > 0 else "this is the first step", "dim")

    def action_task(self) -> None:
        from rlvr.tui.pages.task import open_task

        if len(self.groups):
            group = self._summary(self.query_one(Table).cursor)
            open_task(self, self.session, group.task_id, group.key.stage)


def glyphs(rewards: Sequence[float | None], low: float, high: float, width: int = _GLYPHS) -> list[Piece]:
    """A group's rewards as a character each, the higher ones standing out; more than fit come as means in order."""
    if len(rewards) > width:
        known = sorted(reward for reward in rewards if reward is not None)
        rewards = binned(known, width)
    return [
        (glyph(reward, low, high), "faint" if reward is None else "good" if reward >= (low + high) / 2 else "dim")
        for reward in rewards
    ]
