"""What `rlvr traces --export` writes besides rows: a page to look through, and judgments as training data."""

import argparse
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.progress import Progress

from rlvr.console import console
from rlvr.replacing import replacing
from rlvr.traces.html import write_html
from rlvr.traces.index import StepSummary, TraceIndex
from rlvr.traces.judgments import Judgments
from rlvr.traces.preferences import write_pairs, write_sft
from rlvr.traces.text import counted
from rlvr_rewards import UserError


def _index(path: Path) -> TraceIndex:
    """The whole run, every shard looked into, with progress where that takes a while."""
    index = TraceIndex.open(path)
    with progress_bar("reading traces") as progress:
        index.refresh(progress=progress)
    for problem in index.problems:
        _say(problem)
    return index


@contextlib.contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, gone when it is done."""
    with Progress(console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def export_judged(args: argparse.Namespace, path: Path) -> int:
    """Writes what was judged as preference pairs or as demonstrations."""
    if not args.export.endswith(".jsonl") and args.export != "-":
        raise UserError(f"--export {args.export} --as {args.kind}: its name must end with .jsonl")
    index = _index(path)
    judgments = Judgments(index.home, index.prefix)
    write = write_pairs if args.kind == "pairs" else write_sft
    with replacing(args.export, args.force) as file:
        done = write(index, judgments, file)
        if not done.num_lines:
            how = "pick a winner between two siblings" if args.kind == "pairs" else "mark completions good"
            raise UserError(f"nothing to export: {how} in the browser first ({judgments.path} holds none)")
    if done.num_gone:
        _say(f"{counted(done.num_gone, 'judgment')} of completions that are not there any more: left out")
    _say(f"{counted(done.num_lines, 'line')} written to {args.export}")
    return 0


def export_page(args: argparse.Namespace, path: Path) -> int:
    index = _index(path)

    def chosen(step: StepSummary) -> bool:
        wanted = ((args.stage, step.stage), (args.split, step.split), (args.step, step.step))
        return all(asked in (None, there) for asked, there in wanted)

    with replacing(args.export, args.force) as file, progress_bar("writing the page") as progress:
        num_rows = write_html(index, file, chosen, args.group, progress=progress)
        if not num_rows:
            raise UserError(f"nothing to export: {index.path} holds no such completions")
    _say(f"{counted(num_rows, 'completion')} written to {args.export}")
    return 0


def _say(message: str) -> None:
    console(stderr=True).print(message, soft_wrap=True)
