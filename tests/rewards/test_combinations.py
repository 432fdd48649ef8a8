"""The first that applies, the least, the product: values, parts, bounds."""

import pytest

from rlvr_rewards import UserError, first_that_applies, minimum, parse_reward, product, reward


@reward
def half(completion) -> float:
    return 0.5


@reward
def maybe(completion) -> float | None:
    return None if "none" in completion else 0.25


@reward(low=-2.0, high=4.0)
def wide(completion) -> float:
    return -2.0 if "low" in completion else 4.0


@reward
def broken(completion) -> float:
    raise RuntimeError("no")


def test_the_first_that_applies_and_no_more():
    node = first_that_applies(maybe, half, broken)
    assert node.score("x").parts == {"maybe": 0.25, "half": None, "broken": None}
    assert node.score("x").reward == 0.25
    assert node.score("none").parts == {"maybe": None, "half": 0.5, "broken": None}
    assert node.score("none").reward == 0.5
    assert (node.bounds, node.optional) == ((0.0, 1.0), False)


def test_a_failure_is_no_reason_to_ask_the_next():
    score = first_that_applies(broken, half).score("x")
    assert (score.reward, score.errors) == (None, {"broken": "RuntimeError: no"})


def test_none_applies():
    for combine in (first_that_applies, minimum, product):
        assert combine(maybe, maybe.named("again")).score("none").reward is None


def test_the_least_of_those_that_apply():
    node = minimum(half, maybe, wide)
    assert [node.score(text).reward for text in ("x", "none", "low")] == [0.25, 0.5, -2.0]
    assert node.bounds == (-2.0, 1.0)
    assert minimum(maybe, wide.when(lambda: True)).max == 4.0


def test_the_product_of_those_that_apply():
    node = product(half, maybe, wide)
    assert [node.score(text).reward for text in ("x", "none", "low")] == [0.5, 2.0, -0.25]
    assert node.bounds == (-2.0, 4.0)


def test_in_a_config():
    names = {"half": half, "maybe": maybe}.__getitem__
    for name in ("min", "minimum"):
        assert parse_reward(f"2.0*{name}(half, 0.5*maybe)", names).score("x").reward == 0.25
    assert parse_reward("product(half, maybe).named('both')", names).score("x").parts["both"] == 0.125
    assert parse_reward("first_that_applies(maybe, half)", names).score("none").reward == 0.5
    with pytest.raises(UserError, match="it takes rewards alone"):
        parse_reward("min(half, maybe, key=1)", names)


def test_one_reward_is_no_combination():
    with pytest.raises(UserError, match="two rewards or more"):
        minimum(half)
    with pytest.raises(UserError, match="holds for a whole completion"):
        product(half, maybe.on_error("zero"))


def test_a_costly_alternative_is_asked_only_where_it_is_needed():
    asked = []

    @reward(runs="thread")
    def judge(completion):
        asked.append(completion)
        return 1.0

    scores = first_that_applies(maybe, judge).score_batch(["x", "none", "y"], {})
    assert asked == ["none"]
    assert [score.reward for score in scores] == [0.25, 1.0, 0.25]
    assert scores[0].parts == {"maybe": 0.25, "judge": None}
