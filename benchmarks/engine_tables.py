"""The tables of the engine benchmark: median milliseconds of each part, and their ratios to ours.

Used by engine.py and gpu.py.
"""

from collections.abc import Sequence
from statistics import median

from engine_rounds import Round, medians
from engine_side import BOOKKEEPING, LOG_PROB, PARTS, REWARD, TRACE, UPDATE

OURS, STOCK = "ours", "stock"


def print_tables(rounds: Sequence[Round], sides: Sequence[str]) -> None:
    """A column for each side; the ratios of all others to ours, of the whole step with the range over rounds."""
    others = [side for side in sides if side != OURS]
    found = {side: medians(rounds, side) for side in sides}
    print(
        f"| part | {' | '.join(f'{side} (ms)' for side in sides)} | {' | '.join(f'{each} / ours' for each in others)} |"
    )
    print("|---|" + "---:|" * (len(sides) + len(others)))
    for part in PARTS:
        _print_row(part, {side: found[side].get(part, 0.0) for side in sides}, others)
    update = {side: found[side].get(UPDATE, 0.0) + found[side].get(LOG_PROB, 0.0) for side in sides}
    _print_row("log-prob and forward/backward", update, others)
    whole = {side: median(each.whole(side) for each in rounds) for side in sides}
    _print_row("**whole step**", whole, others)
    for side in others:
        ratios = [each.whole(side) / each.whole(OURS) for each in rounds]
        print(f"\n{side} / ours, whole step, by round: {min(ratios):.2f} to {max(ratios):.2f}")
    _print_added(rounds, found, whole[OURS])


def _print_row(part: str, seconds: dict[str, float], others: Sequence[str]) -> None:
    ratios = [
        f"{seconds[each] / seconds[OURS]:.2f}×" if min(seconds[each], seconds[OURS]) > 5e-4 else "" for each in others
    ]
    shown = [f"{each * 1000:,.1f}" if each else "" for each in seconds.values()]
    print(f"| {part} | {' | '.join([*shown, *ratios])} |")


def _print_added(rounds: Sequence[Round], found: dict[str, dict[str, float]], whole: float) -> None:
    """What ours adds to TRL, which computes rewards too: in the step, and in threads beside it."""
    parts = {part: found[OURS].get(part, 0.0) for part in (BOOKKEEPING, REWARD, TRACE)}
    added = sum(parts.values())
    beside = median(sum(each.beside[OURS].values()) for each in rounds)
    print(
        f"\nOurs spends {added * 1000:.1f} ms ({added / whole:.1%} of its step) on what it adds: "
        + ", ".join(f"{part} {seconds * 1000:.1f}" for part, seconds in parts.items())
        + f"; {beside * 1000:.1f} ms in threads beside other work."
    )
    if own := found.get(STOCK, {}).get(REWARD):
        print(
            f"Stock TRL spends {own * 1000:.1f} ms on the same rewards: {(added - own) * 1000:.1f} ms are added to it."
        )
