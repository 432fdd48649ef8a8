"""What is written is what is read: whole, once, by versions before and after this one."""

import json
import subprocess
import sys
from dataclasses import fields

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rlvr.traces.schema import SCHEMA, TRACE_VERSION, TraceRow, to_table
from rlvr.traces.store import TraceWriter, read_shard, read_shards, shards
from rlvr.traces.summary import row_dicts
from rlvr_rewards import UserError


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_every_column_of_the_design_is_there_and_filled_from_a_field():
    """The list is that of the design, in its order; columns are only ever added."""
    design = """run stage split env step group sample attempt task_id task messages gold completion turns token_ids
        logprobs entropies finish_reason parts errors info reward success advantage kept why_not_kept seed
        policy_version prompt_tokens completion_tokens sample_s reward_s time alternatives"""
    assert SCHEMA.names == design.split()
    assert {field.name for field in fields(TraceRow)} | {"completion_tokens"} == set(SCHEMA.names)


def test_a_row_comes_back_as_it_was_written(tmp_path, row):
    given = row(
        info={"failure": "none", "value": 0.5},
        turns=[{"role": "tool", "content": "7"}],
        entropies=[0.1, 0.2, 0.3],
        advantage=-0.25,
        kept=False,
        why_not_kept="zero variance",
        errors={"format": "ValueError: no"},
        attempt=2,
        alternatives=[[(8, -1.0), (9, -2.0)], [(5, -3.5)], []],
    )
    TraceWriter(tmp_path, "grpo", "train").write(1, [given])
    (found,) = row_dicts(read_shard(shards(tmp_path)[0].path))
    for name in ("task", "messages", "turns", "info"):
        assert json.loads(found.pop(name)) == getattr(given, name)
    assert found.pop("completion_tokens") == 3
    assert found.pop("entropies") == pytest.approx(given.entropies)
    assert found == {name: getattr(given, name) for name in found}


def test_a_column_without_any_value_keeps_its_type_and_the_version_stands_in_the_file(tmp_path, row):
    nothing = row(reward=None, success=None, policy_version=None, parts={}, errors={}, token_ids=[], logprobs=[])
    TraceWriter(tmp_path, "s", "test").write(0, [nothing])
    schema = pq.read_schema(shards(tmp_path)[0].path)
    assert schema.equals(SCHEMA)
    assert schema.metadata[b"trace_version"] == str(TRACE_VERSION).encode()


def test_unpaired_surrogates_anywhere_are_kept_readable(row):
    found = to_table([row(completion="a\ud800b", gold="\udfff", errors={"p": "bad \ud800"}, task={"q": "\ud800"})])
    assert found["completion"].to_pylist() == ["a\\ud800b"]
    assert dict(found["errors"].to_pylist()[0]) == {"p": "bad \\ud800"}
    assert json.loads(found["task"].to_pylist()[0]) == {"q": "\ud800"}


def test_a_shard_written_twice_is_not_doubled(tmp_path, row):
    writer = TraceWriter(tmp_path, "grpo", "train")
    writer.write(1, [row(reward=0.0), row(sample=1)])
    writer.write(1, [row(reward=1.0)])
    ((_, table),) = read_shards(shards(tmp_path), pytest.fail)
    assert table["reward"].to_pylist() == [1.0]


def test_rows_of_a_step_can_come_in_parts_and_appear_together(tmp_path, row):
    with TraceWriter(tmp_path, "sft", "test").open_step(0) as add:
        add([row(group=0)])
        add([row(group=1)])
        assert shards(tmp_path) == []
    assert read_shard(shards(tmp_path)[0].path)["group"].to_pylist() == [0, 1]


def test_a_broken_off_step_leaves_what_was_there_and_no_litter(tmp_path, row):
    writer = TraceWriter(tmp_path, "sft", "test")
    writer.write(0, [row(reward=0.5)])
    with pytest.raises(KeyboardInterrupt), writer.open_step(0) as add:
        add([row()])
        raise KeyboardInterrupt
    assert [name for name in names(tmp_path) if name != ".index.jsonl"] == [shards(tmp_path)[0].path.name]
    assert read_shard(shards(tmp_path)[0].path)["reward"].to_pylist() == [0.5]


def test_an_error_of_the_work_itself_is_not_called_one_of_writing(tmp_path):
    with pytest.raises(ConnectionError), TraceWriter(tmp_path, "sft", "test").open_step(0):
        raise ConnectionError("the server went away")


