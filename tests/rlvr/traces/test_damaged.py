"""A run that is not as it should be: cut short, old, new, empty, gone, in a folder that cannot be written."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rlvr.traces.index import GroupKey, TraceIndex
from rlvr.traces.schema import SCHEMA, to_table
from rlvr.traces.store import Shard, shards
from rlvr_rewards import UserError

from .opening import opened


def test_json_that_cannot_be_opened_is_shown_as_it_is(run_folder, row):
    deep = "[" * 100_000 + "]" * 100_000
    table = to_table([row(step=3)])
    for name in ("task", "messages", "info"):
        place = table.column_names.index(name)
        table = table.set_column(place, SCHEMA.field(name), pa.array([deep if name != "info" else "{cut"]))
    pq.write_table(table, Shard.of(run_folder / "traces", "grpo", "train", 3).path)
    (found,) = opened(run_folder).rows(GroupKey("grpo", "train", 3, 0))
    assert (found.task, found.messages, found.info) == (deep, [deep], "{cut")


def test_a_shard_that_went_while_it_was_looked_at_is_a_line_and_no_crash(run_folder):
    index = opened(run_folder)
    shards(run_folder / "traces", step=2)[0].path.unlink()
    assert index.rows(GroupKey("grpo", "train", 2, 0)) == []
    assert "cannot be read" in index.problems[0]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_shard_cut_short_is_left_out_and_named(run_folder, share):
    broken = shards(run_folder / "traces", step=1)[0].path
    broken.write_bytes(broken.read_bytes()[: int(broken.stat().st_size * share)])
    index = opened(run_folder)
    assert [step.step for step in index.steps()] == [2, 0]
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
    assert index.steps()[1].num_rows == 4
    assert TraceIndex.open(run_folder).num_waiting == 0
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    assert opened(run_folder).steps()[1].num_rows == 4


def test_what_is_not_there_is_one_clear_line(tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        TraceIndex.open(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(UserError, match="nothing to browse"):
        TraceIndex.open(tmp_path / "notes.txt")
