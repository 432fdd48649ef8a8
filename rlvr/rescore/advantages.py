"""Advantages of a group as the run's trainer computes them, and what a change of rewards does to their signs and order.

With r_i the rewards of a group of G, and of a whole step where it says so; a completion without a reward is left out of
means and deviations and has an advantage of 0:

    group   A_i = (r_i - mean(r)) / (std(r) + 1e-4)              std with G - 1; GRPO (arXiv 2402.03300) in TRL
    none    A_i = r_i - mean(r)                                  Dr. GRPO (arXiv 2503.20783)
    batch   A_i = (r_i - mean(r)) / (std(r of the step) + 1e-4)  TRL's `scale_rewards = "batch"`
    whiten  A_i = (a_i - mean(a)) / (std(a) + 1e-4)              GDPO (arXiv 2601.05242): over the step, where
            a_i = Σ_k w_k A_ik, and A_ik as in `group` of each part k of the sum that the reward is, with weight w_k

Rewards are rounded to float32 first, as TRL's are. A group in which none of them differs has advantages of exactly 0.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import numpy as np

from rlvr.engine.algorithms import ALGORITHMS
from rlvr.rescore.scoring import Earned
from rlvr.traces.columns import Floats, means

_EPSILON = 1e-4
_ROUNDING = 1e-6
"""What a reward may differ from its group's mean by rounding alone, in float32, for rewards of about 1."""


class Scaling(StrEnum):
    """How advantages are scaled, see above."""

    GROUP = "group"
    NONE = "none"
    BATCH = "batch"
    WHITEN = "whiten"

    @property
    def needs_step(self) -> bool:
        """Whether the advantages of a group depend on the other groups of its step."""
        return self in (Scaling.BATCH, Scaling.WHITEN)


def scaling_of(settings: Mapping[str, Any]) -> Scaling:
    """The scaling that the settings of a stage say; TRL's default where they say nothing.

    Args:
        settings: Of a stage, as its config or a run's manifest has them: `algorithm`, and `trl` over it.

    >>> scaling_of({"algorithm": "dr_grpo"}), scaling_of({"trl": {"scale_rewards": True}})
    (<Scaling.NONE: 'none'>, <Scaling.GROUP: 'group'>)
    """
    preset, own = ALGORITHMS.get(settings.get("algorithm") or ""), settings.get("trl") or {}
    trl = {**(preset.trl if preset else {}), **own}
    if trl.get("multi_objective_aggregation") == "normalize_then_sum":
        return Scaling.WHITEN
    said = trl.get("scale_rewards", "group")
    return Scaling({True: "group", False: "none"}.get(said, said))


def advantages(earned: Earned, groups_B: np.ndarray, num_groups: int, scaling: Scaling) -> Floats:
    """The advantage of each completion.

    Args:
        earned: What it is made of: the total, or for `whiten` the parts of the sum.
        groups_B: The number of each completion's group, from 0.
        num_groups: How many groups there are.
        scaling: See above; for one that `needs_step` the completions are those of a whole step.
    """
    every_B = np.zeros_like(groups_B)
    if scaling is Scaling.WHITEN:
        return _whitened(earned, groups_B, num_groups)
    (rewards_B,) = earned.columns
    centred_B = centred(rewards_B, groups_B, num_groups)
    if scaling is Scaling.NONE:
        return centred_B
    if scaling is Scaling.BATCH:
        return _scaled(centred_B, rewards_B, every_B, 1)
    return _scaled(centred_B, rewards_B, groups_B, num_groups)


def _whitened(earned: Earned, groups_B: np.ndarray, num_groups: int) -> Floats:
    sum_B = np.zeros(len(groups_B))
    for values_B, weight in zip(earned.columns, earned.weights, strict=True):
        sum_B += weight * _scaled(centred(values_B, groups_B, num_groups), values_B, groups_B, num_groups)
    sum_B[np.isnan(earned.columns).all(axis=0)] = np.nan
    every_B = np.zeros_like(groups_B)
    found_B = _scaled(np.nan_to_num(sum_B - means(sum_B, every_B, 1)[0]), sum_B, every_B, 1)
    return np.where(varies(earned, groups_B, num_groups)[1][groups_B], found_B, 0.0)


