"""Words that a completion must name."""

import re
from collections.abc import Sequence
from itertools import islice
from typing import Any

from rlvr_rewards.errors import UserError
from rlvr_rewards.examples import Example
from rlvr_rewards.extract import AnswerForm, final_answer
from rlvr_rewards.functions import reward
from rlvr_rewards.pieces import is_spaceless

_TEXT = "Ducks swim on a pond, and a cow stands by."
EXAMPLES = {"keyword_coverage": Example(_TEXT, {"keywords": ["ducks", "pond", "cow"]})}
_WORD = re.compile(r"\S+")


@reward
def keyword_coverage(
    completion: str,
    keywords: Sequence[str],
    *,
    most_words: int = 400,
    max_share: float = 0.5,
    ignore_case: bool = True,
    form: AnswerForm = AnswerForm.TEXT,
    tag: str = "answer",
) -> float:
    """The share of `keywords` that are named as whole words or phrases; 0.0 in a text of more than `most_words` words.

    Where the named ones make up more than `max_share` of the words, it is divided by how many times more that is: a
    bare list of keywords earns half by default (`max_share=1` does not mind).

    >>> keyword_coverage("Ducks swim on a pond, and a cow stands by.", keywords=["ducks", "pond", "cow"])
    1.0
    >>> [keyword_coverage(text, keywords=["ducks", "pond"]) for text in ("A pond with a small duckling.", "Hens.")]
    [0.5, 0.0]

    Hacks: a list of them, or a flood of words in which all occur.

    >>> keyword_coverage("ducks pond cow", keywords=["ducks", "pond", "cow"])
    0.5
    >>> keyword_coverage("so " * 1000 + "ducks pond cow", keywords=["ducks", "pond", "cow"])
    0.0

    Its limits: it does not see what is said of a word (`no ducks` names ducks), nor other forms of it (`duck`), and the
    guards make spam dearer, not impossible. Give it a small weight beside a part that judges what is said. In scripts
    without spaces a keyword counts wherever it stands, and a text has few words.

    Raises:
        ValueError: `keywords` is not a list of words, or is empty.
    """
    if most_words < 1 or not max_share > 0:
        raise UserError(f"most_words={most_words} must be 1 or more, max_share={max_share} above 0")
    wanted = _checked(keywords, ignore_case)
    text = final_answer(completion, form, tag)
    if text is None:
        return 0.0
    num_words = sum(1 for _ in islice(_WORD.finditer(text), most_words + 1))
    if not 0 < num_words <= most_words:
        return 0.0
    text = text.casefold() if ignore_case else text
    named = [word for word in wanted if _is_named(word, text)]
    share = sum(len(word.split()) for word in named) / num_words
    return min(1.0, max_share / share) * len(named) / len(wanted) if named else 0.0


def _checked(keywords: Any, ignore_case: bool) -> list[str]:
    is_list = isinstance(keywords, list | tuple) and all(isinstance(word, str) and word.strip() for word in keywords)
    if not is_list or not keywords:
        raise ValueError(f"the keywords {str(keywords)[:80]!r} are not a list of words")
    return list(dict.fromkeys(word.strip().casefold() if ignore_case else word.strip() for word in keywords))


def _is_named(word: str, text: str) -> bool:
    """Whether a word stands in a text with no letter or digit of a script with spaces beside it."""
    start = text.find(word)
    while start >= 0:
        end = start + len(word)
        if not _continues(text[start - 1 : start], word[0]) and not _continues(text[end : end + 1], word[-1]):
            return True
        start = text.find(word, start + 1)
    return False


def _continues(beside: str, edge: str) -> bool:
    """Whether a character goes on with the word whose edge it stands at; those of scripts without spaces never do."""
    return beside.isalnum() and edge.isalnum() and not is_spaceless(beside) and not is_spaceless(edge)
