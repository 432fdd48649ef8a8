"""Rewards written in a config: `2.0*exact_number + 0.5*think_format`.

The text is parsed with Python's own grammar, so that `&`, `+` and `*` bind exactly as they do in code, and then read
node by node. Nothing is evaluated: names are looked up in the catalogue, and only the algebra is understood.
"""

import ast
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from rlvr_rewards.algebra import Reward
from rlvr_rewards.catalogue import REWARDS
from rlvr_rewards.combinations import first_that_applies, minimum, product
from rlvr_rewards.errors import UserError
from rlvr_rewards.schedule import Schedule, cosine, linear, stairs

MAX_CHARACTERS = 2000
_EXAMPLE = "2.0*exact_number + 0.5*think_format"
_METHODS = ".using/.clip/.named/.on_error"
_SCHEDULES = {"linear": linear, "cosine": cosine, "stairs": stairs}
_COMBINATIONS = {"first_that_applies": first_that_applies, "minimum": minimum, "min": minimum, "product": product}


def parse_reward(text: str, lookup: Callable[[str], Reward] = REWARDS.get) -> Reward:
    """The reward that an expression describes.

    Understood are names, `number * reward`, `+`, `-`, `&`, settings in a call (`tolerant_number(rel=0.05)`), and the
    methods `.using(rel=0.05)`, `.clip(lo, hi)`, `.named('…')` and `.on_error('…')`; schedules in place of a number
    (`linear(0.0, 1.0, steps=200) * think_format`), and `first_that_applies(a, b)`, `minimum(a, b)` or `min(a, b)`, and
    `product(a, b)`. As in Python, `&` binds more loosely than `+`. A file's reward is quoted, `'my_reward.py:brief'`,
    unless it stands alone. A long text may run over several lines.

    >>> parse_reward("2.0*exact_number + 0.5*think_format").max
    2.5

    Raises:
        UserError: The text is no such expression, or names an unknown reward.
    """
    if len(text) > MAX_CHARACTERS:
        raise UserError(f"reward: {len(text)} characters are too many (at most {MAX_CHARACTERS}): compose it in Python")
    path, colon, name = text.strip().rpartition(":")
    if colon and path.endswith(".py") and name.isidentifier():
        if set("*+&") & set(path) and not Path(path).is_file():
            raise UserError(f"reward {_shortened(text)}: put quotes around the file, as in 0.5*'my_reward.py:brief'")
        return lookup(text.strip())
    source = f"({text}\n)"  # the brackets let it run over several lines
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # `2or a`: refused or understood, but not warned of
            tree = ast.parse(source, mode="eval").body
        return _Reader(source, lookup).read(tree)
    except UserError:
        raise
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
        raise UserError(f"reward {_shortened(text)} cannot be read: write it like {_EXAMPLE!r}") from None


class _Reader:
    def __init__(self, source: str, lookup: Callable[[str], Reward]) -> None:
        self.source, self.lookup = source, lookup

    def read(self, node: ast.expr) -> Reward:
        match node:
            case ast.Name(id=name) | ast.Constant(value=str(name)):
                return self.lookup(name)
            case ast.BinOp(left=left, op=ast.Mult(), right=right):
                return self._weighted(left, right)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self.read(left) + self.read(right)
            case ast.BinOp(left=left, op=ast.Sub(), right=right):
                return self.read(left) - self.read(right)
            case ast.BinOp(left=left, op=ast.BitAnd(), right=right):
                return self.read(left) & self.read(right)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self.read(operand)
            case ast.Call(func=ast.Attribute(value=value, attr=("using" | "clip" | "named" | "on_error") as method)):
                return self._call(node, getattr(self.read(value), method))
            case ast.Call(func=ast.Name(id=name), args=[_, *_]) if name in _COMBINATIONS:
                return self._combined(node, _COMBINATIONS[name])
            case ast.Call(func=(ast.Name() | ast.Constant()) as function, args=[]):
                return self._call(node, self.read(function).using)
        self._refuse(node)

    def _weighted(self, left: ast.expr, right: ast.expr) -> Reward:
        for weight, factor in ((left, right), (right, left)):
            if (number := _number(weight)) is not None:
                return number * self.read(factor)
            if isinstance(weight, ast.Call) and isinstance(weight.func, ast.Name) and weight.func.id in _SCHEDULES:
                schedule: Schedule = self._call(weight, _SCHEDULES[weight.func.id])
                return schedule * self.read(factor)
        self._refuse(left, "a product needs one number or schedule: use & to gate one reward by another")

    def _combined(self, node: ast.Call, combination: Callable[..., Reward]) -> Reward:
        if node.keywords:
            self._refuse(node, "it takes rewards alone")
        return combination(*map(self.read, node.args))

    def _call(self, node: ast.Call, method: Callable[..., Any]) -> Any:
        arguments = [self._literal(argument) for argument in node.args]
        settings = {keyword.arg or "**": self._literal(keyword.value) for keyword in node.keywords}
        try:
            return method(*arguments, **settings)
        except TypeError as error:
            self._refuse(node, str(error))

    def _literal(self, node: ast.expr) -> Any:
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError):
            self._refuse(node, "only literal values go here")

    def _refuse(self, node: ast.expr, why: str = f"only names, numbers, *, +, -, & and {_METHODS}") -> NoReturn:
        part = ast.get_source_segment(self.source, node) or self.source
        raise UserError(f"reward: {_shortened(part.strip())} is not understood ({why}): write it like {_EXAMPLE!r}")


def _shortened(text: str) -> str:
    return repr(text) if len(text) <= 100 else f"{text[:97]!r}..."


def _number(node: ast.expr) -> float | None:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return float(value)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -float(value)
    return None
