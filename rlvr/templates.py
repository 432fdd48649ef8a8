"""The files that `rlvr new` writes: a definition and its tests in one, in `string.Template` form."""

REWARD = '''"""`$name`: a reward of our own. Change the function, then the tests below it.

python -m pytest $file
rlvr rewards $file:$name
rlvr audit --env arithmetic --reward $file:$name
rlvr score --env arithmetic --reward $file:$name --input IN.jsonl --output OUT.jsonl
"""

from rlvr_rewards import reward
from rlvr_rewards.extract import sole_tagged
from rlvr_rewards.testing import check_reward


@reward
def $name(completion: str, answer: str) -> float:
    """1.0 where the one <answer> of the completion is the gold answer, letter for letter.

    `completion` is what the model wrote; every other parameter is filled from the column of that name.
    """
    found = sole_tagged(completion)
    return float(found is not None and found.strip() == answer)


def test_it_keeps_the_contract_of_a_reward():
    """Gold earns the most, a wrong answer less, garbage never raises, and it is deterministic and fast."""
    task = {"answer": "7"}
    check_reward($name, gold=[("<answer>7</answer>", task)], wrong=[("<answer>8</answer>", task), ("7", task)])


def test_a_wrong_answer_and_a_second_guess_earn_nothing():
    assert $name("<answer>8</answer>", answer="7") == 0.0
    assert $name("<answer>7</answer><answer>8</answer>", answer="7") == 0.0
'''

ENV = '''"""`$name`: an environment of our own. Change the class, then the tests below it.

python -m pytest $file
rlvr envs $file:$cls
rlvr audit --env $file:$cls
rlvr play --env $file:$cls
"""

from dataclasses import dataclass
from random import Random

from rlvr_envs import Baseline, GeneratedEnvironment, Message, Task
from rlvr_envs.testing import check_env
from rlvr_rewards import UserError, exact_number, think_format

SYSTEM = "Think between <think> and </think>, then give the number between <answer> and </answer>."


@dataclass(frozen=True)
class $cls(GeneratedEnvironment):
    """The sum of the digits of a number with `num_digits` digits."""

    name = "$name"
    columns = ("digits", "answer")
    reward = exact_number.named("correct") + 0.2 * think_format.named("format")

    num_digits: int = 6

    def __post_init__(self) -> None:
        if self.num_digits < 1:
            raise UserError(f"$name: num_digits={self.num_digits}: give 1 or more")

    def draw(self, random: Random) -> Task:
        digits = [random.randint(0, 9) for _ in range(self.num_digits)]
        return {"digits": "".join(map(str, digits)), "answer": str(sum(digits))}

    def messages(self, task: Task) -> list[Message]:
        question = f"What is the sum of the digits of {task['digits']}?"
        return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]

    def gold(self, task: Task) -> str:
        return f"<think>{'+'.join(task['digits'])}</think><answer>{task['answer']}</answer>"

    def success(self, task: Task, completion: str) -> bool:
        return exact_number(completion, task["answer"]) == 1.0

    def baselines(self) -> dict[str, Baseline]:
        return {"random": lambda _, random: f"<think></think><answer>{random.randint(0, 9 * self.num_digits)}</answer>"}


def test_it_keeps_the_contract_of_an_environment():
    """Gold earns the most and is not in the prompt, splits share no row, garbage never raises nor wins, and more."""
    check_env($cls())


def test_the_sum_is_that_of_the_digits():
    """Change this to a task whose answer you know."""
    env, task = $cls(), {"digits": "123456", "answer": "21"}
    assert env.success(task, "<think>so</think><answer>21</answer>")
    assert not env.success(task, "<think>so</think><answer>20</answer>")
'''
