"""A text in small pieces, without a tokenizer: for counts and n-grams that must not depend on a model.

A piece is up to eight letters or digits in a row, or one mark of punctuation; in scripts written without spaces
(Chinese, Japanese, Thai, Lao, Burmese, Khmer) one character. Longer runs are cut, so that `aaaa…` is many pieces.
"""

import re
from itertools import islice

MAX_PIECES = 200_000
"""More than a completion has; what follows them is not looked at, so that no flood fills the memory."""
_SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_SPACELESS_ONE = re.compile(f"[{_SPACELESS}]")
_PIECE = re.compile(rf"[{_SPACELESS}]|[^\W{_SPACELESS}]{{1,8}}|[^\w\s]")


def pieces(text: str) -> list[str]:
    """The first 200,000 pieces of a text.

    >>> pieces("So 3+4 is 7."), pieces("internationally"), pieces("三加四")
    (['So', '3', '+', '4', 'is', '7', '.'], ['internat', 'ionally'], ['三', '加', '四'])
    """
    return [found[0] for found in islice(_PIECE.finditer(text), MAX_PIECES)]


def is_spaceless(character: str) -> bool:
    """Whether a character is of a script that is written without spaces between words."""
    return _SPACELESS_ONE.fullmatch(character) is not None


def num_tokens_of(completion: str, num_tokens: int | None) -> int:
    """How many tokens a completion has: those that the model wrote where they are known, otherwise its pieces.

    They are known in training, in evaluation and where TRL calls, and in `rlvr score` where a line has `num_tokens`.
    Pieces stand for them where no model counted: in `rlvr audit`, for gold, and for policies without a model.
    """
    return len(pieces(completion)) if num_tokens is None else num_tokens
