"""What a loss curve says, in one line, with the usual cause: a look that people take too rarely.

It is a rule of thumb on means over a twentieth of the steps, not a test: it names what is likely, and what to try.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

MEMORISED = 0.2
"""Nats a token under which a model from demonstrations mostly repeats them, unless they can be foretold."""
_FEWEST_STEPS = 10
_FLAT, _RISEN, _APART, _STILL = 0.03, 1.05, 1.1, 0.05


class Curve(StrEnum):
    """What a loss curve looks like."""

    SHORT = "short"
    """Too few steps to say."""
    FALLING = "falling"
    """It was still falling at the end."""
    SETTLED = "settled"
    """It fell, and fell no further."""
    FLAT = "flat"
    """It never moved."""
    RISING = "rising"
    """It ended above where it began, or well above its lowest."""
    MEMORISING = "memorising"
    """It is very low, or still falls, and that of examples held out is far above it or rises."""
    LOW = "low"
    """It is very low, and nothing was held out to tell learning from memorising."""


@dataclass(frozen=True)
class Finding:
    """What a curve looks like, and a line that says so, its usual cause, and what to try."""

    curve: Curve
    says: str


def read_curve(losses: Sequence[float], held_out: Sequence[float] = ()) -> Finding:
    """What the losses of a stage's steps say.

    Args:
        losses: Of each logged step, in nats a token.
        held_out: Of examples that were not learned from, each time that it was measured.
    """
    if len(losses) < _FEWEST_STEPS:
        return Finding(Curve.SHORT, f"{len(losses)} steps are too few to read the loss from")
    width = max(3, len(losses) // 20)
    means = [sum(part) / len(part) for part in _parts(losses, width)]
    first, last, lowest = means[0], means[-1], min(means)
    fell = f"the loss went from {first:.3f} to {last:.3f}"
    if last > first * _RISEN or (last > lowest * 1.25 and last - lowest > 0.1 * (first - lowest)):
        at = (means.index(lowest) + 1) * width
        where = f", its lowest {lowest:.3f} about step {at}" if lowest < first else ""
        return Finding(
            Curve.RISING,
            f"{fell}{where}: it rises. Mostly the learning rate is too high: try a third of it, or a longer warm-up",
        )
    if first - last < _FLAT * first:
        return Finding(
            Curve.FLAT,
            f"{fell}: flat from the start. Mostly the learning rate is too low, the adapter sits on no layer that "
            "matters, or the data was learned before",
        )
    if finding := _beside_held_out(fell, last, held_out):
        return finding
    if last < MEMORISED:
        return Finding(
            Curve.LOW,
            f"{fell}, under {MEMORISED}: it may be memorising. held_out = 0.05 would tell; fewer steps or more "
            "examples help where it does",
        )
    if (
        before := means[-1 - len(means) // 4]
    ) - last > _STILL * before:  # not of the whole fall: the first steps dwarf it
        return Finding(Curve.FALLING, f"{fell} and was still falling at the end: more steps would lower it further")
    return Finding(Curve.SETTLED, f"{fell} and settled there")


def _beside_held_out(fell: str, last: float, held_out: Sequence[float]) -> Finding | None:
    if not held_out:
        return None
    end, best = held_out[-1], min(held_out)
    apart = f"{fell}, and on examples held out it is {end:.3f}"
    if end > best * _APART:
        return Finding(
            Curve.MEMORISING,
            f"{apart} after {best:.3f} at its best: it is memorising. Fewer steps, more examples, a lower rate",
        )
    if last < MEMORISED and end > 2 * last:
        return Finding(
            Curve.MEMORISING,
            f"{apart}: under {MEMORISED} on what it saw alone, it is memorising. Fewer steps, or more examples",
        )
    return Finding(Curve.SETTLED, f"{apart}: no sign of memorising")


def _parts(losses: Sequence[float], width: int) -> list[Sequence[float]]:
    """Stretches of `width` steps, the last of them ending with the last step."""
    return [losses[max(0, end - width) : end] for end in range(len(losses), 0, -width)][::-1]
