"""A group: the task, gold, and the siblings with what each earned; under them the text of the one under the cursor."""

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.widget import Widget

from rlvr.traces.rows import GroupKey, Row
from rlvr.traces.text import counted, visible
from rlvr.tui.describe import advantage_pieces, parsed, part_pieces, question, solved, text_blocks
from rlvr.tui.glyphs import fixed
from rlvr.tui.lines import Piece
from rlvr.tui.page import Page
from rlvr.tui.prose import Block, Prose
from rlvr.tui.rowpage import RowPage
from rlvr.tui.session import MOST_SIBLINGS, Scope, Session
from rlvr.tui.table import Cell, Column, Table
from rlvr.tui.wrap import safe_runs

_TASK_LINES = 4
_PART, _WIDE = 7, 110
"""The room of a part, and from which width on its name has twice as much."""


def open_group(page: Page, session: Session, key: GroupKey, sample: int | None = None) -> None:
    """Reads a group and shows it over a page, the cursor on a sibling where one is given."""
    page.fetch(
        f"reading group {key.group} of step {key.step}",
        lambda fetch: session.rows(key, sample or 0),
        lambda rows: (
            page.open(GroupPage(session, key, rows, sample))
            if rows
            else page.say(f"group {key.group} of step {key.step} cannot be read: ! says why", "bad")
        ),
    )


