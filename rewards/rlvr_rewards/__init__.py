"""What earns a score: composable rewards for verifiable tasks, in pure Python, for any trainer.

Not here: tasks (`rlvr_envs`) and training (`rlvr`). Importing this package imports no torch.
Every reward of the library is an attribute: `from rlvr_rewards import exact_number`.
"""

from rlvr_rewards.algebra import Reward
from rlvr_rewards.combinations import first_that_applies, minimum, product
from rlvr_rewards.errors import UserError
from rlvr_rewards.expression import parse_reward
from rlvr_rewards.functions import penalty, reward
from rlvr_rewards.schedule import cosine, linear, stairs
from rlvr_rewards.score import OnError, Score

__all__ = [
    "OnError",
    "Reward",
    "Score",
    "UserError",
    "cosine",
    "first_that_applies",
    "linear",
    "minimum",
    "parse_reward",
    "penalty",
    "product",
    "reward",
    "stairs",
]


def __getattr__(name: str) -> Reward:
    """A reward of the library by its name; the library's modules are found, not listed."""
    from rlvr_rewards.catalogue import REWARDS

    if name.startswith("_"):
        raise AttributeError(name)
    try:
        return REWARDS.get(name)
    except UserError as error:
        raise AttributeError(f"module 'rlvr_rewards': {error}") from None
