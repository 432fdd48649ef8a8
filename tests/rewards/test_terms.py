"""A reward taken apart into named parts and their weights."""

import pytest

from rlvr_rewards import UserError, exact_number, linear, think_format
from rlvr_rewards.terms import terms_of

CORRECT, FORMAT = exact_number.named("correct"), think_format.named("format")


def weights(reward, step=0):
    return {term.part: term.weight(step) for term in terms_of(reward)}


def test_weights_multiply_on_the_way_down():
    reward = 0.5 * (2.0 * CORRECT - 0.2 * FORMAT + linear(0.0, 1.0, steps=4) * (CORRECT & FORMAT).named("both"))
    assert weights(reward, 2) == {"correct": 1.0, "format": -0.1, "both": 0.25}
    assert weights(reward.on_error("zero"), 99)["both"] == 0.5


def test_the_weighted_terms_add_up_to_the_total():
    reward = 2.0 * CORRECT + 0.5 * FORMAT
    for text in ("<think>x</think><answer>7</answer>", "<answer>7</answer>", "no"):
        score = reward.score(text, answer="7")
        assert score.reward == sum(term.weight(0) * (term.value(score) or 0.0) for term in terms_of(reward))


def test_a_named_sum_is_one_term():
    assert weights((CORRECT + FORMAT).named("all")) == {"all": 1.0}


def test_a_term_without_a_value():
    reward = CORRECT + FORMAT.when(lambda completion: "<" in completion)
    score = reward.score("7", answer="7")
    named = CORRECT + FORMAT.when(lambda completion: "<" in completion).named("form")
    assert [term.value(named.score("7", answer="7")) for term in terms_of(named)] == [0.0, None]
    with pytest.raises(UserError, match="has no name of its own"):
        terms_of(reward)
    assert score.reward == 0.0


def test_a_failed_term_has_no_value_unless_it_counts_zero():
    reward = CORRECT + FORMAT
    assert [term.value(reward.score("7", answer="x")) for term in terms_of(reward)] == [None, None]
    zero = reward.on_error("zero")
    assert [term.value(zero.score("7", answer="x")) for term in terms_of(zero)] == [0.0, 0.0]


@pytest.mark.parametrize("reward", [CORRECT & FORMAT, (CORRECT + FORMAT).clip(0, 1), CORRECT + (CORRECT & FORMAT)])
def test_what_has_no_name_is_refused(reward):
    with pytest.raises(UserError, match="give it one"):
        terms_of(reward)


def test_a_part_added_twice_is_refused():
    with pytest.raises(UserError, match="'correct' is added twice"):
        terms_of(CORRECT + 0.5 * CORRECT)
