"""Why the update learns nothing from a completion, as its trace says; `None` where it learns.

Shapes: B rows (completions).
"""

from collections.abc import Sequence

from rlvr.engine.rollout import Rollout


def why_left_out(rollout: Rollout, flat_B: Sequence[bool], counts_B: Sequence[bool]) -> list[str | None]:
    """Of each row of a step.

    Args:
        rollout: Of the step.
        flat_B: Whether all of its group earned the same.
        counts_B: Whether any of its tokens counts.
    """
    rows = zip(rollout.unscored(), flat_B, counts_B, strict=True)
    return [unscored or _why(flat, counts) for unscored, flat, counts in rows]


def why_replaced(rollout: Rollout) -> list[str | None]:
    """Of each row of groups that dynamic sampling had others for."""
    return [each or "all of its group earned the same: another took its place" for each in rollout.unscored()]


def _why(flat: bool, counts: bool) -> str | None:
    if flat:
        return "all of its group earned the same, so that it has no advantage"
    return None if counts else "cut short, and so masked (trl.mask_truncated_completions)"
