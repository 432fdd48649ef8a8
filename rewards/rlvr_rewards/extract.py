r"""Finding the final answer in a completion. Every function is linear in the length of the text.

What the model thinks is not its answer: only what follows the last closed think block counts, and a think block that
was never closed leaves no answer at all. Two answers are no answer, since one of them would be a guess.
What an answer means (a number, a letter) is not decided here.
"""

import re
from collections.abc import Callable
from enum import StrEnum

from rlvr_rewards.errors import unknown_name
from rlvr_rewards.numerals import MAX_CHARACTERS, NUMBER

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
_LAST_NUMBER = re.compile(
    rf"(?<![\w.])[-−]?\$?(?:(?:[0-9]+ )?[0-9]+/[0-9]+|(?:{NUMBER}(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)(?![0-9])"
)
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)


class AnswerForm(StrEnum):
    """How a completion marks its final answer."""

    TAG = "tag"
    """`<answer>7</answer>`, exactly once."""
    HASHES = "hashes"
    """`#### 7` on a line of its own, exactly once."""
    BOXED = "boxed"
    r"""`\boxed{7}`, exactly once; braces inside it are balanced."""
    LAST_NUMBER = "last_number"
    """The last number in the text, whatever stands around it: lenient, and easy to earn by chance."""
    TEXT = "text"
    """All of the text, unmarked: what a summary or a translation is."""


def final_answer(completion: str, form: str = AnswerForm.TAG, tag: str = "answer") -> str | None:
    r"""The final answer in one of the forms of `AnswerForm`, without the white space around it; `None` where there is
    none or more than one. An answer may be empty text.

    >>> final_answer("<think>3+4</think><answer> 7 </answer>")
    '7'
    >>> final_answer("so it is\n#### 7\n", form="hashes"), final_answer(r"\boxed{\frac{1}{2}}", form="boxed")
    ('7', '\\frac{1}{2}')
    >>> final_answer("3 and 4 make $1,007.", form="last_number"), final_answer("<think>a</think> Ducks.", form="text")
    ('$1,007', 'Ducks.')

    Args:
        completion: What the model wrote.
        form: How the answer is marked.
        tag: The tag's name, for the form `tag` alone.

    Raises:
        UserError: There is no such form.
    """
    if form == AnswerForm.TAG:
        found = sole_tagged(completion, tag)
    elif (find := _FINDERS.get(form)) is None:
        raise unknown_name("answer form", form, AnswerForm)
    else:
        text = final_text(completion)
        found = None if text is None else find(text)
    return None if found is None else found.strip()


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


def _after_hashes(text: str) -> str | None:
    """What follows `####` on its line; `None` unless it stands there once, at the start of a line."""
    if text.count("####") != 1:
        return None
    before, _, after = text.partition("####")
    at_line_start = not before[before.rfind("\n") + 1 :].strip()
    return after.partition("\n")[0] if at_line_start and not after.startswith("#") else None


def _boxed(text: str) -> str | None:
    r"""What the one `\boxed{…}` holds; an escaped brace (`\{`) is not counted."""
    opening = r"\boxed{"
    if text.count(opening) != 1:
        return None
    start, depth = text.index(opening) + len(opening), 1
    for brace in _BRACE.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return text[start : brace.start()]
    return None


def _last_number(text: str) -> str | None:
    """The last number; looks at no more text than a readable number can fill."""
    end = 1 + max(text.rfind(digit) for digit in "0123456789")
    found = _LAST_NUMBER.findall(text, max(0, end - 2 * MAX_CHARACTERS), end)
    return found[-1] if found else None


_FINDERS: dict[str, Callable[[str], str | None]] = {
    AnswerForm.HASHES: _after_hashes,
    AnswerForm.BOXED: _boxed,
    AnswerForm.LAST_NUMBER: _last_number,
    AnswerForm.TEXT: lambda text: text,
}
