"""One task as the audit sees it: gold in pieces, wrong answers, and what it earns to be honest and wrong."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random

from rlvr.audit.answer import Gold, cut
from rlvr.audit.day import Day, day_of
from rlvr_envs import Environment, Task
from rlvr_envs.seeds import derive_random
from rlvr_rewards.numerals import read_number

_OTHERS_TRIED = 10
_DRAWS = 2


@dataclass(frozen=True)
class Case:
    """A task, its gold, and what a wrong answer can be made of.

    Attributes:
        gold: The whole gold completion; `pieces` is the same, cut.
        question: The last message of the prompt; `prompt` is all of it.
        next_answer: The answer of the next task.
        other: An answer that is wrong here: another task's, where one of ten was; `other_gold` is the completion.
        candidates: Every answer of the audited tasks; `commonest` is the one that most of them share.
        allows_any_case: Whether a docstring of the environment or its reward says `tags in any case`.
    """

    task: Task
    task_id: str
    gold: str
    pieces: Gold
    prompt: str
    question: str
    next_answer: str
    other: str
    other_gold: str
    candidates: tuple[str, ...]
    commonest: str
    allows_any_case: bool = False

    @property
    def answer(self) -> str:
        """Gold's answer as it stands there."""
        return self.pieces.answer

    def form(self, text: str) -> str:
        """Gold with this as its answer."""
        return self.pieces.form(text)

    def equals_gold(self, text: str) -> bool:
        """Whether two answers are one, as texts or as numbers."""
        return text.split() == self.answer.split() or (self.number is not None and read_number(text) == self.number)

    @cached_property
    def number(self) -> object:
        """The number that the answer is, exactly; `None` where it is none."""
        return read_number(self.answer)

    @cached_property
    def plain(self) -> str:
        """The answer without thousands separators where it is a number."""
        return self.answer.replace(",", "") if self.number is not None else self.answer

    @cached_property
    def day(self) -> Day | None:
        """The schedule that the answer is; `None` where it is none."""
        return day_of(self.task, self.gold)


Write = Callable[[Case, Random], "str | None"]
"""A completion for a case, or `None` where this task does not lend itself to it."""


def make_cases(env: Environment, tasks: Sequence[Task], allows_any_case: bool = False) -> list[Case]:
    """A case for each task; the wrong answers are the other tasks'."""
    golds = [env.gold(task) for task in tasks]
    pieces = [cut(gold) for gold in golds]
    answers = [piece.answer for piece in pieces]
    candidates, commonest = tuple(dict.fromkeys(answers)), Counter(answers).most_common(1)[0][0]
    cases = []
    for index, (task, gold, piece) in enumerate(zip(tasks, golds, pieces, strict=True)):
        messages = env.messages(task)
        other, other_gold = _wrong_answer(env, task, piece, index, answers, golds)
        cases.append(
            Case(
                task=task,
                task_id=env.task_id(task),
                gold=gold,
                pieces=piece,
                prompt="\n\n".join(message["content"] for message in messages),
                question=messages[-1]["content"],
                next_answer=answers[(index + 1) % len(answers)],
                other=other,
                other_gold=other_gold,
                candidates=candidates,
                commonest=commonest,
                allows_any_case=allows_any_case,
            )
        )
    return cases


def honest_wrong_attempts(env: Environment, case: Case, seed: int) -> list[str]:
    """What somebody writes who tries and fails: the baselines where they are wrong; without any, gold's form with
    a wrong answer."""
    attempts = {
        baseline(case.task, derive_random(seed, audit="honest", baseline=name, task_id=case.task_id, draw=draw))
        for name, baseline in env.baselines().items()
        for draw in range(_DRAWS)
    }
    wrong = sorted(attempt for attempt in attempts if not env.success(case.task, attempt))
    return wrong or [case.form(case.other)]


def _wrong_answer(
    env: Environment, task: Task, piece: Gold, index: int, answers: Sequence[str], golds: Sequence[str]
) -> tuple[str, str]:
    """Another task's answer that is wrong here, and its gold; one that was changed where there is no other."""
    following = [(index + step) % len(answers) for step in range(1, len(answers))]
    others = [at for at in following if answers[at].split() != piece.answer.split()][:_OTHERS_TRIED]
    for at in others:
        if not env.success(task, piece.form(answers[at])):
            return answers[at], golds[at]
    if others:  # each of them succeeds: that is for the audit to find, not to hide
        return answers[others[0]], golds[others[0]]
    number = read_number(piece.answer)
    changed = f"not {piece.answer}" if number is None else str(number + 1)
    return changed, piece.form(changed)
