"""The final answer as a number."""

from rlvr_rewards.extract import sole_tagged
from rlvr_rewards.functions import reward


@reward
def exact_number(completion: str, answer: str) -> float:
    """1.0 where the final answer equals the gold answer as a number."""
    try:
        return float(float(sole_tagged(completion) or "nan") == float(answer))
    except ValueError:
        return 0.0
