"""`reasoning_gym/NAME`: options, rows, reward, what a misspelling is told. All datasets: test_reasoning_gym_all.py."""

import os
import subprocess
import sys
from itertools import islice

import pytest

from rlvr_envs import make
from rlvr_envs.testing import GARBAGE, check_env, check_garbage
from rlvr_rewards import UserError

pytest.importorskip("reasoning_gym")

LEGS = make("reasoning_gym/leg_counting")
TASK = next(iter(LEGS.rows("train", 0)))


def answered(answer):
    return f"<think>a thought</think><answer>{answer}</answer>"


@pytest.mark.parametrize("name", ["leg_counting", "graph_color", "spiral_matrix", "string_insertion"])
def test_it_keeps_the_contract(name):
    check_env(make(f"reasoning_gym/{name}"), num_tasks=10, garbage={})


@pytest.mark.parametrize("name", ["leg_counting", "prime_factorization", "rubiks_cube", "countdown"])
def test_garbage_is_scored_without_an_error(name):
    env = make(f"reasoning_gym/{name}")
    task = next(iter(env.rows("train", 0)))
    for garbage, completion in {**GARBAGE, "a billion moves": answered("R999999999")}.items():
        check_garbage(env, task, garbage, completion)


def test_options_are_the_datasets_own():
    few = make("reasoning_gym/leg_counting?max_animals=3&max_instances=1")
    assert all(len(task["metadata"]["animals"]) <= 3 for task in islice(few.rows("train", 0), 20))
    assert make('reasoning_gym/aiw?task_types=["siblings"]') == make("reasoning_gym/aiw", task_types=["siblings"])


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("reasoning_gym/leg_count", "did you mean 'leg_counting'?"),
        ("reasoning_gim/leg_counting", "did you mean 'reasoning_gym/"),
        ("reasoning_gym/leg_counting?min_anmals=2", "did you mean 'min_animals'?"),
        ("reasoning_gym/leg_counting?min_animals=few", "min_animals='few'"),
        ("reasoning_gym/leg_counting?min_animals=200", "max_animals must be >= min_animals"),
        ("reasoning_gym/leg_counting?size=5", "unknown option"),
        ("reasoning_gym/leg_counting?credit=some", "credit='some'"),
        ("reasoning_gym/composite", "Must specify at least one dataset"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_mend(spec, says):
    with pytest.raises(UserError) as error:
        make(spec)
    assert says in str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


def test_a_dataset_without_an_answer_worth_full_marks_is_refused():
    with pytest.raises(UserError, match="carry no answer that its own scorer pays in full"):
        next(iter(make("reasoning_gym/boxnet").rows("train", 0)))


def test_marks_that_are_not_full_are_given_or_not_as_asked():
    half = answered(f"{TASK['answer']} or {TASK['answer']}")
    assert 0 < LEGS.score(TASK, half).parts["correct"] < 1
    strict = make("reasoning_gym/leg_counting?credit=full")
    assert strict.score(TASK, half).parts["correct"] == 0.0
    assert strict.score(TASK, strict.gold(TASK)).reward == strict.reward.max
    assert not LEGS.success(TASK, half)


def test_an_answer_is_what_ours_take_for_one():
    gold = TASK["answer"]
    assert LEGS.score(TASK, f"<think></think><answer>1</answer><answer>{gold}</answer>").parts["correct"] == 0.0
    assert LEGS.score(TASK, f"<think><answer>{gold}</answer></think>").parts["correct"] == 0.0


@pytest.mark.slow
def test_the_rows_are_the_same_whatever_the_hashes_of_texts_are():
    program = (
        "from itertools import islice; from rlvr_envs import make\n"
        "print(list(islice(make('reasoning_gym/isomorphic_strings').rows('train', 0), 5)))"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
