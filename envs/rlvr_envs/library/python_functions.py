"""`python_functions`: write a small Python function over a list, which is then run on inputs in a sandbox.

A task is a few steps in words; the code is judged by what it returns, not by how it is written. It needs a sandbox
(docs/sandbox.md), so Linux: elsewhere its reward is an error, never a 0.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from random import Random
from typing import Any

from rlvr_envs.environment import Baseline, GeneratedEnvironment, Message, Task
from rlvr_envs.list_steps import STEPS, Kind, run_steps, takes_n, write_function
from rlvr_envs.seeds import canonical_json, derive_random
from rlvr_rewards import UserError, code_passes, think_format
from rlvr_rewards.library.code import final_code

SYSTEM = (
    "Write the Python function that is asked for. Think between <think> and </think>, "
    "then give the code alone between <answer> and </answer>."
)
NUM_TESTS, NUM_EXAMPLES = 10, 2
_MOST_ALIKE = 3
_GIVEN = {Kind.NUMBERS: "a list of whole numbers", Kind.WORDS: "a list of words in small letters"}
_LIMITS = {"test_s": 1.0, "wall_s": 20.0, "memory_mb": 256}


class Tier(StrEnum):
    """How many steps a function takes."""

    EASY = "easy"
    MEDIUM = "medium"
    HARD = "hard"


NUM_STEPS = {Tier.EASY: 3, Tier.MEDIUM: 4, Tier.HARD: 6}


@dataclass(frozen=True)
class PythonFunctions(GeneratedEnvironment):
    """`f(xs)` or `f(xs, n)` over numbers or words: 3 steps (`easy`), 4 (`medium`) or 6 (`hard`), each of which matters.

    Ten tests, none of them shown, with at most three outputs alike; two examples are. `info` holds `failure`: `none`,
    `no_code`, `wrong_output`, or how the code ended (`rlvr_rewards.sandbox.Ending`); and `share`, the share of tests
    that passed.
    """

    name = "python_functions"
    columns = ("kind", "steps", "entry_point", "examples", "tests")
    metrics = ("share",)
    reward = code_passes.using(**_LIMITS).named("correct") + 0.2 * think_format.named("format")

    tier: Tier = Tier.EASY

    def draw(self, random: Random) -> Task:
        kind = random.choice(list(Kind))
        while True:
            steps = _draw_steps(kind, NUM_STEPS[Tier(self.tier)], random)
            num_arguments = 2 if takes_n(kind, steps) else 1
            inputs = [_draw_input(kind, random)[:num_arguments] for _ in range(NUM_TESTS + NUM_EXAMPLES)]
            pairs = [{"input": given, "output": run_steps(kind, steps, *given)} for given in inputs]
            if _is_worth_asking(kind, steps, pairs[NUM_EXAMPLES:]):
                examples, tests = pairs[:NUM_EXAMPLES], pairs[NUM_EXAMPLES:]
                return {"kind": kind.value, "steps": steps, "entry_point": "f", "examples": examples, "tests": tests}

    def messages(self, task: Task) -> list[Message]:
        kind = Kind(task["kind"])
        steps = [STEPS[kind][name] for name in task["steps"]]
        lines = [f"{number}. {step.words}" for number, step in enumerate(steps, start=1)]
        if steps[-1].group != "end":
            lines.append(f"{len(lines) + 1}. return the list")
        shown = [f"f({', '.join(map(repr, pair['input']))}) is {pair['output']!r}" for pair in task["examples"]]
        asked = f"f(xs), where xs is {_GIVEN[kind]}:"
        if takes_n(kind, task["steps"]):
            asked = f"f(xs, n), where xs is {_GIVEN[kind]} and n a whole number above 0:"
        return [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": "\n".join([asked, *lines, "", *shown])},
        ]

    def gold(self, task: Task) -> str:
        kind = Kind(task["kind"])
        thought = ", ".join(STEPS[kind][name].code for name in task["steps"])
        return f"<think>{thought}</think>\n<answer>\n{write_function(kind, task['steps'])}\n</answer>"

    def success(self, task: Task, completion: str) -> bool:
        return self.info(task, completion)["share"] == 1.0

    def info(self, task: Task, completion: str) -> dict[str, Any]:
        from rlvr_rewards.sandbox import Limits
        from rlvr_rewards.sandbox.verdict import judge

        code = final_code(completion)
        if code is None:
            return {"failure": "no_code", "share": 0.0}
        verdict = judge(code, task["tests"], task["entry_point"], limits=Limits(**_LIMITS))
        return {"failure": str(verdict.failure) or "none", "share": verdict.share}

    def difficulty(self, task: Task) -> float:
        """The number of steps, as a share of the most that a tier has."""
        return min(1.0, len(task["steps"]) / max(NUM_STEPS.values()))

    def baselines(self) -> dict[str, Baseline]:
        return {"random": self._random_answer}

    def content(self, task: Task) -> Any:
        """What the function gives on a few fixed inputs: two ways to say one function are one task."""
        kind = Kind(task["kind"])
        return [run_steps(kind, task["steps"], *given) for given in _probes(kind)]

    def check(self, task: Mapping[str, Any]) -> None:
        """Refuses a row without a column, with a step that does not exist, or with a test that its steps fail."""
        super().check(task)
        if task["kind"] not in list(Kind):
            raise UserError(f"kind: one of {', '.join(Kind)} is needed, not {task['kind']!r:.80}")
        kind, steps = Kind(task["kind"]), task["steps"]
        if not isinstance(steps, list) or not steps or not all(isinstance(s, str) and s in STEPS[kind] for s in steps):
            raise UserError(f"steps: a list of known steps is needed, not {steps!r:.80}")
        for pair in [*task["examples"], *task["tests"]]:
            try:
                is_right = run_steps(kind, steps, *pair["input"]) == pair["output"]
            except (TypeError, AttributeError, KeyError, ZeroDivisionError):
                is_right = False
            if not is_right:
                raise UserError(f"tests: the steps do not lead from the input to the output of {pair!r:.80}")

    def _random_answer(self, task: Task, random: Random) -> str:
        kind = Kind(task["kind"])
        code = write_function(kind, _draw_steps(kind, len(task["steps"]), random))
        return f"<think></think>\n<answer>\n{code}\n</answer>"


def _draw_steps(kind: Kind, num_steps: int, random: Random) -> list[str]:
    """Different steps, neighbours of different groups; every other time the last one gives a result of its own."""
    names: list[str] = []
    has_end = random.random() < 0.5
    while len(names) < num_steps:
        wants_end = has_end and len(names) == num_steps - 1
        before = STEPS[kind][names[-1]].group if names else ""
        names.append(
            random.choice(
                [
                    name
                    for name, step in STEPS[kind].items()
                    if (step.group == "end") == wants_end and step.group != before and name not in names
                ]
            )
        )
    return names


def _draw_input(kind: Kind, random: Random) -> list[Any]:
    length, n = random.randint(3, 9), random.randint(2, 5)
    if kind is Kind.NUMBERS:
        return [[random.randint(-9, 15) for _ in range(length)], n]
    words = ["".join(random.choices("abeiorst", k=random.randint(1, 7))) for _ in range(length - 1)]
    return [[*words, random.choice(words)], n]


def _is_worth_asking(kind: Kind, steps: Sequence[str], pairs: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every step matters to some output, and no constant or copy of the input passes for the function."""
    outputs = [pair["output"] for pair in pairs]
    if max(Counter(map(canonical_json, outputs)).values()) > _MOST_ALIKE:
        return False
    if sum(pair["input"][0] == pair["output"] for pair in pairs) > _MOST_ALIKE:
        return False
    shorter = [[*steps[:at], *steps[at + 1 :]] for at in range(len(steps))]
    return all([run_steps(kind, names, *pair["input"]) for pair in pairs] != outputs for names in shorter)


@cache
def _probes(kind: Kind) -> list[list[Any]]:
    random = derive_random(0, environment="python_functions", probes=kind.value)
    return [_draw_input(kind, random) for _ in range(12)]
