"""Every trap of rewards in the wild that we know of, each as a regression test.

Most come from a widely copied GSM8K demo, whose rewards are written out in the docstrings here so that the test says
what went wrong. The traps of math-verify belong to the reward that uses it.
"""

import pytest

from rlvr_rewards import exact_number, integer_answer, reward, tag_credit, think_format, think_format_lenient

FORMATS = [think_format, think_format_lenient, tag_credit]


@pytest.mark.parametrize("rewarded", FORMATS, ids=str)
def test_a_thought_of_many_lines_is_still_a_thought(rewarded):
    r"""`re.match(r"<reasoning>.*?</reasoning>\s*<answer>.*?</answer>", r)` without DOTALL scores 0 on every one."""
    completion = "<think>\nfirst 3\nthen 4\n\nso 7\n</think>\n<answer>\n7\n</answer>"
    assert rewarded(completion) == 1.0
    assert exact_number(completion, "7") == 1.0


@pytest.mark.parametrize("ending", ["", "\n", "\n\n", " ", "\r\n"])
@pytest.mark.parametrize("rewarded", FORMATS, ids=str)
def test_no_newline_is_asked_for_at_the_end(rewarded, ending):
    r"""`^<reasoning>\n.*?\n</reasoning>\n<answer>\n.*?\n</answer>\n$` wants a last newline that nobody emits."""
    assert rewarded("<think>3+4</think><answer>7</answer>" + ending) == 1.0
    assert rewarded("<think>\n3+4\n</think>\n<answer>\n7\n</answer>" + ending) == 1.0


@pytest.mark.parametrize("length", [0, 10, 10_000])
def test_counting_tags_charges_nothing_for_the_text_around_them(length):
    r"""`count -= len(text.split("\n</answer>\n")[-1]) * 0.001` charges for all the text without the newline."""
    assert tag_credit("<think>" + "so " * length + "</think><answer>7</answer>" + "!" * length) == 1.0


def test_no_number_of_tags_earns_more_than_each_once():
    assert tag_credit("<answer>7</answer>" * 50) == 0.0
    assert tag_credit("</answer><answer></think><think>") < 1.0


@pytest.mark.parametrize("number", ["-5", "1,000", "+3", "$12", "0"])
def test_a_whole_number_is_one_though_isdigit_says_no(number):
    """`"-5".isdigit()` and `"1,000".isdigit()` are False."""
    assert integer_answer(f"<answer>{number}</answer>") == 1.0


def test_a_decimal_is_a_number_though_isdigit_says_no():
    """`"3.5".isdigit()` is False: the right answer earned less than a wrong whole number."""
    assert exact_number("<answer>3.5</answer>", "3.5") == 1.0
    assert integer_answer("<answer>3.5</answer>") == 0.0


@pytest.mark.parametrize("digit", ["²", "٣", "③", "７"])
def test_what_isdigit_takes_for_a_digit_is_no_answer(digit):
    """`"²".isdigit()` is True, and `int("²")` raises."""
    assert integer_answer(f"<answer>{digit}</answer>") == 0.0


@pytest.mark.parametrize(
    ("answer", "gold"),
    [("1,000", "1000"), ("1000", "1,000"), ("1000.00", "1000"), ("$1,000", "1000"), ("18.", "18"), ("0.5", ".5")],
)
def test_equal_numbers_are_equal_however_they_are_written(answer, gold):
    """`extracted == gold` compares text: `"1,000" != "1000"`."""
    assert exact_number(f"<answer>{answer}</answer>", gold) == 1.0


@pytest.mark.parametrize(("answer", "gold"), [("10", "1"), ("17", "7"), ("7", "17"), ("70", "7"), ("-7", "7")])
def test_a_number_that_holds_the_gold_is_not_the_gold(answer, gold):
    """`gold in extracted` takes 17 for 7."""
    assert exact_number(f"<answer>{answer}</answer>", gold) == 0.0


def test_numbers_are_compared_exactly_not_as_floats():
    """`float("9007199254740993") == float("9007199254740992")` is True, `0.1 + 0.2 == 0.3` is False."""
    assert exact_number("<answer>9007199254740993</answer>", "9007199254740992") == 0.0
    assert exact_number("<answer>0.3</answer>", "3/10") == 1.0
    assert exact_number("<answer>0.333</answer>", "1/3") == 0.0


def test_the_answer_is_the_one_given_not_the_last_of_several():
    """`text.split("<answer>")[-1]` takes the last of any number of guesses, and text without any tag."""
    guesses = "".join(f"<answer>{number}</answer>" for number in range(10))
    assert exact_number(guesses, "9") == 0.0
    assert exact_number("7", "7") == 0.0


def test_what_is_thought_is_not_answered():
    assert exact_number("<think><answer>7</answer></think>", "7") == 0.0
    assert exact_number("<think>is it <answer>7</answer>", "7") == 0.0
    assert exact_number("<think>is it <answer>8</answer>?</think><answer>7</answer>", "7") == 1.0


def test_a_failure_inside_a_reward_is_never_a_silent_zero():
    """A broad `except: return 0.0` once hid that every call of a verifier raised."""

    @reward
    def verifier(completion) -> float:
        raise ValueError("signal only works in main thread")

    score = (verifier + think_format).score("<think>a</think><answer>7</answer>")
    assert score.reward is None
    assert score.errors == {"verifier": "ValueError: signal only works in main thread"}
