"""Rewards compose as algebra: weights, sums, gates, clips and conditions over named parts.

    2.0 * exact_number + 0.5 * think_format      weighted sum
    exact_number & think_format                  product: the second gates the first
    length.clip(0, 0.5)   tests.when(is_code)    bounds and conditions
    (a & b).named("correct")                     a part of its own

A node gives a value for one row, or `None` where it does not apply; `None` adds nothing to a sum and gates nothing.
What a node is not: it never decides what a *failed* part means. It records the error and goes on with 0.0;
the policy (`OnError`) is applied once, at the root, in `Reward.score_batch`.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

from rlvr_rewards.row import Completion, Row
from rlvr_rewards.score import OnError, Score

Bounds = tuple[float, float]


class Reward(ABC):
    """Something that scores completions: a function with `@reward`, or a composition of such.

    Attributes:
        name: What its value is called among the parts; `None` for a composition that was not `.named(...)`.
        bounds: The least and the most it can give.
    """

    name: str | None = None
    error_policy: OnError = OnError.DROP_COMPLETION

    @property
    @abstractmethod
    def bounds(self) -> Bounds: ...

    @property
    @abstractmethod
    def children(self) -> tuple[Reward, ...]: ...

    @abstractmethod
    def value(self, row: Row) -> float | None:
        """The value for one row; writes its named parts and errors into the row's ledger."""

    @property
    def max(self) -> float:
        """The most it can give. An environment's gold completion earns exactly this."""
        return self.bounds[1]

    @property
    def __name__(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]  # TRL labels its metrics with it
        return self.name or "reward"

    # -- scoring ---------------------------------------------------------------------------------------------------

    def score(self, completion: Completion, /, **columns: Any) -> Score:
        """Scores one completion against one task row, given as keyword arguments.

        >>> from rlvr_rewards import exact_number
        >>> exact_number.score("<answer>7</answer>", answer="7").parts
        {'exact_number': 1.0}
        """
        return self.score_batch([completion], {name: [value] for name, value in columns.items()})[0]

    def score_batch(
        self,
        completions: Sequence[Completion],
        columns: Mapping[str, Sequence[Any]],
        shared: Mapping[str, Any] | None = None,
        groups: Sequence[Any] | None = None,
    ) -> list[Score]:
        """Scores `N` completions; each column holds `N` values, `shared` holds what is the same for all.

        `groups` names the group of each completion and is needed for `OnError.DROP_GROUP` alone; without it,
        completions next to each other with an equal `prompt` column are a group.
        """
        from rlvr_rewards.batch import apply_policy, make_rows

        rows = make_rows(self, completions, columns, shared or {})
        totals = [self.value(row) for row in rows]
        if groups is None:
            groups = columns.get("prompt")
        return apply_policy(self.error_policy, rows, totals, groups)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Scores one completion (`reward(text, answer="7")`), or a batch where TRL calls it with `completions=`."""
        if "completions" in kwargs:
            from rlvr_rewards.batch import score_for_trl

            return score_for_trl(self, **kwargs)
        return self.score(*args, **kwargs).reward

    def on_error(self, policy: str | OnError) -> Self:
        """The same reward with another policy for errors: `drop_completion`, `drop_group` or `zero`.

        The outermost setting counts; composing goes back to the default.
        """
        changed = copy.copy(self)
        changed.error_policy = OnError(policy)
        return changed

    # -- composition -----------------------------------------------------------------------------------------------

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

    def walk(self) -> Iterator[Reward]:
        """This node and every node below it."""
        yield self
        for child in self.children:
            yield from child.walk()

    def part_names(self) -> list[str]:
        """The names of its parts, outermost first."""
        return list(dict.fromkeys(node.name for node in self.walk() if node.name))


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
    return node.terms if isinstance(node, Sum) and node.name is None else (node,)


class Composite(Reward):
    """A node over other nodes. Two different parts of one name would hide each other, so that is refused."""

    def __init__(self, *children: Reward) -> None:
        self._children = children
        named: dict[str, Reward] = {}
        for node in self.walk():
            if node.name and named.setdefault(node.name, node) != node:
                raise ValueError(f"two parts are called {node.name!r}: give one another name with .named('…')")

    @property
    def children(self) -> tuple[Reward, ...]:
        return self._children


class Weighted(Composite):
    """`weight * child`."""

    def __init__(self, weight: float, child: Reward) -> None:
        super().__init__(child)
        self.weight, self.child = float(weight), child

    @property
    def bounds(self) -> Bounds:
        low, high = sorted(self.weight * bound for bound in self.child.bounds)
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
        return sum(t.bounds[0] for t in self.terms), sum(t.bounds[1] for t in self.terms)

    def value(self, row: Row) -> float | None:
        applied = [value for term in self.terms if (value := term.value(row)) is not None]
        return sum(applied) if applied else None


class Gate(Composite):
    """`child & gate`: their product; a gate that does not apply lets the child through."""

    def __init__(self, child: Reward, gate: Reward) -> None:
        super().__init__(child, gate)
        self.child, self.gate = child, gate

    @property
    def bounds(self) -> Bounds:
        products = [a * b for a in self.child.bounds for b in self.gate.bounds]
        return min(products), max(products)

    def value(self, row: Row) -> float | None:
        value, factor = self.child.value(row), self.gate.value(row)
        return value if value is None or factor is None else value * factor


class Clip(Composite):
    """The child's value held within `[lo, hi]`."""

    def __init__(self, child: Reward, lo: float, hi: float) -> None:
        super().__init__(child)
        if lo > hi:
            raise ValueError(f"clip({lo}, {hi}): the lower bound is above the upper one")
        self.child, self.lo, self.hi = child, lo, hi

    @property
    def bounds(self) -> Bounds:
        low, high = (min(self.hi, max(self.lo, bound)) for bound in self.child.bounds)
        return low, high

    def value(self, row: Row) -> float | None:
        value = self.child.value(row)
        return None if value is None else min(self.hi, max(self.lo, value))


class When(Composite):
    """The child where a predicate holds, `None` elsewhere; a predicate that raises is the child's error."""

    def __init__(self, child: Reward, predicate: Callable[..., Any]) -> None:
        from rlvr_rewards.functions import Injected

        super().__init__(child)
        self.child, self.predicate = child, Injected(predicate)

    @property
    def bounds(self) -> Bounds:
        low, high = self.child.bounds
        return min(0.0, low), max(0.0, high)

    def value(self, row: Row) -> float | None:
        names = self.child.part_names()
        try:
            applies = bool(self.predicate(row.values))
        except Exception as error:  # a user's predicate may raise anything; it is recorded, not hidden
            row.errors[f"when({'+'.join(names)})"] = f"{type(error).__name__}: {error}"
            return 0.0
        if applies:
            return self.child.value(row)
        row.parts.update((name, None) for name in names if name not in row.parts)
        return None


class Named(Composite):
    """A composition recorded as a part of its own; the parts inside it are kept beside it."""

    def __init__(self, child: Reward, name: str) -> None:
        self.name, self.child, self.inner = name, child, child.part_names()
        super().__init__(child)

    @property
    def bounds(self) -> Bounds:
        return self.child.bounds

    def value(self, row: Row) -> float | None:
        value = self.child.value(row)
        failed = any(name in row.errors for name in self.inner)
        row.parts[self.name or ""] = None if failed else value
        return value
