"""Rewards written in a config: `2.0*exact_number + 0.5*think_format`.

The text is parsed with Python's own grammar, so that `&`, `+` and `*` bind exactly as they do in code, and then read
node by node. Nothing is evaluated: names are looked up in the catalogue, and only the algebra is understood.
"""

import ast
from collections.abc import Callable
from typing import Any, NoReturn

from rlvr_rewards.algebra import Reward
from rlvr_rewards.catalogue import REWARDS
from rlvr_rewards.errors import UserError
from rlvr_rewards.functions import FunctionReward

MAX_CHARACTERS = 2000
_EXAMPLE = "2.0*exact_number + 0.5*think_format"


def parse_reward(text: str, lookup: Callable[[str], Reward] = REWARDS.get) -> Reward:
    """The reward that an expression describes.

    Understood are names, `number * reward`, `+`, `-`, `&`, settings in a call (`tolerant_number(rel=0.05)`), and the
    methods `.clip(lo, hi)`, `.named('…')` and `.on_error('…')`. A file's reward is quoted, `'my_reward.py:brief'`,
    unless it stands alone.

    >>> parse_reward("2.0*exact_number + 0.5*think_format").max
    2.5

    Raises:
        UserError: The text is no such expression, or names an unknown reward.
    """
    if len(text) > MAX_CHARACTERS:
        raise UserError(f"reward: {len(text)} characters are too many (at most {MAX_CHARACTERS}): compose it in Python")
    path, colon, name = text.strip().rpartition(":")
    if colon and path.endswith(".py") and name.isidentifier():
        return lookup(text.strip())
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        at = f" at column {error.offset}" if isinstance(error, SyntaxError) else ""
        raise UserError(f"reward {text!r} cannot be read{at}: write it like {_EXAMPLE!r}") from None
    return _Reader(text, lookup).read(tree)


class _Reader:
    def __init__(self, text: str, lookup: Callable[[str], Reward]) -> None:
        self.text, self.lookup = text, lookup

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
            case ast.Call(func=ast.Attribute(value=value, attr=("clip" | "named" | "on_error") as method), args=args):
                return self._call(node, getattr(self.read(value), method), args)
            case ast.Call(func=(ast.Name() | ast.Constant()) as function, args=[], keywords=keywords):
                settings = {keyword.arg: self._literal(keyword.value) for keyword in keywords if keyword.arg}
                return self._with_settings(node, self.read(function), settings)
        self._refuse(node)

    def _weighted(self, left: ast.expr, right: ast.expr) -> Reward:
        for weight, factor in ((left, right), (right, left)):
            if (number := _number(weight)) is not None:
                return number * self.read(factor)
        self._refuse(left, "a product needs one number: use & to gate one reward by another")

    def _with_settings(self, node: ast.expr, reward: Reward, settings: dict[str, Any]) -> Reward:
        if not isinstance(reward, FunctionReward):
            self._refuse(node, "only a reward function has settings")
        return reward.using(**settings)

    def _call(self, node: ast.expr, method: Callable[..., Reward], args: list[ast.expr]) -> Reward:
        try:
            return method(*(self._literal(argument) for argument in args))
        except (TypeError, ValueError) as error:
            self._refuse(node, str(error))

    def _literal(self, node: ast.expr) -> Any:
        try:
            return ast.literal_eval(node)
        except ValueError:
            self._refuse(node, "only literal values go here")

    def _refuse(
        self, node: ast.expr, why: str = "only names, numbers, *, +, -, & and .clip/.named/.on_error"
    ) -> NoReturn:
        part = ast.get_source_segment(self.text.strip(), node) or self.text
        raise UserError(f"reward {self.text!r}: {part!r} is not understood ({why})")


def _number(node: ast.expr) -> float | None:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return float(value)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -float(value)
    return None
