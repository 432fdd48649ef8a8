"""What is computed for a whole batch before the algebra is walked, row by row.

Those are functions with TRL's batch signature, and all that run beside others (`rlvr_rewards.running`). All are begun
before any is waited for: a slow part costs no more time than the slowest.
"""

from collections.abc import Callable, Iterator, Sequence

from rlvr_rewards.injection import Injected
from rlvr_rewards.leaf import FunctionReward
from rlvr_rewards.row import Row
from rlvr_rewards.running import Arguments, Outcomes
from rlvr_rewards.scorable import Scorable


def compute_ahead(
    reward: Scorable, rows: Sequence[Row], batch: Callable[[], Arguments]
) -> dict[int, Outcomes | Exception]:
    """The values of every function that is not computed in its place, by the identity of its node.

    What `.when(…)` rules out is not computed. What a gate or an alternative makes worthless is, since the value of
    every part is kept.

    Args:
        reward: The whole of which the functions are part.
        rows: The completions.
        batch: Makes what a function with TRL's batch signature is called with.
    """
    leaves = {id(leaf): leaf for leaf in reward.walk() if isinstance(leaf, FunctionReward) and leaf.is_ahead}
    if not leaves or not rows:
        return {}
    wanted, arguments = _rows_wanted(reward, rows), batch()
    begun = {key: leaf.begin(rows, wanted[key], arguments) for key, leaf in leaves.items()}
    return {key: wait() for key, wait in begun.items()}


def _rows_wanted(reward: Scorable, rows: Sequence[Row]) -> dict[int, list[int]]:
    """For each leaf, the rows for which the algebra will ask for it."""
    wanted: dict[int, set[int]] = {}
    for leaf, conditions in _ways(reward, ()):
        holding = (row.index for row in rows if all(_holds(condition, row) for condition in conditions))
        wanted.setdefault(id(leaf), set()).update(holding)
    return {key: sorted(indices) for key, indices in wanted.items()}


def _ways(node: Scorable, conditions: tuple[Injected, ...]) -> Iterator[tuple[Scorable, tuple[Injected, ...]]]:
    """Every leaf with the predicates on the way to it; a leaf that stands in two places has two ways."""
    predicate = getattr(node, "predicate", None)
    if isinstance(predicate, Injected):
        conditions = (*conditions, predicate)
    if not node.children:
        yield node, conditions
    for child in node.children:
        yield from _ways(child, conditions)


def _holds(condition: Injected, row: Row) -> bool:
    try:
        return bool(condition(row.values, {}))
    except Exception:  # recorded where the algebra asks the predicate
        return False
