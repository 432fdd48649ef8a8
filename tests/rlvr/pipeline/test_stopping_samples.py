"""Stages that sample before they learn, stopped on the way: no group is sampled twice, no round is trained twice."""

import os
import signal
import subprocess
import sys
import time

import pytest

from rlvr.traces.store import read_shard

CONFIG = """
[env]
name = "arithmetic"
largest = 9
[reward]
expression = "'FOLDER/fateful.py:fateful'"
[[stage]]
kind = "dpo"
steps = 3
batch_size = 2
num_tasks = 6
group_size = 2
max_new_tokens = 6
length_gap = 1.0
save_steps = 1
[[stage]]
kind = "rft"
start = "base"
rounds = 2
steps = 3
batch_size = 2
num_tasks = 4
group_size = 2
max_new_tokens = 6
min_reward = 0.0
save_steps = 1
"""
BATCH = 4
DPO_CALLS, ROUND_CALLS = 6 * 2, 4 * 2


@pytest.fixture
def samples(workshop, tiny_model, monkeypatch):
    """Two tasks a batch, and completions that end by themselves though the model was never trained."""
    monkeypatch.setattr("rlvr.engine.group_samples.MAX_ROWS", BATCH)
    monkeypatch.setattr("rlvr.engine.sampling.MAX_ROWS", BATCH)
    monkeypatch.setattr("rlvr.engine.group_samples.Sampled.finished", True)
    (workshop.path / "run.toml").write_text(tiny_model + CONFIG.replace("FOLDER", str(workshop.path)))
    return workshop


def rows(workshop, stage):
    """Task, sample and text of every traced row, without its times."""
    paths = sorted((workshop.run_dir / "traces").glob(f"{stage}.train.*.parquet"))
    found = [row for path in paths for row in read_shard(path).to_pylist()]
    return [(row["step"], row["group"], row["sample"], row["task_id"], row["completion"]) for row in found]


def is_finished(workshop):
    return '"running"' not in (workshop.run_dir / "manifest.json").read_text() and all(
        (workshop.run_dir / "models" / stage / "config.json").exists() for stage in ("dpo", "rft")
    )


@pytest.fixture
def whole(samples, tmp_path_factory):
    """What a run that was never stopped leaves in its traces."""
    run_dir, samples.run_dir = samples.run_dir, tmp_path_factory.mktemp("whole") / "run"
    assert samples.run() == 0
    found = {stage: rows(samples, stage) for stage in ("dpo", "rft")}
    samples.run_dir = run_dir
    (samples.path / "calls").unlink()
    return found


def test_ctrl_c_while_sampling_keeps_whole_batches(samples, whole, said):
    samples.fate(BATCH + 2, "SIGINT")
    assert samples.run() == 130
    assert rows(samples, "dpo") == whole["dpo"][:BATCH]
    assert "dpo: what was sampled in whole batches is kept; the same command goes on" in said()
    assert samples.run() == 0
    assert "dpo: 2 of 6 groups were sampled before" in said()
    assert rows(samples, "dpo") == whole["dpo"]
    assert is_finished(samples)


def test_a_second_round_goes_on_without_the_first_being_trained_again(samples, whole, said):
    samples.fate(DPO_CALLS + ROUND_CALLS + 1, "SIGTERM")
    assert samples.run() == 143
    assert (samples.run_dir / "models/rft/round-1/config.json").exists()
    said()
    assert samples.run() == 0
    printed = said()
    assert "dpo: finished before" in printed or "finished" in printed
    assert "rft/round-1" not in printed  # neither trained nor resumed
    assert rows(samples, "rft") == whole["rft"]
    assert samples.metric_steps("rft/round-1") == [1, 2, 3] and samples.metric_steps("rft") == [1, 2, 3]
    assert is_finished(samples)


def test_a_min_reward_that_nothing_can_earn_is_refused_before_anything_is_sampled(samples, said):
    assert samples.run("stage.rft.min_reward=1.5") == 2
    assert "stage rft: min_reward 1.5 is above 1, the most that a completion can earn: lower it" in said()
    assert not samples.run_dir.exists()


def test_learning_few_samples_again_and_again_is_said(samples, said):
    assert samples.run("stage.dpo.steps=1", "stage.rft.rounds=1", "stage.rft.steps=90") == 0
    assert "gone through" in said().partition("rft: kept")[2]


def test_other_settings_begin_the_sampling_anew(samples, said):
    samples.fate(BATCH + 2, "SIGINT")
    assert samples.run() == 130
    assert samples.run("stage.dpo.temperature=0.5") == 0
    assert "were sampled before" not in said()
    assert len(rows(samples, "dpo")) == DPO_CALLS


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [("SIGKILL", -9), ("SIGTERM", 143)])
@pytest.mark.parametrize(
    "moment", ["dpo.train.step00000001", '"stage": "dpo", "step": 2,', '"rft/round-1", "step": 1,']
)
def test_a_process_stopped_anywhere_is_continued_by_another(samples, moment, number, code):
    sets = [
        "env.largest=99",
        "stage.dpo.num_tasks=900",
        "stage.rft.num_tasks=900",
        "stage.dpo.steps=20",
        "stage.rft.steps=20",
    ]
    process = start(samples, *sets)
    while process.poll() is None and not reached(samples, moment):
        time.sleep(0.005)
    process.send_signal(getattr(signal, number))
    printed = process.communicate(timeout=100)[0]
    assert process.returncode == code, printed
    again = start(samples, *sets)
    printed = again.communicate(timeout=100)[0]
    assert again.returncode == 0, printed
    assert samples.metric_steps("dpo") == samples.metric_steps("rft") == list(range(1, 21))
    assert len(set(rows(samples, "dpo"))) == len(rows(samples, "dpo")) == 900 * 2
    assert len(set(rows(samples, "rft"))) == len(rows(samples, "rft")) == 2 * 900 * 2


def reached(workshop, moment):
    metrics = workshop.run_dir / "metrics.jsonl"
    traced = any(moment in path.name for path in (workshop.run_dir / "traces").glob("*.parquet"))
    return traced or (metrics.exists() and moment in metrics.read_text())


def start(workshop, *sets):
    program = (
        "import sys, rlvr.engine.group_samples as g; g.Sampled.finished = True; "
        "from rlvr.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program, *workshop.argv(*sets)[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
