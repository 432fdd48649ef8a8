"""Text that says the same again and again."""

from itertools import islice

from rlvr_rewards.errors import UserError
from rlvr_rewards.extract import THINK_CLOSE, THINK_OPEN
from rlvr_rewards.functions import penalty
from rlvr_rewards.pieces import pieces


@penalty
def repetition_penalty(completion: str, *, ngram_size: int = 3, tag: str = "answer") -> float:
    r"""0.0 where no run of `ngram_size` pieces occurs twice, towards -1.0 the more are repeats; thought included.

        R = -(1 - number of different n-grams / number of n-grams)

    >>> repetition_penalty("one two three four five"), repetition_penalty("so " * 402)
    (0.0, -0.9975)

    A weight sets the most that it costs: `0.5*repetition_penalty`. Words repeated in honest text cost little, and the
    tags of thought and answer nothing, once each.

    >>> repetition_penalty("<think>3 and 4 make 7, 3 and 5 make 8</think><answer>8</answer>")
    0.0

    A hack: one endless word is cut in pieces, and punished like many.

    >>> repetition_penalty("a" * 4000) < -0.9
    True

    Departures from the source, and from `trl.rewards.get_repetition_penalty_reward`, which count token ids:

    1. N-grams are of pieces (`rlvr_rewards.pieces`: words, digits, marks, single characters in Chinese and the like),
       so that training, evaluation and rescoring see the same, whatever the tokenizer.
    2. The first 200,000 pieces are looked at.

    Source: Yeo et al., Demystifying Long Chain-of-Thought Reasoning, arXiv 2502.03373, appendix C.2.
    """
    if ngram_size < 1:
        raise UserError(f"ngram_size={ngram_size} must be 1 or more")
    for mark in (THINK_OPEN, THINK_CLOSE, f"<{tag}>", f"</{tag}>"):
        completion = completion.replace(mark, " ", 1)
    found = pieces(completion)
    num_ngrams = len(found) - ngram_size + 1
    if num_ngrams < 1:
        return 0.0
    different = set(zip(*(islice(found, start, None) for start in range(ngram_size)), strict=False))
    return len(different) / num_ngrams - 1.0
