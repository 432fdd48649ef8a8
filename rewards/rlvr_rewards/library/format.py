"""The form of a completion: think first, then answer."""

from rlvr_rewards.extract import sole_tagged
from rlvr_rewards.functions import reward


@reward
def think_format(completion: str) -> float:
    """1.0 for exactly one think block followed by exactly one answer."""
    return float(completion.startswith("<think>") and sole_tagged(completion) is not None)
