"""The final answer as one of several lettered choices."""

import re

from rlvr_rewards.examples import Example
from rlvr_rewards.extract import AnswerForm, final_answer
from rlvr_rewards.functions import reward

EXAMPLES = {"multiple_choice": Example("<think>Not A.</think><answer>B</answer>", {"answer": "B"})}
_LETTER = re.compile(r"\(?([A-Za-z])[).:]?")


@reward
def multiple_choice(completion: str, answer: str, *, form: AnswerForm = AnswerForm.TAG, tag: str = "answer") -> float:
    """1.0 where the final answer is the letter of the gold choice: `B`, `b`, `(B)`, `B)`, `B.` or `B:`, nothing more.

    >>> multiple_choice("<think>Not A.</think><answer>(B)</answer>", answer="B")
    1.0
    >>> multiple_choice("<answer>C</answer>", answer="B"), multiple_choice("<answer>B. Paris</answer>", answer="B")
    (0.0, 0.0)

    A hack: two letters are not a choice.

    >>> multiple_choice("<answer>A or B</answer>", answer="B")
    0.0

    Raises:
        ValueError: The gold answer is not one letter.
    """
    gold = _letter(answer) if isinstance(answer, str) else None
    if gold is None:
        raise ValueError(f"the gold answer {str(answer)[:80]!r} is not the letter of a choice")
    found = final_answer(completion, form, tag)
    return float(found is not None and _letter(found) == gold)


def _letter(text: str) -> str | None:
    found = _LETTER.fullmatch(text.strip())
    return found[1].upper() if found else None
