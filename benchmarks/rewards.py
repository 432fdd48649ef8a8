"""Completions a second of our rewards beside others' on the same strings; what waits; lines a second of `rlvr score`.

python benchmarks/rewards.py                                 # everything
python benchmarks/rewards.py --only beside waiting
python benchmarks/rewards.py --gsm8k ../shared/data/gsm8k    # on the published solutions too

The others are measured where installed: `trl.rewards` (its accuracy reward needs math-verify) and verifiers. Contenders
take turns within one run, and the best of the rounds counts, since the machine's speed varies from minute to minute.
They do not all do the same: math-verify reads LaTeX, `exact_number` a number, and `symbolic_answer` is math-verify in
worker processes, one a core. `agree` is the share of strings on which a contender gives what the first gives.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from rlvr_envs import make
from rlvr_envs.seeds import derive_random
from rlvr_rewards import Reward, exact_number, reward, symbolic_answer, think_format_lenient
from rlvr_rewards.catalogue import REWARDS
from rlvr_rewards.examples import example_of
from rlvr_rewards.outside import outside_of
from rlvr_rewards.row import completion_text

ROUNDS = 5
NUM_STRINGS = 500
GSM8K_CHARACTERS = 280
"""The mean length of the published solutions, with think and answer tags around them."""
Scorer = Callable[[list[str], list[str]], list[float | None]]
"""Completions and their gold answers to values."""


def strings(seed: int = 0) -> tuple[list[str], list[str]]:
    """Completions of some 600 characters that end in a boxed number, two in three of them right; and the golds."""
    texts, golds = [], []
    for number in range(NUM_STRINGS):
        random = derive_random(seed, benchmark="rewards", number=number)
        gold = random.randint(-9999, 9999)
        said = gold + random.choice([0, 0, 1])
        thought = " ".join(f"{random.randint(1, 99)}+{random.randint(1, 99)} is more." for _ in range(35))
        texts.append(f"<think>\n{thought}\n</think>\n<answer>\\boxed{{{said}}}</answer>")
        golds.append(str(gold))
    return texts, golds


def as_messages(texts: list[str]) -> list[list[dict[str, str]]]:
    return [[{"role": "assistant", "content": text}] for text in texts]


def ours_number(texts: list[str], golds: list[str]) -> list[float | None]:
    boxed = exact_number.using(form="boxed")
    return [score.reward for score in boxed.score_batch(texts, {"answer": golds})]


def ours_symbolic(texts: list[str], golds: list[str]) -> list[float | None]:
    boxed = symbolic_answer.using(form="boxed")
    return [score.reward for score in boxed.score_batch(texts, {"answer": golds})]


def ours_format(texts: list[str], golds: list[str]) -> list[float | None]:
    return [score.reward for score in think_format_lenient.score_batch(texts, {})]


def trl_scorer(name: str) -> Scorer:
    import trl.rewards

    function = getattr(trl.rewards, name)

    def score(texts: list[str], golds: list[str]) -> list[float | None]:
        return function(completions=as_messages(texts), solution=[f"\\boxed{{{gold}}}" for gold in golds])

    score(*(column[:1] for column in strings()))  # raises here where math-verify is missing
    return score


def verifiers_scorer() -> Scorer:
    from verifiers.v1 import verify_boxed_math_answer  # pyright: ignore[reportMissingImports]

    return lambda texts, golds: [verify_boxed_math_answer(*pair) for pair in zip(texts, golds, strict=True)]


GROUPS: dict[str, dict[str, Callable[[], Scorer]]] = {
    "a number, boxed": {
        "rlvr exact_number": lambda: ours_number,
        "rlvr symbolic_answer": lambda: ours_symbolic,
        "trl accuracy_reward": lambda: trl_scorer("accuracy_reward"),
        "verifiers verify_boxed_math_answer": verifiers_scorer,
    },
    "thinks, then answers": {
        "rlvr think_format_lenient": lambda: ours_format,
        "trl think_format_reward": lambda: trl_scorer("think_format_reward"),
    },
}


def compare() -> None:
    """Prints a table of each group; the first contender is ours, and the ratio is to it."""
    print("\nversions: " + ", ".join(f"{name} {_version(name)}" for name in ("trl", "math-verify", "verifiers")))
    for title, makers in GROUPS.items():
        scorers: dict[str, Scorer] = {}
        for name, maker in makers.items():
            try:
                scorers[name] = maker()
            except ImportError as error:
                print(f"{name}: not measured ({error})")
        best, values = race(scorers)
        ours = next(iter(scorers))
        print(f"\n| {title} | completions/s | the first is | agree |\n|---|---:|---:|---:|")
        for name, seconds in best.items():
            agree = sum(a == b for a, b in zip(values[name], values[ours], strict=True)) / NUM_STRINGS
            print(f"| {name} | {NUM_STRINGS / seconds:,.0f} | {seconds / best[ours]:.1f}× | {agree:.0%} |")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def race(scorers: dict[str, Scorer]) -> tuple[dict[str, float], dict[str, list[float | None]]]:
    """The least seconds that each took over all strings, taking turns, and the values it gave last.

    Each round has strings of its own: what was read once is not read from a cache.
    """
    best: dict[str, float] = dict.fromkeys(scorers, float("inf"))
    values: dict[str, list[float | None]] = {}
    for seed in range(ROUNDS):
        texts, golds = strings(seed)
        for name, scorer in scorers.items():
            start = time.perf_counter()
            values[name] = scorer(texts, golds)
            best[name] = min(best[name], time.perf_counter() - start)
    return best, values


def scheduling_lines(num_lines: int) -> Iterator[str]:
    """Lines for `rlvr score`: the answers of every baseline on 2,000 published-tier tasks, over and over."""
    env = make("scheduling")
    tasks = list(islice(env.rows("train", 0), 2000))
    policies = cycle(env.baselines().values())
    for number, task in enumerate(islice(cycle(tasks), num_lines)):
        random = derive_random(0, benchmark="score", number=number)
        yield json.dumps({"task": task, "completion": next(policies)(task, random)}) + "\n"


def time_score(num_lines: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.jsonl", Path(folder) / "out.jsonl"
        with source.open("w") as file:
            file.writelines(scheduling_lines(num_lines))
        command = [sys.executable, "-m", "rlvr", "score", "--env", "scheduling", "--input", source, "--output", target]
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds = time.perf_counter() - start
    print(f"\nrlvr score, scheduling: {num_lines:,} lines in {seconds:.1f} s, {num_lines / seconds:,.0f} a second")


def time_library() -> None:
    """Every reward computed in its place, on its own example behind a thought: as long as GSM8K's solutions."""
    thought = strings()[0][0].removeprefix("<think>")[:GSM8K_CHARACTERS]
    print(f"\n| Reward, on {NUM_STRINGS} completions | completions/s |\n|---|---:|")
    for name in REWARDS.names():
        node = REWARDS.get(name)
        if outside_of(node) or node.has_ahead:
            continue  # what it rests on would be measured, or a cache
        example = example_of(node)
        text = example.completion.removeprefix("<think>")
        text = f"<think>{thought}{text if '</think>' in text else '</think>' + text}"
        known = {"num_tokens": 100, **example.columns}  # training and evaluation count them
        columns = {column: [value] * NUM_STRINGS for column, value in known.items()}
        print(f"| {name} | {rate(node, [text] * NUM_STRINGS, columns):,.0f} |")


