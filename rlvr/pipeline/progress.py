"""A training stage as it goes: a bar with an honest time left, and the numbers that say whether it learns."""

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

_LINES_WITHOUT_TERMINAL = 10


class ProgressCallback(TrainerCallback):
    """Shows the step, the time left (from the speed of the last minute), and the logged numbers of `shown`.

    Args:
        console: Where to show it; without a terminal, about ten plain lines a stage are printed instead of a bar.
        name: The name of the stage.
        shown: Names of logged numbers, each with its label; a name that ends with `*` shows all that it matches.
    """

    def __init__(self, console: Console, name: str, shown: dict[str, str]) -> None:
        self.console, self.name, self.shown = console, name, shown
        self.last: dict[str, float] = {}
        self.started = time.time()
        self.bar: Progress | None = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.started = time.time()
        if not self.console.is_terminal:
            return
        self.bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[numbers]}"),
            console=self.console,
            speed_estimate_period=60,
        )
        self.bar.start()
        self.task = self.bar.add_task(self.name, total=state.max_steps, completed=state.global_step, numbers="")

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
        text = " · ".join(f"{label} {value:.3g}" for label, value in numbers.items())
        if self.bar:
            self.bar.update(self.task, completed=state.global_step, numbers=text)
        elif state.global_step % max(1, state.max_steps // _LINES_WITHOUT_TERMINAL) == 0:
            seconds = time.time() - self.started
            self.console.print(
                f"  {self.name} {state.global_step}/{state.max_steps}  {seconds:.0f} s  {text}", style="dim"
            )

    def close(self) -> None:
        """Takes the bar off the screen, also where training ended in an error."""
        if self.bar:
            self.bar.stop()

    def _numbers(self, logs: dict[str, Any]) -> dict[str, float]:
        found = {}
        for name, label in self.shown.items():
            if name.endswith("*"):
                found |= {key.removeprefix(name[:-1]): logs[key] for key in sorted(logs) if key.startswith(name[:-1])}
            elif logs.get(name) is not None:
                found[label] = logs[name]
        return found
