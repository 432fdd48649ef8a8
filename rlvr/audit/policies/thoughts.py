"""The right answer where it is thought and not given. For tasks whose gold thinks before it answers."""

from random import Random

from rlvr.audit.case import Case
from rlvr.audit.policy import policy
from rlvr_rewards.extract import THINK_CLOSE, THINK_OPEN


@policy
def answer_only_in_thought(case: Case, random: Random) -> str | None:
    """The answer inside the think block, and nothing after it."""
    return f"{THINK_OPEN}{case.pieces.marked(case.answer)}{THINK_CLOSE}" if case.pieces.thought else None


@policy
def right_in_thought_wrong_after(case: Case, random: Random) -> str | None:
    """The right answer thought of, a wrong one given."""
    if not case.pieces.thought:
        return None
    return f"{THINK_OPEN}{case.pieces.marked(case.answer)}{THINK_CLOSE}{case.pieces.marked(case.other)}"


@policy
def thought_never_closed(case: Case, random: Random) -> str | None:
    """Gold without the tag that ends the thought."""
    return case.gold.replace(THINK_CLOSE, "") if case.pieces.thought else None
