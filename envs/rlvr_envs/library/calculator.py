"""`calculator`: word problems whose numbers are too large for the head, and a calculator to ask. Several turns.

A turn with one `<calc>` is a question to the calculator, which replies with the value; a turn without one ends the
episode, and its `<answer>` counts. A turn that asks and answers has asked: what the calculator says in its text is the
model's own invention, and so is an answer beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from rlvr_envs.arithmetic_tool import CalculatorError, calculate, number_text
from rlvr_envs.environment import Baseline, GeneratedEnvironment, Message, Task
from rlvr_rewards import UserError, exact_number, reward
from rlvr_rewards.extract import final_answer, final_text, tagged
from rlvr_rewards.numerals import read_number
from rlvr_rewards.row import Completion

SYSTEM = (
    "Solve the problem. You have a calculator: a turn with an expression of numbers, + - * / and brackets between "
    "<calc> and </calc> is answered with its value. Then give the number alone between <answer> and </answer>."
)
_NAMES = ("Ann", "Ben", "Eve", "Ida", "Leo", "Mia", "Sam", "Zoe")
_THINGS = ("apples", "books", "cards", "coins", "pens", "seeds", "shells", "stamps")
_STORIES: tuple[tuple[str, str], ...] = (
    ("{name} has {a} boxes of {b} {things} and {c} more. How many {things} has {name}?", "{a}*{b}+{c}"),
    ("{name} had {a} boxes of {b} {things} and lost {c}. How many {things} are left?", "{a}*{b}-{c}"),
    (
        "{name} has {a} red and {b} blue {things}, and {c} times as many green ones. How many are green?",
        "({a}+{b})*{c}",
    ),
    ("{name} packs {a} bags, each with {b} {things} and {c} pens. How many things is that?", "{a}*({b}+{c})"),
    ("{a} rows of {b} {things} in each of {c} rooms: how many {things} does {name} count?", "{a}*{b}*{c}"),
)


def _call(text: str) -> str | None:
    """What the one `<calc>` of a turn asks; `None` where it asks nothing.

    Raises:
        CalculatorError: It asks several things at once, or leaves the tag open.
    """
    said = final_text(text)
    if said is None or "<calc>" not in said:
        return None
    asked = tagged(said, "calc")
    if len(asked) != 1 or said.count("<calc>") > 1:
        raise CalculatorError("write one expression between <calc> and </calc>")
    return asked[0]


def _answer(turns: Sequence[Message]) -> str | None:
    """The answer of the turn that ended the episode; `None` where there is none."""
    if not turns or turns[-1].get("role") != "assistant" or "<calc>" in (final_text(turns[-1]["content"]) or ""):
        return None
    return final_answer(turns[-1]["content"])


@reward
def right_result(turns: Sequence[Message], answer: str) -> float:
    """1.0 where the turn that ends the episode gives the right number in its one `<answer>`.

    >>> right_result([{"role": "assistant", "content": "<answer>413</answer>"}], answer="413")
    1.0

    An answer beside a question to the calculator is none.

    >>> right_result([{"role": "assistant", "content": "<calc>12*34+5</calc><answer>413</answer>"}], answer="413")
    0.0
    """
    found = _answer(turns)
    return 0.0 if found is None else exact_number(f"<answer>{found}</answer>", answer)


@reward
def result_by_calculator(turns: Sequence[Message], answer: str) -> float:
    """1.0 where the answer is right and the calculator gave it: knowing it, or guessing, is paid by the other part.

    >>> asked = {"role": "assistant", "content": "<calc>12*34+5</calc>"}
    >>> answered = {"role": "assistant", "content": "<answer>413</answer>"}
    >>> result_by_calculator([asked, {"role": "tool", "content": "413"}, answered], answer="413")
    1.0
    >>> result_by_calculator([answered], answer="413")
    0.0
    """
    given = {turn["content"] for turn in turns if turn.get("role") != "assistant"}
    by_calculator = any(read_number(text) == read_number(answer) for text in given)
    return right_result(turns, answer) if by_calculator else 0.0


@reward
def calculator_asked(turns: Sequence[Message]) -> float:
    """1.0 where the calculator gave a value at least once: a hint for a model that does not know of it yet."""
    return float(any(turn.get("role") != "assistant" and read_number(turn["content"]) is not None for turn in turns))


@dataclass(frozen=True)
class Calculator(GeneratedEnvironment):
    """Word problems with numbers from 2 to `largest`; the calculator may be asked `calls` times.

    `role` is whose message a reply is: `tool`, or `user` for chat templates that know no tools.
    """

    name = "calculator"
    columns = ("question", "expression", "answer")
    reward = (
        right_result.named("correct")
        + 0.2 * result_by_calculator.named("by_tool")
        + 0.1 * calculator_asked.named("asked")
    )

    largest: int = 99
    calls: int = 3
    role: Literal["tool", "user"] = "tool"

    def __post_init__(self) -> None:
        if self.largest < 9 or self.calls < 1:
            raise UserError("calculator: largest must be at least 9, and calls at least 1")

    @property
    def max_turns(self) -> int:
        """Every call, and the answer."""
        return self.calls + 1

    def draw(self, random: Random) -> Task:
        story, form = random.choice(_STORIES)
        a, b, c = (random.randint(2, self.largest) for _ in range(3))
        numbers = {"a": a, "b": b, "c": min(c, a * b - 1)}
        names = {"name": random.choice(_NAMES), "things": random.choice(_THINGS)}
        expression = form.format(**numbers)
        answer = number_text(calculate(expression))
        return {"question": story.format(**numbers, **names), "expression": expression, "answer": answer}

    def messages(self, task: Task) -> list[Message]:
        return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": task["question"]}]

    def reply(self, task: Task, turns: Sequence[Message]) -> Message | None:
        """The value of what was asked, or why there is none; `None` where nothing was asked: the episode is over."""
        try:
            asked = _call(turns[-1]["content"])
            said = None if asked is None else number_text(calculate(asked))
        except CalculatorError as error:
            said = f"error: {error}"
        return None if said is None else {"role": self.role, "content": said}

    def gold(self, task: Task) -> list[Message]:
        return self.episode(task, [f"<calc>{task['expression']}</calc>", f"<answer>{task['answer']}</answer>"])

    def success(self, task: Task, completion: Any) -> bool:
        return right_result(completion, task["answer"]) == 1.0

    def info(self, task: Task, completion: Any) -> dict[str, Any]:
        """`calls`: how often the calculator was asked."""
        return {"calls": sum(turn["role"] != "assistant" for turn in completion)}

    def difficulty(self, task: Task) -> float:
        """The digits of the numbers, over the most there can be."""
        digits = sum(sign.isdigit() for sign in task["expression"])
        return min(1.0, digits / (3 * len(str(self.largest))))

    def baselines(self) -> dict[str, Baseline]:
        return {"random": self._random_expression}

    def _random_expression(self, task: Task, random: Random) -> Completion:
        """Asks for a product or sum of two numbers up to `largest`, and answers with what it is told."""
        a, b = random.randint(2, self.largest), random.randint(2, self.largest)
        expression = f"{a}{random.choice('+*')}{b}"
        return self.episode(task, [f"<calc>{expression}</calc>", f"<answer>{calculate(expression)}</answer>"])
