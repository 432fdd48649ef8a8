"""What every page of the browser has: the line of where one is, the line of keys, back, help, and work off the screen.

A page is pushed when what it shows has been read, so that nothing flickers; what takes longer says so and Esc stops it.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget
from textual.worker import Worker, get_current_worker

from rlvr.traces.text import visible
from rlvr.tui.lines import Lines, Piece, width_of
from rlvr.tui.session import Scope

if TYPE_CHECKING:
    from rlvr.tui.app import TracesApp

T = TypeVar("T")
_SAY_S = 6.0
_PATIENCE_S = 0.15
"""Work that takes longer is announced."""


class Top(Lines, can_focus=False):
    """The first line: where one is to the left, how things stand to the right."""

    DEFAULT_CSS = "Top { height: 1; background: $panel; dock: top; }"

    def __init__(self) -> None:
        super().__init__()
        self.left: Sequence[str] = ()
        self.right: Sequence[Piece] = ()

    def put(self, left: Sequence[str], right: Sequence[Piece]) -> None:
        if (left, right) != (self.left, self.right):
            self.left, self.right = left, right
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Called by Textual for the line."""
        pieces: list[Piece] = [(" ", "")]
        for index, name in enumerate(self.left):
            last = index == len(self.left) - 1
            pieces += [(" › ", "faint")] if index else []
            pieces.append((visible(name).replace("\n", " "), "title" if last else "dim"))
        room = self.size.width - width_of(self.right) - 2
        over = width_of(pieces) - room
        if over > 0 and len(pieces) > 2:  # the beginning of the way is left out first
            while over > 0 and len(pieces) > 2:
                over -= width_of(pieces[1:3])
                del pieces[1:3]
            pieces.insert(1, ("… ", "faint"))
        blank = max(room - width_of(pieces), 0)
        return self.strip([*pieces, (" " * (blank + 1), ""), *self.right], self.size.width)


