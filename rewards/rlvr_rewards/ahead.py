"""What is computed for a whole batch before the algebra is walked, row by row.

Those are functions with TRL's batch signature, and all that run beside others (`rlvr_rewards.running`). All are begun
before any is waited for: a slow part costs no more time than the slowest.
"""

from collections.abc import Callable, Sequence

from rlvr_rewards.leaf import FunctionReward
from rlvr_rewards.row import Row
from rlvr_rewards.running import Arguments, Outcomes
from rlvr_rewards.scorable import Scorable


def compute_ahead(
    reward: Scorable, rows: Sequence[Row], batch: Callable[[], Arguments]
) -> dict[FunctionReward, Outcomes | Exception]:
    """The values of every function that is not computed in its place; one that stands in two places is computed once.

    What `.when(…)` rules out, or an alternative before it that applies, is not computed. What a gate makes worthless
    is, since the value of every part is kept.

    Args:
        reward: The whole of which the functions are part.
        rows: The completions.
        batch: Makes what a function with TRL's batch signature is called with.
    """
    if not reward.has_ahead or not rows:
        return {}
    wanted: dict[FunctionReward, set[int]] = {}
    _collect(reward, rows, wanted)
    arguments = batch()
    begun = {leaf: leaf.begin(rows, sorted(wanted[leaf]), arguments) for leaf in wanted}
    return {leaf: wait() for leaf, wait in begun.items()}


def _collect(node: Scorable, rows: Sequence[Row], wanted: dict[FunctionReward, set[int]]) -> None:
    """Adds, for each leaf to compute, the rows for which the algebra will ask for it."""
    if isinstance(node, FunctionReward) and node.is_ahead:
        wanted.setdefault(node, set()).update(row.index for row in rows)
    for child in node.children:
        if child.has_ahead:
            _collect(child, [row for row in rows if node.wants(child, row)], wanted)
