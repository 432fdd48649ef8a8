"""Scorers of reasoning-gym that evaluate text: which they are, and that no text of a model's is run."""

import ast
import inspect
import sys
from pathlib import Path

import pytest

from rlvr_envs import make
from rlvr_envs.adapters.reasoning_gym.plain import ANSWERS, ROWS
from rlvr_rewards.extract import final_answer

pytest.importorskip("reasoning_gym")

EVALUATES = {"eval", "exec", "compile", "sympify", "S", "parse_latex", "loads_pickle", "literal_eval", "lambdify"}
OF_ITS_OWN = {
    "basic_arithmetic": "an expression that it has drawn itself",
    "gsm_symbolic": "fractions that it has drawn itself",
    "codeio": "code that it brings along, to make entries",
    "bf": "a compiler of its own, not Python's",
    "bitwise_arithmetic": "a problem that it has drawn itself; of rows from files it is in ROWS",
    "number_sorting": "the row's own answer; of rows from files it is in ROWS",
}
"""Datasets whose modules evaluate something else than the answer, and what."""


def evaluating():
    """The datasets in whose module something is evaluated."""
    from reasoning_gym.factory import DATASETS

    found = set()
    for name, (cls, _) in DATASETS.items():
        module = sys.modules[cls.__module__]
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Call):
                called = getattr(node.func, "id", getattr(node.func, "attr", ""))
                owner = getattr(getattr(node.func, "value", None), "id", "")
                is_sympys = called == "parse_expr" and name != "propositional_logic"  # that one has its own, by regexes
                if is_sympys or (called in EVALUATES and owner != "re"):
                    found.add(name)
    if "gsm_symbolic" in DATASETS:  # its generators stand in files beside its module
        found.add("gsm_symbolic")
    return found


def test_every_scorer_that_evaluates_text_is_known():
    assert evaluating() == {*ANSWERS, *OF_ITS_OWN}


@pytest.mark.parametrize("name", ANSWERS)
def test_no_answer_is_run(name, tmp_path):
    env = make(f"reasoning_gym/{name}")
    task = next(iter(env.rows("train", 0)))
    left = tmp_path / "left"
    attacks = (
        f"__import__('pathlib').Path({str(left)!r}).touch()",
        f"[open({str(left)!r}, 'w')]",
        f"(lambda: open({str(left)!r}, 'w'))()",
        f"exec('open({str(left)!r}, chr(119))')",
        f"S('open({str(left)!r}, chr(119))')",
        f'f"{{open({str(left)!r}, chr(119))}}"',
        f"{{open({str(left)!r}, 'w') for x in 'a'}}",
        "exit(0)",
        "preview(x)",
        "9**9**9**9",
        "((9**999)**999)**999",
        "[9] * 9**9",
    )
    for attack in attacks:
        completion = f"<think>x</think><answer>{attack}</answer>"
        assert final_answer(completion) == attack
        score = env.score(task, completion)
        assert score.errors == {}, attack
        assert score.parts["correct"] is not None and score.parts["correct"] < 1
        assert not Path(left).exists(), attack


@pytest.mark.parametrize("name", ROWS)
def test_no_row_from_a_file_is_run(name, tmp_path):
    env = make(f"reasoning_gym/{name}")
    task = next(iter(env.rows("train", 0)))
    left = tmp_path / "left"
    for (*parents, key), _ in ROWS[name]:
        poisoned = {**task, "metadata": dict(task["metadata"])}
        (poisoned["metadata"] if parents else poisoned)[key] = f"[open({str(left)!r}, 'w')]"
        score = env.score(poisoned, "<think></think><answer>[1]</answer>")
        assert "would be evaluated" in score.errors["correct"]
        assert not left.exists()
