"""A run looked through: steps, groups, rows, curves, one task's history; whole and under way."""

import json
import os

import pyarrow.parquet as pq
import pytest

from rlvr.traces.index import GroupKey, TraceIndex
from rlvr.traces.schema import to_table
from rlvr.traces.store import Shard, TraceWriter, shards

from .opening import opened, step_of


def test_the_steps_and_what_they_come_to(run_folder):
    index = opened(run_folder)
    assert [(step.stage, step.split, step.step) for step in index.steps()] == [
        ("grpo", "train", 1),
        ("grpo", "train", 2),
        ("grpo", "test", 0),
    ]
    step = step_of(index, 2)
    assert (step.num_rows, step.num_groups, step.reward, step.success) == (4, 2, 0.25, 1.0)
    assert step.parts == {"correct": 1.0, "format": None}
    assert (step.zero_variance, step.clipped, step.length, step.errors, step.kept) == (0.5, 0.0, 3.0, 0.0, 1.0)
    assert index.problems == []
    assert index.stages() == [("grpo", "train"), ("grpo", "test")]


def test_the_catalog_spares_looking_into_shards_and_is_not_trusted_when_stale(run_folder, row):
    before = list(opened(run_folder).steps())
    index = TraceIndex.open(run_folder)
    assert index.num_waiting == 0  # what the writer left is enough
    assert list(index.steps()) == before
    pq.write_table(to_table([row(reward=5.0)]), shards(run_folder / "traces", step=2)[0].path)  # by another program
    assert TraceIndex.open(run_folder).num_waiting == 1
    assert step_of(opened(run_folder), 2).reward == 5.0
    (run_folder / "traces" / ".index.jsonl").write_text('{"catalog": 1, "name":\nnonsense\n[]\n')
    again = opened(run_folder)
    assert [step.reward for step in again.steps()] == [before[0].reward, 5.0, before[2].reward]


def test_what_the_writer_tallies_is_what_a_reader_would(run_folder, row):
    writer = TraceWriter(run_folder / "traces", "grpo", "train")
    rows = [
        row(step=3, sample=0, reward=None, errors={"a": "no"}, entropies=[0.5, 1.5], finish_reason="length"),
        row(step=3, sample=1, success=None, kept=False, parts={"odd": -1.0}),
    ]
    with writer.open_step(3) as add:
        add(rows[:1])
        add(rows[1:])  # a group in two pieces
    tallied = step_of(opened(run_folder), 3)
    (run_folder / "traces" / ".index.jsonl").unlink()
    assert step_of(opened(run_folder), 3) == tallied
    assert (tallied.entropy, tallied.clipped, tallied.kept, tallied.parts["odd"]) == (1.0, 0.5, 0.5, -1.0)


def test_a_group_that_stands_in_two_ranks_is_one(tmp_path, row):
    for rank, reward in ((0, 0.0), (1, 1.0)):
        TraceWriter(tmp_path / "traces", "grpo", "train", rank).write(1, [row(sample=rank, reward=reward)])
    index = opened(tmp_path)
    assert (step_of(index, 1).num_groups, step_of(index, 1).zero_variance) == (1, 0.0)
    assert [each.sample for each in index.rows(GroupKey("grpo", "train", 1, 0))] == [0, 1]


def test_groups_sort_by_what_tells_them_apart(tmp_path, row):
    def group(number, rewards, **changes):
        return [row(group=number, sample=n, reward=r, **changes) for n, r in enumerate(rewards)]

    rows = [
        *group(0, [1.0, 1.0]),
        *group(1, [0.0, 1.0, 0.5]),
        *group(2, [None, 0.5], token_ids=[1] * 50),
        *group(3, [None, None]),
    ]
    TraceWriter(tmp_path / "traces", "grpo", "train").write(1, list(reversed(rows)))
    groups = opened(tmp_path).groups("grpo", "train", 1)
    assert [each.key.group for each in groups] == [0, 1, 2, 3]
    assert [each.key.group for each in groups.sorted_by("spread", descending=True)] == [1, 0, 2, 3]
    assert [each.key.group for each in groups.sorted_by("mean")] == [1, 2, 0, 3]
    assert groups.sorted_by("length", descending=True)[0].key.group == 2
    first = groups[1]
    assert (first.rewards, first.best, first.worst, first.mean) == ((0.0, 1.0, 0.5), 1.0, 0.0, 0.5)
    assert first.spread == pytest.approx((1 / 6) ** 0.5)
    assert (groups[2].rewards, groups[3].mean, groups[3].spread) == ((None, 0.5), None, None)
    assert groups.sorted_by("spread", descending=True).position(2) == 2
    with pytest.raises(KeyError):
        groups.sorted_by("mood")


def test_parts_disagree_where_one_pays_for_what_the_other_charges_for(tmp_path, row):
    def group(number, pairs):
        return [row(group=number, sample=n, parts={"a": a, "b": b}) for n, (a, b) in enumerate(pairs)]

    rows = [*group(0, [(0, 1), (1, 0)]), *group(1, [(0, 0), (1, 1)]), *group(2, [(0, 1), (1, 1)])]
    TraceWriter(tmp_path / "traces", "grpo", "train").write(1, rows)
    groups = opened(tmp_path).groups("grpo", "train", 1)
    assert [each.disagreement for each in groups] == [pytest.approx(1.0), pytest.approx(0.0), None]


def test_the_rows_of_a_group_are_whole_and_in_order(run_folder, row):
    TraceWriter(run_folder / "traces", "grpo", "train").write(
        3,
        [
            row(step=3, group=1, sample=1, completion="b", info={"x": [1]}, turns=[{"role": "tool", "content": "7"}]),
            row(step=3, group=0, sample=0),
            row(step=3, group=1, sample=0, completion="a", attempt=1),
            row(step=3, group=1, sample=0, completion="c"),
        ],
    )
    index = opened(run_folder)
    assert [each.completion for each in index.rows(GroupKey("grpo", "train", 3, 1))] == ["c", "b"]
    assert [each.completion for each in index.rows(GroupKey("grpo", "train", 3, 1, 1))] == ["a"]
    last = index.rows(GroupKey("grpo", "train", 3, 1))[1]
    assert (last.info, last.turns, last.task["answer"]) == ({"x": [1]}, [{"role": "tool", "content": "7"}], "7")
    assert last.parts == {"correct": 1.0, "format": None}
    assert index.rows(GroupKey("grpo", "train", 3, 9)) == []
    assert index.rows(GroupKey("nowhere", "train", 3, 0)) == []


def test_one_group_of_a_large_shard_is_read_without_the_rest(tmp_path, row, monkeypatch):
    monkeypatch.setattr("rlvr.traces.reading._ROW_GROUP_BYTES", 1)  # so 64 rows make a row group
    rows = [row(group=n // 4, sample=n % 4, completion=f"{n}") for n in range(400)]
    TraceWriter(tmp_path / "traces", "grpo", "train").write(1, rows)
    path = shards(tmp_path / "traces")[0].path
    assert pq.read_metadata(path).num_row_groups == 7
    found = opened(tmp_path).rows(GroupKey("grpo", "train", 1, 47))
    assert [each.completion for each in found] == ["188", "189", "190", "191"]


def test_a_row_group_of_another_writer_that_is_too_large_is_read_in_batches(tmp_path, row, monkeypatch):
    monkeypatch.setattr("rlvr.traces.reading._MOST_ROWS_AT_ONCE", 50)
    monkeypatch.setattr("rlvr.traces.reading._BATCH_ROWS", 30)
    rows = [row(group=n // 4, sample=n % 4, completion=f"{n}") for n in range(200)]
    folder = tmp_path / "traces"
    folder.mkdir()
    pq.write_table(to_table(rows), Shard.of(folder, "grpo", "train", 1).path)
    index = opened(tmp_path)
    assert index.steps()[0].num_rows == 200
    assert [each.completion for each in index.rows(GroupKey("grpo", "train", 1, 47))] == ["188", "189", "190", "191"]


def test_curves_come_from_traces_and_from_the_log(run_folder):
    lines = [
        {"stage": "sft", "step": 1, "loss": 2.0},
        {"stage": "grpo", "step": 1, "kl": 0.1, "reward": 9.0, "parts/old": 0.5, "sampler_gap": 0.002},
        {"stage": "grpo", "step": 2, "kl": 0.2, "entropy": 0.7, "loss": float("nan")},
    ]
    path = run_folder / "metrics.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"stage": "grpo", "st')
    index = opened(run_folder)
    curves = index.curves("grpo")
    assert curves["reward"] == [(1, 0.25), (2, 0.25)]  # the traces count before the log
    assert curves["kl"] == [(1, 0.1), (2, 0.2)]
    assert (curves["entropy"], curves["sampler_gap"]) == ([(2, 0.7)], [(1, 0.002)])
    assert "loss" not in curves
    assert curves["parts.old"] == [(1, 0.5)]
    assert index.curves("sft") == {"loss": [(1, 2.0)]}
    assert list(curves)[:3] == ["reward", "parts.correct", "parts.old"]
    with path.open("a") as file:
        file.write('ep": 3, "kl": 0.3}\n')
    assert index.refresh()
    assert index.curves("grpo")["kl"][-1] == (3, 0.3)
    path.write_text(json.dumps({"stage": "grpo", "step": 1, "kl": 0.5}) + "\n")  # gone back to a checkpoint
    assert index.refresh()
    assert index.curves("grpo")["kl"] == [(1, 0.5)]


def test_the_range_of_the_rewards_is_known_without_reading_a_row(run_folder, row):
    index = opened(run_folder)
    assert index.reward_range() == (0.0, 1.0)
    TraceWriter(run_folder / "traces", "grpo", "train").write(3, [row(step=3, reward=-0.5), row(step=3, reward=None)])
    assert index.refresh()
    assert index.reward_range() == (-0.5, 1.0)


def test_rewards_above_zero_are_measured_from_zero(tmp_path, row):
    TraceWriter(tmp_path / "traces", "grpo", "train").write(1, [row(reward=0.5), row(sample=1, reward=0.75)])
    assert opened(tmp_path).reward_range() == (0.0, 0.75)
    assert opened(tmp_path / "traces").steps()[0].lowest == 0.5


def evaluated(folder, row, *stages):
    """A run whose models were all evaluated at its end, and one of them trained."""
    for number, stage in enumerate(stages):
        row_ = row(stage=stage, split="test", step=0, task_id="mine", time=100.0 + number)
        TraceWriter(folder / "traces", stage, "test").write(0, [row_])
    trained = [row(stage="grpo", step=step, time=50.0 + step) for step in (1, 2)]
    for each in trained:
        TraceWriter(folder / "traces", "grpo", "train").write(each.step, [each])


def test_stages_stand_in_the_order_in_which_the_run_trained_them(tmp_path, row):
    evaluated(tmp_path, row, "random", "sft", "grpo", "a-later-sft", "base")
    (tmp_path / "config.toml").write_text(
        '[[stage]]\nkind = "sft"\n[[stage]]\nkind = "grpo"\n[[stage]]\nkind = "sft"\nname = "a-later-sft"\n'
        '[[stage]]\nkind = "evaluate"\nbaselines = ["random"]\n'
    )
    in_order = ["random", "base", "sft", "grpo", "a-later-sft"]
    index = opened(tmp_path)
    assert [each.key.stage for each in index.task_history("mine")] == in_order
    assert list(dict.fromkeys(stage for stage, _ in index.stages())) == in_order
    assert [each for each in index.stages() if each[0] == "grpo"] == [("grpo", "train"), ("grpo", "test")]
    (tmp_path / "metrics.jsonl").write_text('{"stage": "sft", "step": 1, "loss": 2.0}\n')
    assert opened(tmp_path).stages()[2:4] == [("sft", "train"), ("sft", "test")]


def test_stages_that_no_config_names_stand_by_the_time_of_their_first_row(tmp_path, row):
    evaluated(tmp_path, row, "zulu", "alpha")
    assert [stage for stage, _ in opened(tmp_path).stages()] == ["grpo", "zulu", "alpha"]
    (tmp_path / "manifest.json").write_text('{"stages": [{"name": "alpha"}, {"name": "grpo"}]}')
    assert [stage for stage, _ in opened(tmp_path).stages()] == ["alpha", "grpo", "zulu"]


def test_a_task_is_followed_through_the_steps(run_folder, row):
    writer = TraceWriter(run_folder / "traces", "grpo", "train")
    for step in (3, 4):
        writer.write(step, [row(step=step, group=step, task_id="mine"), row(step=step, group=0, task_id="other")])
    found = opened(run_folder).task_history("mine")
    assert [(each.key.step, each.key.group) for each in found] == [(3, 3), (4, 4)]


def test_new_steps_of_a_run_under_way_appear(run_folder, row):
    index = opened(run_folder)
    assert not index.refresh()
    writer = TraceWriter(run_folder / "traces", "grpo", "train")
    writer.write(3, [row(step=3)])
    assert index.refresh()
    assert step_of(index, 3).num_rows == 1
    assert len(index.groups("grpo", "train", 3)) == 1
    writer.write(3, [row(step=3, reward=0.5), row(step=3, group=1)])  # the same step again
    os.utime(index.folder)
    assert index.refresh()
    assert len(index.groups("grpo", "train", 3)) == 2
    writer.drop_after(1)  # it went back to a checkpoint
    assert index.refresh()
    assert [step.step for step in index.steps() if step.split == "train"] == [1]
    assert index.rows(GroupKey("grpo", "train", 3, 0)) == []


def test_looking_into_shards_can_be_done_a_little_at_a_time(run_folder, row):
    for step in (3, 4):
        TraceWriter(run_folder / "traces", "grpo", "train").write(step, [row(step=step)])
    (run_folder / "traces" / ".index.jsonl").unlink()
    index = TraceIndex.open(run_folder)
    assert [step.num_rows for step in index.steps()] == [4, None, None, None, 1]  # one of each stage and split
    assert list(index.curves("grpo")) == list(opened(run_folder).curves("grpo"))  # so nothing moves while it is read
    (run_folder / "traces" / ".index.jsonl").unlink()
    index = TraceIndex.open(run_folder)
    seen = []
    index.refresh(budget_s=1e-9, progress=lambda done, total: seen.append((done, total)))
    assert (index.num_waiting, seen) == (2, [(1, 3)])
    index.refresh()
    assert (index.num_waiting, index.steps()[2].num_rows) == (0, 1)


def test_one_shard_alone_can_be_opened(run_folder):
    index = opened(shards(run_folder / "traces", step=2)[0].path)
    assert [step.step for step in index.steps()] == [2]
    assert opened(run_folder).num_waiting == 0
