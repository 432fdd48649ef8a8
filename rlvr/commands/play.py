"""Answer an environment's tasks yourself, and see what your answer earns.

Write your answer over as many lines as you like; a line with nothing but a dot, or Ctrl-D, ends it. Where the
environment replies, its reply follows, and you answer again.
"""

import argparse
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console

    from rlvr_envs import Environment, Task
    from rlvr_rewards.row import Completion

_END = "."


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--env", required=True, help='NAME, "NAME?option=value" or FILE.py:NAME')
    parser.add_argument("--n", type=int, default=1, help="tasks to answer (default 1)")
    parser.add_argument("--split", default="test", help="which split (default test)")
    parser.add_argument("--seed", type=int, default=0, help="decides which tasks (default 0)")


def run(args: argparse.Namespace) -> int:
    from itertools import islice

    from rlvr.console import console
    from rlvr_envs import make
    from rlvr_envs.faults import faults_named
    from rlvr_rewards import UserError

    environment = make(args.env)
    out = console()
    with faults_named(environment):
        tasks = list(islice(environment.rows(args.split, args.seed), max(0, args.n)))
        for number, task in enumerate(tasks, start=1):
            out.print(f"task {number} of {len(tasks)}", style="bold")
            _play(out, environment, task)
    if not tasks:
        raise UserError(f"nothing to play: {args.env} gave no task for --split {args.split} --n {args.n}")
    return 0


def _play(out: "Console", environment: "Environment", task: "Task") -> None:
    from rlvr.console import titled
    from rlvr_envs import Episode

    for message in environment.messages(task):
        titled(out, message["role"], message["content"])
    episode = Episode(environment, task)
    while not episode.is_over:
        turn = (
            f" (turn {episode.num_turns + 1} of at most {environment.max_turns})" if environment.max_turns > 1 else ""
        )
        out.print(f"\nyour answer{turn} (a line with only . ends it):", style="bold")
        reply = episode.step(read_answer(sys.stdin))
        if reply is not None:
            titled(out, reply["role"], reply["content"])
    _judge(out, environment, task, episode.turns)


def read_answer(source: TextIO) -> str:
    """The lines up to one with nothing but a dot, or to the end of the input."""
    lines: list[str] = []
    for line in source:
        if line.strip() == _END:
            break
        lines.append(line.rstrip("\n"))
    return "\n".join(lines)


def _judge(out: "Console", environment: "Environment", task: "Task", completion: "Completion") -> None:
    from rlvr.console import show_completion, table
    from rlvr.score_stream import score_record

    verdict = score_record(task, completion, environment)
    rows = [*verdict["parts"].items(), ("reward", verdict["reward"])]
    rows.append(("most to earn", float(environment.reward.max)))
    out.print(table("what it earned", ("part", "value"), rows))
    out.print(f"success: {'yes' if verdict['success'] else 'no'}")
    for kind in ("errors", "info"):
        for name, said in verdict[kind].items():
            out.print(f"{name}: {said}")
    show_completion(out, "gold", environment.gold(task))
