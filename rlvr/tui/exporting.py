"""What leaves the browser as a file: judged pairs, an SFT set, rows, a page; each says of how much of the run it is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rlvr.replacing import replacing
from rlvr.traces.export import FORMATS, write_jsonl
from rlvr.traces.find import Found
from rlvr.traces.html import write_html
from rlvr.traces.preferences import Exported, good_of, pairs_of, write_pairs, write_sft
from rlvr.traces.rows import GroupKey
from rlvr.traces.scan import Progress
from rlvr.traces.selection import tables_of
from rlvr.traces.text import counted, visible
from rlvr.tui.ask import Ask, Pick
from rlvr.tui.page import Fetch, Page
from rlvr.tui.session import Scope, Session
from rlvr_rewards.errors import UserError

_IN_ALL = "the whole run"


@dataclass(frozen=True)
class _Kind:
    """One thing to export.

    Attributes:
        title: What it is.
        scope: Of what, in words.
        name: What the file is called, behind the run's name.
        otherwise: What to do where there is nothing to write.
        write: Writes it, and says in words what was written; nothing where there was nothing.
    """

    title: str
    scope: str
    name: str
    otherwise: str
    write: Callable[[BinaryIO, Path, Progress], str]


def ask_export(page: Page, session: Session) -> None:
    """Asks what to export and where to, then writes it in a thread; what is there already is not replaced."""
    kinds = list(_kinds(session, page.scope()))

    def chosen(at: int | None) -> None:
        if at is None:
            return
        kind = kinds[at]
        name = f"{session.index.home.resolve().name}-{kind.name}"
        hint = f"Enter writes it under {Path.cwd()}; what is there already is kept"
        title = f"write {kind.title} ({kind.scope}) to"
        page.app.push_screen(Ask(title, name, _taken, hint), lambda path: write(kind, path))

    def write(kind: _Kind, path: str | None) -> None:
        if path and path.strip():
            where = Path(path.strip()).expanduser()
            page.fetch("writing", lambda fetch: _written(kind, where, fetch), lambda said: page.say(said, "good"))

    lines = [[(kind.title.ljust(37), ""), (kind.scope, "dim")] for kind in kinds]
    page.app.push_screen(Pick("export", lines), chosen)


def _kinds(session: Session, scope: Scope | None) -> Iterator[_Kind]:
    """What there is to export from a page."""
    index, judgments = session.index, session.judgments

    def pairs(to: BinaryIO, path: Path, progress: Progress) -> str:
        return _said(write_pairs(index, judgments, to), "pair")

    def sft(to: BinaryIO, path: Path, progress: Progress) -> str:
        return _said(write_sft(index, judgments, to), "example")

    num_pairs, num_good = len(pairs_of(judgments)), len(good_of(judgments))
    how = "pick a winner side by side, or mark good and bad"
    yield _Kind("preference pairs for the dpo stage", _judged(num_pairs, "pair"), "pairs.jsonl", how, pairs)
    how = "mark completions good with +"
    yield _Kind("good completions as an SFT set", _judged(num_good, "example"), "sft.jsonl", how, sft)
    for each in (scope, None) if scope else (None,):
        yield _rows(session, each)
        if each is None or not isinstance(each.only, Found):
            yield _page(session, each)


def _judged(count: int, noun: str) -> str:
    return f"all that was judged: {counted(count, noun)}"


def _rows(session: Session, scope: Scope | None) -> _Kind:
    def write(to: BinaryIO, path: Path, progress: Progress) -> str:
        tables = tables_of(session.index, scope.only if scope else None, progress)
        count = FORMATS.get(path.suffix, write_jsonl)(tables, to)
        return counted(count, "row") if count else ""

    name = f"{scope.name if scope else 'rows'}.jsonl"
    return _Kind("rows as .jsonl, or .parquet", _of(session, scope), name, "no such row can be read", write)


def _page(session: Session, scope: Scope | None) -> _Kind:
    def write(to: BinaryIO, path: Path, progress: Progress) -> str:
        only = scope.only if scope else None
        step = (only.stage, only.split, only.step) if isinstance(only, GroupKey) else only
        group = only.group if isinstance(only, GroupKey) else None
        count = write_html(
            session.index, to, lambda s: step in (None, (s.stage, s.split, s.step)), group, progress=progress
        )
        return counted(count, "completion") if count else ""

    name = f"{scope.name if scope else 'traces'}.html"
    return _Kind("one HTML page to look through", _of(session, scope), name, "it holds no completions", write)


def _of(session: Session, scope: Scope | None) -> str:
    """Of how much of the run it is, in words."""
    if scope is None:
        return f"{_IN_ALL}: {counted(sum(step.num_rows or 0 for step in session.index.steps()), 'row')}"
    return scope.label if scope.num_rows is None else f"{scope.label}: {counted(scope.num_rows, 'row')}"


def _said(done: Exported, noun: str) -> str:
    gone = f" ({done.num_gone} of completions that are gone were left out)" if done.num_gone else ""
    return f"{counted(done.num_lines, noun)}{gone}" if done.num_lines else ""


def _taken(path: str) -> str | None:
    try:
        return "there is something of that name already" if Path(path.strip()).expanduser().exists() else None
    except OSError as error:
        return visible(str(error.strerror))


def _written(kind: _Kind, where: Path, fetch: Fetch) -> str:
    def progress(done: int, total: int) -> None:
        if fetch.cancelled():
            raise UserError("stopped: nothing was written")  # what was begun is removed
        fetch.progress(done, total)

    with replacing(str(where)) as file:
        said = kind.write(file, where, progress)
        if not said:
            raise UserError(f"nothing to export: {kind.otherwise}")
    return f"{said} written to {where}"
