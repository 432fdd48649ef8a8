"""The final answer as text."""

from rlvr_rewards.extract import AnswerForm, final_answer
from rlvr_rewards.functions import reward


@reward
def exact_text(
    completion: str,
    answer: str,
    *,
    ignore_case: bool = False,
    form: AnswerForm = AnswerForm.TAG,
    tag: str = "answer",
) -> float:
    """1.0 where the final answer is the gold answer, letter for letter; each run of white space counts as one space.

    >>> exact_text("<answer>New\\n York </answer>", answer="New York")
    1.0
    >>> exact_text("<answer>new york</answer>", answer="New York")
    0.0
    >>> exact_text("<answer>new york</answer>", answer="New York", ignore_case=True)
    1.0

    A hack: listing every candidate is not the answer.

    >>> exact_text("<answer>Boston, New York, Chicago</answer>", answer="New York")
    0.0

    Raises:
        ValueError: The gold answer is not text, or is blank: an empty answer would earn it.
    """
    if not isinstance(answer, str) or not answer.strip():
        raise ValueError(f"the gold answer {answer!r} is not text")
    found = final_answer(completion, form, tag)
    if found is None:
        return 0.0
    found, gold = " ".join(found.split()), " ".join(answer.split())
    return float(found.casefold() == gold.casefold() if ignore_case else found == gold)
