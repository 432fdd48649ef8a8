"""Rewards compose as algebra: weights, sums, gates, clips and conditions over named parts.

    2.0 * exact_number + 0.5 * think_format      weighted sum
    exact_number & think_format                  product: the second gates the first
    length.clip(0, 0.5)   tests.when(is_code)    bounds and conditions
    (a & b).named("correct")                     a part of its own

    linear(0.0, 1.0, steps=200) * think_format   a weight that changes in training (`rlvr_rewards.schedule`)
    first_that_applies(a, b)   minimum(a, b)     and product(a, b): `rlvr_rewards.combinations`

A node gives a value for one row, or `None` where it does not apply; `None` adds nothing to a sum and gates nothing.
What a node is not: it never decides what a *failed* part means. It records the error and goes on with 0.0;
the policy (`OnError`) is applied once, at the root, in `Scorable.score_batch`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from rlvr_rewards.errors import UserError, one_line
from rlvr_rewards.injection import Injected
from rlvr_rewards.row import Row
from rlvr_rewards.scorable import Bounds, Scorable
from rlvr_rewards.score import OnError


class Reward(Scorable):
    """Something that scores completions: a function with `@reward`, or a composition of such."""

    def __mul__(self, weight: float) -> Reward:
        return Weighted(weight, self) if isinstance(weight, int | float) else NotImplemented

    __rmul__ = __mul__

    def __neg__(self) -> Reward:
        return Weighted(-1.0, self)

    def __add__(self, other: RewardLike) -> Reward:
        return Sum((*_terms(self), *_terms(lift(other))))

    def __radd__(self, other: RewardLike | int) -> Reward:
        return self if other == 0 else lift(other) + self  # sum() starts from 0

    def __sub__(self, other: RewardLike) -> Reward:
        return self + -lift(other)

    def __and__(self, gate: RewardLike) -> Reward:
        return Gate(self, lift(gate))

    def __rand__(self, other: RewardLike) -> Reward:
        return lift(other) & self

    def clip(self, lo: float, hi: float) -> Reward:
        """Its value, never under `lo` nor over `hi`."""
        return Clip(self, lo, hi)

    def when(self, predicate: Callable[..., Any]) -> Reward:
        """Applies only where `predicate` is true; its parameters are injected by name, as a reward's are."""
        return When(self, predicate)

    def named(self, name: str) -> Reward:
        """The same reward, its value recorded among the parts under `name`."""
        return Named(self, name)


RewardLike = Reward | Callable[..., Any]
"""A reward, or a batch function with TRL's signature, which is taken as it is."""


def lift(thing: Any) -> Reward:
    """A reward as it is; a batch function with TRL's signature as a reward."""
    if isinstance(thing, Reward):
        return thing
    from rlvr_rewards.functions import reward  # functions.py builds on this module

    if callable(thing):
        return reward(thing)
    raise TypeError(f"cannot compose a reward with {thing!r}: weights multiply (2.0 * a), rewards add (a + b)")


def _terms(node: Reward) -> tuple[Reward, ...]:
    refuse_policy(node)
    return node.terms if isinstance(node, Sum) else (node,)


def refuse_policy(node: Reward) -> None:
    """Refuses a term that says what becomes of a failed completion: only the whole can."""
    if node.error_policy is not OnError.DROP_COMPLETION:
        policy = node.error_policy.value
        raise UserError(f"on_error({policy!r}) holds for a whole completion: write (a + b).on_error({policy!r})")


def _product(a: float, b: float) -> float:
    return a * b if a and b else 0.0  # 0 * inf would be NaN


class Composite(Reward):
    """A node over other nodes. Two different parts of one name would hide each other, so that is refused."""

    def __init__(self, *children: Reward) -> None:
        self._children = children
        if len(children) == 1:
            self.error_policy = children[0].error_policy
        named: dict[str, Scorable] = {}
        for node in self.walk():
            if node.name and named.setdefault(node.name, node) != node:
                raise UserError(f"two parts are called {node.name!r}: give one another name with .named('…')")

    @property
    def children(self) -> tuple[Reward, ...]:
        return self._children


