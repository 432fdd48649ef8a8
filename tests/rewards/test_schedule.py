"""Weights that change with the step of training."""

from types import SimpleNamespace

import pytest

from rlvr_rewards import UserError, cosine, linear, parse_reward, reward, stairs


@reward
def right(completion) -> float:
    return float("7" in completion)


@reward
def formed(completion) -> float:
    return float("<" in completion)


def earned(node, step, completion="<7>"):
    return node.score_batch([completion], {}, {"trainer_state": SimpleNamespace(global_step=step)})[0].reward


def test_a_line_by_hand():
    weight = linear(0.0, 1.0, steps=4, after=2)
    assert [weight.at(step) for step in range(8)] == [0.0, 0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0]


def test_half_a_cosine_by_hand():
    weight = cosine(1.0, 0.0, steps=3)
    assert [weight.at(step) for step in range(4)] == pytest.approx([1.0, 0.75, 0.25, 0.0], abs=1e-12)


def test_stairs_by_hand():
    weight = stairs({0: 1.0, 10: 0.5, 20: 0.0})
    assert [weight.at(step) for step in (0, 9, 10, 19, 20, 99)] == [1.0, 1.0, 0.5, 0.5, 0.0, 0.0]


@pytest.mark.parametrize(
    "node",
    [
        right + linear(1.0, 0.0, steps=10) * formed,
        right * linear(1.0, 3.0, steps=10) & formed,
        (2.0 * (right + stairs({0: 0.0, 5: 1.0}) * formed)).clip(-1.0, 2.5).named("total"),
        right - cosine(0.0, 0.5, steps=10) * formed,
        (linear(0.0, 1.0, steps=10) * (right + formed)).on_error("zero"),
    ],
    ids=["sum", "gate", "inside", "difference", "of a sum"],
)
def test_gold_earns_the_most_there_is_at_each_step_and_outside_of_training(node):
    for step in (0, 1, 5, 10, 1000):
        assert max(earned(node, step, gold) for gold in ("<7>", "7")) == pytest.approx(node.at(step).max)
    assert max(node.score("<7>").reward, node.score("7").reward) == node.max == node.at(10**9).max


def test_parts_are_recorded_before_their_weight():
    node = right + linear(0.0, 1.0, steps=10) * formed
    score = node.score_batch(["<7>"], {}, {"trainer_state": SimpleNamespace(global_step=5)})[0]
    assert (score.reward, score.parts) == (1.5, {"right": 1.0, "formed": 1.0})


def test_a_reward_as_of_a_step_keeps_its_policy_and_names():
    node = (linear(0.0, 1.0, steps=10) * formed).on_error("zero").named("shape")
    assert node.at(5).error_policy == "zero"
    assert node.at(5).score("<7>").parts == {"formed": 1.0, "shape": 0.5}


def test_in_a_config():
    names = {"right": right, "formed": formed}.__getitem__
    node = parse_reward("right + linear(0.0, 1.0, steps=4) * formed - stairs({0: 0.0, 2: 0.5})*formed", names)
    assert [earned(node, step) for step in range(5)] == [1.0, 1.25, 1.0, 1.25, 1.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("linear(0.0, 1.0) * right", "steps"),
        ("linear(0.0, 1.0, steps=0) * right", "whole numbers of optimizer steps"),
        ("linear(0.0, 1e999, steps=5) * right", "give a finite number"),
        ("stairs({5: 1.0}) * right", "from 0"),
        ("linear(right, 1.0, steps=5) * right", "only literal values"),
        ("linear(0.0, 1.0, steps=5)", "linear"),
        ("right * formed", "a product needs one number or schedule"),
    ],
)
def test_what_is_no_schedule_is_refused(text, message):
    with pytest.raises(UserError, match=message):
        parse_reward(text, lambda name: {"right": right, "formed": formed}.get(name) or _unknown(name))


def _unknown(name):
    raise UserError(f"unknown reward {name!r}")
