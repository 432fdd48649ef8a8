"""What commands print: tables and titled text, through rich. Import it inside a command, never at its top.

Text that comes from tasks or models is never read as markup.
"""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rlvr_rewards.row import Completion, turns_of

_WIDTH_OF_A_FILE = 120


def console(stderr: bool = False) -> Console:
    """A console on stdout, or on stderr; where that is no terminal, lines are 120 characters wide."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _WIDTH_OF_A_FILE
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """A table; numbers stand to the right, floats have three decimals, `None` is a dash."""
    made = Table(title=Text(title), title_justify="left", title_style="bold")
    rows = [list(row) for row in rows]
    for index, column in enumerate(columns):
        is_number = any(isinstance(row[index], int | float) for row in rows)
        made.add_column(Text(column), justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(_cell(value)) for value in row))
    return made


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def titled(to: Console, title: str, text: str) -> None:
    """A bold line, then the text as it is."""
    to.print(Text(title, style="bold"))
    to.print(Text(text), soft_wrap=True)


def show_completion(to: Console, title: str, completion: Completion) -> None:
    """A completion under a title; of several turns each under its own, with who speaks."""
    turns = turns_of(completion)
    for turn in turns:
        titled(to, title if len(turns) == 1 else f"{title}, {turn['role']}", str(turn["content"]))


def first_line(doc: str | None) -> str:
    """The first line of a docstring; empty where there is none."""
    return (doc or "").strip().partition("\n")[0]
