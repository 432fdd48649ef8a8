"""What can be done with the completion that one is at, on every page where one is: judge, copy, open elsewhere."""

import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual.app import SuspendNotSupported
from textual.binding import Binding, BindingType

from rlvr.traces.judgments import Mark, Place
from rlvr.traces.rows import Row
from rlvr.traces.text import counted
from rlvr.tui.ask import Ask
from rlvr.tui.lines import Piece
from rlvr.tui.page import Page
from rlvr.tui.session import Session

_NO_SHELL = {"LESSSECURE": "1"}


class RowPage(Page):
    """A page that stands at one completion."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "plus,equals_sign",
            "judge('good')",
            "good",
            key_display="+",
            show=False,
            tooltip="mark it good; again: take it back",
        ),
        Binding(
            "minus", "judge('bad')", "bad", key_display="-", show=False, tooltip="mark it bad; again: take it back"
        ),
        Binding("m", "note", "note", show=False, tooltip="write a note to it"),
        Binding("y", "copy", "copy", show=False, tooltip="copy the completion to the clipboard (OSC 52)"),
        Binding("o", "pager", "pager", show=False, tooltip="open the completion in $PAGER"),
        Binding("E", "editor", "editor", show=False, tooltip="open a copy of the completion in $EDITOR"),
    ]
    session: Session

    def row(self) -> Row | None:
        """The completion that one is at."""
        raise NotImplementedError

    def judged(self) -> None:
        """Called when a judgment was added: shows it."""

    def action_judge(self, value: str) -> None:
        row = self.row()
        if row is not None:
            mark = Mark(value)
            again = self.session.judgments.mark_of(row) == mark
            said = f"sample {row.sample}: {'no mark' if again else f'marked {value}'}"
            self.keep(lambda: self.session.judgments.mark(row, None if again else mark), said)

    def action_note(self) -> None:
        row = self.row()
        if row is None:
            return

        def written(text: str | None) -> None:
            if text is not None:
                self.keep(lambda: self.session.judgments.note(row, text), "note kept" if text.strip() else "no note")

        before = self.session.judgments.note_of(row)
        self.app.push_screen(
            Ask(f"a note to sample {row.sample}", before, hint="Enter keeps it beside the run; empty takes it back"),
            written,
        )

    def keep(self, write: Callable[[], None], said: str) -> None:
        """Writes a judgment and says so, or why it could not be kept."""
        try:
            write()
        except ValueError as error:  # UserError: a folder that is read-only, for one
            self.say(str(error), "bad")
        else:
            self.say(said, "good")
            self.judged()

    def action_copy(self) -> None:
        row = self.row()
        if row is not None:
            self.app.copy_to_clipboard(row.completion)
            self.say(f"{counted(len(row.completion), 'character')} sent to the clipboard", "good")

    def action_pager(self) -> None:
        self._open(os.environ.get("PAGER") or "less")

    def action_editor(self) -> None:
        self._open(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")

    def _open(self, program: str) -> None:
        """Opens a copy of the completion in a program in this terminal; what is written to it is not kept."""
        row = self.row()
        if row is None:
            return
        with tempfile.TemporaryDirectory(prefix="rlvr-") as folder:
            path = Path(folder) / f"step{row.step}-group{row.group}-sample{row.sample}.txt"
            path.write_text(row.completion, encoding="utf-8", errors="backslashreplace")
            try:
                with self.app.suspend():
                    subprocess.run([*shlex.split(program), str(path)], env={**os.environ, **_NO_SHELL}, check=False)
            except (OSError, ValueError) as error:
                self.say(f"{program} cannot be started: {error}", "bad")
            except SuspendNotSupported:
                self.say("this terminal cannot be lent to another program", "bad")
        self.app.refresh()

    def judgment_pieces(self, row: Row) -> list[Piece]:
        """Its mark, whether it won, whether it has a note; always four columns wide."""
        judgments, place = self.session.judgments, Place.of(row)
        mark = {Mark.GOOD: ("●", "good"), Mark.BAD: ("○", "bad"), None: (" ", "")}[judgments.marks.get(place)]
        won = any(winner.chosen == place for winner in judgments.winners_of(row.key))
        return [mark, ("★" if won else " ", "warn"), ("✎" if place in judgments.notes else " ", "accent")]
