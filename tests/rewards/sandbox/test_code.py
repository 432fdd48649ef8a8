"""The code rewards: what is taken for code, what tests it passes, and what cannot be earned."""

import pytest

from rlvr_rewards import UserError, code_passes, code_tests
from rlvr_rewards.library.code import final_code
from rlvr_rewards.sandbox import running, verdict
from rlvr_rewards.sandbox.verdict import judge, same

TESTS = [{"input": [n], "output": 2 * n} for n in (1, 5, -3)]
DOUBLE = "def double(x):\n    return 2 * x"


@pytest.mark.parametrize(
    ("completion", "code"),
    [
        (f"```python\n{DOUBLE}\n```", DOUBLE),
        (f"<think>```\nold\n```</think>\n  ```py\n  {DOUBLE.replace(chr(10), chr(10) + '  ')}\n  ```\nThere.", DOUBLE),
        ("```\na\n```\nor\n```\nb\n```", "b"),
        ("```python\na\n```\nprints\n```text\nb\n```", "a"),
        ("<answer>a</answer>", "a"),
        ("<answer>So:\n```\na\n```</answer>", "a"),
        ("<answer>\n  a\n</answer>", "a"),
        ("```\na\n```<answer>b</answer>", "b"),
        ("a", None),
        ("```\na", None),
        ("<answer>```\na</answer>", None),
        ("<think>```\na\n```", None),
        ("<answer>a</answer><answer>b</answer>", None),
        ("<answer>a", None),
        ("```json\na\n```", None),
        ("```\n\n```", None),
    ],
)
def test_the_last_block_after_the_thought_is_the_code(completion, code):
    assert final_code(completion) == code


def test_all_and_some():
    some = "```\ndef double(x): return 2 * abs(x)\n```"
    assert (
        code_passes(f"```\n{DOUBLE}\n```", TESTS, "double") == code_tests(f"```\n{DOUBLE}\n```", TESTS, "double") == 1.0
    )
    assert code_passes(some, TESTS, "double") == 0.0
    assert code_tests(some, TESTS, "double") == pytest.approx(2 / 3)


def test_a_batch_is_scored_with_parts_and_no_errors():
    completions = [f"```\n{DOUBLE}\n```", "```\ndef double(x): return 5\n```", "no code", "```\ndef double(x):\n```"]
    columns = {"tests": [TESTS] * 4, "entry_point": ["double"] * 4}
    scores = (code_passes + 0.5 * code_tests).score_batch(completions, columns)
    assert [score.reward for score in scores] == [1.5, 0.0, 0.0, 0.0]
    assert not any(score.errors for score in scores)


@pytest.mark.parametrize(
    ("tests", "entry_point"),
    [
        ([], "f"),
        (None, "f"),
        ([{"input": 1, "output": 1}], "f"),
        ([{"input": ["a"], "output": "a"}], ""),
        ([{}], ""),
        ("x", ""),
    ],
)
def test_tests_that_make_no_sense_are_an_error_even_without_code(tests, entry_point):
    score = code_passes.score("no code", tests=tests, entry_point=entry_point)
    assert score.reward is None and "tests: " in score.errors["code_passes"]


def test_no_sandbox_is_an_error_and_never_a_zero(monkeypatch):
    def none():
        raise UserError("no safe sandbox for code on this machine: install one")

    monkeypatch.setattr(running.backends, "backend", none)
    code = "```\ndef double(x): return x + x  # unseen\n```"
    score = code_passes.score(code, tests=TESTS, entry_point="double")
    assert score.reward is None and "install one" in score.errors["code_passes"]
    monkeypatch.undo()
    assert code_passes.score(code, tests=TESTS, entry_point="double").reward == 1.0  # a failure is not remembered


def test_what_was_judged_is_remembered(monkeypatch):
    judge(DOUBLE, TESTS, "double")
    monkeypatch.setattr(verdict, "call_function", None)
    assert judge(DOUBLE, TESTS, "double").share == 1.0


def test_the_reason_of_the_first_failure_is_kept():
    assert judge("def double(x): return 3", TESTS, "double").failure == "wrong_output"
    raised = judge("def double(x): return 1 / 0", TESTS, "double")
    assert (raised.failure, raised.detail) == ("raised", "ZeroDivisionError: division by zero")
    assert judge("import os\ndef double(x): os._exit(0)", TESTS, "double").failure == "exited"
    assert judge("x" * 200_000, TESTS, "double").failure == "not_run"


@pytest.mark.parametrize(
    ("expected", "found", "is_same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (True, True, True),
        (0.1, 0.1 + 1e-12, True),
        (0.1, 0.11, False),
        (10**18, 10**18 + 1, False),
        (10**18, float(10**18 + 1), True),
        (0.5, 10**400, False),
        (None, None, True),
        (None, 0, False),
        ("1", 1, False),
        ([1, 2], (1, 2), True),
        ([1, 2], [2, 1], False),
        ([1, 2], {1, 2}, False),
        ({"a": [1]}, {"a": [1]}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        (1.5, float("nan"), False),
        ("a", ["a"], False),
    ],
)
def test_which_values_are_the_same(expected, found, is_same):
    assert same(expected, found) is is_same


def test_what_a_program_prints_is_compared_by_lines():
    tests = [{"input": "2", "output": "2\n4\n"}]
    assert code_passes("```\nn = int(input())\nprint(n, '')\nprint(n * n)\nprint()\n```", tests) == 1.0
    assert code_passes("```\nn = int(input())\nprint(n, n * n)\n```", tests) == 0.0