class Keys(Lines, can_focus=False):
    """The last line: the keys of this page, or for a while what there is to say."""

    DEFAULT_CSS = "Keys { height: 1; background: $panel; dock: bottom; }"

    def __init__(self) -> None:
        super().__init__()
        self._said: tuple[str, str] | None = None
        self._spots: list[tuple[int, int, str]] = []

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self.refresh())

    def say(self, text: str, names: str = "", for_good: bool = False) -> None:
        """Shows a line instead of the keys, for some seconds unless it stays until the next one."""
        self._said = (visible(text).replace("\n", " "), names) if text else None
        self.refresh()
        if text and not for_good:
            self.set_timer(_SAY_S, partial(self._forget, self._said))

    def _forget(self, said: tuple[str, str] | None) -> None:
        if self._said is said:
            self._said = None
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Called by Textual for the line."""
        if self._said:
            return self.strip([(" ", ""), *_end_of(self._said, self.size.width - 2)], self.size.width)
        pieces, at = [cast(Piece, (" ", ""))], 1
        self._spots = []
        for key, label in self._shown():
            spot = [(key, "key"), (f" {label}  ", "dim")]
            if at + width_of(spot) > self.size.width:
                continue
            self._spots.append((at, at + width_of(spot), key))
            pieces += spot
            at += width_of(spot)
        return self.strip(pieces, self.size.width)

    def _shown(self) -> Iterable[tuple[str, str]]:
        """Key and label of what the page wants shown; help comes first, so that it is never cut off."""
        seen: dict[str, str] = {}
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if binding.show and active.enabled:
                seen.setdefault(binding.action, f"{self.app.get_key_display(binding)}\0{binding.description}")
        ordered = sorted(seen.items(), key=lambda item: item[0] != "app.help" and item[0] != "help")
        for _, shown in ordered:
            key, _, label = shown.partition("\0")
            yield key, label

    def on_click(self, event: events.Click) -> None:
        """A click on a key presses it."""
        for start, end, shown in self._spots:
            if start <= event.x < end:
                for active in self.screen.active_bindings.values():
                    if self.app.get_key_display(active.binding) == shown:
                        self.app.simulate_key(active.binding.key)
                        return


def _end_of(said: Piece, width: int) -> list[Piece]:
    """What is said, its end where it is too long: what went wrong stands there."""
    text, names = said
    while cell_len(text) > width:
        text = text[max(cell_len(text) - width, 1) :]
        said = (f"…{text[1:]}", names)
    return [said]


class Page(Screen[None], inherit_bindings=False):
    """One view; a child class says what is on it and where it stands."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "back", "back", key_display="esc"),
    ]
    DEFAULT_CSS = "Page { background: $background; }"

    def __init__(self) -> None:
        super().__init__()
        self.stale = False
        self.is_there = False
        self._work: Worker[None] | None = None

    def compose(self) -> ComposeResult:
        yield Top()
        yield from self.body()
        yield Keys()

    def body(self) -> Iterable[Widget]:
        """What stands between the first and the last line."""
        raise NotImplementedError

    def way(self) -> Sequence[str]:
        """Where one is, from the outside in."""
        raise NotImplementedError

    def state(self) -> Sequence[Piece]:
        """How things stand, for the end of the first line."""
        return []

    def scope(self) -> Scope | None:
        """What of the run the page is about, where that is less than all of it: it can be exported alone."""
        return None

    def renew(self) -> None:
        """Shows what was written since; called when there is something new, while the page is on the screen."""

    @property
    def browser(self) -> "TracesApp":
        """The app, by its own type."""
        return cast("TracesApp", self.app)

    def head(self) -> None:
        """Puts the first line right."""
        self.query_one(Top).put(self.way(), [*self.state(), *self.browser.state()])

    def open(self, page: "Page") -> None:
        """Shows another page over this one."""
        self.app.push_screen(page)

    def say(self, text: str, names: str = "", for_good: bool = False) -> None:
        """Says something in the last line."""
        if self.is_there:
            self.query_one(Keys).say(text, names, for_good)

    def on_mount(self) -> None:
        self.is_there = True
        self.head()

    def on_screen_resume(self) -> None:
        """What came while another page was before it is shown now."""
        self.refresh_stale()
        if self.is_there:
            self.head()

    def refresh_stale(self) -> None:
        """Brings the page up to date, if something is new and its lines are there to show it."""
        if self.stale and self.is_there:
            self.stale = False
            self.renew()
            self.head()

    def action_back(self) -> None:
        """Stops what is under way, or goes to the page before."""
        if self.working:
            self.stop()
            self.say("stopped", "warn")
        elif len(self.app.screen_stack) > 2:
            self.dismiss()

    @property
    def working(self) -> bool:
        """Whether something is being read for this page."""
        return self._work is not None and self._work.is_running

    def stop(self) -> None:
        """Stops it."""
        if self._work:
            self._work.cancel()

    def fetch(self, what: str, work: Callable[["Fetch"], T], done: Callable[[T], None]) -> None:
        """Does work in a thread, then `done` with its result on the page; what was under way is stopped.

        Args:
            what: Said where it takes a while, such as `reading step 40`.
            work: Given the way to tell how far it is, and to ask whether to stop.
            done: Not called where the work was stopped or failed.
        """
        self.stop()
        fetch = Fetch(self, what)
        self._work = self.run_worker(partial(fetch.run, work, done), thread=True, exit_on_error=False)
        self.set_timer(_PATIENCE_S, fetch.announce)


class Fetch:
    """Work under way for a page."""

    def __init__(self, page: Page, what: str) -> None:
        self._page, self._what = page, what
        self._told_s = 0.0
        self._over = False

    def progress(self, done: int, total: int) -> None:
        """Tells how far it is; called from the thread as often as one likes."""
        now = time.monotonic()
        if now - self._told_s > 0.1:
            self._told_s = now
            share = done / total if total else 0
            self._say(f"{self._what}: {share:4.0%}  {done} of {total}   Esc stops it")

    def cancelled(self) -> bool:
        """Whether the work is to stop."""
        return get_current_worker().is_cancelled

    def announce(self) -> None:
        """Says what is being done, where it is not over yet."""
        if not self._over and not self._told_s:
            self._page.say(f"{self._what} …   Esc stops it", "dim", for_good=True)

    def run(self, work: Callable[["Fetch"], T], done: Callable[[T], None]) -> None:
        """In the thread: the work, and then its result."""
        try:
            result = work(self)
        except Exception as error:  # said on the page: a browser that dies of one bad file helps nobody
            failure = f"{self._what}: {str(error) or type(error).__name__}"
            then: Callable[[], None] = partial(self._page.say, failure, "bad")
        else:
            then = partial(self._finish, partial(done, result))
        self._over = True
        if not self.cancelled():
            self._page.app.call_from_thread(then)

    def _finish(self, done: Callable[[], None]) -> None:
        if self._page.is_mounted:
            self._page.say("")
            done()

    def _say(self, text: str) -> None:
        self._page.app.call_from_thread(self._page.say, text, "dim", True)
