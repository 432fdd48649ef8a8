"""Rounds of the engine benchmark: a step of each side, one after the other, and which rounds count.

Used by engine.py and gpu.py.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from statistics import median
from typing import Any

from engine_clock import Steal
from engine_side import LOG_PROB, REST, UPDATE, Job, Side, work
from engine_work import Shape

QUIET = 0.02
"""The share of a round's time that other machines may take."""
_PATIENCE = 3
"""Rounds that are tried for each that is wanted."""


@dataclass(frozen=True)
class Round:
    """A step of each side.

    Attributes:
        seconds: Of each side, by part.
        beside: Of each side, what other threads did meanwhile.
        steal: The share of its time that other machines took.
    """

    seconds: dict[str, dict[str, float]]
    beside: dict[str, dict[str, float]]
    steal: float

    def whole(self, side: str) -> float:
        """Seconds of a side's step."""
        return sum(self.seconds[side].values())


@dataclass(frozen=True)
class Setting:
    """What is the same for all sides."""

    shape: Shape
    threads: int
    full: bool
    on_gpu: bool = False


def measure(
    setting: Setting, sides: Sequence[Side], flats: Sequence[float], pairs: int, minutes: float
) -> dict[float, list[Round]]:
    """Rounds for each share of flat groups, in turns; more than wanted where some were not quiet.

    Args:
        setting: Of all sides.
        sides: Which; their names differ.
        flats: Shares of groups whose completions all earn the same.
        pairs: Quiet rounds that are wanted of each.
        minutes: After which no further round begins, where there is one of each.
    """
    found: dict[float, list[Round]] = {flat: [] for flat in flats}
    with _running(setting, sides) as pipes:
        for flat in (*flats, flats[0]):  # the first steps are slower
            _round(pipes, flat)
        until = time.monotonic() + 60 * minutes
        for _ in range(pairs * _PATIENCE):
            for flat, rounds in found.items():
                if time.monotonic() > until and all(found.values()):
                    return found
                if sum(each.steal <= QUIET for each in rounds) < pairs:
                    rounds.append(_round(pipes, flat, turn=len(rounds)))
    return found


def quiet_rounds(rounds: Sequence[Round], wanted: int) -> tuple[list[Round], str]:
    """The rounds that count, and what there is to say of them."""
    quiet = [each for each in rounds if each.steal <= QUIET]
    if len(quiet) >= wanted:
        return quiet, f"{len(quiet)} rounds, others took at most {max(each.steal for each in quiet):.1%} of the machine"
    chosen = sorted(rounds, key=lambda each: each.steal)[:wanted]
    most = max(each.steal for each in chosen)
    return chosen, f"{len(rounds)} rounds, {len(quiet)} quiet: the quietest {len(chosen)}, others took up to {most:.1%}"


def best_accumulation(setting: Setting, candidates: Sequence[int]) -> tuple[int, dict[int, float]]:
    """The gradient accumulation with which stock TRL's update is fastest, and the seconds of each."""
    tried: dict[int, float] = {}
    for passes in candidates:
        if setting.shape.rows % passes:
            continue
        side = Side("stock", stock=True, accumulation=passes, dictated=True)
        with _running(setting, [side]) as pipes:
            rounds = [_round(pipes, 0.0) for _ in range(2)][1:]
        tried[passes] = min(sum(each.seconds["stock"].get(p, 0.0) for p in (LOG_PROB, UPDATE, REST)) for each in rounds)
    return min(tried, key=lambda passes: tried[passes]), tried


def medians(rounds: Sequence[Round], side: str) -> dict[str, float]:
    """Of each part the median seconds of a side."""
    parts = {part for each in rounds for part in each.seconds[side]}
    return {part: median(each.seconds[side].get(part, 0.0) for each in rounds) for part in parts}


def _round(pipes: dict[str, Any], flat: float, turn: int = 0) -> Round:
    """A step of each side, another one first each turn: who comes first meets caches that others left."""
    steal = Steal()
    seconds, beside = {}, {}
    sides = list(pipes.items())
    first = turn % len(sides)
    for name, pipe in sides[first:] + sides[:first]:
        pipe.send(flat)
        seconds[name], beside[name] = pipe.recv()
    return Round(seconds, beside, steal.share())


@contextmanager
def _running(setting: Setting, sides: Sequence[Side]) -> Iterator[dict[str, Any]]:
    """A process for each side, ready for its first step; they end with the block."""
    context = get_context("spawn")
    pipes, processes = {}, []
    try:
        for side in sides:
            ours, theirs = context.Pipe()
            job = Job(side, setting.shape, setting.threads, setting.full, setting.on_gpu)
            process = context.Process(target=work, args=(job, theirs), daemon=True)
            process.start()
            theirs.close()
            ours.recv()
            pipes[side.name] = ours
            processes.append(process)
        yield pipes
        for pipe in pipes.values():
            pipe.send(None)
    finally:
        for process in processes:
            process.join(30)
            process.terminate()
