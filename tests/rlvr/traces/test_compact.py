"""Many small shards made few: nothing changes, nothing is lost or doubled, wherever it is stopped."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rlvr.cli import main
from rlvr.traces import compact as module
from rlvr.traces.compact import compact
from rlvr.traces.find import find
from rlvr.traces.index import GroupKey, TraceIndex
from rlvr.traces.query import parse_filter
from rlvr.traces.schema import to_table
from rlvr.traces.store import Shard, TraceWriter, read_shards, shards
from rlvr_rewards import UserError

STEPS = 12


@pytest.fixture
def run(tmp_path, row):
    folder = tmp_path / "run"
    for rank in (0, 1):
        writer = TraceWriter(folder / "traces", "grpo", "train", rank)
        for step in range(1, STEPS + 1):
            writer.write(
                step,
                [
                    row(step=step, group=2 * rank + g, sample=n, completion=f"{step} {rank} {g} {n}")
                    for g in (0, 1)
                    for n in (0, 1)
                ],
            )
    TraceWriter(folder / "traces", "grpo", "test").write(0, [row(step=0, split="test")])
    return folder


def content(run):
    """All that anyone can see of a run's traces."""
    index = TraceIndex.open(run)
    index.refresh()
    assert index.problems == []
    rows = [row for step in index.steps() for group in index.groups(step.stage, step.split, step.step)
            for row in index.rows(group.key)]  # fmt: skip
    return list(index.steps()), rows, len(find(index)), [s.step for s in shards(run / "traces")]


def files(run):
    return sorted(path.name for path in (run / "traces").glob("[!.]*.parquet"))


def test_what_is_seen_stays_the_same_and_needs_few_files(run):
    before = content(run)
    done = compact(run / "traces", run)
    assert (done.files_before, done.files_after, done.is_whole, done.left_out) == (2 * STEPS + 1, 2, True, ())
    assert files(run)[1] == "grpo.train.steps00000001-00000012.pack0001.parquet"
    assert content(run) == before
    (run / "traces" / ".index.jsonl").unlink()
    assert content(run) == before
    assert compact(run / "traces", run).files_after == 2
    found = list(read_shards(shards(run / "traces", "grpo", "train", 5), pytest.fail))
    assert [table["step"].to_pylist() for _, table in found] == [[5] * 4] * 2


def test_a_filter_finds_the_same_in_a_pack(run):
    question = parse_filter('completion ~ "^(3|9) 1"')
    before = find(TraceIndex.open(run), question)[:]
    compact(run / "traces", run)
    assert find(TraceIndex.open(run), question)[:] == before
    assert len(before) == 8


def test_an_open_index_follows(run):
    index = TraceIndex.open(run)
    rows = index.rows(GroupKey("grpo", "train", 7, 3))
    compact(run / "traces", run)
    index.refresh()
    assert index.rows(GroupKey("grpo", "train", 7, 3)) == rows
    assert index.task_history("t0")


def test_a_run_goes_on_after_it_and_back_to_a_checkpoint(run, row):
    compact(run / "traces", run)
    writer = TraceWriter(run / "traces", "grpo", "train")
    assert writer.drop_after(8) == 2 * (STEPS - 8)
    assert files(run)[1] == "grpo.train.steps00000001-00000008.pack0002.parquet"
    writer.write(9, [row(step=9)])
    writer.write(3, [row(step=3, reward=0.125)])  # written anew: the file of its own counts
    index = TraceIndex.open(run)
    index.refresh()
    assert [step.step for step in index.steps()] == [*range(1, 10), 0]
    assert index.rows(GroupKey("grpo", "train", 3, 0))[0].reward == 0.125
    assert len(index.rows(GroupKey("grpo", "train", 3, 2))) == 2  # the other rank's are still in the pack
    before = content(run)
    compact(run / "traces", run)
    assert content(run) == before
    assert len(files(run)) == 2
    writer.drop_after(0)
    assert files(run) == ["grpo.test.step00000000.rank0000.parquet"]


KILLED = """
import os, signal, sys
from pathlib import Path
import rlvr.traces.compact as module, rlvr.traces.packs as packs
module.PACK_ROWS = 12
run, countdown = Path(sys.argv[1]), int(sys.argv[2])
def dies(function):
    def instead(*args, **kwargs):
        global countdown
        countdown -= 1
        if countdown == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return instead
Path.unlink, Path.replace = dies(Path.unlink), dies(Path.replace)
module.append, packs._flush = dies(module.append), dies(packs._flush)
module.compact(run / "traces", run)
"""


@pytest.mark.parametrize("countdown", [1, 2, 3, 4, 6, 9, 14])
def test_killed_anywhere_it_loses_and_doubles_nothing(run, countdown, tmp_path):
    before = content(run)
    died = subprocess.run([sys.executable, "-c", KILLED, str(run), str(countdown)], timeout=60)
    assert died.returncode == -signal.SIGKILL
    assert content(run) == before
    compact(run / "traces", run)
    assert content(run) == before
    assert not list((run / "traces").glob(".*.tmp"))


def test_it_is_never_done_while_a_run_writes(run, capsys):
    before = files(run)
    with (run / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert main(["traces", str(run), "--compact"]) == 2
        assert "a run is writing" in capsys.readouterr().err
    assert files(run) == before
    assert main(["traces", str(run), "--compact"]) == 0
    assert "25 files of traces" in capsys.readouterr().err
    assert len(files(run)) == 2


def test_it_can_be_stopped_between_two_packs(run, monkeypatch):
    monkeypatch.setattr(module, "PACK_ROWS", 12)
    before = content(run)
    seen = []
    done = compact(run / "traces", run, progress=lambda *p: seen.append(p), cancelled=lambda: len(seen) == 2)
    assert (done.is_whole, len(seen)) == (False, 2)
    assert content(run) == before


def test_what_is_damaged_or_newer_stays_as_it_is(run, row):
    broken = shards(run / "traces", step=2)[0].path
    broken.write_bytes(broken.read_bytes()[:100])
    newer = Shard.of(run / "traces", "grpo", "train", 4).path
    pq.write_table(to_table([row(step=4)]).append_column("mood", pa.array(["calm"])), newer)
    done = compact(run / "traces", run)
    assert len(done.left_out) == 2
    assert broken.name in "".join(done.left_out)
    assert "mood" in "".join(done.left_out)
    assert broken.exists()
    assert pq.read_table(newer)["mood"].to_pylist() == ["calm"]


def test_a_folder_that_cannot_be_written_is_one_clear_line(run, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    before = content(run)
    monkeypatch.setattr("rlvr.traces.packs._flush", full)
    with pytest.raises(UserError, match="No space left"):
        compact(run / "traces", run)
    assert content(run) == before


def test_a_pack_cut_short_is_left_out_and_named(run):
    compact(run / "traces", run)
    pack = run / "traces" / files(run)[1]
    whole = pack.read_bytes()
    pack.write_bytes(whole[:-50])
    index = TraceIndex.open(run)
    index.refresh()
    assert pack.name in index.problems[0]
    assert [step.split for step in index.steps()] == ["test"]
    pack.write_bytes(whole)
    shutil.copy(pack, pack.with_name(pack.name.replace("pack0001", "pack0002")))
    os.utime(index.folder)
    index.refresh()
    assert len(find(index)) == 1 + 8 * STEPS  # two packs of the same steps count once


def test_another_tools_files_are_not_touched(tmp_path, capsys):
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a", "completion": "b", "reward": 1}\n')
    assert main(["traces", str(tmp_path / "rows.jsonl"), "--compact"]) == 2
    assert "another tool's" in capsys.readouterr().err
