"""What every environment that is found by name promises, in each tier it has; a new one needs no line here."""

import json
from dataclasses import fields
from enum import Enum
from itertools import islice
from typing import get_type_hints

import gymnasium
import pytest
from gymnasium.utils import env_checker

from rlvr_envs import ENVIRONMENTS, make, testing
from rlvr_rewards.row import turns_of

NUM_ROWS = 30
GARBAGE = {
    **testing.GARBAGE,
    "answers in an open thought": "<think><answer>1</answer><schedule>A0-1 B1-2</schedule>",
    "no schedule in the block": "<schedule></schedule>",
    "10,000 nested schedules": "<schedule>" * 10_000 + "</schedule>" * 10_000,
    "10,000 nested events": "<schedule>" + "<event>" * 10_000 + "</schedule>",
    "a name without end": "<schedule><event><name>" + " " * 1_000_000 + "</schedule>",
    "200,000 events": "<schedule>" + "A0-1 " * 200_000 + "</schedule>",
    "10 MB of blanks in a schedule": "<schedule>" + " " * 10_000_000 + "</schedule>",
}


def variants():
    """Every environment, and every value of each option that is an enumeration."""
    for name in ENVIRONMENTS.names():
        cls = ENVIRONMENTS.get(name)
        hints = get_type_hints(cls)
        choices = [
            f.name
            for f in fields(cls)
            if f.init and isinstance(hints[f.name], type) and issubclass(hints[f.name], Enum)
        ]
        yield name, {}
        yield from ((name, {choice: value.value}) for choice in choices for value in hints[choice])


def _is_enum(hint):
    return isinstance(hint, type) and issubclass(hint, Enum)


VARIANTS = list(variants())


@pytest.fixture(scope="module")
def gsm8k_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gsm8k")
    for split, first in (("train", 100), ("test", 500)):
        rows = [
            {
                "question": f"Ann has {n} clips and finds 2. How many has she?",
                "answer": f"{n}+2 = <<{n}+2={n + 2}>>{n + 2}\n#### {n + 2}",
            }
            for n in range(first, first + NUM_ROWS)
        ]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(params=VARIANTS, ids=lambda variant: "?".join([variant[0], *map(str, variant[1].values())]))
def variant(request, gsm8k_folder):
    name, options = request.param
    return name, options | ({"path": str(gsm8k_folder)} if name == "gsm8k" else {})


@pytest.fixture
def environment(variant):
    name, options = variant
    return make(name, **options)


def take(environment, split="train", seed=0, count=NUM_ROWS):
    return list(islice(environment.rows(split, seed), count))


def test_it_keeps_the_contract(environment):
    testing.check_env(environment, num_tasks=NUM_ROWS, garbage={})
    for split in environment.splits:
        assert len(take(environment, split)) == NUM_ROWS


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_never_raises_nor_wins(environment, name):
    testing.check_garbage(environment, take(environment, count=1)[0], name, GARBAGE[name])


def test_the_gold_of_another_task_is_no_success(environment):
    tasks = take(environment)
    golds = [environment.gold(task) for task in tasks]
    others = zip(tasks, golds[1:] + golds[:1], strict=True)
    crossed = sum(environment.success(task, environment.heard(task, gold)) for task, gold in others)
    assert crossed <= NUM_ROWS // 5  # two tasks may share an answer by chance


@pytest.mark.filterwarnings("error")
def test_gymnasium_finds_nothing_to_complain_about(variant):
    name, options = variant
    env_checker.check_env(gymnasium.make(f"rlvr/{name}-v0", **options).unwrapped)


def test_gymnasium_runs_two_at_once(variant):
    name, options = variant
    envs = gymnasium.make_vec(f"rlvr/{name}-v0", num_envs=2, **options)
    prompts, info = envs.reset(seed=0)
    assert len(set(prompts)) == 2
    tasks = [envs.envs[i].unwrapped.task for i in range(2)]
    golds = [turns_of(envs.envs[0].unwrapped.environment.gold(task)) for task in tasks]
    said = [[turn["content"] for turn in gold if turn["role"] == "assistant"] for gold in golds]
    earned = {}
    for turn in range(max(map(len, said))):
        _, rewards, terminated, _, info = envs.step(tuple(turns[min(turn, len(turns) - 1)] for turns in said))
        for i in range(2):
            if terminated[i]:
                earned.setdefault(i, (turn + 1, float(rewards[i]), bool(info["success"][i])))
    assert earned == {i: (len(said[i]), make(name, **options).reward.max, True) for i in range(2)}
    envs.close()
