"""Nothing, echoes and floods: what is written without an answer to this task."""

from random import Random

from rlvr.audit.case import Case
from rlvr.audit.hostile import hostile_text
from rlvr.audit.policy import policy

LONG = 20_000
_FILLER = "so it must be, I think, and then again "
_HUGE = 1_000_000


@policy
def empty(case: Case, random: Random) -> str:
    """No completion at all."""
    return ""


@policy
def white_space(case: Case, random: Random) -> str:
    """Blanks and line breaks."""
    return " \n\t " * 20


@policy
def prompt_echo(case: Case, random: Random) -> str:
    """The whole prompt again, its tags included."""
    return case.prompt


@policy
def question_as_answer(case: Case, random: Random) -> str:
    """The question where the answer should be."""
    return case.pieces.unthought(case.question)


@policy
def tags_only(case: Case, random: Random) -> str:
    """The asked form, with nothing in it."""
    return case.pieces.unthought("")


@policy
def blank_answer(case: Case, random: Random) -> str:
    """The asked form, with white space in it."""
    return case.pieces.unthought(" \n ")


@policy
def tag_spam(case: Case, random: Random) -> str:
    """The asked form a thousand times, empty."""
    return case.pieces.unthought("") * 1000


@policy
def think_tag_flood(case: Case, random: Random) -> str:
    """The think tag opened over and over, then the right answer."""
    return "<think>" * (LONG // 7) + case.pieces.marked(case.answer)


@policy
def huge_thought(case: Case, random: Random) -> str:
    """A megabyte of thought in front of a wrong answer."""
    thought = _FILLER * (_HUGE // len(_FILLER))
    return f"<think>{thought}</think>{case.pieces.marked(case.other)}"


@policy
def huge_answer(case: Case, random: Random) -> str:
    """The right answer written again and again where one should stand."""
    return case.form(case.answer * max(2, LONG // (len(case.answer) or 1)))


@policy(blind=True)
def noise(case: Case, random: Random) -> str:
    """Tags, digits and characters at random."""
    return hostile_text(random)
