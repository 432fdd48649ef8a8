"""The checks that a user's own suite runs: what they pass and what they catch."""

import itertools
import subprocess
import sys
import time

import pytest

from rlvr_rewards import UserError, exact_number, reward, think_format
from rlvr_rewards.testing import GARBAGE, check_reward

GOLD = [("<think>3+4</think><answer>7</answer>", {"answer": "7"})]


def test_a_constant_is_caught_by_a_wrong_example():
    always = reward(lambda completion: 1.0).named("always")
    gold: list[tuple[str, dict[str, str]]] = [("<answer>7</answer>", {"answer": "7"})]
    check_reward(always, gold, garbage={}, min_per_second=0)
    wrong = [("<answer>8</answer>", {"answer": "7"})]
    with pytest.raises(AssertionError, match=r"wrong '<answer>8</answer>' earns 1.0, the maximum"):
        check_reward(always, gold, wrong=wrong, garbage={}, min_per_second=0)
    check_reward(exact_number, gold, wrong=wrong, garbage={}, min_per_second=0)


def test_good_rewards_pass():
    check_reward(exact_number, gold=GOLD)
    check_reward((2 * exact_number + 0.5 * think_format).named("both"), gold=GOLD)


def test_a_function_with_trl_signature_passes():
    check_reward(reward(lambda completions, **columns: [1.0] * len(completions), high=1.0), gold=GOLD)


def test_gold_that_earns_less_than_the_maximum_is_caught():
    with pytest.raises(AssertionError, match=r"earns 0\.5, not the maximum 1"):
        check_reward(reward(lambda completion: 0.5), gold=GOLD)


def test_gold_that_fails_is_caught():
    with pytest.raises(AssertionError, match="gives errors"):
        check_reward(exact_number, gold=[("<answer>7</answer>", {"answer": "seven"})])


def test_a_reward_that_is_not_deterministic_is_caught():
    turn = itertools.count()
    with pytest.raises(AssertionError, match=r"not scored the same|not the maximum"):
        check_reward(reward(lambda completion: float(next(turn) == 0)), gold=GOLD)


def test_a_reward_that_raises_on_garbage_is_caught_and_the_garbage_named():
    with pytest.raises(AssertionError, match=r"garbage 'empty' gives errors.*IndexError"):
        check_reward(reward(lambda completion: float(bool(completion[0]))), gold=GOLD)


def test_a_value_out_of_range_on_garbage_is_caught():
    with pytest.raises(AssertionError, match="outside"):
        check_reward(reward(lambda completion: 1.0 if completion else 2.0), gold=GOLD)


def test_a_slow_reward_is_caught():
    @reward
    def slow(completion) -> float:
        time.sleep(0.002)
        return 1.0

    with pytest.raises(AssertionError, match="completions a second, fewer than 1000"):
        check_reward(slow, gold=GOLD, garbage={})


def test_a_reward_that_takes_too_long_on_garbage_is_caught():
    @reward
    def stuck(completion) -> float:
        time.sleep(0.1 if "slow" in completion else 0)
        return 1.0

    with pytest.raises(AssertionError, match="garbage 'sleepy' took"):
        check_reward(stuck, gold=GOLD, garbage={"sleepy": "slow"}, max_seconds=0.05)


def test_without_gold_there_is_nothing_to_check():
    with pytest.raises(UserError, match="one gold completion at least"):
        check_reward(exact_number, gold=[])


def test_the_catalogue_of_garbage_holds_what_it_promises():
    assert "" in GARBAGE.values()
    assert max(map(len, GARBAGE.values())) >= 10_000_000
    assert sum(map(len, GARBAGE.values())) < 40_000_000
    assert any("\ud800" in text for text in GARBAGE.values())
    assert any("\x00" in text for text in GARBAGE.values())
    assert any(text.count("<answer>") >= 10_000 for text in GARBAGE.values())


def test_without_hypothesis_the_checks_work_and_completions_says_what_to_install():
    program = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "from rlvr_rewards.testing import completions\n"
        "try: completions()\n"
        "except ValueError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "pip install hypothesis" in said
