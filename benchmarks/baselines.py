"""What policies without a model earn: every baseline of an environment, and its gold, on the same tasks.

python benchmarks/baselines.py                      # scheduling in its three tiers, arithmetic, countdown
python benchmarks/baselines.py "scheduling?tier=hard" --num-tasks 200
"""

import argparse
from collections.abc import Iterator
from itertools import islice
from statistics import fmean

from rlvr_envs import Environment, Task, make
from rlvr_envs.seeds import derive_random

SPECS = (
    *(f"scheduling?tier={tier}" for tier in ("published", "compact", "hard")),
    "arithmetic",
    "countdown",
)
HEADER = "| environment | baseline | reward | success | optimum ratio |\n|---|---|---:|---:|---:|"


def main() -> None:
    """Prints one Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environments", nargs="*", default=SPECS)
    parser.add_argument("--num-tasks", type=int, default=1000)
    parser.add_argument("--split", default="test")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print(HEADER)
    for spec in args.environments:
        environment = make(spec)
        tasks = list(islice(environment.rows(args.split, args.seed), args.num_tasks))
        for line in table_lines(spec, environment, tasks, args.seed):
            print(line)


def table_lines(spec: str, environment: Environment, tasks: list[Task], seed: int) -> Iterator[str]:
    """One line a baseline, gold last."""
    for name, baseline in {**environment.baselines(), "gold": lambda task, _: environment.gold(task)}.items():
        rewards, successes, ratios = [], [], []
        for task in tasks:
            completion = baseline(task, derive_random(seed, baseline=name, task_id=environment.task_id(task)))
            rewards.append(environment.score(task, completion).reward or 0.0)
            successes.append(environment.success(task, completion))
            ratios.append(environment.info(task, completion).get("optimum_ratio"))
        ratio = f"{fmean(ratios):.3f}" if ratios and None not in ratios else ""
        yield f"| `{spec}` | {name} | {fmean(rewards):.3f} | {fmean(successes):.1%} | {ratio} |"


if __name__ == "__main__":
    main()
