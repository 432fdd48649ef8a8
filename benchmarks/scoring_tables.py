"""`rlvr score` on the published tasks: every gold, 20,000 ways to be wrong, and every baseline. Markdown on stdout.

python benchmarks/scoring_tables.py gsm8k ../shared/data/gsm8k      # a folder with train.jsonl and test.jsonl
python benchmarks/scoring_tables.py baselines                       # 1,000 tasks of each environment that makes its own
python benchmarks/scoring_tables.py baselines "scheduling?tier=hard" --num-tasks 200

The completions are written as JSONL into a temporary folder and scored by the command itself; the tables are what it
wrote, gathered by kind. The exit code is 1 where a wrong answer succeeds, or a right one (gold, optimal) fails.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

from rlvr.audit.answer import cut
from rlvr.audit.case import Case, Write, make_cases
from rlvr.audit.mutations import KEEPS, LOSES
from rlvr.audit.policy import POLICIES, Policy
from rlvr_envs import Environment, Task, make
from rlvr_envs.scheduling.generator import Tier
from rlvr_envs.seeds import derive_random
from rlvr_rewards.numerals import read_number
from rlvr_rewards.row import completion_text

GSM8K = "../shared/data/gsm8k"
GENERATED = (*(f"scheduling?tier={tier}" for tier in Tier), "arithmetic", "countdown")
LONG = 20_000
_MARK = re.compile(r"<<[^<>]*=([^<>]*)>>")


def _first_mark(case: Case) -> str | None:
    marks = [mark.strip() for mark in _MARK.findall(case.task["answer"])]
    return next((mark for mark in marks if read_number(mark) not in (None, case.number)), None)


def _not_by_chance(policy: Policy) -> Write:
    """The policy where it is wrong: what knows nothing of gold may be right by chance."""

    def write(case: Case, random: Random) -> str | None:
        said = policy(case, random)
        text = None if said is None else completion_text(said)
        return None if text is None or (policy.blind and case.equals_gold(cut(text).answer)) else text

    return write


NOT_AS_ASKED: dict[str, Write] = {
    # another number in the asked form
    "a tenth, as a power": lambda c, r: c.form(f"{c.plain}e-1") if c.number else None,
    "a step on the way": lambda c, r: c.form(mark) if (mark := _first_mark(c)) else None,
    # the right number, blurred
    "an equation": lambda c, r: c.form(f"x = {c.plain}"),
    "a sum not worked out": lambda c, r: c.form(f"{int(c.plain) - 1}+1"),
    "NaN, infinity and overflow": lambda c, r: c.form(r.choice(("nan", "inf", "-inf", "Infinity", "1e999", "1/0"))),
    "boxed inside the tag": lambda c, r: c.form(rf"\boxed{{{c.plain}}}"),
    # the right number in another form
    "the answer twice": lambda c, r: c.form(c.plain) + c.pieces.marked(c.plain),
    "a bare number": lambda c, r: c.plain,
    "a sentence without the tag": lambda c, r: f"{c.pieces.thought}\nThe answer is {c.plain}.",
    "the published #### form": lambda c, r: c.task["answer"],
    "#### instead of the tag": lambda c, r: f"{c.pieces.thought}\n#### {c.plain}",
    "boxed instead of the tag": lambda c, r: rf"{c.pieces.thought} \boxed{{{c.plain}}}",
    "answer, then thought": lambda c, r: c.pieces.marked(c.plain) + c.pieces.thought,
    "another thought behind it": lambda c, r: f"{c.gold}<think>or not</think>",
    "another tag": lambda c, r: c.gold.replace("answer>", r.choice(("result>", "Answer>", "ANSWER>", "a>"))),
    "the instructions, filled in": lambda c, r: f"Between <think> and </think>, <answer> and </answer>: {c.plain}",
}
"""What `gsm8k` counts as wrong and another task might not."""

WRONG: dict[str, Write] = {
    **LOSES,
    **{name: _not_by_chance(POLICIES.get(name)) for name in POLICIES.names()},
    **NOT_AS_ASKED,
}
"""The catalogues of `rlvr audit`, and what is `gsm8k`'s own: none of it succeeds."""

