"""The final answer as text of a given form: a date, a code, a move."""

from rlvr_rewards.errors import UserError
from rlvr_rewards.examples import Example
from rlvr_rewards.extract import AnswerForm, final_answer
from rlvr_rewards.functions import reward
from rlvr_rewards.patterns import compiled, readable

EXAMPLES = {"pattern_match": Example("<answer>2026-11-21</answer>", {"pattern": "[0-9]{4}-[0-9]{2}-[0-9]{2}"})}


@reward
def pattern_match(
    completion: str,
    pattern: str | None = None,
    *,
    default_pattern: str = "",
    form: AnswerForm = AnswerForm.TAG,
    tag: str = "answer",
) -> float:
    r"""1.0 where all of the final answer matches a regular expression: the column `pattern`, or `default_pattern`.

    The syntax is RE2's: `(?i)` for either case, `(?s)` lets a dot match a line's end; no look-around and no
    back-references, which is what keeps it linear in the length of the answer.

    >>> pattern_match("<answer>2026-11-21</answer>", pattern=r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
    1.0
    >>> pattern_match("<answer>21 November</answer>", pattern=r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
    0.0
    >>> pattern_match("It is Kt-f3.", default_pattern=r"(?s).*\bKt-[a-h][1-8]\b.*", form="text")
    1.0

    A hack: a match somewhere in a longer answer is no match of all of it.

    >>> pattern_match("<answer>1999-01-01 2026-11-21</answer>", pattern=r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
    0.0

    Another: where the task does not say what is right, whatever has the form earns it. Gate a part that knows.

    >>> pattern_match("<answer>0000-00-00</answer>", pattern=r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
    1.0

    Needs google-re2.

    Raises:
        ValueError: The pattern is not text, or RE2 cannot read it.
    """
    chosen = default_pattern if pattern is None else pattern
    if not isinstance(chosen, str):
        raise ValueError(f"the pattern {str(chosen)[:80]!r} is not text")
    if not chosen:
        raise UserError("pattern_match needs a pattern: the column pattern, or pattern_match(default_pattern='…')")
    found = final_answer(completion, form, tag)
    return float(found is not None and compiled(chosen).fullmatch(readable(found)) is not None)