def centred(rewards_B: Floats, groups_B: np.ndarray, num_groups: int) -> Floats:
    """Rewards less the mean of their group; exactly 0 where that is rounding, and where there is no reward."""
    rewards_B = rewards_B.astype(np.float32).astype(np.float64)
    centred_B = rewards_B - means(rewards_B, groups_B, num_groups)[groups_B]
    is_rounding = np.abs(centred_B) <= _ROUNDING * np.maximum(1.0, np.abs(rewards_B))
    return np.where(np.isnan(centred_B) | is_rounding, 0.0, centred_B)


def _scaled(centred_B: Floats, rewards_B: Floats, groups_B: np.ndarray, num_groups: int) -> Floats:
    """Over the standard deviation of a group's rewards; 0 where the group has fewer than two."""
    known_B = ~np.isnan(rewards_B)
    counts = np.bincount(groups_B[known_B], minlength=num_groups)
    of_group = np.where(known_B, rewards_B, 0.0) - np.nan_to_num(means(rewards_B, groups_B, num_groups))[groups_B]
    squares = np.bincount(groups_B[known_B], weights=of_group[known_B] ** 2, minlength=num_groups)
    std = np.sqrt(np.divide(squares, counts - 1, out=np.zeros(num_groups), where=counts > 1))
    return np.where((counts > 1)[groups_B], centred_B / (std[groups_B] + _EPSILON), 0.0)


def varies(earned: Earned, groups_B: np.ndarray, num_groups: int) -> tuple[np.ndarray, np.ndarray]:
    """For each group whether it has two rewards or more, and whether two of them differ: only then does it teach."""
    several, differs = np.zeros(num_groups, bool), np.zeros(num_groups, bool)
    for values_B in earned.columns:
        rounded_B = values_B.astype(np.float32)
        known_B = ~np.isnan(rounded_B)
        low, high = np.full(num_groups, np.inf, np.float32), np.full(num_groups, -np.inf, np.float32)
        np.minimum.at(low, groups_B[known_B], rounded_B[known_B])
        np.maximum.at(high, groups_B[known_B], rounded_B[known_B])
        several |= np.bincount(groups_B[known_B], minlength=num_groups) > 1
        differs |= high > low
    return several, differs


def any_of(rows_B: np.ndarray, groups_B: np.ndarray, num_groups: int) -> np.ndarray:
    """For each group whether any of its completions is marked."""
    return np.bincount(groups_B[rows_B], minlength=num_groups) > 0


def reordered(
    before_B: Floats, after_B: Floats, groups_B: np.ndarray, num_groups: int
) -> tuple[np.ndarray, np.ndarray]:
    """For each group whether the order of its completions changed at all, and whether two of them swapped places.

    The first is also true where a tie was made or broken. Completions without a value on one side do not count.

    >>> [each.tolist() for each in reordered(np.array([1.0, 0.5, 0.5]), np.array([0.0, 0.5, 0.5]), np.zeros(3, int), 1)]
    [[True], [True]]
    """
    known_B = ~(np.isnan(before_B) | np.isnan(after_B))
    groups, before, after = groups_B[known_B], before_B[known_B].round(6), after_B[known_B].round(6)
    changed = _ranks(before, groups) != _ranks(after, groups)
    order = np.lexsort((after, before, groups))
    falls = (np.diff(after[order]) < 0) & (np.diff(groups[order]) == 0)  # among equals `after` rises: a fall is a swap
    return any_of(changed, groups, num_groups), any_of(falls, groups[order][1:], num_groups)


def _ranks(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The place of each value among the different ones of its group, up to a constant for each group."""
    order = np.lexsort((values, groups))
    steps = (np.diff(values[order]) != 0) & (np.diff(groups[order]) == 0)
    starts = np.r_[True, np.diff(groups[order]) != 0] if len(order) else np.zeros(0, bool)
    climbed = np.r_[0, np.cumsum(steps)] if len(order) else np.zeros(0, np.int64)
    ranks = np.empty(len(order), np.int64)
    ranks[order] = climbed - np.maximum.accumulate(np.where(starts, climbed, 0))
    return ranks
