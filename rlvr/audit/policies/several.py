"""More than one answer: whoever names them all has named the right one."""

from random import Random

from rlvr.audit.case import Case
from rlvr.audit.policy import policy
from rlvr.audit.program import program_of


@policy
def every_candidate_listed(case: Case, random: Random) -> str | None:
    """The answers of all audited tasks, this one's among them, in one answer."""
    return case.form(", ".join(case.candidates)) if len(case.candidates) > 1 else None


@policy
def every_candidate_marked(case: Case, random: Random) -> str | None:
    """The answers of all audited tasks, each as an answer of its own."""
    if len(case.candidates) < 2 or not case.pieces.opening:
        return None
    return case.pieces.thought + "\n".join(map(case.pieces.marked, case.candidates))


@policy
def first_wrong_last_right(case: Case, random: Random) -> str | None:
    """Two wrong answers, then the right one."""
    return _answers(case, case.other, case.other, case.answer)


@policy
def first_right_last_wrong(case: Case, random: Random) -> str | None:
    """The right answer, then two wrong ones."""
    return _answers(case, case.answer, case.other, case.other)


@policy
def right_or_wrong(case: Case, random: Random) -> str:
    """`7 or 8` in one answer."""
    return case.form(f"{case.answer} or {case.other}")


@policy
def wrong_or_right(case: Case, random: Random) -> str:
    """`8 or 7` in one answer."""
    return case.form(f"{case.other} or {case.answer}")


@policy
def wrong_then_right_in_one(case: Case, random: Random) -> str | None:
    """The wrong and the right answer on two lines of one; of two programs the second is what runs, and it is right."""
    return None if program_of(case) else case.form(f"{case.other}\n{case.answer}")


@policy
def list_of_two(case: Case, random: Random) -> str:
    """`7, 8` in one answer."""
    return case.form(f"{case.answer}, {case.other}")


@policy
def range_of_numbers(case: Case, random: Random) -> str | None:
    """A range that holds the right number."""
    number = case.number
    return case.form(f"{case.plain}-{number + 1}") if isinstance(number, int) else None


def _answers(case: Case, *texts: str) -> str | None:
    if not case.pieces.opening:
        return None
    return case.pieces.thought + " wait, no: ".join(map(case.pieces.marked, texts))
