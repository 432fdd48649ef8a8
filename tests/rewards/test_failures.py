"""A part that fails: recorded, named, and treated as the policy says; never a silent zero."""

import math

import pytest

from rlvr_rewards import UserError, reward


@reward
def good(completion) -> float:
    return 1.0


@reward
def picky(completion) -> float:
    if "bad" in completion:
        raise RuntimeError("cannot read\nthis")
    return 0.5


@pytest.mark.parametrize("policy", ["drop_completion", "drop_group", "zero"])
def test_an_exception_is_recorded_in_one_line_under_its_part(policy):
    score = (good + picky).on_error(policy).score("bad")
    assert score.errors == {"picky": "RuntimeError: cannot read this"}
    assert score.parts == {"good": 1.0, "picky": None}


def test_what_a_completion_put_into_an_exception_does_not_steer_a_terminal():
    @reward
    def quoting(completion) -> float:
        raise RuntimeError(f"no number in {completion}")

    score = quoting.score("\x1b]0;owned\x07 \u202etxt\ud800")
    assert score.errors == {"quoting": r"RuntimeError: no number in \x1b]0;owned\x07 \u202etxt\ud800"}


def test_the_three_policies():
    completions, prompts = ["fine", "bad", "fine", "fine"], {"prompt": ["p", "p", "q", "q"]}

    def totals(policy):
        return [score.reward for score in (good + picky).on_error(policy).score_batch(completions, prompts)]

    assert totals("drop_completion") == [1.5, None, 1.5, 1.5]
    assert totals("drop_group") == [None, None, 1.5, 1.5]
    assert totals("zero") == [1.5, 1.0, 1.5, 1.5]
    default = (good + picky).score_batch(completions, prompts)
    assert [score.reward for score in default] == [1.5, None, 1.5, 1.5]


def test_groups_may_be_named_and_need_not_stand_together():
    node = (good + picky).on_error("drop_group")
    scores = node.score_batch(["bad", "fine", "fine", "fine"], {}, groups=["p", "q", "p", "q"])
    assert [score.reward for score in scores] == [None, 1.5, None, 1.5]


def test_without_prompts_or_groups_all_are_one_group():
    scores = picky.on_error("drop_group").score_batch(["fine", "bad"], {})
    assert [score.reward for score in scores] == [None, None]


@pytest.mark.parametrize(
    "wrap",
    [lambda r: r.named("x"), lambda r: 2 * r, lambda r: r.clip(0, 1), lambda r: r.when(lambda: True)],
    ids=["named", "weighted", "clip", "when"],
)
@pytest.mark.parametrize("node", [picky, good + picky], ids=["function", "sum"])
def test_a_policy_survives_what_wraps_one_reward(node, wrap):
    score = wrap(node.on_error("zero")).score("bad")
    assert score.reward is not None
    assert "picky" in score.errors or "x" in score.errors


@pytest.mark.parametrize(
    "compose", [lambda r: good + r, lambda r: r + good, lambda r: r & good, lambda r: good & r, lambda r: good - r]
)
def test_a_policy_on_a_term_is_refused_not_forgotten(compose):
    with pytest.raises(UserError, match=r"\(a \+ b\)\.on_error\('zero'\)"):
        compose(picky.on_error("zero"))


def test_an_unknown_policy_offers_the_nearest():
    with pytest.raises(UserError, match="did you mean 'drop_group'"):
        good.on_error("drop_groups")


@pytest.mark.parametrize(
    "node",
    [
        (good + picky).named("whole"),
        (good & picky).named("whole"),
        (picky & good).named("whole"),
        (good + picky).clip(0, 1).named("whole"),
        (good + 2 * picky.when(lambda: True)).named("whole"),
        (good + picky.when(lambda: 1 / 0)).named("whole"),
    ],
    ids=["sum", "gate", "gated", "clip", "when", "predicate"],
)
def test_a_named_part_with_a_failure_inside_is_none_not_a_number(node):
    score = node.score("bad")
    assert score.parts["whole"] is None
    assert score.parts["good"] == 1.0
    assert list(score.errors) == ["picky"]
    assert score.reward is None


def test_a_failure_beside_a_named_part_does_not_touch_it():
    score = (good.when(lambda: True).named("whole") + picky).score("bad")
    assert score.parts["whole"] == 1.0


def test_a_predicate_that_raises_is_an_error_of_the_part_it_guards():
    score = (good + picky.when(lambda missing: True)).score("fine", answer="7")
    assert score.reward is None
    assert score.parts == {"good": 1.0, "picky": None}
    assert "no column 'missing'; it has: answer" in score.errors["picky"]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (math.nan, "returned nan"),
        (math.inf, "returned inf"),
        ("1.0", "returned '1.0'"),
        ([1.0], "return a number or None"),
        (1.5, "outside [0, 1]"),
        (-0.1, "outside [0, 1]"),
        (10**400, "OverflowError"),
        (1j, "return a number"),
    ],
)
def test_a_value_that_is_no_share_is_an_error(value, says):
    score = reward(lambda completion: value).score("x")
    assert score.reward is None
    assert says in next(iter(score.errors.values()))


@pytest.mark.parametrize("value", [True, 1, 0.5])
def test_plain_numbers_are_taken_as_they_are(value):
    assert reward(lambda completion: value).score("x").reward == float(value)


def test_numbers_of_numpy_are_numbers():
    np = pytest.importorskip("numpy")
    assert reward(lambda completion: np.float32(0.5)).score("x").reward == 0.5
    assert reward(lambda completion: np.bool_(True)).score("x").reward == 1.0
    assert [s.reward for s in reward(lambda completions: np.array([0.5, 1])).score_batch(["x", "y"], {})] == [0.5, 1.0]


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        ([1.0], "returned 1 for 2 completions"),
        ([1.0, 1.0, 1.0], "returned 3 for 2 completions"),
        (1.0, "returned 1.0 for 2 completions"),
        ("ab", "returned 'ab' for 2 completions"),
        (None, "returned None for 2 completions"),
    ],
)
def test_a_batch_function_that_returns_another_shape_fails_for_every_row(returned, says):
    scores = reward(lambda completions, **columns: returned).score_batch(["x", "y"], {})
    assert [score.reward for score in scores] == [None, None]
    assert all(says in next(iter(score.errors.values())) for score in scores)


def test_a_batch_function_that_raises_fails_for_every_row_and_leaves_its_siblings():
    @reward
    def broken(completions, **columns):
        raise KeyError("model")

    scores = (good + broken).score_batch(["x", "y"], {})
    assert [score.parts for score in scores] == [{"good": 1.0, "broken": None}] * 2
    assert scores[0].errors == {"broken": "KeyError: 'model'"}


def test_one_bad_value_of_a_batch_fails_that_row_alone():
    @reward
    def partly(completions, **columns):
        return [1.0, math.nan, "x", None]

    scores = partly.score_batch(list("abcd"), {})
    assert [score.reward for score in scores] == [1.0, None, None, None]
    assert [bool(score.errors) for score in scores] == [False, True, True, False]


def test_a_gold_that_cannot_be_read_is_an_error_never_a_zero():
    from rlvr_rewards.library.number import exact_number

    score = exact_number.score("<answer>7</answer>", answer="seven")
    assert score.reward is None
    assert "the gold answer 'seven' is not a number" in score.errors["exact_number"]
