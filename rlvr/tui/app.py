"""The app: the run that is open, the keys that work everywhere, and what was written since, looked for every second."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

from rich.style import Style
from textual.app import App
from textual.binding import Binding, BindingType

from rlvr.traces.index import TraceIndex
from rlvr.traces.query import Filter, parse_filter
from rlvr.traces.search import Search
from rlvr.traces.text import counted
from rlvr.tui.asking import AskFilter, AskSearch
from rlvr.tui.help import Help
from rlvr.tui.lines import Piece
from rlvr.tui.page import Page
from rlvr.tui.session import Session, Start
from rlvr.tui.theme import DARK, LIGHT, fitting, palette

_ANYWHERE = Start()
_LOOK_EVERY_S = 1.0
_LOOK_FOR_S = 0.4
"""How long one look may read shards that nobody read before, until the pages are told."""


class TracesApp(App[None]):
    """The trace browser.

    Args:
        index: What to look through; `None` shows the runs under `runs`.
        runs: The folder of runs.
        at: Where to open the run.
    """

    TITLE = "rlvr traces"
    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "help", "help", key_display="?"),
        Binding(
            "slash",
            "search",
            "search",
            key_display="/",
            tooltip="search completions, prompts or both, through the whole run",
        ),
        Binding("f", "filter", "filter", tooltip="filter all completions of the run by a line such as reward < 0.2"),
        Binding("q", "quit", "quit"),
        Binding(
            "e",
            "export",
            "export",
            tooltip="export judged pairs, an SFT set, rows or an HTML page: of what is shown, or of the whole run",
        ),
        Binding("ctrl+c", "quit", "quit", show=False, priority=True),
        Binding("F", "follow", "follow", tooltip="follow: stay at the newest step while the run trains"),
        Binding("T", "theme", "light or dark", show=False),
        Binding(
            "exclamation_mark",
            "problems",
            "problems",
            key_display="!",
            show=False,
            tooltip="what could not be read, or is not all there",
        ),
    ]

    def __init__(self, index: TraceIndex | None, runs: Path, at: Start = _ANYWHERE) -> None:
        no_color = os.environ.get("NO_COLOR") is not None
        super().__init__(ansi_color=True if no_color else None)
        self.animation_level = "none"
        self._index, self._runs, self._at = index, runs, at
        self.session: Session | None = None
        self._looking = False
        self._looks: tuple[str, Mapping[str, Style]] = ("", {})
        for theme in (DARK, LIGHT):
            self.register_theme(theme)
        self.theme = os.environ.get("TEXTUAL_THEME") or fitting()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Our colours, for themes of Textual's that have none of theirs."""
        return {**super().get_theme_variable_defaults(), **DARK.variables}

    @property
    def looks(self) -> Mapping[str, Style]:
        """The styles of the theme by name."""
        if self._looks[0] != self.theme:
            self._looks = self.theme, palette(self.theme_variables, self.no_color)
        return self._looks[1]

    def on_mount(self) -> None:
        from rlvr.tui.pages.runs import RunsPage

        self.set_interval(_LOOK_EVERY_S, self._look)
        if self._index is None:
            self.push_screen(RunsPage(self._runs))
        else:
            self.open_run(self._index)

    def open_run(self, index: TraceIndex) -> None:
        """Shows a run; what was open before is let go."""
        from rlvr.tui.pages.run import RunPage

        self.session = Session(index)
        self.push_screen(RunPage(self.session, self._at))
        self._at = _ANYWHERE
        self._look()

    def close_run(self) -> None:
        """Lets the open run go."""
        self.session = None

    def state(self) -> Sequence[Piece]:
        """What holds on every page, for the end of the first line."""
        if self.session is None:
            return []
        index, pieces = self.session.index, []
        if index.num_waiting:
            pieces.append((f"reading {counted(index.num_waiting, 'shard')}  ", "dim"))
        if problems := self.session.problems:
            pieces.append((f"! {len(problems)}  ", "warn"))
        if self.session.follow:
            pieces.append(("● follow ", "good"))
        return pieces

    def pages(self) -> list[Page]:
        """The pages from the first one to the one on the screen."""
        return [screen for screen in self.screen_stack if isinstance(screen, Page)]

    def _look(self) -> None:
        """Looks for what was written since, in a thread, one look at a time."""
        if self.session is not None and not self._looking:
            self._looking = True
            self.run_worker(partial(self._looked, self.session), thread=True, exit_on_error=False)

    def _looked(self, session: Session) -> None:
        try:
            changed = session.index.refresh(budget_s=_LOOK_FOR_S)
        except OSError:  # the folder went away for a moment; the next look may find it
            changed = False
        finally:
            self._looking = False
        self.call_from_thread(self._tell, session, changed)

    def _tell(self, session: Session, changed: bool) -> None:
        if session is not self.session:
            return
        if changed:
            for page in self.pages():
                page.stale = True
            self.refresh_page()
        if session.index.num_waiting:
            self._look()

    def refresh_page(self) -> None:
        """Brings the page on the screen up to date, if something is new."""
        page = self.screen
        if isinstance(page, Page):
            page.refresh_stale()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What needs an open run is not offered without one, nor what needs completions before there are any."""
        if action in ("search", "filter", "export"):
            return self.session is not None and len(self.session.index.steps()) > 0
        if action in ("follow", "problems"):
            return self.session is not None
        return True

    def action_search(self) -> None:
        page, session = self.screen, self.session
        if not isinstance(page, Page) or session is None:
            return
        ask = AskSearch(session.search, within=_kept(page, "filter"))

        def asked(text: str | None) -> None:
            if text is not None:
                session.search = ask.search(text)
                self._look_for(page, session, search=session.search)

        self.push_screen(ask, asked)

    def action_filter(self) -> None:
        page, session = self.screen, self.session
        if not isinstance(page, Page) or session is None:
            return
        names = session.index.part_names()

        def asked(text: str | None) -> None:
            if text is not None:
                session.filter = text
                self._look_for(page, session, filter=parse_filter(text, names) if text.strip() else None)

        ask = AskFilter(session.filter, session.judgments, names, within=_kept(page, "search"))
        self.push_screen(ask, asked)

    def _look_for(self, page: Page, session: Session, **changed: "Filter | Search | None") -> None:
        """On a page of what was found the question changes; elsewhere a new one opens."""
        from rlvr.tui.pages.found import FoundPage, Question, open_found

        if isinstance(page, FoundPage):
            page.ask(replace(page.question, **changed))  # pyright: ignore[reportArgumentType]
        elif any(changed.values()):
            open_found(page, session, Question(**changed))  # pyright: ignore[reportArgumentType]

    def action_export(self) -> None:
        from rlvr.tui.exporting import ask_export

        if isinstance(self.screen, Page) and self.session is not None:
            ask_export(self.screen, self.session)

    def action_help(self) -> None:
        self.push_screen(Help(self.screen.active_bindings.values()))

    def action_follow(self) -> None:
        if self.session is None:
            return
        self.session.follow = not self.session.follow
        for page in self.pages():
            page.stale = True
        self.refresh_page()

    def action_theme(self) -> None:
        self.theme = LIGHT.name if self.theme != LIGHT.name else DARK.name

    def action_problems(self) -> None:
        problems = self.session.problems if self.session else []
        page = self.screen
        if isinstance(page, Page) and self.session:
            if not problems:
                page.say("everything could be read", "good")
            else:
                from rlvr.tui.pages.problems import Problems

                self.push_screen(Problems(problems))


def _kept(page: Page, name: str) -> str:
    """The filter, or the search, that stays while the other is asked for; empty where there is none."""
    from rlvr.tui.pages.found import FoundPage

    return page.question.word(name) if isinstance(page, FoundPage) else ""


def browse(run: Path | None, runs: Path, at: Start = _ANYWHERE) -> None:
    """Opens the browser in this terminal, until the user leaves it.

    Args:
        run: A run's folder, a folder of traces, another tool's file; `None` shows the runs under `runs`.

    Raises:
        UserError: There is no such file or folder, or it is nothing that can be read.
    """
    TracesApp(None if run is None else TraceIndex.open(run), runs, at).run()
