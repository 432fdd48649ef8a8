"""Rewards of several rewards that no operator writes: the first that applies, the least, the product.

    first_that_applies(exact_number, judge)      an alternative where the first does not apply
    minimum(correct, brief)                      the weakest counts
    product(correct, brief, polite)              each scales the rest

The value of every part that was asked for is kept, as in the rest of the algebra (`rlvr_rewards.algebra`).
"""

from __future__ import annotations

from math import prod

from rlvr_rewards.algebra import Composite, Reward, RewardLike, lift, refuse_policy
from rlvr_rewards.errors import UserError
from rlvr_rewards.row import Row
from rlvr_rewards.scorable import Bounds, Scorable


def first_that_applies(*rewards: RewardLike) -> Reward:
    """The value of the first reward that is not `None`; those after it are not asked, and are `None` among the parts.

    >>> from rlvr_rewards import reward
    >>> @reward
    ... def by_key(completion: str, key: str | None = None) -> float | None:
    ...     return None if key is None else float(key in completion)
    >>> @reward
    ... def by_length(completion: str) -> float:
    ...     return float(len(completion) > 3)
    >>> graded = first_that_applies(by_key, by_length)
    >>> graded.score("a duck", key="dog").parts, graded.score("a duck").parts
    ({'by_key': 0.0, 'by_length': None}, {'by_key': None, 'by_length': 1.0})

    A reward that fails has applied: its error is the completion's, and no other takes its place.
    """
    return First(_several("first_that_applies", rewards))


def minimum(*rewards: RewardLike) -> Reward:
    """The least value of those that apply; `None` where none does.

    >>> from rlvr_rewards import exact_number, think_format
    >>> minimum(exact_number, think_format).score("<answer>7</answer>", answer="7").reward
    0.0
    """
    return Minimum(_several("minimum", rewards))


def product(*rewards: RewardLike) -> Reward:
    """The product of the values that apply; `None` where none does.

    `a & b` differs in that it applies where `a` does.

    >>> from rlvr_rewards import exact_number, think_format
    >>> product(exact_number, think_format).score("<think></think><answer>7</answer>", answer="7").reward
    1.0
    """
    return Product(_several("product", rewards))


def _several(name: str, rewards: tuple[RewardLike, ...]) -> tuple[Reward, ...]:
    if len(rewards) < 2:
        raise UserError(f"{name} is of two rewards or more, not of {len(rewards)}")
    nodes = tuple(lift(each) for each in rewards)
    for node in nodes:
        refuse_policy(node)
    return nodes


class _Several(Composite):
    def __init__(self, nodes: tuple[Reward, ...]) -> None:
        super().__init__(*nodes)

    @property
    def optional(self) -> bool:
        return all(child.optional for child in self.children)


class First(_Several):
    """`first_that_applies(…)`."""

    @property
    def bounds(self) -> Bounds:
        asked = self.children[: next((n + 1 for n, each in enumerate(self.children) if not each.optional), None)]
        return min(each.bounds[0] for each in asked), max(each.bounds[1] for each in asked)

    def wants(self, child: Scorable, row: Row) -> bool:
        """Whether those before it do not apply, as far as that is known without computing anything ahead."""
        before = self.children[: self.children.index(child)]  # pyright: ignore[reportArgumentType]
        known = [each for each in before if not each.has_ahead]
        return all(each.value(Row(row.values, row.index)) is None for each in known)

    def value(self, row: Row) -> float | None:
        for number, child in enumerate(self.children):
            if (value := child.value(row)) is not None:
                for name in (name for other in self.children[number + 1 :] for name in other.part_names()):
                    row.parts.setdefault(name, None)
                return value
        return None


class Minimum(_Several):
    """`minimum(…)`."""

    @property
    def bounds(self) -> Bounds:
        lows, highs = zip(*(each.bounds for each in self.children), strict=True)
        always = [each.bounds[1] for each in self.children if not each.optional]
        return min(lows), min(always) if always else max(highs)

    def value(self, row: Row) -> float | None:
        return min((value for each in self.children if (value := each.value(row)) is not None), default=None)


class Product(_Several):
    """`product(…)`."""

    @property
    def bounds(self) -> Bounds:
        low, high = 1.0, 1.0
        for each in self.children:
            factors = (*each.bounds, 1.0) if each.optional else each.bounds
            products = [a * b if a and b else 0.0 for a in (low, high) for b in factors]  # 0 * inf would be NaN
            low, high = min(products), max(products)
        return low, high

    def value(self, row: Row) -> float | None:
        values = [value for each in self.children if (value := each.value(row)) is not None]
        return prod(values) if values else None
