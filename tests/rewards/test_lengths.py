"""Rewards of length and repetition, beside TRL's where there is one."""

import math
from random import Random

import pytest

import rlvr_rewards as r
from rlvr_rewards import UserError, parse_reward
from rlvr_rewards.pieces import MAX_PIECES, pieces

LENGTHS = [0, 1, 79, 80, 81, 90, 99, 100, 101, 5000]


def test_the_soft_punishment_is_trls():
    from trl.rewards import get_soft_overlong_punishment

    ids = [[1] * n for n in LENGTHS]
    ours = r.soft_overlong_punishment.using(max_completion_len=100, soft_punish_cache=20)
    theirs = get_soft_overlong_punishment(100, 20)(completion_ids=ids)
    assert ours(prompts=["p"] * 10, completions=["x"] * 10, completion_ids=ids) == pytest.approx(theirs)


def test_the_sum_of_the_docs_is_trls_cosine_schedule():
    lengths = [n for n in LENGTHS for _ in range(2)]
    answers = ["7", "8"] * len(LENGTHS)
    total = parse_reward("2.0*(exact_number & cosine_length(max_len=100)) - cosine_length(max_len=100)")
    completions = [f"<answer>{text}</answer>" for text in answers]
    ids = [[1] * n for n in lengths]
    found = total(completions=completions, prompts=[""] * len(ids), completion_ids=ids, answer=["7"] * len(ids))
    for value, length, text in zip(found, lengths, answers, strict=True):
        low, high = (0.5, 1.0) if text == "7" else (-0.5, -1.0)  # TRL's defaults, the bounds swapped where wrong
        assert value == pytest.approx(low + 0.5 * (high - low) * (1 + math.cos(math.pi * min(length / 100, 1))))


def test_budgets():
    for n, missed, left in (
        (1000, 0.0, 0.5),
        (0, -0.3, 0.8),
        (3000, -0.6, 0.0),
        (1500, -0.15, 0.35),
        (9000, -1.0, 0.0),
    ):
        assert r.budget_missed("x", num_tokens=n, token_budget=1000) == pytest.approx(missed)
        assert r.budget_left("x", num_tokens=n, token_budget=1000) == pytest.approx(left)
        assert r.budget_missed.using(default_budget=1000).score("x", num_tokens=n).reward == pytest.approx(missed)
    for bad in (-1, 1.5, "many", True):
        assert "token budget" in r.budget_left.score("x", num_tokens=1, token_budget=bad).errors["budget_left"]


@pytest.mark.parametrize(
    ("reward", "settings"),
    [
        ("tokens_within", {"least": 5, "most": 4}),
        ("soft_overlong_punishment", {"soft_punish_cache": 2000}),
        ("cosine_length", {"max_len": 0}),
        ("cosine_length", {"shortest": 1.5}),
        ("budget_left", {"alpha": -0.1}),
        ("repetition_penalty", {"ngram_size": 0}),
    ],
)
def test_settings_that_make_no_sense_are_refused(reward, settings):
    with pytest.raises(UserError, match=next(iter(settings))):
        getattr(r, reward)("x", **settings)


def test_pieces_stand_for_tokens_where_no_model_counted():
    assert r.tokens_within.using(most=3).score("one two three").reward == 1.0
    assert r.tokens_within.using(most=3).score("one two three", num_tokens=4).reward == 0.0
    assert r.tokens_within.using(most=3).score("one two three", completion_ids=[5, 6, 7, 8]).reward == 0.0


def test_repetition_is_the_share_of_n_grams_seen_before():
    words = Random(0).choices("abcdefgh", k=60)
    ngrams = [tuple(words[i : i + 2]) for i in range(59)]
    assert r.repetition_penalty(" ".join(words), ngram_size=2) == pytest.approx(len(set(ngrams)) / 59 - 1)
    assert r.repetition_penalty("a b", ngram_size=3) == 0.0
    assert r.repetition_penalty("三加四是七，" * 50) < -0.9
    assert r.repetition_penalty("abc" * 500) < -0.9


def test_repetition_is_trls_on_words():
    from trl.rewards import get_repetition_penalty_reward

    words = Random(1).choices(["one", "two", "three", "four"], k=200)
    theirs = get_repetition_penalty_reward(ngram_size=3)([[hash(word) for word in words]])
    assert r.repetition_penalty(" ".join(words)) == pytest.approx(theirs[0])


def test_pieces_are_few_however_long_the_text():
    assert len(pieces("a " * 1_000_000)) == MAX_PIECES
    assert len(pieces("x" * 80)) == 10
    assert pieces("¿Qué? 3.5 €") == ["¿", "Qué", "?", "3", ".", "5", "€"]


def test_the_tags_of_an_answer_are_no_repetition_and_tag_spam_is():
    assert r.repetition_penalty("<think>3+4</think><answer>7</answer>") == 0.0
    assert r.repetition_penalty("<answer>7</answer>" * 50) < -0.9
    assert r.repetition_penalty("<schedule>A0-1</schedule>", tag="schedule") == 0.0
