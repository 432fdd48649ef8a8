"""A run at a glance: its stages, and the curves of one of them; from a point of a curve into that step."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.strip import Strip
from textual.widget import Widget

from rlvr.traces.rows import GroupKey
from rlvr.traces.text import visible
from rlvr.tui.curves import Curves
from rlvr.tui.lines import Lines, Piece, fitted, width_of
from rlvr.tui.page import Page
from rlvr.tui.session import Session, Start

Stage = tuple[str, str]


class Stages(Lines, can_focus=False):
    """The stages and splits as words in a line, the chosen one always in sight; a click chooses another."""

    DEFAULT_CSS = "Stages { height: 1; background: $background; }"

    def __init__(self) -> None:
        super().__init__()
        self.stages: Sequence[Stage] = ()
        self.chosen: Stage | None = None

    def show(self, stages: Sequence[Stage], chosen: Stage | None) -> None:
        self.stages, self.chosen = stages, chosen
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Called by Textual for the line."""
        first = self._first()
        pieces: list[Piece] = [("‹" if first else " ", "key")]
        for stage in self.stages[first:]:
            pieces += [(_word(stage), "token" if stage == self.chosen else "dim"), (" ", "")]
        if width_of(pieces) > self.size.width:
            pieces = [*fitted(pieces, self.size.width - 1), ("›", "key")]
        return self.strip(pieces, self.size.width)

    def _first(self) -> int:
        """The stage that the line begins with: the first from which the chosen one is still in sight."""
        if self.chosen not in self.stages:
            return 0
        place = self.stages.index(self.chosen)
        room, first = self.size.width - 4 - cell_len(_word(self.stages[place])), place
        while first > 0 and (room := room - cell_len(_word(self.stages[first - 1])) - 1) >= 0:
            first -= 1
        return first

    def on_click(self, event: events.Click) -> None:
        at = 1
        for stage in self.stages[self._first() :]:
            at += cell_len(_word(stage)) + 1
            if event.x < at and isinstance(self.screen, RunPage):
                self.screen.choose(stage)
                return


def _word(stage: Stage) -> str:
    return f" {visible(' · '.join(stage))} "


class RunPage(Page):
    """Left and right go along a curve, Enter into the step.

    Args:
        at: Where it opens, as far as that is there.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_square_bracket", "stage(-1)", "stage", key_display="[ ]"),
        Binding("right_square_bracket,tab", "stage(1)", "", show=False),
        Binding("s", "steps", "steps"),
    ]

    def __init__(self, session: Session, at: Start) -> None:
        super().__init__()
        self.session = session
        self.stage: Stage | None = None
        self._stages: Sequence[Stage] = ()
        self._at = at

    def body(self) -> Iterable[Widget]:
        yield Stages()
        yield Curves()

    def way(self) -> Sequence[str]:
        return ["runs", self.session.name]

    def on_mount(self) -> None:
        super().on_mount()
        self.renew()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that would do nothing are not offered."""
        if action == "stage":
            return len(self._stages) > 1
        return len(self.session.index.steps()) > 0 if action == "steps" else True

    def renew(self) -> None:
        """Takes up what was written since."""
        stages = self.session.index.stages()
        if self.stage not in stages:
            self.stage = self._first(stages)
        self._show(stages)

    def choose(self, stage: Stage) -> None:
        """Shows another stage."""
        self.stage = stage
        self._show(self.session.index.stages())
        self.query_one(Curves).action_end(-1)

    def _first(self, stages: Sequence[Stage]) -> Stage | None:
        """The stage that was asked for, else the one with the most steps."""
        at = self._at
        fitting = [s for s in stages if at.stage in (None, s[0]) and at.split in (None, s[1])] or stages
        counts: dict[Stage, int] = {}
        for step in self.session.index.steps():
            counts[step.stage, step.split] = counts.get((step.stage, step.split), 0) + 1
        return max(fitting, key=lambda each: counts.get(each, 0), default=None)

    def _show(self, stages: Sequence[Stage]) -> None:
        self._stages = stages
        self.query_one(Stages).show(stages, self.stage)
        found = self.session.index.curves(*self.stage) if self.stage else {}
        steps = sorted({step for curve in found.values() for step, _ in curve} | set(self._sampled()))
        if found.get("parts.success") == found.get("success"):  # a reward that pays for success
            found.pop("parts.success", None)
        curves = {visible(name): _over(steps, dict(curve)) for name, curve in found.items()}
        curves = curves or {"reward": [None] * len(steps)}
        empty = "no traces yet: they appear here once a stage has sampled its first step"
        drawn = self.query_one(Curves)
        drawn.show(steps, curves, empty)
        if self._at.step is not None and self._at.step in steps:
            drawn.to_step(self._at.step)
            self._enter(self._at)
        if self.session.follow:
            drawn.action_end(-1)

    def _enter(self, at: Start) -> None:
        """Goes on to the step and the group that were asked for."""
        from rlvr.tui.pages.group import open_group
        from rlvr.tui.pages.groups import open_step

        self._at = Start()
        if self.stage is None or at.step not in self._sampled():
            return
        if at.group is None:
            open_step(self, self.session, *self.stage, at.step)
        else:
            open_group(self, self.session, GroupKey(*self.stage, at.step, at.group))

    def _sampled(self) -> list[int]:
        """The steps of this stage that have traces."""
        return [s.step for s in self.session.index.steps() if (s.stage, s.split) == self.stage]

    def action_stage(self, by: int) -> None:
        stages = self.session.index.stages()
        if self.stage in stages:
            self.choose(stages[(stages.index(self.stage) + by) % len(stages)])

    def action_steps(self) -> None:
        from rlvr.tui.pages.steps import StepsPage

        if self.stage:
            drawn = self.query_one(Curves)
            self.app.push_screen(
                StepsPage(self.session, *self.stage, drawn.steps[drawn.cursor] if drawn.steps else None)
            )

    def on_curves_chosen(self, event: Curves.Chosen) -> None:
        from rlvr.tui.pages.groups import open_step

        if self.stage and event.step in self._sampled():
            open_step(self, self.session, *self.stage, event.step)
        else:
            self.say(f"nothing was sampled in step {event.step}: this stage has curves only", "warn")


def _over(steps: Sequence[int], curve: dict[int, float]) -> list[float | None]:
    return [curve.get(step) for step in steps]
