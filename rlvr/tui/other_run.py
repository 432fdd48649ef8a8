"""A task of this run beside the same task of another: which runs share tasks, which tasks those are, both answers."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rlvr.traces.index import TraceIndex
from rlvr.traces.rows import Row
from rlvr.traces.runs import find_runs
from rlvr.traces.text import counted, visible
from rlvr.tui.ask import Pick
from rlvr.tui.describe import message_text
from rlvr.tui.lines import Piece
from rlvr.tui.page import Fetch, Page
from rlvr.tui.session import Session, best_answer

Show = Callable[[str, Sequence[Row], Sequence[str]], None]
"""Shows a task's answers side by side: its id, the rows, what stands over each."""


@dataclass(frozen=True)
class _Other:
    """Another run, and the tasks that both have: each with its prompt."""

    path: Path
    name: str
    shared: dict[str, str]


def ask_other(page: Page, session: Session, task_id: str, show: Show) -> None:
    """Asks for a run beside this one, and where that lacks the task for one that both have; then shows both answers."""
    home = (session.index.run or session.index.path).resolve()
    runs = [run for run in find_runs(home.parent) if run.path.resolve() != home]
    if not runs:
        page.say(f"there is no other run in {home.parent}", "warn")
        return

    def look(fetch: Fetch) -> list[_Other]:
        ours = session.index.tasks(cancelled=fetch.cancelled)
        others = []
        for done, run in enumerate(runs):
            fetch.progress(done, len(runs))
            theirs = TraceIndex.open(run.path).tasks(cancelled=fetch.cancelled)
            others.append(_Other(run.path, run.name, {name: ours[name] for name in ours if name in theirs}))
        return sorted(others, key=lambda other: (task_id not in other.shared, -len(other.shared)))

    def chosen(other: _Other) -> None:
        if task_id in other.shared:
            _both(page, session, other, task_id, show)
        elif other.shared:
            _ask_task(page, session, other, show)
        else:
            page.say(f"{other.name} has no task of this run", "warn")

    def ask(others: list[_Other]) -> None:
        lines = [_line(other, task_id) for other in others]
        page.app.push_screen(Pick("compare with the run", lines), lambda at: None if at is None else chosen(others[at]))

    page.fetch("looking which runs have tasks of this one", look, ask)


def _line(other: _Other, task_id: str) -> list[Piece]:
    """A run, and what it has in common with this one."""
    shared = f"{counted(len(other.shared), 'task')} in both"
    if task_id in other.shared:
        said = ("has this task", "good"), (f", {shared}", "dim")
    else:
        said = (("not this task", "dim"), (f", {shared}" if other.shared else ", nor another of this run", "dim"))
    return [(visible(other.name).ljust(24), ""), ("  ", ""), *said]


def _ask_task(page: Page, session: Session, other: _Other, show: Show) -> None:
    """Asks for one of the tasks that both runs have."""
    names = list(other.shared)
    lines = [[(visible(name)[:16].ljust(16), ""), ("  ", ""), (_asked(other.shared[name]), "dim")] for name in names]

    def chosen(at: int | None) -> None:
        if at is not None:
            _both(page, session, other, names[at], show)

    page.app.push_screen(Pick(f"{other.name} has not this task; in both are", lines), chosen)


def _asked(messages: str) -> str:
    """The last line of a prompt."""
    found = json.loads(messages) if messages else []
    text = message_text(found[-1]) if isinstance(found, list) and found else messages
    return visible(text.strip().rpartition("\n")[2])


def _both(page: Page, session: Session, other: _Other, task_id: str, show: Show) -> None:
    """The best answers of the last groups of both runs."""

    def look(fetch: Fetch) -> list[Row | None]:
        found = []
        for index in (session.index, TraceIndex.open(other.path)):
            groups = index.task_history(task_id, progress=fetch.progress, cancelled=fetch.cancelled)
            found.append(best_answer(index, groups[-1].key) if groups else None)
        return found

    def done(rows: list[Row | None]) -> None:
        there = [row for row in rows if row is not None]
        if len(there) == len(rows):
            show(task_id, there, [session.name, other.name])
        else:
            page.say("one of the answers cannot be read", "bad")

    page.fetch(f"looking in {other.name}", look, done)
