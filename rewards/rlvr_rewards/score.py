"""What scoring one completion gives: the total, its named parts, and the errors met on the way."""

from dataclasses import dataclass, field
from enum import StrEnum


class OnError(StrEnum):
    """What becomes of a completion one of whose parts raised an error."""

    DROP_COMPLETION = "drop_completion"
    """Its total is `None`; its siblings are untouched (default)."""
    DROP_GROUP = "drop_group"
    """The total of every completion of its group is `None`."""
    ZERO = "zero"
    """The failed part counts as 0.0. The error is still recorded."""


@dataclass(frozen=True, slots=True)
class Score:
    """The verdict on one completion.

    Attributes:
        reward: The total, or `None` where it has none: a part failed, or no part applied.
        parts: Every named part's own value, before weights; `None` where it did not apply or failed.
        errors: For each failed part, what went wrong in one line.
    """

    reward: float | None
    parts: dict[str, float | None] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
