"""What is hard to read: nothing of it breaks the screen, and what cannot be shown is said."""

import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rlvr.traces.schema import SCHEMA, to_table
from rlvr.traces.store import Shard, TraceWriter
from rlvr.tui.session import Start

from .golden import sample_of, step_rows


@pytest.fixture
def empty(tmp_path):
    (tmp_path / "runs" / "empty" / "traces").mkdir(parents=True)
    return tmp_path / "runs" / "empty"


def test_an_empty_run_says_so_and_shows_its_first_step_when_it_comes(walk, golden, empty):
    async def steps(walk):
        walk.sees("no traces yet")
        await walk.press("enter", "s", "slash", "escape")
        TraceWriter(empty / "traces", "grpo", "train").write(1, step_rows(1))
        deadline = time.monotonic() + 10
        while "parts.correct" not in walk.text() and time.monotonic() < deadline:
            await walk.pilot.pause(0.2)
        walk.sees("parts.correct")

    walk(steps, path=empty)


def test_no_runs_at_all(walk, golden, monkeypatch, tmp_path):
    (tmp_path / "bare").mkdir()
    monkeypatch.chdir(tmp_path / "bare")

    async def steps(walk):
        walk.sees("no run under runs: train one with rlvr run quickstart")
        await walk.press("enter", "escape")

    walk(steps, path=None)


def test_a_completion_of_ten_megabytes_opens_at_once_and_says_what_is_left_out(walk, golden):
    rows = step_rows(7)
    rows[0].completion = "<think>" + "lorem ipsum\x1b[2J " * 700_000 + "</think><answer>7</answer>"
    TraceWriter(golden / "traces", "grpo", "train").write(8, rows)

    async def steps(walk):
        walk.sees("group 0")
        started = time.monotonic()
        await walk.press("enter")
        walk.sees("lorem ipsum\\x1b[2J")
        assert time.monotonic() - started < 10
        await walk.press("z", "end")
        walk.sees("more characters are not shown here")

    walk(steps, at=Start("grpo", "train", 8, 0))


def test_an_older_file_with_columns_missing(walk, golden):
    table = to_table(step_rows(8)).drop_columns(["advantage", "entropies", "kept", "why_not_kept", "info", "attempt"])
    path = Shard.of(golden / "traces", "grpo", "train", 9).path
    pq.write_table(table.replace_schema_metadata({"trace_version": "0"}), path)

    async def steps(walk):
        walk.sees("group 1", "–")
        await walk.press("enter", "h", "escape", "c", "escape", "exclamation_mark")
        walk.sees("older rlvr")

    walk(steps, at=Start("grpo", "train", 9, 1))


def test_a_folder_that_cannot_be_written_is_read_and_says_why_nothing_is_kept(walk, golden, monkeypatch):
    monkeypatch.setattr("rlvr.traces.judgments.Path.open", _refuse)

    async def steps(walk):
        await walk.press("plus")
        walk.sees("cannot be written")
        await walk.press("enter", "minus")
        walk.sees("cannot be written")

    walk(steps, at=Start("grpo", "train", 4, 1))


def _refuse(self, *args, **options):
    raise PermissionError(13, "Permission denied")


def test_a_run_whose_folder_goes_away_while_it_is_looked_at(walk, golden):
    import shutil

    async def steps(walk):
        shutil.rmtree(golden / "traces")
        await walk.press("left", "enter")
        await walk.pilot.pause(1.5)
        await walk.press("escape", "question_mark", "escape")

    walk(steps)


def test_half_a_million_rows_in_one_step_do_not_freeze_it(walk, golden):
    one = to_table([sample_of(10, group, 0) for group in range(8)])
    writer_path = Shard.of(golden / "traces", "grpo", "train", 10).path
    count = 500_000
    names = [name for name in SCHEMA.names if name not in ("token_ids", "logprobs", "entropies")]
    many = one.select(names).take(pa.array([row % 8 for row in range(count)]))
    many = many.set_column(many.schema.get_field_index("group"), "group", pa.array(range(count), pa.int32()))
    pq.write_table(many.replace_schema_metadata({"trace_version": "1"}), writer_path, row_group_size=1000)

    async def steps(walk):
        walk.sees("500,000 groups")
        started = time.monotonic()
        for key in ("end", "pageup", "home", "down", "pagedown"):
            await walk.pilot.press(key)
        assert time.monotonic() - started < 5
        await walk.press("end")
        walk.sees("499999")
        await walk.press("s", "down", "enter")
        walk.sees("spread▾")

    walk(steps, at=Start("grpo", "train", 10))


def test_a_group_with_very_many_siblings_shows_a_thousand_and_says_so(walk, golden):
    rows = [sample_of(11, 0, 1) for _ in range(3000)]
    for sample, row in enumerate(rows):
        row.sample = sample
    TraceWriter(golden / "traces", "grpo", "train").write(11, rows)

    async def steps(walk):
        await walk.press("enter")
        walk.sees("only 1000 siblings shown")
        await walk.press("f")
        await walk.type("step == 11 and sample == 2999")
        await walk.press("enter", "enter")
        walk.sees("sample 2999")

    walk(steps, at=Start("grpo", "train", 11))


@pytest.mark.parametrize("size", [(30, 8), (12, 3), (400, 100)])
def test_a_terminal_of_any_size(walk, size):
    async def steps(walk):
        await walk.press("left", "enter", "enter", "c", "escape", "enter", "h", "escape", "t", "escape", "escape", "s")
        await walk.press("escape", "f", "escape", "slash", "escape", "question_mark", "escape")
        await walk.pilot.resize_terminal(80, 24)
        await walk.settle()
        walk.sees("5 groups")

    walk(steps, size=size)
