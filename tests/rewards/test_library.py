"""The contract of every reward that is found by name: garbage never raises, values in bounds, linear time, doctests."""

import time

import pytest
from hypothesis import given

from rlvr_rewards.catalogue import REWARDS
from rlvr_rewards.examples import example_of
from rlvr_rewards.functions import FunctionReward
from rlvr_rewards.outside import outside_of
from rlvr_rewards.testing import GARBAGE, check_garbage, check_gold, completions

ALL = [name for name in REWARDS.names() if not outside_of(REWARDS.get(name))]  # a judge has tests of its own
TAKES_ANY_JSON = {"exact_json", "json_f1"}


def columns_of(name):
    return example_of(REWARDS.get(name)).columns


@pytest.mark.parametrize("name", ALL)
def test_its_example_earns_the_most(name):
    example = example_of(REWARDS.get(name))
    check_gold(REWARDS.get(name), example.completion, example.columns)


@pytest.mark.parametrize("name", ALL)
def test_garbage_never_raises_and_stays_in_bounds(name):
    for title, completion in GARBAGE.items():
        check_garbage(REWARDS.get(name), title, completion, columns_of(name), max_seconds=3)


@pytest.mark.parametrize("name", ALL)
@given(completion=completions())
def test_any_completion_is_scored(name, completion):
    check_garbage(REWARDS.get(name), "drawn", completion, columns_of(name))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("gold", [None, "", [], {}, object()])
def test_a_gold_that_makes_no_sense_is_an_error_where_it_is_needed(name, gold):
    if name in TAKES_ANY_JSON and gold in ([], {}):
        return
    node = REWARDS.get(name)
    score = node.score("<think>a</think><answer>7</answer>", **{**columns_of(name), "answer": gold})
    assert list(score.errors) == ([name] if "answer" in node.injected.required else [])
    assert (score.reward is None) == bool(score.errors)
    why = "plain data" if node.is_ahead and type(gold) is object else "the gold answer"
    assert all(why in message for message in score.errors.values())


@pytest.mark.parametrize("name", ALL)
def test_a_missing_gold_is_an_error_that_names_the_column(name):
    node = REWARDS.get(name)
    columns = {column: value for column, value in columns_of(name).items() if column not in node.injected.required}
    errors = node.score("<answer>7</answer>", **columns, question="?").errors
    assert list(errors) == ([name] if columns_of(name).keys() & node.injected.required else [])
    assert all("no column '" in message for message in errors.values())


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("piece", ["<answer>", "<think></think>", "1,0", " ", "\\boxed{", "#### 7\n", "{", "-"])
def test_time_grows_with_length_not_its_square(name, piece):
    node, columns = REWARDS.get(name), columns_of(name)

    def seconds(num_characters):
        text = "<think></think><answer>" + piece * (num_characters // len(piece)) + "</answer>"
        best = float("inf")
        for _ in range(3):
            start = time.perf_counter()
            node.score(text, **columns)
            best = min(best, time.perf_counter() - start)
        return best

    assert seconds(800_000) < 60 * max(seconds(40_000), 1e-3)  # 20 times the text; its square would be 400 times


@pytest.mark.parametrize("name", ALL)
def test_it_is_documented_with_what_it_accepts_and_rejects_and_a_hack(name):
    node = REWARDS.get(name)
    assert isinstance(node, FunctionReward)
    doc = node.__doc__ or ""
    assert doc.count(">>>") >= 2
    assert "hack" in doc.lower()
    assert "1.0" in doc and "0.0" in doc
