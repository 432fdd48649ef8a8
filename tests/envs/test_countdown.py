"""What counts as an expression, and what a row must hold."""

from fractions import Fraction
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr_envs import make
from rlvr_envs.library.countdown import work_out
from rlvr_rewards import UserError

COUNTDOWN = make("countdown")
TASK = {"numbers": [3, 5, 7, 7], "target": 22, "solution": "3 * 5 + 7"}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("3+5", 8),
        ("7 - (3 - 5)", 9),
        ("(3+5)/7", Fraction(8, 7)),
        ("7/5*7/5", None),
        ("7*7", 49),
        ("7*7*7", None),
        ("3 + 4", None),
        ("35", None),
        ("7", 7),
        ("3**5", None),
        ("7//3", None),
        ("-3+5", None),
        ("3/(7-7)", None),
        ("3(5)", None),
        ("3+", None),
        ("", None),
        ("3+5=8", None),
        ("3.0+5", None),
        ("3_5", None),
        ("0b11", None),
        ("x", None),
        ("3,5", None),
        ("3\n+5", None),
        ("３+５", None),
        ("(" * 99 + "3" + ")" * 99, 3),
        ("(" * 100 + "3" + ")" * 101, None),
        ("3+5" + " " * 200, None),
    ],
)
def test_an_expression_is_worth_its_value_or_nothing(expression, value):
    assert work_out(expression, TASK["numbers"]) == value


def test_parts_tell_form_rules_and_target_apart():
    def parts(answer):
        return COUNTDOWN.score(TASK, f"<think>so</think><answer>{answer}</answer>").parts

    assert parts("3*5+7") == {"target": 1.0, "legal": 1.0, "format": 1.0}
    assert parts("3*5+7+7") == {"target": 0.0, "legal": 1.0, "format": 1.0}
    assert parts("22") == {"target": 0.0, "legal": 0.0, "format": 1.0}
    assert COUNTDOWN.info(TASK, "<answer>3/7</answer>") == {"value": "3/7"}
    assert COUNTDOWN.info(TASK, "<answer>22</answer>") == {"value": None}


@given(st.text(alphabet="0123456789+-*/() ", max_size=60))
def test_any_text_of_the_right_characters_is_worked_out_or_refused(text):
    value = work_out(text, list(range(10)))
    assert value is None or isinstance(value, Fraction)


def test_drawn_targets_are_none_of_the_numbers_and_within_reach():
    environment = make("countdown?num_numbers=3&largest=9&largest_target=30")
    for task in islice(environment.rows("train", 0), 100):
        assert len(task["numbers"]) == 3
        assert max(task["numbers"]) <= 9
        assert 1 <= task["target"] <= 30
        assert task["target"] not in task["numbers"]


def test_the_order_of_the_numbers_makes_no_other_task():
    assert COUNTDOWN.task_id({**TASK, "numbers": [7, 5, 7, 3], "solution": "7+5+7+3"}) == COUNTDOWN.task_id(TASK)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"numbers": "3 5"}, "a list of whole numbers"),
        ({"numbers": [3, 5, True]}, "a list of whole numbers"),
        ({"target": 23}, "does not make 23"),
        ({"solution": "3*5+9"}, "does not make 22"),
        ({"solution": None}, "does not make 22"),
    ],
)
def test_a_row_that_cannot_be_is_refused(change, message):
    with pytest.raises(UserError, match=message):
        COUNTDOWN.check({**TASK, **change})


@pytest.mark.parametrize("options", ["num_numbers=1", "num_numbers=11", "largest=1", "largest=50&largest_target=20"])
def test_options_that_leave_no_task_are_refused(options):
    with pytest.raises(UserError, match="countdown: "):
        make(f"countdown?{options}")
