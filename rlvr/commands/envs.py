"""List the environments, or show one: its tasks, prompts, gold answers and what its baselines score.

Baselines are policies without a model; `gold` is the environment's own answer, which must earn the maximum.
"""

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from rlvr_envs import Baseline, Environment, Task


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name",
        nargs="?",
        help='NAME, "NAME?option=value", COLLECTION/NAME or FILE.py:NAME; COLLECTION lists its own; without, list all',
    )
    parser.add_argument("--n", type=int, default=200, help="tasks to measure the baselines on (default 200)")
    parser.add_argument("--show", type=int, default=2, help="tasks to print (default 2)")
    parser.add_argument("--split", default="test", help="which split (default test)")
    parser.add_argument("--seed", type=int, default=0, help="decides which tasks (default 0)")


def run(args: argparse.Namespace) -> int:
    from rlvr_rewards import UserError

    if args.n < 1 or args.show < 0:
        raise UserError(f"--n {args.n} --show {args.show}: --n starts at 1 and --show at 0")
    if args.name and args.name.rstrip("/") in _collections():
        _list_collection(args.name.rstrip("/"))
    elif args.name:
        _show_one(args)
    else:
        _list_all()
    return 0


def _list_all() -> None:
    from rlvr.console import console, first_line, table
    from rlvr_envs import ENVIRONMENTS

    classes = {name: ENVIRONMENTS.get(name) for name in ENVIRONMENTS.names()}
    rows = [(name, first_line(cls.__doc__), _options(cls)) for name, cls in classes.items()]
    out = console()
    out.print(table("environments", ("name", "what it is", "options"), rows))
    out.print('rlvr envs NAME shows one; options are written as "NAME?option=value".')
    out.print(
        f"Collections of others, as COLLECTION/NAME: {', '.join(_collections())}. rlvr envs COLLECTION lists one."
    )


def _collections() -> list[str]:
    from rlvr_envs.collection import COLLECTIONS

    return COLLECTIONS.names()


def _list_collection(name: str) -> None:
    from rlvr.console import console, table
    from rlvr_envs.collection import COLLECTIONS

    collection, out = COLLECTIONS.get(name), console()
    if not (about := collection.about()):
        out.print(f"{name}: whatever is installed, by its own id: rlvr envs {name}/ID")
        return
    out.print(table(f"{name}/… ({len(about)})", ("name", "what it is"), list(about.items())))
    out.print(f"rlvr envs {name}/NAME shows one, and its options.")


def _options(cls: "type[Environment]") -> str:
    from rlvr_envs.catalogue import option_names

    return ", ".join(f"{name}={getattr(p.default, 'value', p.default)}" for name, p in option_names(cls).items())


def _show_one(args: argparse.Namespace) -> None:
    from rlvr_envs import make
    from rlvr_envs.faults import faults_named

    environment = make(args.name)
    with faults_named(environment):
        _show_environment(args, environment)


def _show_environment(args: argparse.Namespace, environment: "Environment") -> None:
    import inspect
    from itertools import islice

    from rlvr.console import console, table, titled
    from rlvr_rewards import UserError

    tasks = list(islice(environment.rows(args.split, args.seed), max(args.n, args.show)))
    if not tasks:
        raise UserError(f"{args.name} has no task in the split {args.split!r}")
    out = console()
    titled(out, args.name, inspect.cleandoc(type(environment).__doc__ or ""))
    if args.name.partition("/")[0] in _collections():
        out.print(f"options: {_options(type(environment)) or 'none'}", soft_wrap=True)
    out.print(f"columns: {', '.join(environment.columns)}  splits: {', '.join(environment.splits)}")
    out.print(f"parts: {', '.join(environment.reward.part_names())}  most to earn: {environment.reward.max:g}")
    for number, task in enumerate(tasks[: args.show], start=1):
        _print_task(out, environment, task, f"task {number}")
    tasks = tasks[: args.n]
    title = f"on {len(tasks)} tasks of {args.split}, seed {args.seed}"
    out.print()
    out.print(table(title, ("policy", "mean reward", "success"), _baseline_rows(environment, tasks, args.seed)))


def _print_task(out: "Console", environment: "Environment", task: "Task", title: str) -> None:
    import json

    from rlvr.console import show_completion, titled

    out.print()
    titled(out, title, json.dumps(task, ensure_ascii=False))
    for message in environment.messages(task):
        titled(out, message["role"], message["content"])
    show_completion(out, "gold", environment.gold(task))


def _baseline_rows(environment: "Environment", tasks: "list[Task]", seed: int) -> list[tuple[Any, ...]]:
    gold: Baseline = lambda task, random: environment.gold(task)  # noqa: E731
    policies = {**environment.baselines(), "gold": gold}
    return [(name, *_measure(environment, name, policy, tasks, seed)) for name, policy in policies.items()]


def _measure(
    environment: "Environment", name: str, policy: "Baseline", tasks: "list[Task]", seed: int
) -> tuple[float | None, float]:
    """The mean reward, over the tasks where there is one, and the share solved."""
    from rlvr_envs.seeds import derive_random

    rewards, num_solved = [], 0
    for task in tasks:
        random = derive_random(seed, stage="baseline", policy=name, task_id=environment.task_id(task))
        completion = policy(task, random)
        rewards.append(environment.score(task, completion).reward)
        num_solved += environment.success(task, environment.heard(task, completion))
    known = [reward for reward in rewards if reward is not None]
    return (sum(known) / len(known) if known else None), num_solved / len(tasks)
