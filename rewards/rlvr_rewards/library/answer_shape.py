"""Where the final answer stands, whatever it says."""

from rlvr_rewards.extract import AnswerForm, final_answer, final_text, sole_tagged
from rlvr_rewards.functions import reward


@reward
def one_answer(completion: str, *, form: AnswerForm = AnswerForm.TAG, tag: str = "answer") -> float:
    """1.0 where the text after the thought gives exactly one answer that is not blank.

    >>> one_answer("<think>3 or 4?</think> I say <answer>4</answer>.")
    1.0
    >>> one_answer("It is 4."), one_answer("<answer> </answer>")
    (0.0, 0.0)

    A hack: giving every answer is giving none.

    >>> one_answer("<answer>3</answer><answer>4</answer>")
    0.0
    """
    return float(bool(final_answer(completion, form, tag)))


@reward
def nothing_after_answer(completion: str, *, tag: str = "answer") -> float:
    """1.0 where the one tagged answer ends the completion, white space aside.

    >>> nothing_after_answer("It is <answer>7</answer>\\n")
    1.0
    >>> nothing_after_answer("<answer>7</answer> Or is it 8?")
    0.0

    A hack: a second answer at the end does not undo the first.

    >>> nothing_after_answer("<answer>7</answer> wait <answer>8</answer>")
    0.0
    """
    text = final_text(completion)
    return float(text is not None and text.rstrip().endswith(f"</{tag}>") and sole_tagged(completion, tag) is not None)
