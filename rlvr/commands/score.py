"""Score a JSONL of completions by an environment's rules.

Each input line is {"task": {row}, "completion": "…"}, the completion as text or as chat messages; each output line adds
reward, success, parts, errors and info (replacing any of that name), and carries the other keys through. Where a line
has num_tokens, the length of the completion in tokens, rewards of length go by it. Memory stays constant, and OUT
appears only when it is complete. A summary goes to stderr. Exits with 2 where every line has an error and no reward.
"""

import argparse
import contextlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from rlvr.score_stream import Tally

_LINES_BETWEEN_UPDATES = 256


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--env", required=True, help='NAME, "NAME?option=value" or FILE.py:NAME')
    parser.add_argument("--input", required=True, metavar="IN.jsonl", help="what to score; - is the standard input")
    parser.add_argument("--output", required=True, metavar="OUT.jsonl", help="where to; - is the standard output")
    parser.add_argument(
        "--reward",
        help="FILE.py:NAME, or an expression that may name the environment's parts; in place of its own",
    )
    parser.add_argument("--skip-bad", action="store_true", help="leave out lines that cannot be read, and count them")
    parser.add_argument("--force", action="store_true", help="replace OUT where it exists")


def run(args: argparse.Namespace) -> int:
    from rlvr.replacing import replacing
    from rlvr.score_stream import Tally, score_lines
    from rlvr_envs import make
    from rlvr_rewards import UserError, parse_reward

    environment = make(args.env)
    reward = parse_reward(args.reward, environment.part) if args.reward else None
    tally, name = Tally(), "standard input" if args.input == "-" else args.input
    with _opened(args.input) as source:
        _refuse_same_file(args.input, args.output)
        with replacing(args.output, args.force) as out:
            try:
                for line in score_lines(_with_progress(source), environment, tally, reward, args.skip_bad):
                    out.write(line)
            except UserError as error:
                raise UserError(f"{name} {error}") from None
            if not tally.num_scored:
                why = f": {tally.first_skipped}" if tally.first_skipped else ""
                raise UserError(f"{name} holds no line to score{why}")
            out.flush()
    _summarise(tally, args.env)
    if not tally.has_rewards and tally.num_errors == tally.num_scored:
        raise UserError(
            f"every one of the {tally.num_scored} lines has an error and no reward; the first: {tally.first_error}"
        )
    return 0


@contextlib.contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    from rlvr_rewards import UserError

    if path == "-":
        yield sys.stdin.buffer
        return
    try:
        file = Path(path).open("rb")  # noqa: SIM115  # closed below, apart from the errors of what is done with it
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    with file:
        yield file


def _refuse_same_file(source: str, target: str) -> None:
    from rlvr_rewards import UserError

    if "-" not in (source, target) and Path(target).is_file() and Path(source).samefile(target):
        raise UserError(f"--input and --output are the same file, {target}: give the output another name")


def _with_progress(source: BinaryIO) -> Iterable[bytes]:
    """The lines of a file, with a bar on stderr where that is a terminal."""
    if not sys.stderr.isatty():
        yield from source
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    from rlvr.console import console

    total = Path(source.name).stat().st_size if source is not sys.stdin.buffer else None
    columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as progress:
        bar = progress.add_task("scoring", total=total or None)
        num_bytes = 0
        for number, line in enumerate(source):
            num_bytes += len(line)
            if number % _LINES_BETWEEN_UPDATES == 0:
                progress.update(bar, completed=num_bytes)
            yield line


def _summarise(tally: "Tally", env: str) -> None:
    from rlvr.console import console, table

    rows = [("completions", tally.num_scored), ("success", tally.num_successes / tally.num_scored)]
    rows += [] if tally.has_rewards else [("mean reward", None)]
    rows += [(f"mean {name}", mean) for name, mean in tally.means().items()]
    rows.append(("with errors", tally.num_errors))
    rows += [(f"failure: {kind}", count) for kind, count in tally.failures.most_common()]
    out = console(stderr=True)
    out.print(table(env, ("of all lines", "value"), rows))
    if tally.first_error:
        out.print(f"first error: {tally.first_error}")
    if tally.num_skipped:
        out.print(f"skipped {tally.num_skipped} lines that could not be read; the first: {tally.first_skipped}")
