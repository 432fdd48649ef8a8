"""Groups without variance give way to fresh tasks, within a budget, and the trace says which did and why."""

from itertools import count

import pytest

from rlvr.engine.dynamic_sampling import FreshTasks
from rlvr.engine.examples import examples
from rlvr.traces.store import read_shard, shards
from rlvr_rewards import reward
from tests.rlvr.engine.conftest import CUT, ENV, trained

SAME = ["<think>"] * 4
MIXED = ["<think>x</think><answer>99</answer>", "<think>", "<think>", "<think>"]


def rows_of(tmp_path):
    return [row for shard in shards(tmp_path / "traces") for row in read_shard(shard.path).to_pylist()]


def test_a_stream_without_tasks_has_none():
    assert list(FreshTasks(lambda step: iter(()), 4).of_step(1)) == []
    twice = FreshTasks(lambda step: iter([{"task_id": "a"}, {"task_id": "b"}]), 3)
    assert [task["task_id"] for task in twice.of_step(1)] == ["a", "b", "a"]


def fresh(per_step):
    return FreshTasks(lambda step: examples(ENV, 7), per_step)


def test_a_group_without_variance_gives_way_to_a_fresh_task(make_trainer, tmp_path):
    found = trained(make_trainer(texts=[*SAME, *MIXED, *MIXED], fresh_tasks=fresh(3)))
    rows = rows_of(tmp_path)
    first = next(examples(ENV, 7))
    assert [(row["group"], row["attempt"], row["kept"]) for row in rows[::4]] == [
        (0, 1, True),
        (1, 0, True),
        (0, 0, False),
    ]
    assert rows[0]["task_id"] == first["task_id"] != rows[8]["task_id"]
    assert rows[8]["why_not_kept"] == "all of its group earned the same: another took its place"
    assert rows[8]["advantage"] is None
    assert len({row["seed"] for row in rows}) == 12
    assert found.logs["dynamic_sampling/extra_groups"] == 1
    assert found.logs["dynamic_sampling/replaced"] == 0.5
    assert found.logs["frac_reward_zero_std"] == 0


def test_the_budget_of_a_step_bounds_it_and_what_is_left_stays(make_trainer, tmp_path):
    found = trained(make_trainer(texts=SAME, fresh_tasks=fresh(3)))
    rows = rows_of(tmp_path)
    assert [(row["group"], row["attempt"]) for row in rows[::4]] == [(0, 2), (1, 1), (0, 0), (1, 0), (0, 1)]
    assert found.logs["dynamic_sampling/extra_groups"] == 3
    assert found.logs["frac_reward_zero_std"] == 1
    assert rows[0]["why_not_kept"] == "all of its group earned the same, so that it has no advantage"


def test_a_group_that_fails_gives_way(make_trainer, tmp_path):
    @reward
    def brittle(completion: str) -> float:
        if completion == "<think>y</think>":
            raise ValueError("no")
        return 0.0

    texts = ["<think>y</think>", *MIXED[:3], *MIXED, *MIXED]
    trained(make_trainer((ENV.reward + brittle).on_error("drop_group"), texts=texts, fresh_tasks=fresh(1)))
    gave_way = [row for row in rows_of(tmp_path) if (row["group"], row["attempt"]) == (0, 0)]
    assert {row["why_not_kept"] for row in gave_way} == {"the reward failed or did not apply"}
    assert {row["reward"] is None for row in rows_of(tmp_path) if row["attempt"] == 1} == {False}


def test_rewards_that_differ_in_the_last_bit_alone_are_the_same(make_trainer, tmp_path):
    def nearly(completions, **_):
        return [0.1 + 0.2 if n % 2 else 0.3 for n in range(len(completions))]

    trained(make_trainer(reward(nearly), texts=SAME))
    assert {row["kept"] for row in rows_of(tmp_path)} == {False}


def test_one_sampler_serves_all_rounds_of_a_step(make_trainer):
    trainer = make_trainer(texts=SAME, fresh_tasks=fresh(6))
    made, make_sampler = [], trainer.make_sampler
    trainer.make_sampler = lambda model: made.append(model) or make_sampler(model)
    logs = trained(trainer).logs
    assert len(made) == 1 and logs["dynamic_sampling/extra_groups"] == 6


def test_completions_cut_short_and_masked_are_not_kept(make_trainer, tmp_path):
    texts = [CUT + MIXED[0], *MIXED[1:3], ENV.gold({"question": "1+1", "answer": "2"})]
    trained(make_trainer(texts=texts, mask_truncated_completions=True))
    first = rows_of(tmp_path)[0]
    assert (first["kept"], first["why_not_kept"]) == (
        False,
        "cut short, and so masked (trl.mask_truncated_completions)",
    )


@pytest.mark.parametrize("share", [(0, 1), (0, 2), (1, 2)])
def test_each_step_has_tasks_of_its_own_and_each_process_its_part(share):
    def numbers(step):
        return ({"task_id": f"{step}.{number}"} for number in count())

    def ids(tasks, step):
        return [example["task_id"] for example in tasks.of_step(step)]

    tasks, first = FreshTasks(numbers, 4, share), share[0] * 2
    assert ids(tasks, 3) == ids(tasks, 3) == [f"3.{n}" for n in range(first, first + 4 // share[1])]
    assert ids(tasks, 1)[0] == f"1.{first}"


def test_few_tasks_are_gone_through_again():
    tasks = FreshTasks(lambda step: ({"task_id": name} for name in "abc"), 5)
    assert [example["task_id"] for example in tasks.of_step(1)] == list("abcab")
