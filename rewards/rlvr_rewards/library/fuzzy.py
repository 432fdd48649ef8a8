"""The final answer as text that may be misspelt a little."""

from collections.abc import Sequence
from math import floor

from rlvr_rewards.errors import UserError
from rlvr_rewards.examples import Example
from rlvr_rewards.extract import AnswerForm, final_answer
from rlvr_rewards.functions import reward
from rlvr_rewards.golds import gold_texts
from rlvr_rewards.optional import optional_module

EXAMPLES = {"fuzzy_text": Example("<answer>New York</answer>", {"answer": "New York"})}


@reward
def fuzzy_text(
    completion: str,
    answer: str | Sequence[str],
    *,
    least: float = 0.5,
    ignore_case: bool = True,
    form: AnswerForm = AnswerForm.TAG,
    tag: str = "answer",
) -> float:
    """How like the final answer is to the gold answer, letter by letter: 1.0 where equal, 0.0 under `least`.

    With d the fewest letters to put in, leave out or change (Levenshtein) and n the length of the longer text:

        s = 1 - d / n,  and 0 where s < least

    Of several golds (a list) the likest counts. White space counts as in `exact_text`.

    >>> fuzzy_text("<answer>new york</answer>", answer="New York")
    1.0
    >>> [fuzzy_text(f"<answer>{text}</answer>", answer="New York") for text in ("New Yrok", "Boston")]
    [0.75, 0.0]

    Not for numbers (1234 and 1235 are alike by three quarters) nor where one letter changes the meaning.

    A hack: an answer with the gold somewhere inside is as unlike as its other letters are many.

    >>> fuzzy_text("<answer>Boston, New York, Chicago</answer>", answer="New York")
    0.0

    Needs rapidfuzz. However long the answer: one too long to reach `least` is not compared.

    Source: average normalized Levenshtein similarity, Biten et al., arXiv 1905.13648, equation 1 (`least` is 1 - tau).

    Raises:
        ValueError: The gold answer is not text, or blank.
    """
    if not 0 < least <= 1:
        raise UserError(f"least={least} must be above 0 and at most 1")
    golds = [_even(gold, ignore_case) for gold in gold_texts(answer)]
    found = final_answer(completion, form, tag)
    if found is None:
        return 0.0
    found = _even(found, ignore_case)
    return max(_similarity(found, gold, least) for gold in golds)


def _even(text: str, ignore_case: bool) -> str:
    text = " ".join(text.split())
    return text.casefold() if ignore_case else text


def _similarity(found: str, gold: str, least: float) -> float:
    """Between 0 and 1; 0 where it is less than `least`."""
    if len(found) > floor(len(gold) / least):
        return 0.0
    levenshtein = optional_module("rapidfuzz.distance.Levenshtein", "rapidfuzz")
    return float(levenshtein.normalized_similarity(found, gold, score_cutoff=least))
