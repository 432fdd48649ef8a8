"""What became of sandboxed code: one result for each test, and how the whole of it ended."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Ending(StrEnum):
    """How a test, or the whole program, ended."""

    RETURNED = "returned"
    """It ran to its end. Whether the value is right is not said here."""
    RAISED = "raised"
    """An exception, also of the code when it was loaded (a syntax error), or of an assertion."""
    NOT_PLAIN = "not_plain"
    """It returned an object that cannot leave the sandbox, such as one of a class of its own."""
    EXITED = "exited"
    """It ended its own process (`os._exit`, `sys.exit`)."""
    CRASHED = "crashed"
    """A signal killed it, such as a segmentation fault."""
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    TOO_MANY_PROCESSES = "too_many_processes"
    TOO_MUCH_OUTPUT = "too_much_output"
    """It printed too much, made a file too large or too many of them, or its results were too long."""
    NOT_RUN = "not_run"
    """The program had ended, or a test before it had run out of time."""


@dataclass(frozen=True)
class Result:
    """What became of one test.

    Attributes:
        value: The plain value returned, or the text printed; `None` where `ending` is not `RETURNED`.
        detail: In words, at most 200 characters. The code may have written them: show them, trust them in nothing.
    """

    ending: Ending
    value: Any = None
    detail: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of a program.

    Attributes:
        ending: How all of it ended; `RETURNED` where every test was come to, whatever became of each.
        results: One for each test, in order.
        seconds: On the clock, the start of the sandbox included.
    """

    ending: Ending
    results: tuple[Result, ...]
    detail: str = ""
    seconds: float = 0.0
