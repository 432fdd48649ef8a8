"""A stage that fails keeps what it has and a log that the closing line names; a full disk is seen beforehand."""

import json
import logging
import shutil
import warnings

import pytest

import rlvr.models.load
from rlvr.pipeline.checkpoints import last_step


def entry_of(run, name):
    stages = json.loads((run.run_dir / "manifest.json").read_text())["stages"]
    return next(entry for entry in stages if entry["name"] == name)


def test_a_stage_that_fails_is_one_line_that_names_its_log(workshop, said, monkeypatch):
    def fails(*_, **__):
        warnings.warn("an odd tokenizer", stacklevel=2)
        logging.getLogger("trl.trainer").warning("a careless setting")
        raise RuntimeError("no luck today")

    with monkeypatch.context() as patched:
        patched.setattr(rlvr.models.load, "load_model", fails)
        assert workshop.run() == 1
    printed, log = said(), workshop.run_dir / "logs/sft.log"
    assert (
        f"stage sft failed: RuntimeError: no luck today; its log, with the traceback, is {log}; run it again" in printed
    )
    assert "Traceback" not in printed and "careless" not in printed and "odd tokenizer" not in printed
    for says in ("Traceback", "no luck today", "an odd tokenizer", "a careless setting", "'learning_rate': 0.001"):
        assert says in log.read_text()
    assert entry_of(workshop, "sft")["status"] == "failed"
    assert entry_of(workshop, "sft")["error"] == "RuntimeError: no luck today"
    assert workshop.run(flags=["--plan"]) == 0
    assert "1. sft (sft) would run: it was broken off by an error before a checkpoint" in said()
    assert workshop.run() == 0
    assert workshop.is_finished() and log.read_text().endswith(" bytes of memory\n")


def test_what_a_stage_logged_before_it_was_stopped_stays_in_its_log(workshop):
    workshop.fate(2 * 4 + 1, "SIGTERM")
    assert workshop.run() == 143
    assert entry_of(workshop, "grpo")["status"] == "stopped"
    assert workshop.run() == 0
    log = (workshop.run_dir / "logs/grpo.log").read_text()
    assert log.count("INFO rlvr.stage: grpo (grpo), rlvr ") == 2 and log.count("INFO rlvr.stage: done: ") == 1
    entry = entry_of(workshop, "grpo")
    assert entry["started"] <= entry["resumed"] <= entry["finished"]


def test_a_model_that_the_disk_has_no_room_for_is_not_begun(workshop, said):
    huge = ["model.scratch.hidden_size=65536", "model.scratch.num_layers=4000"]
    assert workshop.run(*huge) == 1
    printed = said()
    assert "the base model takes" in printed and "GiB free" in printed and "free some space" in printed
    assert not list((workshop.run_dir / "models").glob("*"))


@pytest.mark.parametrize(("free", "step"), [(100_000_000, 4), (0, 2)])
def test_a_checkpoint_that_the_disk_has_no_room_for_is_not_begun(workshop, said, monkeypatch, free, step):
    """The disk is full once the second checkpoint of GRPO is there."""
    real = shutil.disk_usage

    def usage(path):
        found = real(path)
        full = last_step(workshop.run_dir / "checkpoints/grpo") >= 2
        return found._replace(free=free) if full else found

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", usage)
        assert workshop.run() == (0 if free else 1)
    if free:
        return
    printed = said()
    assert "stage grpo: a checkpoint of step 3 takes 0 MiB" in printed and "has 0 MiB free" in printed
    assert f"its log is {workshop.run_dir / 'logs/grpo.log'}" in printed
    assert last_step(workshop.run_dir / "checkpoints/grpo") == step
    assert workshop.run() == 0
    assert "grpo: resuming from step 2 of 4" in said()
    assert workshop.is_finished()


def test_the_plan_says_what_the_disk_must_hold(finished, said):
    assert finished.run(flags=["--check"]) == 0
    assert "disk: 1 MiB (3 checkpoints of 0 MiB and a model of 0 MiB)" in said()
