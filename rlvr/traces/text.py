"""Text of a model, made safe to look at: what would steer a terminal is shown as an escape, never carried out.

Not here: colours and layout (`rlvr.traces.show`).
"""

import re
from collections.abc import Iterator

from rlvr_rewards.extract import THINK_CLOSE, THINK_OPEN

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and newline: the escape that starts a sequence, too
    "\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # unseen, or turning text round
    "\ud800-\udfff\U000e0000-\U000e007f]"  # unpaired surrogates, and tags that spell hidden text
)


def pieces(text: str) -> Iterator[tuple[str, bool]]:
    """The text in order, each piece with whether it is the escape of an unsafe character.

    >>> list(pieces("red:\\x1b[31m"))
    [('red:', False), ('\\\\x1b', True), ('[31m', False)]
    """
    start = 0
    for match in _UNSAFE.finditer(text):
        if match.start() > start:
            yield text[start : match.start()], False
        yield match.group().encode("unicode_escape", "backslashreplace").decode("ascii"), True
        start = match.end()
    if start < len(text):
        yield text[start:], False


def visible(text: str) -> str:
    """The text with its unsafe characters as escapes.

    >>> visible("a\\x07b\\n")
    'a\\\\x07b\\n'
    """
    return "".join(piece for piece, _ in pieces(text))


def counted(count: int, noun: str) -> str:
    """So many of something; the noun is given as of one.

    >>> counted(1, "pair"), counted(1200, "pair"), counted(2, "reply")
    ('1 pair', '1,200 pairs', '2 replies')
    """
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun[:-1]}ies" if noun.endswith("y") else f"{count:,} {noun}s"


def cut(text: str, most: int = 100_000) -> tuple[str, int]:
    """The beginning of a long text, and how many characters were left out: a screen need not lay out ten megabytes.

    >>> cut("abcdef", 4)
    ('abcd', 2)
    """
    return text[:most], max(0, len(text) - most)


def think_and_answer(completion: str) -> tuple[str, str]:
    """What was thought and what was answered; together they are the completion.

    The answer is what follows the last closed think block, as the rewards see it; where a block was opened and never
    closed after that, there is none.

    >>> think_and_answer("<think>3+4</think> 7")
    ('<think>3+4</think>', ' 7')
    >>> think_and_answer("7"), think_and_answer("<think>3+4")
    (('', '7'), ('<think>3+4', ''))
    """
    head, close, tail = completion.rpartition(THINK_CLOSE)
    if THINK_OPEN in tail:
        return completion, ""
    return head + close, tail
