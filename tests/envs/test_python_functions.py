"""`python_functions`: its steps, what its reward takes for solved, and why it does not. Cheats: `rlvr/audit`."""

from itertools import islice

import pytest

from rlvr_envs import make
from rlvr_envs.list_steps import STEPS, Kind, run_steps, takes_n, write_function
from rlvr_rewards import UserError

ENV = make("python_functions")
TASK = next(ENV.rows("train", 0))


def test_each_step_in_words_in_code_and_as_a_function_is_one_thing():
    from rlvr_rewards.sandbox import call_function

    given = {Kind.NUMBERS: [[3, -4, 8, 8, 0, 15, -9], 3], Kind.WORDS: [["abe", "tor", "i", "sobori", "tor"], 2]}
    for kind, steps in STEPS.items():
        code = "\n".join(write_function(kind, [name]).replace("def f", f"def by_{name}") for name in steps)
        for name in steps:
            (result,) = call_function(code, f"by_{name}", [given[kind][: 1 + takes_n(kind, [name])]]).results
            assert result.value == run_steps(kind, [name], *given[kind]), name


def test_another_way_to_write_it_is_as_right():
    answer = ENV.gold(TASK).partition("<answer>")[2].partition("</answer>")[0]
    longer = f"Here:\n```python\nimport math\n\n{answer.strip()}\n\nassert f\n```\nIt takes each step in turn."
    assert ENV.success(TASK, f"<think>so</think><answer>{longer}</answer>")
    assert ENV.success(TASK, f"<think>so</think>{longer}")


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        ("return None", "wrong_output"),
        ("return 1 / 0", "raised"),
        ("import os; os._exit(0)", "exited"),
        ("return sum(iter(int, 1))", "timed_out"),
        ("return object()", "not_plain"),
        ("return bytearray(10**10)", "out_of_memory"),
    ],
)
def test_info_says_why(body, failure):
    found = ENV.info(TASK, f"<think></think><answer>def f(*_): {body}</answer>")
    assert found == {"failure": failure, "share": 0.0}


def test_no_constant_nor_the_shown_examples_pass_for_the_function():
    for task in islice(ENV.rows("test", 0), 20):
        shown = {repr(pair["input"]): pair["output"] for pair in task["examples"]}
        looked_up = f"def f(*given): return {shown!r}.get(repr(list(given)))"
        for code in (f"def f(*_): return {task['tests'][0]['output']!r}", looked_up, "def f(xs, n=1): return xs"):
            found = ENV.info(task, f"<answer>{code}</answer>")
            assert found["share"] <= 0.3 and found["failure"] == "wrong_output"


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"kind": "letters"}, "kind: one of"),
        ({"steps": ["fly"]}, "steps: a list of known steps"),
        ({"tests": [{"input": [[1], 2], "output": "no"}]}, "tests: the steps do not lead"),
    ],
)
def test_a_row_that_is_not_one_is_refused(changed, says):
    with pytest.raises(UserError, match=says):
        ENV.check({**TASK, **changed})
