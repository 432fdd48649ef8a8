"""The runs under a folder: how far each came, and whether it still runs."""

import fcntl
import json
import os
import subprocess
import sys

import pytest

from rlvr.traces.runs import RunState, find_runs
from rlvr.traces.store import TraceWriter

CONFIG = '[[stage]]\nkind = "sft"\n[[stage]]\nkind = "grpo"\nname = "rl"\n'


def make(folder, entries=(), metrics=(), config=CONFIG):
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(config)
    (folder / "manifest.json").write_text(json.dumps({"stages": [{"name": n, "status": s} for n, s in entries]}))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in metrics))
    return folder


@pytest.fixture
def runs(tmp_path):
    metrics = [{"stage": "rl", "step": n, "reward": n / 10} for n in range(1, 4)]
    make(tmp_path / "done", [("sft", "done"), ("rl", "done")], metrics)
    make(tmp_path / "sweep" / "broken", [("sft", "done"), ("rl", "running")], metrics)
    make(tmp_path / "going", [("sft", "running")], [{"stage": "sft", "step": 9, "loss": 1.0}])
    (tmp_path / "notes").mkdir()
    (tmp_path / "pkg" / "traces").mkdir(parents=True)  # some program's source
    (tmp_path / "pkg" / "traces" / "x.py").touch()
    return tmp_path


def test_each_run_with_its_state(runs):
    with (runs / "going" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = {run.name: run for run in find_runs(runs)}
    assert sorted(found) == ["done", "going", "sweep/broken"]
    assert [found[name].state for name in sorted(found)] == [RunState.FINISHED, RunState.RUNNING, RunState.BROKEN]
    done = found["done"]
    assert (done.stages, done.stage, done.steps, done.reward) == (("sft", "rl"), "rl", 3, 0.3)
    assert (found["going"].stage, found["going"].steps, found["going"].reward) == ("sft", 9, None)
    assert 0 <= done.age_s < 60


def test_the_latest_comes_first_and_age_is_since_it_last_wrote(runs):
    for name in ("manifest.json", "metrics.jsonl", "."):
        os.utime(runs / "done" / name, (1e9, 1e9))
    assert find_runs(runs)[-1].name == "done"
    assert find_runs(runs)[-1].age_s > 1e8


def test_a_run_that_starts_while_someone_looks_is_not_refused(runs):
    """The look takes the lock for a moment; a run that meets it waits that moment."""
    code = """
import fcntl, sys, time
with open(sys.argv[1], "rb") as file:
    fcntl.flock(file, fcntl.LOCK_SH)
    print("held", flush=True)
    time.sleep(0.1)
"""
    folder = pytest.importorskip("rlvr.pipeline.folder", reason="needs the train extra")
    (runs / "done" / ".lock").touch()
    with subprocess.Popen(
        [sys.executable, "-c", code, str(runs / "done" / ".lock")], stdout=subprocess.PIPE, text=True
    ) as looker:
        assert looker.stdout.readline() == "held\n"
        folder.RunFolder(runs / "done").close()


def test_looking_leaves_nothing_behind_and_holds_nothing(runs):
    (runs / "done" / ".lock").touch()
    before = sorted(path.name for path in (runs / "done").iterdir())
    find_runs(runs)
    assert sorted(path.name for path in (runs / "done").iterdir()) == before
    with (runs / "done" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_damaged_files_make_no_run_unreadable(tmp_path, row):
    folder = make(tmp_path / "odd", config="not = [toml")
    (folder / "manifest.json").write_text('{"stages": 3}')
    (folder / "metrics.jsonl").write_bytes(b'[1]\n\xff\n{"step": 4, "rew')
    TraceWriter(tmp_path / "bare" / "traces", "grpo", "train").write(1, [row()])
    found = {run.name: run for run in find_runs(tmp_path)}
    assert sorted(found) == ["bare", "odd"]
    assert (found["odd"].stages, found["odd"].steps, found["odd"].state) == ((), None, RunState.BROKEN)


def test_one_run_is_a_list_of_one_and_nowhere_is_none(runs, tmp_path):
    assert [run.name for run in find_runs(runs / "done")] == ["done"]
    assert find_runs(tmp_path / "nowhere") == []
