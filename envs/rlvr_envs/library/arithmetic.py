"""`arithmetic`: add or subtract two numbers. The smallest complete environment, and the one to copy."""

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

    def baselines(self) -> dict[str, Baseline]:
        return {"random": self._random_answer}

    def _random_answer(self, task: Task, random: Random) -> str:
        return f"<think></think><answer>{random.randint(-self.largest, 2 * self.largest)}</answer>"
