"""A filter line cut into tokens: numbers, quoted texts, words, signs; each knows its column, for what is said of it."""

import re
from dataclasses import dataclass
from typing import NoReturn

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
    |(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<word>[^\W\d][\w/-]*(?:\.(?:[\w/:-]+|"(?:[^"\\]|\\.)*"))*)
    |(?P<sign>==|!=|<=|>=|!~|&&|\|\||[<>~(),=!]))""",
    re.VERBOSE,
)


class FilterError(ValueError):
    """What is wrong with a filter line.

    Attributes:
        message: In a few words, with the mend where there is one.
        column: Where, counted from 0, so that it can be shown under the line.
    """

    def __init__(self, message: str, column: int) -> None:
        super().__init__(f"{message} (column {column + 1})")
        self.message, self.column = message, column


@dataclass(frozen=True)
class Token:
    """One of them.

    Attributes:
        kind: `number`, `text`, `word`, `sign`, or `end` behind the last.
        text: As it is written.
        column: Where, counted from 0.
    """

    kind: str
    text: str
    column: int


def tokens(text: str) -> list[Token]:
    """The tokens of a line.

    Raises:
        FilterError: Something in it is none.
    """
    found, position, end = [], 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            column = position + len(text[position:]) - len(text[position:].lstrip())
            _refuse_character(text, column)
        kind = str(match.lastgroup)
        found.append(Token(kind, match[kind], match.start(kind)))
        position = match.end()
    return found


def _refuse_character(text: str, column: int) -> NoReturn:
    if text[column] in "\"'":
        raise FilterError("this text has no closing quote", column)
    raise FilterError(f"{text[column]!r} means nothing here", column)


def unquoted(text: str, is_pattern: bool = False) -> str:
    """The text between the quotes; in a pattern only the quote itself is unescaped, the rest is the pattern's."""
    quote, inner = text[0], text[1:-1]
    if is_pattern:
        return inner.replace(f"\\{quote}", quote)
    return re.sub(r"\\(.)", lambda match: {"n": "\n", "t": "\t"}.get(match[1], match[1]), inner, flags=re.DOTALL)
