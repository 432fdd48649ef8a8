"""Which text may reach a scorer that evaluates it as Python.

Nine scorers hand the model's answer to `eval`, by themselves or through sympy's `parse_expr`; others evaluate fields of
the row, which may come from a file. Such text is let through only where its grammar is one of two, in which nothing can
be called that does anything: literals (what `eval` of them gives is itself), or arithmetic with a few functions.
`tests/envs/adapters/test_reasoning_gym_safety.py` looks for evaluation in the installed package and compares.
"""

import ast
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

MAX_CHARACTERS = 2000
_MAX_DIGITS = 10_000
_FUNCTIONS = frozenset(
    (
        *("sin", "cos", "tan", "sec", "csc", "cot", "asin", "acos", "atan", "sinh", "cosh", "tanh"),
        *("exp", "log", "ln", "sqrt", "Abs", "Integral", "Derivative"),
    )
)
_CONSTANTS = frozenset(("pi", "oo"))
_LITERAL = (ast.Expression, ast.Constant, ast.Name, ast.Load, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.UnaryOp)
_BITS = re.compile(r"[0-9a-fA-FxX+\-*/&|^~<>() ]+")


def is_literal(text: str) -> bool:
    """Whether `eval` of it could do no more than build numbers, texts and lists, or look up a name, or fail.

    >>> is_literal("[[0, 1], [1, 0]]"), is_literal("ABCD"), is_literal("0 1 1 0")
    (True, True, True)
    >>> is_literal("__import__('os').system('id')"), is_literal("[9] * 9**9"), is_literal("[x for x in 'ab']")
    (False, False, False)
    """
    if len(text) > 20 * MAX_CHARACTERS:
        return False
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return True  # no expression: eval refuses it as well
    return all(isinstance(node, (*_LITERAL, ast.USub, ast.UAdd)) for node in ast.walk(tree))


def is_arithmetic(text: str) -> bool:
    """Whether it is an expression of numbers, letters, + - * / ** and a few functions such as `sin`.

    >>> is_arithmetic("3*x**2 - sin(x)/2 + C"), is_arithmetic("(8 - 2) * 4")
    (True, True)
    >>> is_arithmetic("preview(x)"), is_arithmetic("x.__class__"), is_arithmetic("9**9**9"), is_arithmetic("1e999999")
    (False, False, False, False)
    """
    if len(text) > MAX_CHARACTERS or not text.isascii():
        return False
    try:
        return _digits(ast.parse(text.strip(), mode="eval").body) <= _MAX_DIGITS
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return False


def _digits(node: ast.AST) -> float:
    """About how many digits the value of an expression can have, a letter counted as one.

    Raises:
        ValueError: It is no such expression.
    """
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return math.log10(abs(value) + 2)
        case ast.Name(id=name) if len(name) == 1 or name in _CONSTANTS:
            return 1.0
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            return _digits(operand)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            return 1.0 + sum(map(_digits, arguments))
        case ast.BinOp(op=ast.Pow(), left=base, right=power):
            return _digits(base) * 10.0 ** _digits(power)
        case ast.BinOp(op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div(), left=left, right=right):
            return _digits(left) + _digits(right)
    raise ValueError(f"not arithmetic: {type(node).__name__}")


def _is_bitwise(text: str) -> bool:
    return len(text) <= MAX_CHARACTERS and _BITS.fullmatch(text) is not None and "**" not in text


ANSWERS: Mapping[str, Callable[[str], bool]] = {
    "string_insertion": is_literal,
    "spiral_matrix": is_literal,
    "binary_matrix": is_literal,
    "n_queens": is_literal,
    "simple_integration": is_arithmetic,
    "intermediate_integration": is_arithmetic,
    "polynomial_multiplication": is_arithmetic,
    "puzzle24": is_arithmetic,
    "countdown": is_arithmetic,
}
"""The scorers that evaluate the answer, and what it may be."""

ROWS: Mapping[str, tuple[tuple[tuple[str, ...], Callable[[str], bool]], ...]] = {
    "bitwise_arithmetic": ((("metadata", "problem"), _is_bitwise),),
    "number_sorting": ((("answer",), is_literal),),
    "simple_integration": ((("metadata", "integrand"), is_arithmetic),),
    "intermediate_integration": ((("metadata", "integrand"), is_arithmetic),),
    "polynomial_multiplication": ((("answer",), is_arithmetic),),
}
"""The scorers that evaluate a field of the row, and what it may be."""


def may_be_evaluated(dataset: str, answer: str) -> bool:
    """Whether an answer may be shown to the dataset's scorer."""
    return ANSWERS.get(dataset, lambda _: True)(answer)


def refuse_unsafe_row(dataset: str, row: Mapping[str, Any]) -> None:
    """Refuses a row whose fields the scorer would evaluate, and that are not plain.

    Raises:
        ValueError: The message names the field.
    """
    for path, is_plain in ROWS.get(dataset, ()):
        value: Any = row
        for key in path:
            value = value[key]
        if not isinstance(value, str) or not is_plain(value):
            raise ValueError(f"{'.'.join(path)}: {value!r:.80} would be evaluated, and is not plain")
