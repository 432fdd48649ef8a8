"""How far a file is written, in megabytes; on a terminal alone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn


@contextmanager
def bytes_bar(console: Console, label: str, num_bytes: int) -> Iterator[Callable[[int], None]]:
    """A function that moves the bar on by a number of bytes; without a terminal it does nothing."""
    if not console.is_terminal:
        yield lambda done: None
        return
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=20),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=num_bytes)
        yield lambda done: bar.advance(task, done)
