"""Rewards written in a config: read by a parser that understands the algebra and nothing else."""

import contextlib
import time
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr_rewards import UserError, exact_number, parse_reward, think_format

GOOD = "<think>3+4</think><answer>7</answer>"


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("exact_number", 1.0),
        ("2.0*exact_number + 0.5*think_format", 2.5),
        ("exact_number*2 - think_format", 2.0),
        ("-1 * think_format + exact_number", 1.0),
        ("-think_format", 0.0),
        ("exact_number & think_format", 1.0),
        ("exact_number + think_format & one_answer", 2.0),
        ("(3*exact_number).clip(0, 2)", 2.0),
        ("exact_number.clip(lo=0, hi=0.5)", 0.5),
        ("(exact_number & think_format).named('correct')", 1.0),
        ("exact_number(form='hashes')", 1.0),
        ("tolerant_number.using(rel=0.05)", 1.0),
        ("(exact_number + think_format).on_error('zero')", 2.0),
        ("  exact_number\n  + 0.5 * think_format  # the form\n", 1.5),
    ],
)
def test_what_is_understood(text, most):
    assert parse_reward(text).max == most


def test_it_scores_as_the_same_algebra_in_python():
    text = parse_reward("2*exact_number.named('correct') + (0.5*think_format & one_answer).clip(0, 0.25)")
    from rlvr_rewards import one_answer

    code = 2 * exact_number.named("correct") + (0.5 * think_format & one_answer).clip(0, 0.25)
    assert text.score(GOOD, answer="7") == code.score(GOOD, answer="7")


def test_settings_reach_the_function():
    hashes = parse_reward("exact_number(form='hashes').named('a') + exact_number.named('b')")
    assert hashes.score("#### 7", answer="7").parts == {"a": 1.0, "b": 0.0}


def test_a_reward_of_a_file_alone_and_among_others(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("from rlvr_rewards import reward\n\n@reward\ndef brief(completion):\n    return 0.5\n")
    assert parse_reward(f"{path}:brief").score("x").reward == 0.5
    assert parse_reward(f"2*'{path}:brief' + think_format").score("x").reward == 1.0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("exact_numbr", "did you mean 'exact_number'"),
        ("exact_number(frm='tag')", "did you mean 'form'"),
        ("exact_number(form='tags')", "did you mean 'tag'"),
        ("exact_number.on_error('zer')", "did you mean 'zero'"),
        ("", "is not understood"),
        ("2*", "cannot be read"),
        ("2 + exact_number", "'2' is not understood"),
        ("exact_number * think_format", "use & to gate"),
        ("exact_number and think_format", "is not understood"),
        ("exact_number / 2", "is not understood"),
        ("exact_number.clip(1, 0)", "must not be above"),
        ("exact_number.clip(1)", "missing 1 required"),
        ("exact_number.clip(0, 1, 2)", "is not understood"),
        ("exact_number(**{'form': 'tag'})", "unknown setting"),
        ("exact_number(form=think_format)", "only literal values"),
        ("(exact_number + think_format)(rel=1)", "is not understood"),
        ("(exact_number + think_format).using(rel=1)", "is a composition"),
        ("exact_number + exact_number(form='boxed')", "two parts are called 'exact_number'"),
        ("1e999*exact_number", "give a finite number"),
        ("True*exact_number", "needs one number"),
        ("exact_number, think_format", "is not understood"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_write(text, says):
    with pytest.raises(UserError) as caught:
        parse_reward(text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "__import__('os')",
        "exact_number.__class__",
        "exact_number.named.__globals__",
        "exact_number.score('x')",
        "[r for r in (exact_number,)]",
        "(lambda: exact_number)()",
        "f'{exact_number}'",
        "exact_number if True else think_format",
        "(x := exact_number)",
        "exact_number.named('a').__init__()",
        "tolerant_number(rel=__import__('os').getpid())",
        "tolerant_number(rel=9**9**9)",
        "(" * 900 + "exact_number" + ")" * 900,
        "-" * 1900 + "exact_number",
        "+".join(["a"] * 990),
        "&".join(["one_answer"] * 150),
        "exact_number" + ".clip(0,1)" * 180,
        "9" * 1900 + "*exact_number",
        "exact_number\x00",
        "exact_number\ud800",
        "x" * 10_000_000,
        "'" * 2000,
    ],
    ids=lambda text: text[:30].encode("ascii", "replace").decode(),
)
def test_hostile_text_is_refused_or_read_but_never_run(text):
    start = time.perf_counter()
    try:
        parse_reward(text)
    except UserError as error:
        assert len(str(error)) < 2500
    assert time.perf_counter() - start < 5


@given(st.text(st.sampled_from("exact_numberthink_format+-*&().,'0123456789 \n{}[]:=#\\"), max_size=60))
def test_any_text_is_a_reward_or_a_user_error(text):
    with contextlib.suppress(UserError):
        parse_reward(text)


def test_a_file_within_an_expression_without_quotes_is_told_to_be_quoted():
    with pytest.raises(UserError, match="quotes"):
        parse_reward("2.0*exact_number + 0.5*my_reward.py:brief")


def test_a_number_run_into_a_word_is_one_line_and_no_warning_of_pythons():
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with pytest.raises(UserError, match="is not understood"):
            parse_reward("2or exact_number")
    assert not said
