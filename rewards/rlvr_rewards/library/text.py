"""The final answer as text."""

from collections.abc import Sequence

from rlvr_rewards.extract import AnswerForm, final_answer
from rlvr_rewards.functions import reward
from rlvr_rewards.golds import gold_texts


@reward
def exact_text(
    completion: str,
    answer: str | Sequence[str],
    *,
    ignore_case: bool = False,
    form: AnswerForm = AnswerForm.TAG,
    tag: str = "answer",
) -> float:
    """1.0 where the final answer is the gold answer, letter for letter; each run of white space counts as one space.

    Of several golds (a list) any will do.

    >>> exact_text("<answer>New\\n York </answer>", answer="New York")
    1.0
    >>> exact_text("<answer>new york</answer>", answer="New York")
    0.0
    >>> exact_text("<answer>new york</answer>", answer=["NYC", "New York"], ignore_case=True)
    1.0

    A hack: listing every candidate is not the answer.

    >>> exact_text("<answer>Boston, New York, Chicago</answer>", answer="New York")
    0.0

    Raises:
        ValueError: The gold answer is not text, or is blank: an empty answer would earn it.
    """
    golds = [_even(gold, ignore_case) for gold in gold_texts(answer)]
    found = final_answer(completion, form, tag)
    return float(found is not None and _even(found, ignore_case) in golds)


def _even(text: str, ignore_case: bool) -> str:
    text = " ".join(text.split())
    return text.casefold() if ignore_case else text
