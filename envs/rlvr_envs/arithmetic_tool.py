"""A calculator for text that a model wrote: numbers, + - * / and brackets, worked out exactly.

Read token by token and never evaluated as code; one pass over at most 200 characters, two stacks and no recursion, so
no text is slow or deep. Values are fractions, whose digits together are no more than the text's, for want of powers.

    sum     = term (("+" | "-") term)*
    term    = factor (("*" | "/") factor)*
    factor  = "-" factor | "(" sum ")" | digits | digits "." digits
"""

import re
from collections.abc import Callable
from fractions import Fraction
from operator import add, mul, sub, truediv

MAX_CHARACTERS = 200
_TOKEN = re.compile(r"\s*(?:([0-9]+(?:\.[0-9]+)?)|([-+*/()]))\s*")
_OPERATIONS: dict[str, Callable[[Fraction, Fraction], Fraction]] = {"+": add, "-": sub, "*": mul, "/": truediv}
_BINDS = {"+": 1, "-": 1, "*": 2, "/": 2, "negative": 3}
_DECIMALS = 6


class CalculatorError(ValueError):
    """Why a text could not be worked out; the message is what the calculator replies."""


def calculate(text: str) -> Fraction:
    """The exact value of an expression.

    >>> str(calculate("12 * (34 - 5) / 8")), str(calculate("-2*-3"))
    ('87/2', '6')

    Raises:
        CalculatorError: It is too long, breaks the grammar, or divides by zero.
    """
    if len(text) > MAX_CHARACTERS:
        raise CalculatorError(f"longer than {MAX_CHARACTERS} characters")
    values: list[Fraction] = []
    waiting: list[str] = []
    at, wants_value = 0, True
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise CalculatorError("only numbers, + - * / and brackets are known")
        at, (number, sign) = found.end(), found.groups()
        if wants_value:
            wants_value = _take_value(number, sign, values, waiting)
        else:
            wants_value = _take_sign(number, sign, values, waiting)
    if wants_value:
        raise CalculatorError("a number is missing")
    while waiting:
        if waiting[-1] == "(":
            raise CalculatorError("a bracket is not closed")
        _apply(values, waiting.pop())
    return values[0]


def number_text(value: Fraction) -> str:
    """A value as it is replied: whole, as a decimal of at most six places, and where that is rounded with `≈`.

    >>> number_text(Fraction(12)), number_text(Fraction(-7, 2)), number_text(Fraction(2, 3))
    ('12', '-3.5', '≈0.666667')
    """
    scaled = value * 10**_DECIMALS
    nearest = round(scaled)
    sign, digits = "-" if nearest < 0 else "", str(abs(nearest)).zfill(_DECIMALS + 1)
    text = f"{sign}{digits[:-_DECIMALS]}.{digits[-_DECIMALS:]}".rstrip("0").rstrip(".")
    return text if scaled == nearest else f"≈{text}"


def _take_value(number: str | None, sign: str | None, values: list[Fraction], waiting: list[str]) -> bool:
    """Takes what may stand where a value begins; says whether a value is wanted still."""
    if number:
        values.append(Fraction(number))
        return False
    if sign not in ("-", "("):
        raise CalculatorError("a number is missing")
    waiting.append("negative" if sign == "-" else "(")
    return True


def _take_sign(number: str | None, sign: str | None, values: list[Fraction], waiting: list[str]) -> bool:
    """Takes what may stand behind a value; says whether another value is wanted."""
    if number or sign == "(":
        raise CalculatorError("a sign is missing between two values")
    if sign == ")":
        while waiting and waiting[-1] != "(":
            _apply(values, waiting.pop())
        if not waiting:
            raise CalculatorError("a bracket is closed that was not opened")
        waiting.pop()
        return False
    while waiting and _BINDS.get(waiting[-1], 0) >= _BINDS[str(sign)]:
        _apply(values, waiting.pop())
    waiting.append(str(sign))
    return True


def _apply(values: list[Fraction], sign: str) -> None:
    right = values.pop()
    if sign == "negative":
        values.append(-right)
        return
    if sign == "/" and not right:
        raise CalculatorError("division by zero")
    values.append(_OPERATIONS[sign](values.pop(), right))