def test_a_dot_prefixed_leftover_is_ignored(tmp_path, row):
    TraceWriter(tmp_path, "grpo", "train").write(1, [row()])
    whole = shards(tmp_path)[0].path
    whole.with_name(f".{whole.name.replace('01.rank', '02.rank')}").write_bytes(whole.read_bytes()[:50])
    assert [shard.step for shard in shards(tmp_path)] == [1]


def test_drop_after_removes_later_steps_of_this_stage_and_split_alone(tmp_path, row):
    for stage, split, steps in (("grpo", "train", (1, 2, 3)), ("grpo", "test", (0, 3)), ("grpo2", "train", (3,))):
        for step in steps:
            TraceWriter(tmp_path, stage, split).write(step, [row()])
    TraceWriter(tmp_path, "grpo", "train", rank=1).write(3, [row()])
    assert TraceWriter(tmp_path, "grpo", "train").drop_after(1) == 3
    left = [(shard.stage, shard.split, shard.step) for shard in shards(tmp_path)]
    assert left == [("grpo", "test", 0), ("grpo", "test", 3), ("grpo", "train", 1), ("grpo2", "train", 3)]


@pytest.mark.parametrize(("stage", "split"), [("sft-v1.5", "a.b"), ("own/er", "te st"), ("..", "über"), (".hid", "x")])
def test_any_name_can_be_a_stage_or_a_split(tmp_path, row, stage, split):
    folder = tmp_path / "traces"
    TraceWriter(folder, stage, split).write(3, [row()])
    assert [(s.stage, s.split, s.step, s.rank) for s in shards(folder)] == [(stage, split, 3, 0)]
    assert names(tmp_path) == ["traces"]


def test_steps_are_read_in_order_however_many_digits_they_have(tmp_path, row):
    writer = TraceWriter(tmp_path, "s", "train")
    for step in (100_000_000, 20, 3):
        writer.write(step, [row()])
    assert [shard.step for shard in shards(tmp_path)] == [3, 20, 100_000_000]


def test_columns_that_a_later_version_added_are_passed_over(tmp_path, row):
    table = to_table([row()])
    later = table.append_column("mood", pa.array(["calm"])).replace_schema_metadata({"trace_version": "2"})
    pq.write_table(later, tmp_path / "grpo.train.step00000001.rank0000.parquet")
    assert read_shard(shards(tmp_path)[0].path).equals(table)


def test_columns_that_an_earlier_version_lacked_are_null(tmp_path, row):
    table = to_table([row()])
    pq.write_table(table.drop_columns(["entropies", "parts"]), tmp_path / "grpo.train.step00000001.rank0000.parquet")
    found = read_shard(shards(tmp_path)[0].path)
    assert found.schema.equals(SCHEMA)
    (only,) = row_dicts(found)
    assert (only["entropies"], only["parts"], only["completion"]) == (None, {}, table["completion"][0].as_py())


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_shard_cut_short_is_skipped_with_a_message(tmp_path, row, share):
    writer, said = TraceWriter(tmp_path, "grpo", "train"), []
    for step in (1, 2):
        writer.write(step, [row(step=step)])
    broken = shards(tmp_path, step=1)[0].path
    broken.write_bytes(broken.read_bytes()[: int(broken.stat().st_size * share)])
    assert [shard.step for shard, _ in read_shards(shards(tmp_path), said.append)] == [2]
    (message,) = said
    assert broken.name in message
    assert "\n" not in message


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path, row):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="traces cannot be written"):
        TraceWriter(tmp_path / "file" / "traces", "s", "train")
    writer = TraceWriter(tmp_path / "gone", "s", "train")
    (tmp_path / "gone").rmdir()
    with pytest.raises(UserError, match="traces cannot be written"):
        writer.write(1, [row()])


def test_reading_traces_loads_no_torch_and_no_engine():
    code = """
import sys
import pkgutil, importlib, rlvr.traces
for found in pkgutil.iter_modules(rlvr.traces.__path__):
    importlib.import_module(f"rlvr.traces.{found.name}")
bad = {"torch", "transformers", "trl", "datasets", "rlvr.engine", "rlvr.pipeline", "rlvr.evaluation", "rlvr.stages"}
sys.exit(", ".join(sorted(bad & set(sys.modules))) or 0)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr
