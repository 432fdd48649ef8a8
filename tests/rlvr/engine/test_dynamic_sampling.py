"""Groups without variance give way to fresh tasks, within a budget, and the trace says which did and why."""

from itertools import count, islice

import pytest

from rlvr.engine.dynamic_sampling import FreshTasks
from rlvr.engine.examples import examples
from rlvr.traces.store import read_shard, shards
from tests.rlvr.engine.conftest import ENV, trained

SAME = ["<think>"] * 4
MIXED = ["<think>x</think><answer>99</answer>", "<think>", "<think>", "<think>"]


def rows_of(tmp_path):
    return [row for shard in shards(tmp_path / "traces") for row in read_shard(shard.path).to_pylist()]


def fresh(per_step):
    return FreshTasks(lambda: examples(ENV, 7), per_step)


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


def test_a_part_that_fails_leaves_a_group_without_variance(make_trainer, tmp_path):
    brittle = ENV.reward.on_error("drop_group")
    trained(make_trainer(brittle, texts=[*SAME, *MIXED], fresh_tasks=fresh(1)))
    assert {row["attempt"] for row in rows_of(tmp_path)} == {0, 1}


@pytest.mark.parametrize("share", [(0, 1), (0, 2), (1, 2)])
def test_each_step_has_tasks_of_its_own_whatever_others_used(share):
    def numbers():
        return ({"task_id": str(number)} for number in count())

    def ids(tasks, step, used):
        return [example["task_id"] for example in islice(tasks.of_step(step), used)]

    in_order, resumed = FreshTasks(numbers, 4, share), FreshTasks(numbers, 4, share)
    ids(in_order, 1, 1)
    later = ids(in_order, 3, 4)
    first = 8 + share[0] * (4 // share[1])
    assert later == ids(resumed, 3, 4) == [str(n) for n in range(first, first + 4 // share[1])]
    assert ids(in_order, 1, 4) == ids(FreshTasks(numbers, 4, share), 1, 4)


def test_few_tasks_are_gone_through_again():
    tasks = FreshTasks(lambda: ({"task_id": name} for name in "abc"), 5)
    assert [example["task_id"] for example in tasks.of_step(1)] == list("abcab")
