"""A reward taken apart into its terms, each a named part and its weight, for trainers that treat each part by itself.

2.0 * correct + linear(0.0, 0.5, steps=100) * format     correct, 2.0; format, 0.0 at step 0 and 0.5 from 100 on
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from rlvr_rewards.algebra import Sum, Weighted
from rlvr_rewards.errors import UserError
from rlvr_rewards.schedule import Schedule, Scheduled
from rlvr_rewards.scorable import Scorable
from rlvr_rewards.score import Score


@dataclass(frozen=True)
class Term:
    """A part of the sum that a reward is.

    Attributes:
        part: Its name among the parts.
        weights: What its value is multiplied with: numbers and schedules.
    """

    part: str
    weights: tuple[float | Schedule, ...] = ()

    def weight(self, step: int) -> float:
        """Its weight at an optimizer step, from 0."""
        return prod(each.at(step) if isinstance(each, Schedule) else each for each in self.weights)

    def value(self, score: Score) -> float | None:
        """What a completion earned of it, before its weight; `None` where it did not apply, or there is no total.

        A part that failed counts 0.0 where the total has a value all the same (`on_error("zero")`).
        """
        if score.reward is None:
            return None
        return 0.0 if self.part in score.errors else score.parts.get(self.part)


def terms_of(reward: Scorable) -> list[Term]:
    """The terms of a weighted sum of named parts.

    >>> from rlvr_rewards import exact_number, think_format
    >>> [(term.part, term.weight(0)) for term in terms_of(2.0 * (exact_number - 0.1 * think_format.named("format")))]
    [('exact_number', 2.0), ('format', -0.2)]

    Raises:
        UserError: A term has no name, or two are of one part.
    """
    terms = _terms(reward, ())
    parts = [term.part for term in terms]
    if twice := next((part for part in parts if parts.count(part) > 1), None):
        raise UserError(f"the part {twice!r} is added twice: add up its weights, so that it is one term")
    return terms


def _terms(node: Scorable, weights: tuple[float | Schedule, ...]) -> list[Term]:
    if node.name:
        return [Term(node.name, weights)]
    match node:
        case Sum():
            return [term for each in node.terms for term in _terms(each, weights)]
        case Weighted():
            return _terms(node.child, (*weights, node.weight))
        case Scheduled():
            return _terms(node.child, (*weights, node.schedule))
    inside = ", ".join(node.part_names())
    raise UserError(f"a term of the reward (of {inside}) has no name of its own: give it one, (…).named('…')")
