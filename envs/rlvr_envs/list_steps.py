"""Steps that a function over a list takes, each as words, as a line of Python, and as something to compute with.

The lines hold few digits, no names but `xs`, `x` and `n`, and no texts, in which one more letter may change nothing: a
line changed anywhere is another function.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What the list holds."""

    NUMBERS = "numbers"
    WORDS = "words"


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        group: Steps of one group are never next to each other: `keep`, `change`, `order`, and `end`, which gives the
            result and can only be the last.
        words: What the prompt says.
        code: The Python expression of `xs` and `n` that the list becomes.
        of: The same as a function.
    """

    group: str
    words: str
    code: str
    of: Callable[[Any, int], Any]


_ORDERS = {
    "reversed": Step("order", "turn the order round", "list(reversed(xs))", lambda xs, n: xs[::-1]),
    "unique": Step("order", "drop repetitions", "list(dict.fromkeys(xs))", lambda xs, n: list(dict.fromkeys(xs))),
    "first": Step("order", "keep the first n, or all if there are fewer", "xs[:n]", lambda xs, n: xs[:n]),
    "last": Step("order", "keep the last n, or all if there are fewer", "xs[-n:]", lambda xs, n: xs[-n:]),
    "rest": Step("order", "leave out the first n", "xs[n:]", lambda xs, n: xs[n:]),
    "count": Step("end", "return how many there are", "len(xs)", lambda xs, n: len(xs)),
    "kinds": Step("end", "return how many different ones there are", "len(set(xs))", lambda xs, n: len(set(xs))),
}


def _keep(words: str, condition: str, holds: Callable[[Any, int], Any]) -> Step:
    return Step(
        "keep", f"keep {words}", f"[x for x in xs if {condition}]", lambda xs, n: [x for x in xs if holds(x, n)]
    )


def _change(words: str, expression: str, change: Callable[[Any, int], Any]) -> Step:
    return Step("change", words, f"[{expression} for x in xs]", lambda xs, n: [change(x, n) for x in xs])


STEPS: dict[Kind, dict[str, Step]] = {
    Kind.NUMBERS: {
        "even": _keep("the even numbers", "not x % 2", lambda x, n: x % 2 == 0),
        "odd": _keep("the odd numbers", "x % 2", lambda x, n: x % 2 == 1),
        "above": _keep("the numbers above n", "x > n", lambda x, n: x > n),
        "up_to": _keep("the numbers that are n or less", "x <= n", lambda x, n: x <= n),
        "multiples": _keep("the multiples of n", "not x % n", lambda x, n: x % n == 0),
        "squared": _change("square each", "x * x", lambda x, n: x * x),
        "plus": _change("add n to each", "x + n", lambda x, n: x + n),
        "times": _change("multiply each by n", "x * n", lambda x, n: x * n),
        "negated": _change("change the sign of each", "-x", lambda x, n: -x),
        "absolute": _change("take the absolute value of each", "abs(x)", lambda x, n: abs(x)),
        "remainder": _change("take the remainder (as % gives it) of each by n", "x % n", lambda x, n: x % n),
        "rising": Step("order", "sort, smallest first", "sorted(xs)", lambda xs, n: sorted(xs)),
        "falling": Step("order", "sort, largest first", "sorted(xs, reverse=True)", lambda xs, n: sorted(xs)[::-1]),
        **_ORDERS,
        "sum": Step("end", "return their sum", "sum(xs)", lambda xs, n: sum(xs)),
        "largest": Step(
            "end",
            "return the largest, or None of no numbers",
            "max(xs, default=None)",
            lambda xs, n: max(xs, default=None),
        ),
        "smallest": Step(
            "end",
            "return the smallest, or None of no numbers",
            "min(xs, default=None)",
            lambda xs, n: min(xs, default=None),
        ),
    },
    Kind.WORDS: {
        "longer": _keep("the words of more than n letters", "len(x) > n", lambda x, n: len(x) > n),
        "shorter": _keep("the words of n letters or fewer", "len(x) <= n", lambda x, n: len(x) <= n),
        "smallest_first": _keep(
            "the words that begin with the smallest of their letters",
            "x.startswith(min(x))",
            lambda x, n: x[0] == min(x),
        ),
        "largest_last": _keep(
            "the words that end with the largest of their letters", "x.endswith(max(x))", lambda x, n: x[-1] == max(x)
        ),
        "backwards": _change("spell each backwards", "str().join(reversed(x))", lambda x, n: x[::-1]),
        "twice": _change("write each twice, with nothing between", "x + x", lambda x, n: x + x),
        "begun": _change("cut each after n letters", "x[:n]", lambda x, n: x[:n]),
        "in_order": _change("sort the letters of each", "str().join(sorted(x))", lambda x, n: "".join(sorted(x))),
        "once": _change(
            "drop the repeated letters of each",
            "str().join(dict.fromkeys(x))",
            lambda x, n: "".join(dict.fromkeys(x)),
        ),
        "alphabet": Step("order", "sort as in a dictionary", "sorted(xs)", lambda xs, n: sorted(xs)),
        "by_length": Step(
            "order",
            "sort by length, shortest first, equals as they stood",
            "sorted(xs, key=len)",
            lambda xs, n: sorted(xs, key=len),
        ),
        **_ORDERS,
        "joined": Step("end", "return them as one text, nothing between", "str().join(xs)", lambda xs, n: "".join(xs)),
        "letters": Step(
            "end", "return the number of letters in all", "sum(map(len, xs))", lambda xs, n: sum(map(len, xs))
        ),
    },
}


def takes_n(kind: Kind, names: Sequence[str]) -> bool:
    """Whether any of the steps needs `n`; a parameter that nothing needs could have any name.

    >>> takes_n(Kind.NUMBERS, ["even", "sum"]), takes_n(Kind.NUMBERS, ["above", "sum"])
    (False, True)
    """
    return any("n" in re.findall(r"\w+", STEPS[kind][name].code) for name in names)


def run_steps(kind: Kind, names: Sequence[str], xs: list[Any], n: int = 1) -> Any:
    """What comes of a list.

    >>> run_steps(Kind.NUMBERS, ["even", "squared", "sum"], [1, 2, 4], 3)
    20
    """
    for name in names:
        xs = STEPS[kind][name].of(xs, n)
    return xs


def write_function(kind: Kind, names: Sequence[str]) -> str:
    """The function that takes these steps.

    >>> print(write_function(Kind.NUMBERS, ["above", "sum"]))
    def f(xs, n):
        xs = [x for x in xs if x > n]
        return sum(xs)
    """
    *before, last = [STEPS[kind][name].code for name in names]
    head = "def f(xs, n):" if takes_n(kind, names) else "def f(xs):"
    return "\n".join([head, *(f"    xs = {code}" for code in before), f"    return {last}"])