def time_gsm8k(path: str) -> None:
    """The environment's own reward on the published solutions of the test split, as text and as TRL's messages."""
    env = make("gsm8k", path=path)
    tasks = list(env.rows("test", 0))
    texts = [completion_text(env.gold(task)) for task in tasks]
    columns = {name: [task[name] for task in tasks] for name in tasks[0]}
    print(f"\n{len(texts):,} solutions of GSM8K, {sum(map(len, texts)) / len(texts):.0f} characters on average")
    print(f"gsm8k's reward (a number, the form): {rate(env.reward, texts, columns):,.0f} completions a second")
    print(f"the same as chat messages: {rate(env.reward, as_messages(texts), columns):,.0f} completions a second")


def rate(node: Reward, completions: list[Any], columns: dict[str, list[Any]]) -> float:
    """Completions a second, the best of the rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        node.score_batch(completions, columns)
        best = min(best, time.perf_counter() - start)
    return len(completions) / best


@reward(runs="thread")
def thread_that_waits(completion: str) -> float:
    time.sleep(1.0)
    return 1.0


@reward
async def coroutine_that_waits(completion: str) -> float:
    await asyncio.sleep(1.0)
    return 1.0


def time_waiting() -> None:
    """A batch of 512 under a reward that waits a second for each completion."""
    print("\n| 512 completions, each waits 1 s | seconds |\n|---|---:|")
    for node in (thread_that_waits, coroutine_that_waits, thread_that_waits + coroutine_that_waits):
        start = time.perf_counter()
        node.score_batch(["x"] * 512, {})
        print(f"| {' + '.join(node.part_names())} | {time.perf_counter() - start:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-lines", type=int, default=100_000, help="lines for rlvr score (default 100,000)")
    parser.add_argument("--gsm8k", help="a folder with GSM8K's train.jsonl and test.jsonl")
    sections: dict[str, Callable[[], None]] = {"beside": compare, "library": time_library, "waiting": time_waiting}
    parser.add_argument("--only", nargs="+", choices=[*sections, "score"], default=[*sections, "score"])
    args = parser.parse_args()
    if args.gsm8k:
        time_gsm8k(args.gsm8k)
    for name, section in sections.items():
        if name in args.only:
            section()
    if "score" in args.only:
        time_score(args.num_lines)


if __name__ == "__main__":
    main()
