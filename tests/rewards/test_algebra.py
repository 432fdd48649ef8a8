"""Composition: values, bounds, the breakdown, and what is refused."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr_rewards import Reward, UserError, penalty, reward


@reward
def a(completion, x=0.5) -> float:
    return x


@reward
def b(completion, y=0.25) -> float:
    return y


@reward
def maybe(completion, z=None) -> float | None:
    return z


@penalty
def cost(completion, c=-0.5) -> float:
    return c


def test_a_weighted_sum_is_the_sum_and_keeps_each_part_unweighted():
    score = (2.0 * a + b * 4 - b.named("b2")).score("x")
    assert score.reward == 2.0 * 0.5 + 4 * 0.25 - 0.25
    assert score.parts == {"a": 0.5, "b": 0.25, "b2": 0.25}
    assert sum([a, b]).score("x").reward == 0.75


def test_a_gate_is_a_product_and_keeps_both_parts():
    score = (a & b).score("x")
    assert score.reward == 0.125
    assert score.parts == {"a": 0.5, "b": 0.25}


def test_clip_bounds_the_total_not_the_part():
    score = (4 * a).clip(0, 1).score("x")
    assert (score.reward, score.parts) == (1.0, {"a": 0.5})
    assert cost.clip(-0.25, 0).score("x").reward == -0.25


def test_none_adds_nothing_and_gates_nothing():
    assert (a + maybe).score("x").reward == 0.5
    assert (a & maybe).score("x").reward == 0.5
    assert (maybe & a).score("x").reward is None
    assert (2 * maybe).clip(0.5, 1).score("x").reward is None


def test_where_nothing_applies_the_total_is_none_without_an_error():
    score = (maybe + 2 * maybe.named("again")).score("x")
    assert (score.reward, score.errors) == (None, {})
    assert score.parts == {"maybe": None, "again": None}


def test_when_applies_by_injected_columns():
    coded = a.when(lambda kind: kind == "code") + b
    assert coded.score("x", kind="code").reward == 0.75
    prose = coded.score("x", kind="prose")
    assert (prose.reward, prose.parts) == (0.25, {"a": None, "b": 0.25})


def test_the_same_part_may_stand_under_two_conditions():
    split = a.when(lambda kind: kind == "code") + 0.5 * a.when(lambda kind: kind != "code")
    assert split.score("x", kind="code").reward == 0.5
    assert split.score("x", kind="prose").reward == 0.25
    assert split.score("x", kind="code").parts == split.score("x", kind="prose").parts == {"a": 0.5}


def test_named_adds_a_part_and_keeps_those_inside():
    score = (a & b).named("both").score("x")
    assert score.parts == {"a": 0.5, "b": 0.25, "both": 0.125}
    assert (a & b).named("both").part_names() == ["both", "a", "b"]


def test_a_function_under_a_new_name_is_recorded_under_that_alone():
    assert a.named("correct").score("x").parts == {"correct": 0.5}


def test_two_parts_of_one_name_are_refused_with_the_mend():
    with pytest.raises(UserError, match=r"two parts are called 'a'.*\.named"):
        a + b.named("a")
    assert (a + a).score("x").reward == 1.0, "the same part twice is no clash"


@pytest.mark.parametrize(
    "compose",
    [lambda: math.nan * a, lambda: math.inf * a, lambda: a.clip(1, 0), lambda: a.clip(math.nan, 1)],
    ids=["NaN weight", "infinite weight", "clip upside down", "clip NaN"],
)
def test_impossible_compositions_are_refused(compose):
    with pytest.raises(UserError):
        compose()


def test_adding_a_number_says_what_to_write():
    with pytest.raises(TypeError, match=r"weights multiply \(2.0 \* a\)"):
        a + 1
    with pytest.raises(TypeError):
        a * b


@pytest.mark.parametrize(
    ("node", "most"),
    [
        (2.0 * a + 0.5 * b, 2.5),
        (a - b, 1.0),
        (-2 * a, 0.0),
        (cost + a, 1.0),
        (a & b, 1.0),
        (a & 0.5 * b, 0.5),
        (a & 0.5 * maybe, 1.0),  # a gate that does not apply lets all of it through
        ((4 * a).clip(0, 2), 2.0),
        (a.when(lambda: True), 1.0),
        (-1 * a.clip(0.5, 1), -0.5),
        (-1 * a.clip(0.5, 1).when(lambda: False) + 0 * a, 0.0),  # not applying is the best it can do
        ((a + b).named("both"), 2.0),
    ],
)
def test_max_is_the_most_it_can_give(node, most):
    assert node.max == most


def test_an_unbounded_batch_function_has_bounds_that_are_no_nan():
    unbounded = reward(lambda completions: [1e9])
    assert (0 * unbounded).bounds == (0.0, 0.0)
    assert (unbounded & a).bounds == (-math.inf, math.inf)
    assert (unbounded.clip(0, 1)).max == 1.0


def nodes() -> st.SearchStrategy[Reward]:
    weights = st.floats(-3, 3, allow_nan=False)
    leaves = st.sampled_from([a, b, maybe, cost])

    def grow(node):
        return st.one_of(
            st.builds(lambda w, n: w * n, weights, node),
            st.builds(lambda m, n: m + n, node, node),
            st.builds(lambda m, n: m - n, node, node),
            st.builds(lambda m, n: m & n, node, node),
            st.builds(lambda n, lo, hi: n.clip(min(lo, hi), max(lo, hi)), node, weights, weights),
            st.builds(lambda n, yes: n.when(lambda: yes), node, st.booleans()),
        )

    return st.recursive(leaves, grow, max_leaves=8)


@given(nodes(), st.floats(0, 1), st.floats(0, 1), st.none() | st.floats(0, 1), st.floats(-1, 0))
def test_no_value_leaves_the_bounds(node, x, y, z, c):
    score = node.score("x", x=x, y=y, z=z, c=c)
    low, high = node.bounds
    assert score.errors == {}
    assert score.reward is None or low <= score.reward <= high
    assert score.reward is not None or node.optional
    assert set(score.parts) == set(node.part_names())
