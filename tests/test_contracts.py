"""What every environment that is found by name promises, in each tier it has; a new one needs no line here."""

import json
from dataclasses import fields
from enum import Enum
from itertools import islice
from typing import get_type_hints

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env

from rlvr_envs import ENVIRONMENTS, make
from rlvr_envs.seeds import canonical_json, derive_random
from rlvr_rewards import UserError, testing
from rlvr_rewards.extract import final_text

NUM_ROWS = 30
GARBAGE = {
    **testing.GARBAGE,
    "answers in an open thought": "<think><answer>1</answer><schedule>A0-1 B1-2</schedule>",
    "10,000 brackets": "<answer>" + "(" * 10_000 + "</answer>",
    "a tower of powers": "<answer>9**9**9**9</answer>",
    "a division by zero": "<answer>1/0</answer>",
    "code": "<answer>__import__('os')</answer>",
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
        choices = [f.name for f in fields(cls) if f.init and issubclass(hints[f.name], Enum)]
        yield name, {}
        yield from ((name, {choice: value.value}) for choice in choices for value in hints[choice])


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


def test_gold_earns_the_most_and_succeeds(environment):
    for split in environment.splits:
        for task in take(environment, split):
            environment.check(task)
            score = environment.score(task, environment.gold(task))
            assert (score.reward, score.errors) == (environment.reward.max, {})
            assert environment.success(task, environment.gold(task))


def test_gold_is_nowhere_in_the_messages(environment):
    for task in take(environment):
        prompt = "\n".join(message["content"] for message in environment.messages(task))
        answer = final_text(environment.gold(task))
        assert answer
        assert answer.strip() not in prompt


def test_the_last_message_is_the_users_and_all_are_text(environment):
    for task in take(environment, count=3):
        messages = environment.messages(task)
        assert messages[-1]["role"] == "user"
        assert all(set(message) == {"role", "content"} and message["content"] for message in messages)


def test_same_seed_same_rows_and_another_seed_other_rows(environment):
    assert take(environment, seed=7) == take(environment, seed=7)
    assert take(environment, seed=7) != take(environment, seed=8)


def test_rows_are_distinct_and_of_one_split(environment):
    ids = {split: [environment.task_id(task) for task in take(environment, split)] for split in environment.splits}
    for found in ids.values():
        assert len(set(found)) == len(found) == NUM_ROWS
    assert not set.intersection(*map(set, ids.values()))


def test_rows_are_json_and_hold_the_columns(environment):
    for task in take(environment):
        assert json.loads(canonical_json(task)) == task
        assert set(environment.columns) <= set(task)


def test_an_unknown_split_is_refused(environment):
    with pytest.raises(UserError, match="no split 'dev'"):
        take(environment, "dev")


@pytest.mark.parametrize("text", GARBAGE.values(), ids=GARBAGE)
def test_garbage_never_raises_nor_wins(environment, text):
    task = take(environment, count=1)[0]
    score = environment.score(task, text)
    assert score.errors == {}
    assert score.reward is not None
    assert score.reward < environment.reward.max
    assert not environment.success(task, text)
    canonical_json(environment.info(task, text))


def test_parts_stay_in_range_whatever_is_cut_or_repeated(environment):
    low, high = environment.reward.bounds
    for task in take(environment, count=5):
        gold = environment.gold(task)
        pieces = [gold[:cut] for cut in range(0, len(gold), 7)] + [gold * 2, gold + gold[::-1], gold.upper()]
        for piece in pieces:
            score = environment.score(task, piece)
            assert all(value is not None and 0 <= value <= 1 for value in score.parts.values()), piece
            assert score.reward is not None
            assert low <= score.reward <= high


def test_the_gold_of_another_task_is_no_success(environment):
    tasks = take(environment)
    golds = [environment.gold(task) for task in tasks]
    crossed = sum(environment.success(task, gold) for task, gold in zip(tasks, golds[1:] + golds[:1], strict=True))
    assert crossed <= NUM_ROWS // 5  # two tasks may share an answer by chance


def test_a_row_that_lacks_a_column_is_refused_by_its_name(environment):
    task = take(environment, count=1)[0]
    for column in environment.columns:
        with pytest.raises(UserError, match=repr(column)):
            environment.check({name: value for name, value in task.items() if name != column})


def test_baselines_answer_every_task_the_same_way_for_the_same_seed(environment):
    for name, baseline in environment.baselines().items():
        for i, task in enumerate(take(environment, count=5)):
            answer = baseline(task, derive_random(0, task=i))
            assert isinstance(answer, str), name
            assert answer == baseline(task, derive_random(0, task=i)), name
            assert environment.score(task, answer).errors == {}, name


@pytest.mark.filterwarnings("error")
def test_gymnasium_finds_nothing_to_complain_about(variant):
    name, options = variant
    check_env(gymnasium.make(f"rlvr/{name}-v0", **options).unwrapped)


def test_gymnasium_runs_two_at_once(variant):
    name, options = variant
    envs = gymnasium.make_vec(f"rlvr/{name}-v0", num_envs=2, **options)
    prompts, info = envs.reset(seed=0)
    assert len(set(prompts)) == 2
    tasks = [envs.envs[i].unwrapped.task for i in range(2)]
    golds = tuple(envs.envs[0].unwrapped.environment.gold(task) for task in tasks)
    _, rewards, terminated, _, info = envs.step(golds)
    assert list(rewards) == [make(name, **options).reward.max] * 2
    assert list(info["success"]) == list(terminated) == [True, True]
    envs.close()
