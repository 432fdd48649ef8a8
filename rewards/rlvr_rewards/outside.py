"""Rewards that rest on something outside of the text: a judge behind a server, the weights of a model.

They say so, and nobody tries them where that thing may be missing, or costs money: `rlvr run --check` on golds, the
contract tests of the library, fuzzing. Such a reward is checked with the thing in place.
"""

from collections.abc import Callable
from typing import TypeVar

from rlvr_rewards.scorable import Scorable

F = TypeVar("F", bound=Callable[..., object])


def rests_on(what: str) -> Callable[[F], F]:
    """Marks a reward's function as resting on something outside, such as `a judge`; stands under `@reward`.

    >>> from rlvr_rewards import reward
    >>> @reward
    ... @rests_on("the moon")
    ... def tide(completion: str) -> float:
    ...     return 1.0
    >>> outside_of(0.5 * tide)
    ['the moon']
    """

    def mark(function: F) -> F:
        vars(function)["rests_on"] = what
        return function

    return mark


def outside_of(reward: Scorable) -> list[str]:
    """What the functions of a reward rest on; nothing where the text and the task's row are enough."""
    found = [vars(node).get("rests_on") for node in reward.walk()]
    return list(dict.fromkeys(what for what in found if what))
