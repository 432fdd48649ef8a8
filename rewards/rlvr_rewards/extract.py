"""Finding the final answer in a completion. Every function is linear in the length of the text.

What the model thinks is not its answer: only what follows the last closed think block counts, and a think block that
was never closed leaves no answer at all. Two answers are no answer, since one of them would be a guess.
"""

import re
from enum import StrEnum

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
_NUMBER = re.compile(r"[-+]?(?:\d[\d,]*)?\.?\d+(?:/\d+)?")


class AnswerForm(StrEnum):
    """How a completion marks its final answer."""

    TAG = "tag"
    """`<answer>7</answer>`, exactly once."""
    HASHES = "hashes"
    """`#### 7` on a line of its own, exactly once."""
    BOXED = "boxed"
    r"""`\boxed{7}`, exactly once."""
    LAST_NUMBER = "last_number"
    """The last number in the text, whatever stands around it: lenient, and easy to earn by chance."""


def final_text(completion: str) -> str | None:
    """What follows the last closed think block; the whole text where there is none.

    >>> final_text("<think>3+4</think> It is 7.")
    ' It is 7.'
    >>> final_text("<think>3+4 is 7") is None  # never closed: all of it is thought
    True
    """
    close = completion.rfind(THINK_CLOSE)
    rest = completion if close < 0 else completion[close + len(THINK_CLOSE) :]
    return None if THINK_OPEN in rest else rest


def tagged(text: str, tag: str) -> list[str]:
    """What stands between each `<tag>` and the next `</tag>`, in order; an unclosed tag gives nothing.

    >>> tagged("<answer>3</answer> or <answer>4</answer>", "answer")
    ['3', '4']
    """
    opening, closing = f"<{tag}>", f"</{tag}>"
    found, start = [], text.find(opening)
    while start >= 0:
        start += len(opening)
        end = text.find(closing, start)
        if end < 0:
            break
        found.append(text[start:end])
        start = text.find(opening, end + len(closing))
    return found


def sole_tagged(completion: str, tag: str = "answer") -> str | None:
    """What the one `<tag>` of the final text holds; `None` unless it is opened once and closed once, in this order.

    >>> sole_tagged("<think><answer>3</answer></think><answer>7</answer>")
    '7'
    >>> sole_tagged("<answer>7</answer><answer>8</answer>") is None
    True
    """
    text = final_text(completion)
    if text is None or text.count(f"<{tag}>") != 1 or text.count(f"</{tag}>") != 1:
        return None
    return next(iter(tagged(text, tag)), None)
