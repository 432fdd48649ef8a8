"""Runs that are stopped on the way go on where they were: nothing is done twice, nothing is lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import rlvr.models.load
from rlvr.pipeline.checkpoints import last_step

ALL_SFT, ALL_GRPO = [1, 2, 3], [1, 2, 3, 4]
ROWS = 4
CONFIGS = Path(__file__).parents[3] / "configs"


def check_whole(workshop):
    assert workshop.is_finished()
    assert workshop.metric_steps("sft") == ALL_SFT
    assert workshop.metric_steps("grpo") == ALL_GRPO
    assert sorted(workshop.trace_steps("grpo")) == sorted(ALL_GRPO * ROWS)
    assert not list((workshop.run_dir / "checkpoints").glob("*"))


def test_a_run_from_end_to_end_and_again(finished, said):
    check_whole(finished)
    pickles = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
    assert [path for path in finished.run_dir.rglob("*") if path.name.endswith(pickles)] == []
    assert finished.run() == 0
    assert said().count("finished before, skipped") == 3
    check_whole(finished)


def test_the_speed_of_every_step_is_logged(finished):
    lines = [json.loads(line) for line in (finished.run_dir / "metrics.jsonl").read_text().splitlines()]
    for stage, metric in (("sft", "examples_per_s"), ("grpo", "completions_per_s")):
        assert all(line[metric] > 0 for line in lines if line["stage"] == stage)


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize("lora", [[], ["stage.grpo.lora.r=4"]], ids=["full", "lora"])
def test_a_signal_in_grpo_saves_and_the_same_command_goes_on(workshop, said, name, code, lora):
    sets = ["stage.grpo.save_steps=100", *lora]
    workshop.fate(2 * ROWS + 1, name)
    assert workshop.run(*sets) == code
    assert (workshop.run_dir / "checkpoints/grpo/checkpoint-3/checkpoint.json").exists()
    assert "grpo: a checkpoint of step 3 is saved; the same command goes on" in said()
    assert workshop.run(*sets) == 0
    printed = said()
    assert "sft: finished before, skipped" in printed
    assert "grpo: resuming from step 3 of 4" in printed
    check_whole(workshop)


def test_a_signal_in_evaluation_ends_it_at_once_and_it_is_done_again(workshop, said):
    workshop.fate(4 * ROWS + 1, "SIGTERM")
    assert workshop.run() == 143
    assert workshop.run() == 0
    assert "grpo: finished before, skipped" in said()
    check_whole(workshop)


def test_a_signal_while_the_model_loads(workshop, monkeypatch):
    def slow(*_, **__):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    with monkeypatch.context() as patched:
        patched.setattr(rlvr.models.load, "load_model", slow)
        assert workshop.run() == 143
    assert workshop.run() == 0
    check_whole(workshop)


def test_a_run_killed_between_two_checkpoints_takes_nothing_twice(workshop, said):
    """As `kill -9` leaves it: two steps after the last whole checkpoint, and one checkpoint cut short."""
    workshop.fate(3 * ROWS + 1, "SIGINT")
    assert workshop.run() == 130
    for cut_short in (workshop.run_dir / "checkpoints/grpo").glob("checkpoint-*"):
        if cut_short.name != "checkpoint-3":
            shutil.rmtree(cut_short)
    half = workshop.run_dir / "checkpoints/grpo/.unfinished/checkpoint-4"
    half.mkdir(parents=True)
    (half / "model.safetensors").write_bytes(b"half")
    with (workshop.run_dir / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "grpo", "st')
    said()
    assert workshop.run() == 0
    assert "resuming from step 3 of 4" in said()
    check_whole(workshop)


def start(workshop, *sets):
    program = "import sys; from rlvr.cli import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.Popen(
        [sys.executable, "-c", program, *workshop.argv(*sets)[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def wait_for_step(workshop, process, stage, step):
    metrics = workshop.run_dir / "metrics.jsonl"
    while process.poll() is None:
        if metrics.exists() and f'"stage": "{stage}", "step": {step},' in metrics.read_text():
            return
        time.sleep(0.005)
    raise AssertionError(process.communicate()[0])


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["sft", "grpo"])
@pytest.mark.parametrize(("number", "code"), [("SIGKILL", -9), ("SIGTERM", 143), ("SIGINT", 130)])
def test_a_process_stopped_in_training_is_continued_by_another(workshop, stage, number, code):
    sets = ["stage.sft.steps=60", "stage.sft.save_steps=7", "stage.grpo.steps=20", "stage.grpo.save_steps=3"]
    process = start(workshop, *sets)
    wait_for_step(workshop, process, stage, 11)
    process.send_signal(getattr(signal, number))
    printed = process.communicate(timeout=60)[0]
    assert process.returncode == code, printed
    again = start(workshop, *sets)
    printed = again.communicate(timeout=100)[0]
    assert again.returncode == 0, printed
    assert f"{stage}: resuming from step" in printed
    assert workshop.is_finished()
    assert workshop.metric_steps("sft") == list(range(1, 61))
    assert workshop.metric_steps("grpo") == list(range(1, 21))
    assert sorted(workshop.trace_steps("grpo")) == sorted([*range(1, 21)] * ROWS)


@pytest.mark.slow
def test_a_folder_in_use_by_another_process_is_refused(workshop, said):
    process = start(workshop, "stage.sft.steps=2000")
    wait_for_step(workshop, process, "sft", 1)
    assert workshop.run("stage.sft.steps=2000") == 2
    assert "in use by another process: wait for it, or choose another --run-dir" in said()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("stage", ["sft", "grpo"])
def test_sigterm_ends_the_quickstart_within_30_seconds_after_a_checkpoint(workshop, stage):
    parts = (CONFIGS / "quickstart.toml").read_text().split("[[stage]]\n")
    without_dpo = "[[stage]]\n".join(part for part in parts if 'kind = "dpo"' not in part).replace('"dpo", ', "")
    (workshop.path / workshop.config).write_text(without_dpo)
    sets = ["stage.sft.steps=3"] if stage == "grpo" else []
    process = start(workshop, *sets)
    wait_for_step(workshop, process, stage, 2)
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    printed = process.communicate(timeout=120)[0]
    assert process.returncode == 143, printed
    assert time.monotonic() - asked < 30
    assert last_step(workshop.run_dir / "checkpoints" / stage) >= 2


@pytest.mark.slow
def test_sigusr1_from_outside_saves_a_checkpoint_and_the_run_goes_on(workshop):
    sets = ["stage.grpo.steps=200", "stage.grpo.save_steps=1000"]
    process = start(workshop, *sets)
    wait_for_step(workshop, process, "grpo", 3)
    process.send_signal(signal.SIGUSR1)
    while process.poll() is None and not last_step(workshop.run_dir / "checkpoints/grpo"):
        time.sleep(0.005)
    saved = last_step(workshop.run_dir / "checkpoints/grpo")
    printed = process.communicate(timeout=100)[0]
    assert process.returncode == 0, printed
    assert 3 <= saved < 200 and f"grpo: a checkpoint of step {saved} is saved" in printed
    assert workshop.is_finished()
