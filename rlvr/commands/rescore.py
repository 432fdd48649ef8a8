"""Say what another reward would have done to a run: its completions scored again, beside what is recorded.

Nothing is sampled or trained, and nothing of the run is written. Shown are the parts that change, the groups whose
advantages change sign or order, as the run's algorithm computes them, how the share of groups without variance moves,
and the completions about which the two rewards disagree the most, each with the command that opens it. Exits with 2
where the new reward fails for every completion. docs/rescore.md says more.
"""

import argparse
import contextlib
import os
from typing import TYPE_CHECKING

from rlvr.commands._arguments import at_least

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run, or what rlvr traces opens (default: the newest)")
    parser.add_argument(
        "--reward",
        metavar="NEW",
        help="FILE.py:NAME, or an expression that may name the environment's parts (default: the run's, as it is now)",
    )
    parser.add_argument("--env", help="its parts may be named, in place of the run's environment")
    parser.add_argument("--stage", help="only this stage")
    parser.add_argument("--split", help="only this split")
    parser.add_argument("--step", type=at_least(0), help="only this step; 0 is an evaluation")
    parser.add_argument("--top", type=at_least(0), default=10, help="how many disagreements to show (default 10)")
    parser.add_argument("--json", metavar="OUT", help="write all that was found as JSON; - is the standard output")
    parser.add_argument("--output", metavar="OUT.parquet", help="write the new scores, a row a completion")
    parser.add_argument("--workers", type=at_least(1), help="processes that score (default: a core each, at most 8)")
    parser.add_argument("--force", action="store_true", help="replace OUT where it exists")


def run(args: argparse.Namespace) -> int:
    from rlvr.installed import require

    require("rlvr rescore", "pyarrow", extra="tui")
    import json

    from rlvr.commands._runs import run_path
    from rlvr.console import console
    from rlvr.replacing import replacing
    from rlvr.rescore import rescore
    from rlvr.rescore.report import show
    from rlvr_rewards import UserError

    path = run_path(args.run)
    _refuse_among_traces(args, path)
    err = console(stderr=True)
    with contextlib.ExitStack() as stack:
        report, rows = (
            stack.enter_context(replacing(each, args.force)) if each else None for each in (args.json, args.output)
        )
        with _progress(err.is_terminal) as progress:
            found = rescore(
                path,
                args.reward,
                env=args.env,
                stage=args.stage,
                split=args.split,
                step=args.step,
                top=args.top,
                workers=args.workers or min(8, os.cpu_count() or 1),
                output=rows,
                progress=progress,
            )
        show(err if "-" in (args.json, args.output) else console(), found)
        if report:
            report.write((json.dumps(found.as_json(), indent=1) + "\n").encode())
    total = found.total
    if total.num_rows and total.num_errors == total.num_rows and not total.reward.num_after:
        raise UserError(f"the reward failed for all {total.num_rows:,} completions; the first: {total.first_error}")
    return 0


def _refuse_among_traces(args: argparse.Namespace, path: "Path") -> None:
    """What is written stands beside the traces, never among them or over them."""
    from rlvr_rewards import UserError

    for out in (args.json, args.output):
        if out and out != "-" and any(folder.name == "traces" and _is_of(folder, path) for folder in _above(out)):
            raise UserError(f"{out} would stand among the run's traces: name a place outside of them")


def _above(out: str) -> "list[Path]":
    from pathlib import Path

    return list(Path(out).resolve().parents)


def _is_of(folder: "Path", path: "Path") -> bool:
    return folder in (path.resolve(), path.resolve() / "traces", path.resolve().parent)


@contextlib.contextmanager
def _progress(shown: bool) -> "Iterator[Callable[[int, int], None]]":
    """A bar on stderr with the time left, where that is a terminal."""
    if not shown:
        yield lambda done, total: None
        return
    from rlvr.console import console
    from rlvr.progress import bar

    with bar(console(stderr=True), transient=True) as moving:
        task = moving.add_task("rescoring", total=None)
        yield lambda done, total: moving.update(task, completed=done, total=total)