RIGHT: dict[str, Write] = {
    "gold": lambda c, r: c.gold,
    **KEEPS,
    "with a unit": lambda c, r: c.form(f"{c.plain} {r.choice(('clips', 'km/h', 'square feet', '%', 'more apples'))}"),
    "no thought": lambda c, r: c.pieces.marked(c.plain),
    "prose around it": lambda c, r: f"{c.pieces.thought} So it is {c.pieces.marked(c.plain)}, I say.",
    "think opened 2,800 times": lambda c, r: "<think>" * (LONG // 7) + c.gold,
    "a wrong answer thought of first": lambda c, r: f"<think>{c.pieces.marked(c.other)}</think>{c.gold}",
}
"""The right answer written otherwise: all of it succeeds; what leaves the asked form loses the part `format`."""


def main() -> int:
    """Prints the tables of one job."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("gsm8k", "baselines"))
    parser.add_argument(
        "given", nargs="*", help="the GSM8K folder; or environments, by default all that make their own"
    )
    parser.add_argument("--num-wrong", type=int, default=20_000, help="wrong completions in all")
    parser.add_argument("--num-tasks", type=int, default=1000, help="tasks of each environment")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    return gsm8k_tables(args) if args.what == "gsm8k" else baseline_tables(args)


def gsm8k_tables(args: argparse.Namespace) -> int:
    """Golds, then wrong completions by kind, then right ones in other words; 1 where one is judged amiss."""
    spec = f"gsm8k?path={args.given[0] if args.given else GSM8K}"
    env = make(spec)
    cases = all_cases(env, args.seed)
    per_kind = args.num_wrong // len(applying(WRONG, cases))
    golds = print_table(spec, "golds", (("gold", case.task, completion_text(env.gold(case.task))) for case in cases))
    wrong = print_table(spec, "wrong", written(applying(WRONG, cases), cases, per_kind, args.seed), with_total=True)
    right = print_table(spec, "right", written(applying(RIGHT, cases), cases, per_kind, args.seed), with_total=True)
    amiss = [row for row in wrong if row["success"]] + [row for row in golds + right if not row["success"]]
    return int(bool(amiss))


def baseline_tables(args: argparse.Namespace) -> int:
    """Every baseline and gold on the same tasks of each environment; 1 where gold or the optimum falls short."""
    amiss = 0
    for spec in args.given or GENERATED:
        env = make(spec)
        tasks = list(islice(env.rows("test", args.seed), args.num_tasks))
        records = print_table(spec, "baselines", baseline_completions(env, tasks, args.seed))
        amiss += sum(row["kind"] in ("gold", "optimal") and not row["success"] for row in records)
    return int(amiss > 0)


def all_cases(env: Environment, seed: int) -> list[Case]:
    """Every problem of both splits."""
    return make_cases(env, [task for split in env.splits for task in env.rows(split, seed)])


def applying(kinds: dict[str, Write], cases: list[Case]) -> dict[str, Write]:
    """The kinds that some problem lends itself to: `gsm8k` has no schedules."""
    return {name: write for name, write in kinds.items() if any(write(case, Random(0)) is not None for case in cases)}


def written(kinds: dict[str, Write], cases: list[Case], per_kind: int, seed: int) -> Iterator[tuple[str, Task, str]]:
    """`per_kind` completions of each kind, each for a problem of its own where there are enough."""
    for kind, write in kinds.items():
        random = derive_random(seed, kind=kind)
        order = random.sample(cases, len(cases))
        said = ((case.task, write(case, random)) for case in order)
        found = ((task, completion_text(each)) for task, each in said if each is not None)
        yield from ((kind, task, text) for task, text in islice(found, per_kind))


def baseline_completions(env: Environment, tasks: list[Task], seed: int) -> Iterator[tuple[str, Task, str]]:
    """The completion of each baseline for each task, gold last."""
    for name, baseline in {**env.baselines(), "gold": lambda task, _: env.gold(task)}.items():
        for task in tasks:
            said = baseline(task, derive_random(seed, baseline=name, task_id=env.task_id(task)))
            yield name, task, completion_text(said)


def print_table(
    spec: str, name: str, completions: Iterable[tuple[str, Task, str]], with_total: bool = False
) -> list[dict[str, Any]]:
    """Scores by the command, prints a row a kind, and returns what was said of each completion."""
    records = score(spec, name, completions)
    numbers = [*records[0]["parts"], *(["optimum_ratio"] if "optimum_ratio" in records[0]["info"] else [])]
    print(f'\n`rlvr score --env "{spec}" --input {name}.jsonl --output {name}.scored.jsonl`\n')
    print(f"| kind | n | reward | success | {' | '.join(numbers)} | failures |")
    print(f"|---|---:|---:|---:|{'---:|' * len(numbers)}---|")
    kinds = list(dict.fromkeys(record["kind"] for record in records))
    for kind in kinds:
        print(table_line(kind, [record for record in records if record["kind"] == kind], numbers))
    if with_total:
        print(table_line("all", records, numbers))
    return records


def table_line(kind: str, rows: list[dict[str, Any]], numbers: list[str]) -> str:
    """One line: counts, means, and how often each failure or error occurred."""
    means = [fmean((row["parts"] | row["info"])[name] or 0.0 for row in rows) for name in numbers]
    failures = Counter(row["info"].get("failure", "none") for row in rows)
    failures.update("error" for row in rows if row["errors"])
    said = ", ".join(f"{failure} {count}" for failure, count in failures.items() if failure != "none") or "none"
    reward, success = fmean(row["reward"] for row in rows), fmean(bool(row["success"]) for row in rows)
    cells = [kind, f"{len(rows):,}", f"{reward:.3f}", f"{success:.1%}", *(f"{mean:.3f}" for mean in means), said]
    return f"| {' | '.join(cells)} |"


def score(spec: str, name: str, completions: Iterable[tuple[str, Task, str]]) -> list[dict[str, Any]]:
    """What `rlvr score` says of each completion."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / f"{name}.jsonl", Path(folder) / f"{name}.scored.jsonl"
        with source.open("w", encoding="ascii") as file:
            for kind, task, completion in completions:
                file.write(json.dumps({"kind": kind, "task": task, "completion": completion}) + "\n")
        command = [sys.executable, "-m", "rlvr", "score", "--env", spec, "--input", source, "--output", target]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        with target.open(encoding="ascii") as file:
            return [_slim(json.loads(line)) for line in file]


def _slim(record: dict[str, Any]) -> dict[str, Any]:
    return {key: record[key] for key in ("kind", "reward", "success", "parts", "errors", "info")}


if __name__ == "__main__":
    sys.exit(main())
