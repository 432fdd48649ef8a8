"""Bars with the time left, judged by the speed of the last minute; on a terminal alone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


def bar(console: Console | None = None, transient: bool = False) -> Progress:
    """What is done of how much, since when, and the time left; `transient`: gone when it is through."""
    return Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=transient,
        speed_estimate_period=60,
    )


@contextmanager
def progress_bar(console: Console, label: str, num_tasks: int) -> Iterator[Callable[[int], None]]:
    """A function that moves the bar on by a number of tasks; without a terminal it does nothing."""
    if not console.is_terminal:
        yield lambda done: None
        return
    with bar(console, transient=True) as shown:
        task = shown.add_task(label, total=num_tasks)
        yield lambda done: shown.advance(task, done)
