"""Bounds on the length of a completion in characters and words, thought included; in tokens, see `library.tokens`."""

import re
from itertools import islice

from rlvr_rewards.errors import UserError
from rlvr_rewards.functions import reward

_WORD = re.compile(r"\S+")


@reward
def characters_within(completion: str, *, least: int = 1, most: int = 4000) -> float:
    """1.0 where the completion has from `least` to `most` characters (Unicode code points), both included.

    >>> characters_within("<answer>7</answer>", most=18), characters_within("<answer>7</answer>", most=17)
    (1.0, 0.0)

    A hack: padding with white space is counted like all else.

    >>> characters_within("7" + " " * 5000, least=100)
    0.0
    """
    _check(least, most)
    return float(least <= len(completion) <= most)


@reward
def words_within(completion: str, *, least: int = 1, most: int = 800) -> float:
    """1.0 where the completion has from `least` to `most` words (runs of what is not white space), both included.

    >>> words_within("the answer is 7", least=4, most=4), words_within("7", least=2)
    (1.0, 0.0)

    A hack: white space makes no words.

    >>> words_within("7" + " " * 5000, least=100)
    0.0
    """
    _check(least, most)
    num_words = sum(1 for _ in islice(_WORD.finditer(completion), most + 1))  # no need to count a flood to its end
    return float(least <= num_words <= most)


def _check(least: int, most: int) -> None:
    if not 0 <= least <= most:
        raise UserError(f"least={least} and most={most} leave no length: write 0 <= least <= most")
