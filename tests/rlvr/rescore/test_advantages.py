"""Advantages are those of TRL, and changes of order and sign are what a person counts by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr.rescore.advantages import Scaling, advantages, centred, reordered, scaling_of, varies
from rlvr.rescore.scoring import Earned

REWARDS = st.lists(st.sampled_from([0.0, 0.2, 0.5, 1.0, 1.2, np.nan]), min_size=8, max_size=8)


def of_trl(columns, weights, scaling, group_size=4):
    """TRL's own lines (`GRPOTrainer._generate_and_score_completions`), with its own `nanstd`."""
    torch = pytest.importorskip("torch", reason="needs the train extra")
    nanstd = pytest.importorskip("trl.trainer.utils").nanstd
    rewards_per_func = torch.tensor(np.array(columns).T, dtype=torch.float32)
    weights = torch.tensor(weights, dtype=torch.float32)
    unscorable = torch.isnan(rewards_per_func).all(dim=1)
    if scaling is Scaling.WHITEN:
        grouped = rewards_per_func.view(-1, group_size, len(columns))
        found = (grouped - torch.nanmean(grouped, dim=1, keepdim=True)) / (nanstd(grouped, dim=1, keepdim=True) + 1e-4)
        rewards = (found.view(-1, len(columns)) * weights).nansum(dim=1)
        rewards[unscorable] = torch.nan
        found = (rewards - torch.nanmean(rewards)) / (nanstd(rewards) + 1e-4)
    else:
        rewards = (rewards_per_func * weights).nansum(dim=1)
        rewards[unscorable] = torch.nan
        grouped = rewards.view(-1, group_size)
        found = rewards - torch.nanmean(grouped, dim=1).repeat_interleave(group_size)
        if scaling is Scaling.BATCH:
            found = found / (nanstd(rewards) + 1e-4)
        elif scaling is Scaling.GROUP:
            found = found / (nanstd(grouped, dim=1).repeat_interleave(group_size) + 1e-4)
    return torch.nan_to_num(found, nan=0.0).numpy()


@pytest.mark.parametrize("scaling", [Scaling.GROUP, Scaling.NONE, Scaling.BATCH, Scaling.WHITEN])
@settings(deadline=None)  # the first example imports torch
@given(rewards=REWARDS, others=REWARDS)
def test_they_are_what_trl_computes(scaling, rewards, others):
    groups_B = np.repeat([0, 1], 4)
    columns, weights = ([rewards, others], [1.0, 0.5]) if scaling is Scaling.WHITEN else ([rewards], [1.0])
    earned = Earned(tuple(map(np.array, columns)), tuple(weights))
    _, teaches = varies(earned, groups_B, 2)
    ours = advantages(earned, groups_B, 2, scaling)
    theirs = of_trl(columns, weights, scaling)
    counts = teaches[groups_B]  # of a group without variance ours are exactly 0, as GroupTrainer makes TRL's
    assert np.allclose(ours[counts], theirs[counts], atol=2e-3)
    assert (ours[~counts] == 0).all()


def test_the_hand_computed_numbers_of_a_group():
    rewards, groups = Earned((np.array([1.0, 0.0, 0.0, 1.0]),)), np.zeros(4, int)
    assert np.allclose(advantages(rewards, groups, 1, Scaling.GROUP), [0.866, -0.866, -0.866, 0.866], atol=1e-3)
    assert advantages(rewards, groups, 1, Scaling.NONE).tolist() == [0.5, -0.5, -0.5, 0.5]
    assert centred(np.array([0.1 + 0.2, 0.3]), np.zeros(2, int), 1).tolist() == [0.0, 0.0]


def test_the_scaling_is_that_of_the_stage():
    assert scaling_of({}) is Scaling.GROUP
    assert scaling_of({"algorithm": "dr_grpo"}) is Scaling.NONE
    assert scaling_of({"algorithm": "dr_grpo", "trl": {"scale_rewards": "batch"}}) is Scaling.BATCH
    assert scaling_of({"trl": {"scale_rewards": False}}) is Scaling.NONE
    assert scaling_of({"trl": {"multi_objective_aggregation": "normalize_then_sum"}}) is Scaling.WHITEN


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([0, 1, 2], [0, 10, 20], (False, False)),
        ([0, 1, 2], [0, 2, 1], (True, True)),
        ([0, 1, 1], [0, 1, 2], (True, False)),  # a tie is broken
        ([0, 1, 2], [0, 1, 1], (True, False)),  # a tie is made
        ([0, np.nan, 2], [1, 5, 3], (False, False)),
    ],
)
def test_the_order_of_a_group(before, after, expected):
    one = reordered(np.array(before, float), np.array(after, float), np.zeros(3, int), 1)
    assert (bool(one[0][0]), bool(one[1][0])) == expected


@given(before=REWARDS, after=REWARDS)
def test_the_order_is_what_every_pair_says(before, after):
    groups_B = np.array([0, 1] * 4)
    changed, swapped = reordered(np.array(before), np.array(after), groups_B, 2)
    for group in (0, 1):
        rows = [n for n in range(8) if groups_B[n] == group and not np.isnan(before[n]) and not np.isnan(after[n])]
        signs = [(np.sign(before[i] - before[j]), np.sign(after[i] - after[j])) for i in rows for j in rows]
        assert changed[group] == any(a != b for a, b in signs)
        assert swapped[group] == any(a * b < 0 for a, b in signs)
