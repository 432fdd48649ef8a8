"""A run looked through: steps, groups, rows, curves, one task's history; whole, damaged, old, under way."""

import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rlvr.traces.index import GroupKey, TraceIndex
from rlvr.traces.schema import SCHEMA, to_table
from rlvr.traces.store import Shard, TraceWriter, shards
from rlvr_rewards import UserError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def opened(path):
    index = TraceIndex.open(path)
    index.refresh()
    return index


def step_of(index, step, split="train"):
    return next(each for each in index.steps() if (each.step, each.split) == (step, split))


def test_the_steps_and_what_they_come_to(run_folder):
    index = opened(run_folder)
    assert [(step.stage, step.split, step.step) for step in index.steps()] == [
        ("grpo", "test", 0),
        ("grpo", "train", 1),
        ("grpo", "train", 2),
    ]
    step = step_of(index, 2)
    assert (step.num_rows, step.num_groups, step.reward, step.success) == (4, 2, 0.25, 1.0)
    assert step.parts == {"correct": 1.0, "format": None}
    assert (step.zero_variance, step.clipped, step.length, step.errors, step.kept) == (0.5, 0.0, 3.0, 0.0, 1.0)
    assert index.problems == []
    assert index.stages() == [("grpo", "test"), ("grpo", "train")]


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
    assert [step.reward for step in again.steps()] == [before[0].reward, before[1].reward, 5.0]


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


def test_json_that_cannot_be_opened_is_shown_as_it_is(run_folder, row):
    deep = "[" * 100_000 + "]" * 100_000
    table = to_table([row(step=3)])
    for name in ("task", "messages", "info"):
        place = table.column_names.index(name)
        table = table.set_column(place, SCHEMA.field(name), pa.array([deep if name != "info" else "{cut"]))
    pq.write_table(table, Shard.of(run_folder / "traces", "grpo", "train", 3).path)
    (found,) = opened(run_folder).rows(GroupKey("grpo", "train", 3, 0))
    assert (found.task, found.messages, found.info) == (deep, [deep], "{cut")


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
    assert index.steps()[-1].step == 3
    assert len(index.groups("grpo", "train", 3)) == 1
    writer.write(3, [row(step=3, reward=0.5), row(step=3, group=1)])  # the same step again
    os.utime(index.folder)
    assert index.refresh()
    assert len(index.groups("grpo", "train", 3)) == 2
    writer.drop_after(1)  # it went back to a checkpoint
    assert index.refresh()
    assert [step.step for step in index.steps() if step.split == "train"] == [1]
    assert index.rows(GroupKey("grpo", "train", 3, 0)) == []


def test_a_shard_that_went_while_it_was_looked_at_is_a_line_and_no_crash(run_folder):
    index = opened(run_folder)
    shards(run_folder / "traces", step=2)[0].path.unlink()
    assert index.rows(GroupKey("grpo", "train", 2, 0)) == []
    assert "cannot be read" in index.problems[0]


def test_looking_into_shards_can_be_done_a_little_at_a_time(run_folder):
    (run_folder / "traces" / ".index.jsonl").unlink()
    index = TraceIndex.open(run_folder)
    assert [step.num_rows for step in index.steps()] == [None, None, None]
    seen = []
    index.refresh(budget_s=1e-9, progress=lambda done, total: seen.append((done, total)))
    assert (index.num_waiting, seen) == (2, [(1, 3)])
    index.refresh()
    assert (index.num_waiting, index.steps()[2].num_rows) == (0, 4)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_shard_cut_short_is_left_out_and_named(run_folder, share):
    broken = shards(run_folder / "traces", step=1)[0].path
    broken.write_bytes(broken.read_bytes()[: int(broken.stat().st_size * share)])
    index = opened(run_folder)
    assert [step.step for step in index.steps()] == [0, 2]
    (problem,) = index.problems
    assert broken.name in problem
    assert "cut short" in problem
    assert "\n" not in problem


def test_an_older_schema_and_missing_columns_are_shown_as_far_as_they_go(tmp_path, row):
    folder = tmp_path / "traces"
    folder.mkdir()
    old = to_table([row(sample=n) for n in range(2)]).drop_columns(["parts", "entropies", "attempt", "kept"])
    pq.write_table(old.replace_schema_metadata({"trace_version": "0"}), Shard.of(folder, "grpo", "train", 1).path)
    bare = pa.table({"completion": ["x"], "reward": [0.5]})
    pq.write_table(bare, Shard.of(folder, "grpo", "train", 2).path)
    index = opened(tmp_path)
    assert [step.reward for step in index.steps()] == [1.0, 0.5]
    assert len(index.rows(GroupKey("grpo", "train", 1, 0))) == 2
    assert index.rows(GroupKey("grpo", "train", 2, 0))[0].completion == "x"
    said = "\n".join(index.problems)
    assert "of an older rlvr" in said
    assert "without entropies, parts" in said or "without attempt, entropies, parts, kept" in said
    assert "without a trace_version" in said


def test_a_newer_schema_says_so(tmp_path, row):
    folder = tmp_path / "traces"
    folder.mkdir()
    later = to_table([row()]).append_column("mood", pa.array(["calm"])).replace_schema_metadata({"trace_version": "2"})
    pq.write_table(later, Shard.of(folder, "grpo", "train", 1).path)
    index = opened(tmp_path)
    assert index.steps()[0].num_rows == 1
    assert "of a newer rlvr" in index.problems[0]


def test_an_empty_run_is_no_error(tmp_path):
    (tmp_path / "metrics.jsonl").touch()
    index = opened(tmp_path)
    assert (list(index.steps()), index.problems, index.curves("grpo"), index.part_names()) == ([], [], {}, [])
    assert list(index.groups("grpo", "train", 1)) == []
    assert index.task_history("t") == []


def test_a_shard_without_a_row_is_a_step_of_none(tmp_path):
    folder = tmp_path / "traces"
    folder.mkdir()
    pq.write_table(SCHEMA.empty_table(), Shard.of(folder, "grpo", "train", 1).path)
    index = opened(tmp_path)
    assert (index.steps()[0].num_rows, index.steps()[0].reward) == (0, None)
    assert list(index.groups("grpo", "train", 1)) == []


def test_a_folder_that_cannot_be_written_is_read_and_its_tallies_kept_elsewhere(run_folder, monkeypatch):
    catalog = run_folder / "traces" / ".index.jsonl"
    catalog.unlink()
    catalog.mkdir()  # as good as read-only, also for root
    index = opened(run_folder)
    assert index.steps()[2].num_rows == 4
    assert TraceIndex.open(run_folder).num_waiting == 0
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    assert opened(run_folder).steps()[2].num_rows == 4


def test_one_shard_alone_can_be_opened(run_folder):
    index = opened(shards(run_folder / "traces", step=2)[0].path)
    assert [step.step for step in index.steps()] == [2]
    assert opened(run_folder).num_waiting == 0


def test_what_is_not_there_is_one_clear_line(tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        TraceIndex.open(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(UserError, match="nothing to browse"):
        TraceIndex.open(tmp_path / "notes.txt")