class GroupPage(RowPage):
    """Enter opens a completion; `b` and `w` go to the best and the worst; `c` puts siblings side by side."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("b", "best", "best"),
        Binding("w", "worst", "worst"),
        Binding(
            "space,x", "mark", "mark", key_display="space", tooltip="mark a sibling for side by side, at most three"
        ),
        Binding("c", "compare", "compare", tooltip="the marked side by side; else the best and the worst"),
        Binding(
            "left_square_bracket", "beside(-1)", "group", key_display="[ ]", tooltip="the group before, the group after"
        ),
        Binding("right_square_bracket", "beside(1)", "", show=False),
        Binding("t", "task", "task", tooltip="follow this task through training"),
    ]
    AUTO_FOCUS = "Table"
    DEFAULT_CSS = """
    GroupPage > #task { height: auto; max-height: 6; background: $surface; padding: 0 0; }
    GroupPage > Table { height: auto; max-height: 50%; }
    GroupPage > #preview { height: 1fr; border-top: solid $t-faint; }
    """

    def __init__(self, session: Session, key: GroupKey, rows: Sequence[Row], sample: int | None = None) -> None:
        super().__init__()
        self.session, self.group, self.rows, self._first = session, key, rows, sample
        self.marked: list[int] = []

    def body(self) -> Iterable[Widget]:
        yield Prose(id="task")
        yield Table()
        yield Prose(id="preview")

    def row(self) -> Row:
        return self.rows[self.query_one(Table).cursor]

    def judged(self) -> None:
        self.query_one(Table).refresh()

    def way(self) -> Sequence[str]:
        key = self.group
        attempt = f", attempt {key.attempt}" if key.attempt else ""
        return [
            "runs",
            self.session.name,
            f"{key.stage} · {key.split}",
            f"step {key.step}",
            f"group {key.group}{attempt}",
        ]

    def state(self) -> Sequence[Piece]:
        count = (
            counted(len(self.rows), "sibling")
            if len(self.rows) < MOST_SIBLINGS
            else f"only {MOST_SIBLINGS} siblings shown"
        )
        return [(f"{visible(self.rows[0].env or '')}  {count} ", "dim")]

    def scope(self) -> Scope:
        return Scope.of_group(self.group, len(self.rows))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that would do nothing are not offered."""
        return len(self.rows) > 1 if action in ("best", "worst", "mark", "compare") else True

    def on_mount(self) -> None:
        super().on_mount()
        first = next((at for at, row in enumerate(self.rows) if row.sample == self._first), 0)
        self._put(self.group, self.rows, first)

    def renew(self) -> None:
        """Where it follows: the last group of the newest step."""
        newest = self.session.newest(self.group.stage, self.group.split)
        if self.session.follow and newest is not None and newest != self.group.step:
            self._show(lambda: self._last_of(newest))

    def _last_of(self, step: int) -> GroupKey | None:
        groups = self.session.index.groups(self.group.stage, self.group.split, step)
        return groups[-1].key if len(groups) else None

    def _put(self, key: GroupKey, rows: Sequence[Row], cursor: int = 0) -> None:
        self.group, self.rows, self.marked = key, rows, []
        self.query_one("#task", Prose).show(_task_blocks(rows[0], self.size.width))
        table = self.query_one(Table)
        table.styles.height = min(len(rows) + 1, max(self.size.height // 2 - 1, 5))
        self._largest = max((abs(row.advantage or 0.0) for row in rows), default=0.0)
        self._parts = list(dict.fromkeys(name for row in rows for name in [*row.parts, *row.errors]))
        table.fill(self._columns(), len(rows), self._cells, cursor, staying=2)
        self._preview(cursor)
        self.head()

    def _columns(self) -> list[Column]:
        most = _PART if self.size.width < _WIDE else 2 * _PART
        return [
            Column("", 4),
            Column("#", 3, right=True),
            Column("reward", 6, right=True),
            Column("advantage", 10),
            Column("ok", 2),
            Column("tokens", 6, right=True),
            Column("end", 6),
            *(Column(name, min(max(cell_len(name), 7), most)) for name in map(visible, self._parts)),
            Column("answer", 8, grow=1),
        ]

    def _cells(self, at: int) -> Sequence[Cell]:
        row = self.rows[at]
        return [
            [("▌" if at in self.marked else " ", "accent"), *self.judgment_pieces(row)],
            str(row.sample),
            [(fixed(row.reward), "bold")],
            advantage_pieces(row.advantage, self._largest),
            [solved(row)],
            "–" if row.completion_tokens is None else str(row.completion_tokens),
            [(visible(row.finish_reason or "–"), "warn" if row.finish_reason == "length" else "dim")],
            *(part_pieces(row.parts.get(name), name in row.errors) for name in self._parts),
            [(visible(parsed(row.completion)[:200]).replace("\n", " "), "dim")],
        ]

    def _preview(self, at: int) -> None:
        self.query_one("#preview", Prose).show(text_blocks(self.rows[at].completion[:20_000]))

    def on_table_moved(self, event: Table.Moved) -> None:
        self._preview(event.row)

    def on_table_chosen(self, event: Table.Chosen) -> None:
        from rlvr.tui.pages.completion import CompletionPage

        self.app.push_screen(CompletionPage(self.session, self.rows, event.row))

    def action_best(self) -> None:
        self.query_one(Table).move_to(_place(self.rows, best=True))

    def action_worst(self) -> None:
        self.query_one(Table).move_to(_place(self.rows, best=False))

    def action_mark(self) -> None:
        at = self.query_one(Table).cursor
        if at in self.marked:
            self.marked.remove(at)
        elif len(self.marked) == 3:
            self.say("three are marked already: that is how many fit side by side", "warn")
        else:
            self.marked.append(at)
        self.query_one(Table).refresh()

    def action_compare(self) -> None:
        from rlvr.tui.pages.compare import ComparePage

        chosen = self._marked_and_cursor() or _apart(self.rows)
        if len(chosen) < 2:
            self.say("this group has one completion only", "warn")
        else:
            self.app.push_screen(ComparePage(self.session, [self.rows[at] for at in chosen]))

    def _marked_and_cursor(self) -> list[int]:
        """The marked siblings, with the one under the cursor where only one is marked; none where they are not two."""
        chosen = self.marked if len(self.marked) != 1 else [*self.marked, self.query_one(Table).cursor]
        return list(chosen) if len(set(chosen)) > 1 else []

    def action_beside(self, by: int) -> None:
        self._show(lambda: self._key_beside(by))

    def _key_beside(self, by: int) -> GroupKey | None:
        groups = self.session.index.groups(self.group.stage, self.group.split, self.group.step)
        at = groups.position(self.group.group, self.group.attempt)
        return groups[at + by].key if at is not None and 0 <= at + by < len(groups) else None

    def _show(self, find: Callable[[], GroupKey | None]) -> None:
        def read(fetch: object) -> tuple[GroupKey, list[Row]] | None:
            key = find()
            return (key, self.session.rows(key)) if key else None

        def done(found: tuple[GroupKey, list[Row]] | None) -> None:
            if found and found[1]:
                self._put(*found)
            else:
                self.say("there is no further group", "dim")

        self.fetch("reading the group", read, done)

    def action_task(self) -> None:
        from rlvr.tui.pages.task import open_task

        open_task(self, self.session, self.rows[0].task_id, self.group.stage)


def _place(rows: Sequence[Row], best: bool) -> int:
    """The first sibling with the highest reward, or with the lowest."""
    known = [(row.reward, -at) if best else (-row.reward, -at) for at, row in enumerate(rows) if row.reward is not None]
    return -max(known)[1] if known else 0


def _apart(rows: Sequence[Row]) -> list[int]:
    """The best and the worst; of equal ones the shortest and the longest, or the first two."""
    best, worst = _place(rows, best=True), _place(rows, best=False)
    if rows[best].reward != rows[worst].reward:
        return [best, worst]
    by_length = sorted(range(len(rows)), key=lambda at: (rows[at].completion_tokens or len(rows[at].completion), at))
    if len({rows[at].completion_tokens or len(rows[at].completion) for at in by_length}) > 1:
        return [by_length[0], by_length[-1]]
    return by_length[:2]


def _task_blocks(row: Row, width: int) -> list[Block]:
    """The question and gold, cut to a few lines."""
    asked = question(row).strip()
    room = max(_TASK_LINES * (width - 12), 40)
    cut = asked if len(asked) <= room else f"{asked[:room]} …"
    lines = cut.splitlines()
    cut = "\n".join([*lines[:_TASK_LINES], *(["…"] if len(lines) > _TASK_LINES else [])])
    gold = (row.gold or "(none recorded)").strip().replace("\n", " ⏎ ")
    return [
        Block("task", (), [("task  ", "title", -1), *safe_runs(cut)]),
        Block("gold", (), [("gold  ", "title", -1), *safe_runs(gold[: width * 2], "good")]),
    ]
