"""What leaves the browser as a file: judged pairs, an SFT set, the run as one page."""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from rlvr.replacing import replacing
from rlvr.traces.html import write_html
from rlvr.traces.preferences import Exported, write_pairs, write_sft
from rlvr.traces.text import visible
from rlvr.tui.ask import Ask, Pick
from rlvr.tui.page import Fetch, Page
from rlvr.tui.session import Session
from rlvr_rewards.errors import UserError

Write = Callable[[Session, BinaryIO, Fetch], str]
"""Writes, and says in words what was written; nothing where there was nothing to write."""


def _pairs(session: Session, to: BinaryIO, fetch: Fetch) -> str:
    return _said(write_pairs(session.index, session.judgments, to), "pairs")


def _sft(session: Session, to: BinaryIO, fetch: Fetch) -> str:
    return _said(write_sft(session.index, session.judgments, to), "examples")


def _page(session: Session, to: BinaryIO, fetch: Fetch) -> str:
    count = write_html(session.index, to, progress=fetch.progress)
    return f"{count:,} completions" if count else ""


def _said(done: Exported, what: str) -> str:
    gone = f" ({done.num_gone} of completions that are gone were left out)" if done.num_gone else ""
    return f"{done.num_lines} {what}{gone}" if done.num_lines else ""


_KINDS: tuple[tuple[str, str, str, Write], ...] = (
    ("preference pairs for the dpo stage", "pairs.jsonl", "pick a winner side by side, or mark good and bad", _pairs),
    ("good completions as an SFT set", "sft.jsonl", "mark completions good with +", _sft),
    ("the run as one HTML page", "traces.html", "it holds no completions", _page),
)


def ask_export(page: Page, session: Session) -> None:
    """Asks what to export and where to, then writes it in a thread; what is there already is not replaced."""

    def chosen(at: int | None) -> None:
        if at is not None:
            name = f"{session.index.home.resolve().name}-{_KINDS[at][1]}"
            hint = f"Enter writes it under {Path.cwd()}; what is there already is kept"
            page.app.push_screen(Ask(f"write {_KINDS[at][0]} to", name, _taken, hint), lambda path: write(at, path))

    def write(at: int, path: str | None) -> None:
        if path and path.strip():
            page.fetch(
                "writing", lambda fetch: _written(session, at, path.strip(), fetch), lambda said: page.say(said, "good")
            )

    page.app.push_screen(Pick("export", [[(name, "")] for name, *_ in _KINDS]), chosen)


def _taken(path: str) -> str | None:
    try:
        return "there is something of that name already" if Path(path.strip()).expanduser().exists() else None
    except OSError as error:
        return visible(str(error.strerror))


def _written(session: Session, at: int, path: str, fetch: Fetch) -> str:
    _, _, otherwise, write = _KINDS[at]
    where = str(Path(path).expanduser())
    with replacing(where) as file:
        said = write(session, file, fetch)
        if not said:
            raise UserError(f"nothing to export: {otherwise}")
    return f"{said} written to {where}"
