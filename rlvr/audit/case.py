"""One task as the audit sees it: gold in pieces, wrong answers, and what it earns to be honest and wrong.

Of a task with several turns, gold's last turn is what is cut in pieces and rewritten; gold's other turns go before it.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random

from rlvr.audit.answer import Gold, cut
from rlvr.audit.day import Day, day_of
from rlvr_envs import Environment, Task
from rlvr_envs.seeds import canonical_json, derive_random
from rlvr_rewards.numerals import read_number
from rlvr_rewards.row import Completion, Message, turns_of

_OTHERS_TRIED = 10
_DRAWS = 2


@dataclass(frozen=True)
class Case:
    """A task, its gold, and what a wrong answer can be made of.

    Attributes:
        gold: The whole gold completion, of several turns the last; `pieces` is the same, cut.
        question: The last message of the prompt; `prompt` is all of it.
        next_answer: The answer of the next task.
        other: An answer that is wrong here: another task's, where one of ten was; `other_gold` is the completion.
        candidates: Every answer of the audited tasks; `commonest` is the one that most of them share.
        allows_any_case: Whether a docstring of the environment or its reward says `tags in any case`.
        before: Gold's conversation up to its last turn; empty where there is one.
        max_turns: Turns that the environment allows.
    """

    task: Task
    task_id: str
    gold: str
    pieces: Gold
    prompt: str
    question: str
    next_answer: str
    other: str
    other_gold: Completion
    candidates: tuple[str, ...]
    commonest: str
    allows_any_case: bool = False
    before: tuple[Message, ...] = ()
    max_turns: int = 1

    def whole(self, completion: Completion) -> Completion:
        """Text as the last turn, after gold's others; messages are whole already."""
        if isinstance(completion, str) and self.before:
            return [*self.before, {"role": "assistant", "content": completion}]
        return completion

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


Write = Callable[[Case, Random], "Completion | None"]
"""A completion for a case, or `None` where this task does not lend itself to it. Of a task with several turns, text is
the last of them, after gold's others; a conversation as messages stands for itself."""


def make_cases(env: Environment, tasks: Sequence[Task], allows_any_case: bool = False) -> list[Case]:
    """A case for each task; the wrong answers are the other tasks'."""
    golds = [env.gold(task) for task in tasks]
    last = [turns_of(gold)[-1]["content"] for gold in golds]
    pieces = [cut(text) for text in last]
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
                gold=last[index],
                pieces=piece,
                prompt="\n\n".join(message["content"] for message in messages),
                question=messages[-1]["content"],
                next_answer=answers[(index + 1) % len(answers)],
                other=other,
                other_gold=other_gold,
                candidates=candidates,
                commonest=commonest,
                allows_any_case=allows_any_case,
                before=tuple(turns_of(gold)[:-1]),
                max_turns=env.max_turns,
            )
        )
    return cases


def honest_wrong_attempts(env: Environment, case: Case, seed: int) -> list[Completion]:
    """What somebody writes who tries and fails: the baselines where they are wrong; without any, gold's form with
    a wrong answer."""
    attempts = [
        baseline(case.task, derive_random(seed, audit="honest", baseline=name, task_id=case.task_id, draw=draw))
        for name, baseline in env.baselines().items()
        for draw in range(_DRAWS)
    ]
    wrong = {canonical_json(each): each for each in attempts if not env.success(case.task, env.heard(case.task, each))}
    return [wrong[key] for key in sorted(wrong)] or [case.whole(case.form(case.other))]


def _wrong_answer(
    env: Environment, task: Task, piece: Gold, index: int, answers: Sequence[str], golds: Sequence[Completion]
) -> tuple[str, Completion]:
    """Another task's answer that is wrong here, and its gold; one that was changed where there is no other."""
    following = [(index + step) % len(answers) for step in range(1, len(answers))]
    others = [at for at in following if answers[at].split() != piece.answer.split()][:_OTHERS_TRIED]
    for at in others:
        attempt = [*turns_of(golds[index])[:-1], {"role": "assistant", "content": piece.form(answers[at])}]
        if not env.success(task, env.heard(task, attempt)):
            return answers[at], golds[at]
    if others:  # each of them succeeds: that is for the audit to find, not to hide
        return answers[others[0]], golds[others[0]]
    number = read_number(piece.answer)
    changed = f"not {piece.answer}" if number is None else str(number + 1)
    return changed, piece.form(changed)
