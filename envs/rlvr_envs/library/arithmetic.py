"""`arithmetic`: add or subtract two numbers. The smallest complete environment, and the one to copy."""

import re
from dataclasses import dataclass
from random import Random

from rlvr_envs.environment import Baseline, GeneratedEnvironment, Message, Task
from rlvr_rewards import UserError, exact_number, think_format

SYSTEM = "Work the sum out between <think> and </think>, then give the number between <answer> and </answer>."


@dataclass(frozen=True)
class Arithmetic(GeneratedEnvironment):
    """Sums and differences of two whole numbers from 0 to `largest`."""

    name = "arithmetic"
    columns = ("question", "answer")
    reward = exact_number.named("correct") + 0.2 * think_format.named("format")

    largest: int = 99

    def __post_init__(self) -> None:
        if self.largest < 0:
            raise UserError(f"arithmetic: largest={self.largest}: give 0 or more")

    def draw(self, random: Random) -> Task:
        a, b = random.randint(0, self.largest), random.randint(0, self.largest)
        if random.random() < 0.5:
            return {"question": f"{a}+{b}", "answer": str(a + b)}
        return {"question": f"{a}-{b}", "answer": str(a - b)}

    def messages(self, task: Task) -> list[Message]:
        return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"{task['question']}=?"}]

    def gold(self, task: Task) -> str:
        return f"<think>{task['question']}={task['answer']}</think><answer>{task['answer']}</answer>"

    def success(self, task: Task, completion: str) -> bool:
        return exact_number(completion, task["answer"]) == 1.0

    def difficulty(self, task: Task) -> float:
        """The digits of both numbers, each carry or borrow, and a negative result, over the most there can be."""
        a, sign, b = re.split("([+-])", task["question"])
        size = len(a) + len(b) + _num_carries(int(a), int(b), sign) + (sign == "-" and int(a) < int(b))
        return size / (3 * len(str(self.largest)) + 1)

    def baselines(self) -> dict[str, Baseline]:
        return {"random": self._random_answer}

    def _random_answer(self, task: Task, random: Random) -> str:
        return f"<think></think><answer>{random.randint(-self.largest, 2 * self.largest)}</answer>"


def _num_carries(a: int, b: int, sign: str) -> int:
    """How often one is carried in a sum, or borrowed in the difference of the greater and the less.

    >>> _num_carries(95, 7, "+"), _num_carries(7, 95, "-"), _num_carries(12, 7, "-")
    (2, 1, 1)
    """
    more, less = max(a, b), min(a, b)
    count = carry = 0
    while more or less or carry:
        (more, x), (less, y) = divmod(more, 10), divmod(less, 10)
        carry = int(x + y + carry > 9 if sign == "+" else x - y - carry < 0)
        count += carry
    return count
