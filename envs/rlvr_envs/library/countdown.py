"""`countdown`: reach a target from a few numbers with + - * and /, each number used at most once.

Every row is solvable by construction. An expression is read with Python's grammar and worked out node by node in exact
fractions; nothing is evaluated, and the numbers in it can be no others than the row's.
"""

import ast
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from operator import add, mul, sub, truediv
from random import Random
from typing import Any

from rlvr_envs.environment import Baseline, GeneratedEnvironment, Message, Task
from rlvr_rewards import UserError, reward, think_format
from rlvr_rewards.extract import sole_tagged

SYSTEM = (
    "Reach the target with the given numbers and + - * / and brackets. Use each number at most once, and no others. "
    "Think between <think> and </think>, then give the expression alone between <answer> and </answer>."
)
MAX_CHARACTERS = 200
MAX_DEPTH = 20
_ALLOWED = re.compile(r"[0-9+\-*/() ]+")
_OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: add,
    ast.Sub: sub,
    ast.Mult: mul,
    ast.Div: truediv,
}


def work_out(expression: str, numbers: list[int]) -> Fraction | None:
    """The value of an expression; `None` where it breaks a rule, divides by zero, or is longer than 200 characters.

    >>> work_out("(3 + 5) / 2", [2, 3, 5, 7])
    Fraction(4, 1)
    >>> work_out("3 + 3", [3, 5]) is None  # there is one 3
    True
    >>> work_out("2 ** 5", [2, 5]) is None
    True
    """
    if len(expression) > MAX_CHARACTERS or not _ALLOWED.fullmatch(expression):
        return None
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
        used: Counter[int] = Counter()
        value = _value_of(tree, used, MAX_DEPTH)
    except (SyntaxError, ZeroDivisionError, _NotAllowedError):
        return None
    return value if used <= Counter(numbers) else None


class _NotAllowedError(Exception):
    """A node that is neither a number nor one of the four operations."""


def _value_of(node: ast.expr, used: Counter[int], depth: int) -> Fraction:
    match node:
        case ast.Constant(value=int(number)):
            used[number] += 1
            return Fraction(number)
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS and depth > 0:
            one, other = _value_of(left, used, depth - 1), _value_of(right, used, depth - 1)
            return _OPERATORS[type(operator)](one, other)
    raise _NotAllowedError


def _answer_value(completion: str, numbers: list[int]) -> Fraction | None:
    expression = sole_tagged(completion)
    return None if expression is None else work_out(expression.strip(), numbers)


@reward
def legal_expression(completion: str, numbers: list[int]) -> float:
    """1.0 for an expression that keeps the rules, whatever its value.

    >>> legal_expression("<answer>3*5</answer>", numbers=[3, 5, 7])
    1.0
    """
    return float(_answer_value(completion, numbers) is not None)


@reward
def reached_target(completion: str, numbers: list[int], target: int) -> float:
    """1.0 for an expression that keeps the rules and equals the target.

    >>> reached_target("<answer>3*5+7</answer>", numbers=[3, 5, 7], target=22)
    1.0
    >>> reached_target("<answer>22</answer>", numbers=[3, 5, 7], target=22)
    0.0
    """
    return float(_answer_value(completion, numbers) == target)


@dataclass(frozen=True)
class Countdown(GeneratedEnvironment):
    """`num_numbers` numbers from 1 to `largest`, and a target from 1 to `largest_target` that is none of them."""

    name = "countdown"
    columns = ("numbers", "target", "solution")
    reward = reached_target.named("target") + 0.2 * legal_expression.named("legal") + 0.1 * think_format.named("format")

    num_numbers: int = 4
    largest: int = 25
    largest_target: int = 100

    def __post_init__(self) -> None:
        if not 2 <= self.num_numbers <= 10:
            raise UserError(f"countdown: num_numbers={self.num_numbers}: from 2 to 10 numbers can be given")
        if self.largest < 2 or self.largest_target < self.largest:
            raise UserError("countdown: largest must be at least 2, and largest_target no less than largest")

    def draw(self, random: Random) -> Task:
        while True:
            numbers = [random.randint(1, self.largest) for _ in range(self.num_numbers)]
            value, solution = _combine(random.sample(numbers, random.randint(2, len(numbers))), random)
            if value <= self.largest_target and value not in numbers:
                return {"numbers": numbers, "target": value, "solution": solution}

    def messages(self, task: Task) -> list[Message]:
        given = f"Numbers: {', '.join(map(str, task['numbers']))}\nTarget: {task['target']}"
        return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": given}]

    def gold(self, task: Task) -> str:
        return f"<think>{task['solution']} = {task['target']}</think><answer>{task['solution']}</answer>"

    def success(self, task: Task, completion: str) -> bool:
        return _answer_value(completion, task["numbers"]) == task["target"]

    def info(self, task: Task, completion: str) -> dict[str, Any]:
        value = _answer_value(completion, task["numbers"])
        return {"value": None if value is None else str(value)}

    def difficulty(self, task: Task) -> float:
        """How many of the numbers the known solution takes beyond two; a shorter one may be there."""
        used = len(re.findall("[0-9]+", task["solution"]))
        return (used - 2) / (self.num_numbers - 2) if self.num_numbers > 2 else 0.0

    def baselines(self) -> dict[str, Baseline]:
        return {"random": _random_answer}

    def content(self, task: Task) -> Any:
        """The numbers in any order, and the target; the solution that built the row is one of many."""
        return [sorted(task["numbers"]), task["target"]]

    def check(self, task: Mapping[str, Any]) -> None:
        """Refuses a row without a column, whose numbers are not whole, or whose solution misses the target."""
        super().check(task)
        numbers = task["numbers"]
        if not isinstance(numbers, list) or not all(type(number) is int and number > 0 for number in numbers):
            raise UserError(f"numbers: a list of whole numbers above 0 is needed, not {numbers!r:.80}")
        solution = task["solution"]
        if not isinstance(solution, str) or work_out(solution, numbers) != task["target"]:
            raise UserError(f"solution: {solution!r:.80} does not make {task['target']!r:.80} from {numbers}")


def _combine(numbers: list[int], random: Random) -> tuple[int, str]:
    """All the numbers joined two by two until one is left, every step a whole number above 0."""
    terms = [(number, str(number)) for number in numbers]
    while len(terms) > 1:
        (a, left), (b, right) = (terms.pop(random.randrange(len(terms))) for _ in range(2))
        choices = [(a + b, "+"), (a * b, "*")]
        if a > b:
            choices.append((a - b, "-"))
        if a % b == 0:
            choices.append((a // b, "/"))
        value, sign = random.choice(choices)
        terms.append((value, f"({left} {sign} {right})"))
    value, text = terms[0]
    return value, text[1:-1]


def _random_answer(task: Task, random: Random) -> str:
    count = random.randint(2, len(task["numbers"]))
    return f"<think></think><answer>{_combine(random.sample(task['numbers'], count), random)[1]}</answer>"