class Weighted(Composite):
    """`weight * child`."""

    def __init__(self, weight: float, child: Reward) -> None:
        super().__init__(child)
        if not math.isfinite(weight):
            raise UserError(f"a weight of {weight}: give a finite number")
        self.weight, self.child = float(weight), child

    @property
    def bounds(self) -> Bounds:
        low, high = sorted(_product(self.weight, bound) for bound in self.child.bounds)
        return low, high

    def value(self, row: Row) -> float | None:
        value = self.child.value(row)
        return None if value is None else self.weight * value


class Sum(Composite):
    """The sum of the terms that apply; `None` where none does."""

    def __init__(self, terms: tuple[Reward, ...]) -> None:
        super().__init__(*terms)
        self.terms = terms

    @property
    def bounds(self) -> Bounds:
        given = [(*term.bounds, 0.0) if term.optional else term.bounds for term in self.terms]
        return sum(min(values) for values in given), sum(max(values) for values in given)

    @property
    def optional(self) -> bool:
        return all(term.optional for term in self.terms)

    def value(self, row: Row) -> float | None:
        applied = [value for term in self.terms if (value := term.value(row)) is not None]
        return sum(applied) if applied else None


class Gate(Composite):
    """`child & gate`: their product; a gate that does not apply lets the child through."""

    def __init__(self, child: Reward, gate: Reward) -> None:
        for node in (child, gate):
            refuse_policy(node)
        super().__init__(child, gate)
        self.child, self.gate = child, gate

    @property
    def bounds(self) -> Bounds:
        factors = (*self.gate.bounds, 1.0) if self.gate.optional else self.gate.bounds
        products = [_product(value, factor) for value in self.child.bounds for factor in factors]
        return min(products), max(products)

    @property
    def optional(self) -> bool:
        return self.child.optional

    def value(self, row: Row) -> float | None:
        value, factor = self.child.value(row), self.gate.value(row)
        return value if value is None or factor is None else value * factor


class Clip(Composite):
    """The child's value held within `[lo, hi]`."""

    def __init__(self, child: Reward, lo: float, hi: float) -> None:
        super().__init__(child)
        if not lo <= hi:
            raise UserError(f"clip({lo}, {hi}): the lower bound must not be above the upper one")
        self.child, self.lo, self.hi = child, lo, hi

    @property
    def bounds(self) -> Bounds:
        low, high = (min(self.hi, max(self.lo, bound)) for bound in self.child.bounds)
        return low, high

    def value(self, row: Row) -> float | None:
        value = self.child.value(row)
        return None if value is None else min(self.hi, max(self.lo, value))


class When(Composite):
    """The child where a predicate holds, `None` elsewhere; a predicate that raises is an error of the child's parts."""

    def __init__(self, child: Reward, predicate: Callable[..., Any]) -> None:
        super().__init__(child)
        self.child, self.predicate = child, Injected(predicate)

    @property
    def bounds(self) -> Bounds:
        return self.child.bounds

    @property
    def optional(self) -> bool:
        return True

    def wants(self, child: Scorable, row: Row) -> bool:
        try:
            return bool(self.predicate(row.values, {}))
        except Exception:  # recorded by `value`
            return False

    def value(self, row: Row) -> float | None:
        try:
            applies = bool(self.predicate(row.values, {}))
        except Exception as error:  # a user's predicate may raise anything; it is recorded, not hidden
            for name in self.child.part_names():
                row.fail(name, f"in its .when(…): {one_line(error)}")
            return 0.0
        if applies:
            return self.child.value(row)
        for name in self.child.part_names():
            row.parts.setdefault(name, None)
        return None


class Named(Composite):
    """A composition recorded as a part of its own; the parts inside it are kept beside it."""

    def __init__(self, child: Reward, name: str) -> None:
        self.name, self.child = name, child
        super().__init__(child)

    @property
    def bounds(self) -> Bounds:
        return self.child.bounds

    def value(self, row: Row) -> float | None:
        num_failures = row.num_failures
        value = self.child.value(row)
        row.parts[str(self.name)] = value if row.num_failures == num_failures else None
        return value
