"""Text of any kind as lines of a width: words kept whole where they fit, escapes marked, what each bit belongs to kept.

A run is a text, its styles, and a number of the caller's (a token's index, or -1). Nothing here reaches a terminal as a
control sequence: `rlvr.traces.text` decides what is shown as an escape.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len, chop_cells

from rlvr.traces.text import pieces

Run = tuple[str, str, int]
_TAB = "    "
_WORD = re.compile(
    r"[\u2e80-\u9fff\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef]|[^\s\u2e80-\u9fff\uac00-\ud7ff\uf900-\uffef]+\s*|\s+|."
)


def safe_runs(text: str, names: str = "", ref: int = -1) -> Iterator[Run]:
    """The text as runs, its control characters as escapes that stand out; line breaks stay.

    >>> list(safe_runs("a\\x1b[0m\\n", "dim"))
    [('a', 'dim', -1), ('\\\\x1b', 'escape', -1), ('[0m\\n', 'dim', -1)]
    """
    for piece, is_escape in pieces(text.replace("\r\n", "\n").replace("\t", _TAB)):
        yield piece, "escape" if is_escape else names, ref


def marked_runs(text: str, spans: Iterable[tuple[int, int, str]], names: str = "") -> Iterator[Run]:
    """The text as runs; each span, from one character to before another, has styles of its own in addition.

    >>> list(marked_runs("one two", [(4, 7, "match")]))
    [('one ', '', -1), ('two', ' match', -1)]
    """
    at = 0
    for start, end, more in sorted(spans):
        start = max(start, at)
        if end <= start:
            continue
        yield from safe_runs(text[at:start], names)
        yield from safe_runs(text[start:end], f"{names} {more}")
        at = end
    yield from safe_runs(text[at:], names)


def wrapped(runs: Iterable[Run], width: int) -> list[list[Run]]:
    """The runs as lines of at most a width; a word that is longer than a line is cut.

    >>> wrapped([("one two", "", -1), (" three\\n4", "dim", 7)], 8)
    [[('one two', '', -1), (' ', 'dim', 7)], [('three', 'dim', 7)], [('4', 'dim', 7)]]
    """
    lines: list[list[Run]] = []
    for line in _logical_lines(runs):
        text = "".join(run[0] for run in line)
        if len(text) <= width and text.isascii():
            lines.append(line)
        else:
            lines += _cut(line, _ends(text, max(width, 2)))
    return lines


def _logical_lines(runs: Iterable[Run]) -> Iterator[list[Run]]:
    line: list[Run] = []
    for text, names, ref in runs:
        first, *others = text.split("\n")
        if first:
            line.append((first, names, ref))
        for other in others:
            yield line
            line = [(other, names, ref)] if other else []
    yield line


def _ends(text: str, width: int) -> Iterator[int]:
    """Where each line ends, in characters of the text; a blank at the end may stand beyond the width."""
    if text.isascii():
        start = 0
        while len(text) - start > width:
            blank = text.rfind(" ", start, start + width + 1)
            start = start + width if blank <= start else blank + 1
            yield start
        yield len(text)
        return
    at, room = 0, width
    for word in _WORD.findall(text):
        if cell_len(word.rstrip()) > room and room < width:
            yield at
            room = width
        while cell_len(word.rstrip()) > room:
            head = chop_cells(word, room)[0] or word[0]
            at += len(head)
            word = word[len(head) :]
            yield at
            room = width
        at += len(word)
        room -= cell_len(word)
    yield len(text)


def _cut(line: Sequence[Run], ends: Iterable[int]) -> Iterator[list[Run]]:
    """The runs of a line, cut after so many characters each time."""
    rest, at = list(reversed(line)), 0
    for end in ends:
        made: list[Run] = []
        while rest and at < end:
            text, names, ref = rest.pop()
            made.append((text[: end - at], names, ref))
            if len(text) > end - at:
                rest.append((text[end - at :], names, ref))
            at += len(made[-1][0])
        yield made
