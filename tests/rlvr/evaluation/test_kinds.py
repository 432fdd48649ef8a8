"""A metric's kind decides its interval, not the values that it happens to have."""

import doctest

import pytest

pytest.importorskip("pyarrow", reason="needs the train extra")

from rlvr.evaluation import results
from rlvr.evaluation.evaluate import Evaluation, Exam
from rlvr.evaluation.statistics import bootstrap, wilson
from rlvr_envs import make

VALUES = [[1.0], [0.0], [1.0], [1.0]]
ALL = [[1.0]] * 4


def interval(metric, values):
    env = make("arithmetic")
    exam = Exam(env, env.reward, "test", [], 1, 0, "")
    [row] = results.result_rows([Evaluation("grpo", 1.0, {metric: values})], exam, {}, compared=())
    return row["ci_low"], row["ci_high"]


def ends(estimate):
    return estimate.ci_low, estimate.ci_high


def test_the_examples_hold():
    assert doctest.testmod(results).failed == 0


@pytest.mark.parametrize("metric", ["success", "errors", "truncated", "pass@4"])
def test_shares_have_wilsons_interval(metric):
    assert interval(metric, VALUES) == ends(wilson(3, 4))
    assert interval(metric, ALL) == ends(wilson(4, 4))


@pytest.mark.parametrize("metric", ["optimum_ratio", "score", "tokens"])
def test_what_is_no_share_is_resampled_also_where_all_values_are_0_or_1(metric):
    assert interval(metric, VALUES) == ends(bootstrap(VALUES, 0))
    assert interval(metric, ALL) == (1.0, 1.0)


def test_a_part_that_was_always_earned_is_not_called_certain():
    assert interval("parts.format", VALUES) == ends(bootstrap(VALUES, 0))
    assert interval("parts.format", ALL) == ends(wilson(4, 4))
