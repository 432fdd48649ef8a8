"""Intervals and pass@k, against values computed by hand or by counting every case."""

import doctest
from itertools import combinations
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.evaluation import statistics
from rlvr.evaluation.statistics import bootstrap, estimate, paired_difference, pass_at_k, wilson

values = st.lists(st.lists(st.floats(-1, 1), min_size=1, max_size=3), min_size=1, max_size=12)


def test_the_examples_hold():
    assert doctest.testmod(statistics).failed == 0


def test_wilson_gives_the_published_interval():
    """Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662."""
    found = wilson(81, 263)
    assert (round(found.ci_low, 4), round(found.ci_high, 4)) == (0.2553, 0.3662)


@given(st.integers(1, 500), st.data())
def test_wilson_holds_the_share_and_stays_in_range(n, data):
    successes = data.draw(st.integers(0, n))
    found, mirrored = wilson(successes, n), wilson(n - successes, n)
    assert 0 <= found.ci_low <= found.mean <= found.ci_high <= 1
    assert found.ci_low == pytest.approx(1 - mirrored.ci_high, abs=1e-12)


def test_bootstrap_resamples_tasks_and_not_samples():
    """Ten tasks of 100 equal samples say no more than ten tasks of one."""
    many = [[float(task % 2)] * 100 for task in range(10)]
    one = [[float(task % 2)] for task in range(10)]
    assert bootstrap(many, 0) == bootstrap(one, 0)


def test_bootstrap_is_as_wide_as_the_normal_approximation_says():
    tasks = [[task / 99] for task in range(100)]
    found = bootstrap(tasks, 0)
    standard_error = (sum((t[0] - 0.5) ** 2 for t in tasks) / 100 / 100) ** 0.5
    assert found.mean == pytest.approx(0.5)
    assert found.ci_high - found.ci_low == pytest.approx(2 * 1.96 * standard_error, rel=0.1)


def test_a_task_counts_once_however_many_samples_it_has():
    assert bootstrap([[1.0, 1.0, 1.0, 1.0], [0.0]], 0).mean == 0.5


@given(values, st.integers(0, 3))
def test_bootstrap_repeats_and_its_interval_lies_within_the_values(found, seed):
    got = bootstrap(found, seed)
    means = [sum(samples) / len(samples) for samples in found]
    assert got == bootstrap(found, seed)
    assert min(means) - 1e-9 <= got.ci_low <= got.ci_high <= max(means) + 1e-9


def test_estimate_takes_wilson_for_shares_and_the_bootstrap_for_the_rest():
    assert estimate([[1.0], [0.0], [1.0]], 0) == wilson(2, 3)
    assert estimate([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]], 0) == bootstrap([[0.5], [0.0], [1.0]], 0)
    assert estimate([[0.5], [0.2]], 0) == bootstrap([[0.5], [0.2]], 0)


def test_unanimous_samples_are_not_called_certain():
    assert estimate([[1.0, 1.0]] * 20, 0) == wilson(20, 20)
    assert estimate([[0.0, 0.0]] * 20, 0).ci_high > 0.1


def test_a_task_without_a_value_is_left_out():
    assert estimate([[1.0], [], [0.0]], 0) == wilson(1, 2)
    assert paired_difference([[1.0], [], [1.0]], [[0.0], [1.0], []], 0).n == 1


def test_paired_difference_sees_what_two_intervals_hide():
    """Tasks differ much, policies a little: only the paired interval excludes 0."""
    theirs = [[task / 50] for task in range(50)]
    ours = [[value + 0.05] for [value] in theirs]
    found = paired_difference(ours, theirs, 0)
    assert found.mean == pytest.approx(0.05)
    assert found.ci_low > 0
    assert estimate(ours, 0).ci_low < estimate(theirs, 0).mean


@given(values)
def test_paired_difference_of_swapped_policies_is_the_negative(ours):
    theirs = [[0.25] for _ in ours]
    assert paired_difference(ours, theirs, 0).mean == pytest.approx(-paired_difference(theirs, ours, 0).mean)
    assert paired_difference(ours, ours, 0).mean == 0


def test_paired_difference_refuses_policies_with_other_tasks():
    with pytest.raises(ValueError, match="zip"):
        paired_difference([[1.0]], [[1.0], [0.0]], 0)


@given(st.integers(1, 9), st.data())
def test_pass_at_k_is_the_share_of_draws_that_hold_a_success(n, data):
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    holding = sum(any(member < c for member in draw) for draw in combinations(range(n), k))
    assert pass_at_k(n, c, k) == pytest.approx(holding / comb(n, k))
