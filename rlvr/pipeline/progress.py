"""A training stage as it goes: a bar with an honest time left, and the numbers that say whether it learns."""

import textwrap
import time
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.text import Text
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from rlvr.progress import bar

_LINES_WITHOUT_TERMINAL = 10


class ProgressCallback(TrainerCallback):
    """Shows the step, the time left (from the speed of the last minute), and below it the logged numbers of `shown`.

    The numbers have lines of their own, which wrap between two of them: beside the bar they would squeeze it.

    Args:
        console: Where to show it; without a terminal, about ten plain lines a stage are printed instead of a bar.
        name: The name of the stage.
        shown: Names of logged numbers, each with its label; of a name that ends with `*` all are shown that it
            matches, each with the label and what stands for the `*`.
    """

    def __init__(self, console: Console, name: str, shown: dict[str, str]) -> None:
        self.console, self.name, self.shown = console, name, shown
        self.last: dict[str, float] = {}
        self.started = time.time()
        self.told: list[str] = []
        self.live: Live | None = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.started = time.time()
        if not self.console.is_terminal:
            return
        self.bar = bar()
        self.task = self.bar.add_task(self.name, total=state.max_steps, completed=state.global_step)
        self.live = Live(get_renderable=self._shown, console=self.console, refresh_per_second=4)
        self.live.start()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.live:
            self.bar.update(self.task, completed=state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        numbers = self._numbers(logs or {})
        if not numbers:
            return
        self.last = numbers
        seconds = time.time() - self.started
        self.told = [f"{label} {_rounded(value)}" for label, value in numbers.items()]
        if not self.live and state.global_step % max(1, state.max_steps // _LINES_WITHOUT_TERMINAL) == 0:
            self.console.print(
                f"  {self.name} {state.global_step}/{state.max_steps}  {seconds:.0f} s  {' · '.join(self.told)}",
                style="dim",
            )

    def recall(self, logs: dict[str, Any]) -> None:
        """Takes over the numbers of what was logged before, where nothing is left to train."""
        self.last = self._numbers(logs) or self.last

    def close(self) -> None:
        """Leaves the bar as it stands, also where training ended in an error."""
        if self.live:
            self.live.stop()

    def _shown(self) -> Group:
        numbers = "\n".join(_wrapped(self.told, self.console.width - 2))
        return Group(self.bar, Padding(Text(numbers, style="dim"), (0, 0, 0, 2)))

    def _numbers(self, logs: dict[str, Any]) -> dict[str, float]:
        found = {}
        for name, label in self.shown.items():
            if name.endswith("*"):
                start, names = name[:-1], [key for key in sorted(logs) if key.startswith(name[:-1])]
                found |= {f"{label}{key.removeprefix(start)}": logs[key] for key in names}
            elif logs.get(name) is not None:
                found[label] = logs[name]
        return found


def _wrapped(facts: list[str], width: int) -> list[str]:
    """The facts on lines of a width, broken between two of them alone."""
    glued = "\N{NO-BREAK SPACE}· ".join(fact.replace(" ", "\N{NO-BREAK SPACE}") for fact in facts)
    return textwrap.wrap(glued, width, break_on_hyphens=False)


def _rounded(value: float) -> str:
    """Three decimals, of large numbers one: as many characters from step to step, so that nothing jumps."""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
