"""The final answer: where it is found, and where there is none."""

import time

import pytest
from hypothesis import given

from rlvr_rewards import UserError
from rlvr_rewards.extract import AnswerForm, final_answer, final_text, tagged
from rlvr_rewards.testing import GARBAGE, completions


@pytest.mark.parametrize(
    ("form", "completion", "answer"),
    [
        ("tag", "<answer>7</answer>", "7"),
        ("tag", "<think>x</think>so\n<answer>\n7\n</answer> done", "7"),
        ("tag", "<think><answer>3</answer></think><answer>7</answer>", "7"),
        ("tag", "<think>a</think><think>b</think><answer>7</answer>", "7"),
        ("tag", "opened in the prompt</think><answer>7</answer>", "7"),
        ("tag", "<answer></answer>", ""),
        ("tag", "7", None),
        ("tag", "<answer>7", None),
        ("tag", "7</answer>", None),
        ("tag", "</answer><answer>", None),
        ("tag", "<answer>7</answer><answer>7</answer>", None),
        ("tag", "<answer><answer>7</answer></answer>", None),
        ("tag", "<think><answer>7</answer></think>", None),
        ("tag", "<think><answer>7</answer>", None),
        ("tag", "<think>a</think><answer>7</answer><think>", None),
        ("tag", "<answer>7</answer><think>no, 8</think>", None),
        ("hashes", "sum\n#### 7", "7"),
        ("hashes", "#### 1,000\n", "1,000"),
        ("hashes", "  ####7\nbye", "7"),
        ("hashes", "it is #### 7", None),
        ("hashes", "#### 7\n#### 8", None),
        ("hashes", "##### heading", None),
        ("hashes", "<think>\n#### 7</think>", None),
        ("hashes", "### 7", None),
        ("boxed", r"so \boxed{7}.", "7"),
        ("boxed", r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        ("boxed", r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        ("boxed", r"\boxed{\}", None),
        ("boxed", r"\boxed{7", None),
        ("boxed", r"\boxed{3} or \boxed{4}", None),
        ("boxed", r"\boxed{\boxed{7}}", None),
        ("boxed", r"<think>\boxed{3}</think>\boxed{4}", "4"),
        ("boxed", "boxed{7}", None),
        ("last_number", "3 and 4 make 7.", "7"),
        ("last_number", "it costs $1,007.50 in all", "$1,007.50"),
        ("last_number", "it fell to -5", "-5"),
        ("last_number", "from 3-4", "4"),
        ("last_number", "about 3/4", "3/4"),
        ("last_number", "about 1 3/4 cups", "1 3/4"),
        ("last_number", "about 1e5", "1e5"),
        ("last_number", "3, 4, 5", "5"),
        ("last_number", "only .5", ".5"),
        ("last_number", "none here", None),
        ("last_number", "<think>7</think> none here", None),
        ("last_number", "<think>7", None),
        ("last_number", "9" * 5000, None),
    ],
)
def test_the_final_answer(form, completion, answer):
    assert final_answer(completion, form) == answer


def test_a_task_may_have_its_own_tag():
    assert final_answer("<answer>3</answer><schedule>A</schedule>", tag="schedule") == "A"


def test_an_unknown_form_offers_the_nearest():
    with pytest.raises(UserError, match="did you mean 'boxed'"):
        final_answer("7", "boxd")


def test_tagged_takes_the_nearest_close_and_drops_what_is_unclosed():
    assert tagged("<e>1</e><e>2<e>3</e><e>4", "e") == ["1", "2<e>3"]


@pytest.mark.parametrize("form", list(AnswerForm))
@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_takes_linear_time(form, name):
    start = time.perf_counter()
    final_answer(GARBAGE[name], form)
    assert time.perf_counter() - start < 3


@pytest.mark.parametrize("form", list(AnswerForm))
@given(completion=completions())
def test_an_answer_stands_in_the_final_text(form, completion):
    answer = final_answer(completion, form)
    assert answer is None or answer in (final_text(completion) or "")
