"""Where texts differ, word by word: what stands in one and not in the other, as spans to be marked."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

Span = tuple[int, int]
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_LINES = re.compile(r"[^\n]*\n|[^\n]+")
_MOST_WORDS = 3000
"""Longer texts are compared line by line: the time grows with the square."""


def differences(first: str, second: str) -> tuple[list[Span], list[Span]]:
    """What only the first has, and what only the second has, as spans of characters.

    >>> differences("A0-4 E5-7", "A0-4 D5-7")
    ([(5, 7)], [(5, 7)])
    """
    words = _WORDS if max(len(first), len(second)) <= 6 * _MOST_WORDS else _LINES
    ours, theirs = words.findall(first), words.findall(second)
    if max(len(ours), len(theirs)) > _MOST_WORDS:
        return ([], []) if first == second else ([(0, len(first))], [(0, len(second))])
    only_ours: list[Span] = []
    only_theirs: list[Span] = []
    ends, other_ends = _ends(ours), _ends(theirs)
    for kind, a, b, c, d in SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        if kind != "equal":
            only_ours += [(ends[a], ends[b])] if b > a else []
            only_theirs += [(other_ends[c], other_ends[d])] if d > c else []
    return _joined(only_ours, first), _joined(only_theirs, second)


def _joined(spans: list[Span], text: str) -> list[Span]:
    """The spans, those with nothing but blanks between them as one."""
    joined: list[Span] = []
    for start, end in spans:
        if joined and not text[joined[-1][1] : start].strip():
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def marked(texts: Sequence[str]) -> list[list[Span]]:
    """For each text what it has and the first has not; for the first, what none of the others has.

    >>> marked(["a b c", "a x c", "a y z"])
    [[(2, 3)], [(2, 3)], [(2, 5)]]
    """
    pairs = [differences(texts[0], other) for other in texts[1:]]
    lost = [{at for start, end in ours for at in range(start, end)} for ours, _ in pairs]
    return [_spans(set.intersection(*lost) if lost else set()), *(theirs for _, theirs in pairs)]


def _ends(words: Sequence[str]) -> list[int]:
    ends = [0]
    for word in words:
        ends.append(ends[-1] + len(word))
    return ends


def _spans(characters: set[int]) -> list[Span]:
    spans: list[Span] = []
    for at in sorted(characters):
        if spans and spans[-1][1] == at:
            spans[-1] = (spans[-1][0], at + 1)
        else:
            spans.append((at, at + 1))
    return spans
