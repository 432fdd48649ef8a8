"""Several sets as one, in shares that do not depend on chance: every stretch of the mix holds them by their weights."""

import math
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def mixed(sets: Sequence[Sequence[Item]], weights: Sequence[float | None], limit: int) -> list[Item]:
    """At most `limit` items: without weights, all sets one after the other; with weights, by their shares.

    With weights the mix ends when every set was gone through once; those that run out before start over. The next item
    is always of the set that is furthest behind its share: after k items a set of share w has w k of them, give or take
    one.

    Args:
        sets: None of them empty.
        weights: One a set, all `None` or none.
        limit: The most items.
    """
    shares = [weight for weight in weights if weight is not None]
    if not shares:
        return [item for items in sets for item in items][:limit]
    total = sum(shares)
    length = min(limit, max(math.ceil(len(items) * total / weight) for items, weight in zip(sets, shares, strict=True)))
    taken = [0] * len(sets)
    result = []
    for number in range(1, length + 1):
        behind = [weight / total * number - count for weight, count in zip(shares, taken, strict=True)]
        chosen = behind.index(max(behind))
        result.append(sets[chosen][taken[chosen] % len(sets[chosen])])
        taken[chosen] += 1
    return result
