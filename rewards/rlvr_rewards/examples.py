"""An example that earns a reward its maximum, so that tests, the fuzzer and the docs need no list of what each wants.

A module of the library says it beside its rewards, where the usual one does not fit:

    EXAMPLES = {"exact_list": Example("<answer>a, b</answer>", {"answer": ["a", "b"]})}
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rlvr_rewards.scorable import Scorable


@dataclass(frozen=True)
class Example:
    """A completion that earns `reward.max` by the reward's own settings.

    Attributes:
        completion: What a model wrote.
        columns: Of the task row.
    """

    completion: str
    columns: Mapping[str, Any] = field(default_factory=dict)


USUAL = Example("<think>3+4</think>\n<answer>7</answer>", {"answer": "7"})
"""Fits every reward whose module says nothing else."""


def example_of(reward: Scorable) -> Example:
    """The example of a reward function.

    >>> from rlvr_rewards import exact_number
    >>> example_of(exact_number).columns
    {'answer': '7'}
    """
    module = sys.modules.get(reward.__module__)
    return getattr(module, "EXAMPLES", {}).get(reward.name, USUAL)
