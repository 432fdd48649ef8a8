"""What each reward of the library accepts and refuses, beyond its doctests."""

import pytest

import rlvr_rewards as r
from rlvr_rewards import UserError

T = "<think>a</think>"


@pytest.mark.parametrize(
    ("completion", "strict", "lenient", "credit"),
    [
        (T + "<answer>7</answer>", 1, 1, 1),
        (" \n" + T + "\n<answer>7</answer>\n", 1, 1, 1),
        ("<think></think><answer>7</answer>", 1, 1, 1),
        ("<think>I must write <answer> later</think><answer>7</answer>", 1, 1, 0.75),
        (T + "it is <answer>7</answer>", 0, 1, 1),
        (T + "<answer>7</answer>!", 0, 1, 1),
        ("hm " + T + "<answer>7</answer>", 0, 1, 1),
        (T + T + "<answer>7</answer>", 0, 1, 0.5),
        (T + "<answer> </answer>", 0, 0, 1),
        (T + "<answer></answer>", 0, 0, 1),
        (T + "<answer>7</answer><answer>8</answer>", 0, 0, 0.5),
        ("<answer>7</answer>", 0, 0, 0.5),
        ("<answer>7</answer>" + T, 0, 0, 0.5),
        ("<think>a<answer>7</answer>", 0, 0, 0.75),
        ("<think>a<answer>7</answer></think>", 0, 0, 0.5),
        ("a</think><answer>7</answer>", 0, 0, 0.75),
        ("", 0, 0, 0),
    ],
)
def test_formats(completion, strict, lenient, credit):
    assert r.think_format(completion) == strict
    assert r.think_format_lenient(completion) == lenient
    assert r.tag_credit(completion) == credit


def test_formats_know_another_tag():
    completion = T + "<schedule>A</schedule>"
    for name in ("think_format", "think_format_lenient", "tag_credit", "one_answer", "nothing_after_answer"):
        assert getattr(r, name).using(tag="schedule").score(completion).reward == 1.0, name


@pytest.mark.parametrize(("answer", "value"), [("101", 1), ("99", 1), ("101.01", 0), ("98.99", 0), ("x", 0)])
def test_the_edge_of_the_tolerance_is_included_exactly(answer, value):
    assert r.tolerant_number(f"<answer>{answer}</answer>", "100") == value


def test_a_negative_tolerance_is_refused():
    with pytest.raises(UserError, match="must not be negative"):
        r.tolerant_number("<answer>7</answer>", "7", rel=-0.1)
    assert r.tolerant_number.using(rel=float("nan")).score("<answer>7</answer>", answer="7").errors


def test_a_negative_gold_has_a_tolerance_too():
    assert r.tolerant_number("<answer>-101</answer>", "-100") == 1.0


@pytest.mark.parametrize("answer", ["B", "b", "(B)", "B)", "B.", "B:", " B ", "(b)"])
def test_a_choice_may_be_written_in_many_ways(answer):
    assert r.multiple_choice(f"<answer>{answer}</answer>", "B") == 1.0
    assert r.multiple_choice("<answer>B</answer>", answer) == 1.0


@pytest.mark.parametrize("answer", ["A", "AB", "A, B", "B or C", "B. Paris", "not B", "", "2", "Б"])
def test_what_is_not_one_letter_is_not_the_choice(answer):
    assert r.multiple_choice(f"<answer>{answer}</answer>", "B") == 0.0


@pytest.mark.parametrize("gold", ["AB", "", "2", None])
def test_a_gold_that_is_no_letter_raises(gold):
    with pytest.raises(ValueError, match="not the letter of a choice"):
        r.multiple_choice("<answer>B</answer>", gold)


def test_text_is_compared_word_for_word():
    assert r.exact_text("<answer>a  b\nc</answer>", "a b c") == 1.0
    assert r.exact_text("<answer>ab c</answer>", "a b c") == 0.0
    assert r.exact_text.using(ignore_case=True).score("<answer>STRASSE</answer>", answer="straße").reward == 1.0
    with pytest.raises(ValueError, match="not text"):
        r.exact_text("<answer></answer>", " ")


def test_forms_reach_every_reward_of_the_final_answer():
    completion = T + "so\n#### 7"
    for name in ("exact_number", "tolerant_number", "integer_answer", "exact_text", "one_answer"):
        assert getattr(r, name).using(form="hashes").score(completion, answer="7").reward == 1.0, name


def test_length_is_counted_in_code_points_and_in_words():
    assert r.characters_within("é" * 5, least=5, most=5) == 1.0
    assert r.words_within("one two  three\n", least=3, most=3) == 1.0
    assert r.characters_within("") == r.words_within(" \n") == 0.0
    with pytest.raises(UserError, match="leave no length"):
        r.words_within("x", least=3, most=2)
