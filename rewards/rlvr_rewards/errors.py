"""What a person's mistake looks like: one line that says what is wrong and how to mend it.

Commands print a `UserError` without a traceback and exit with 2. Every other exception is ours to fix.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(ValueError):
    """A mistake in what the user gave us; its message is one line and names the way out."""


class ReportedError(Exception):
    """An error of another process; its message is the line that `one_line` made of it there."""


def one_line(error: BaseException) -> str:
    """An exception as one line of at most 300 characters: its type and its message, safe to print."""
    message = " ".join(str(error)[:1000].split())
    if not isinstance(error, ReportedError):
        message = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return printable(message)[:300]


def printable(text: str) -> str:
    """The text with escapes in place of what a terminal would obey or hide; a completion may have put it there.

    >>> print(printable("red:\\x1b[31m"))
    red:\\x1b[31m
    """
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


_MANY = 40
"""Names that are listed at most where the nearest is offered."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that does not exist, offering the nearest one that does, and all where they are not many.

    >>> print(unknown_name("environment", "gsm8", ["arithmetic", "gsm8k"]))
    unknown environment 'gsm8': did you mean 'gsm8k'? Known: arithmetic, gsm8k
    """
    names = sorted(map(str, known))
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    listed = "" if near and len(names) > _MANY else f"Known: {', '.join(names) or 'none'}"
    return UserError(f"unknown {kind} {name!r}: {hint}{listed}".rstrip())
