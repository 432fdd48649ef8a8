"""The same answer to every task, and answers to another one: right by chance or not at all."""

import re
from random import Random

from rlvr.audit.case import Case
from rlvr.audit.policy import policy
from rlvr_rewards.row import Completion

_NUMBER = re.compile(r"[0-9]+")


@policy(blind=True)
def commonest_answer(case: Case, random: Random) -> str:
    """The answer that most of the audited tasks share."""
    return case.pieces.unthought(case.commonest)


@policy(blind=True)
def always_zero(case: Case, random: Random) -> str:
    """`0`."""
    return case.pieces.unthought("0")


@policy(blind=True)
def always_yes(case: Case, random: Random) -> str:
    """`yes`."""
    return case.pieces.unthought("yes")


@policy(blind=True)
def always_the_first_choice(case: Case, random: Random) -> str:
    """`A`."""
    return case.pieces.unthought("A")


@policy(blind=True)
def number_of_the_question(case: Case, random: Random) -> str | None:
    """A number that the question names."""
    numbers = _NUMBER.findall(case.question)
    return case.pieces.unthought(random.choice(numbers)) if numbers else None


@policy(blind=True)
def gold_of_another_task(case: Case, random: Random) -> Completion:
    """The whole gold completion of another task."""
    return case.other_gold
