"""Whole runs on tasks of several turns: every stage that knows them, what is refused, resuming, and what is learned."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("trl", reason="needs the train extra")

from rlvr.cli import main
from rlvr.traces.store import read_shards, shards

ENV = """
[env]
name = "guess"
largest = 15
guesses = 4
"""
STAGES = """
[[stage]]
kind = "sft"
steps = 3
batch_size = 32
num_examples = 200
learning_rate = 1e-2
[[stage]]
kind = "rft"
start = "base"  # which a stop string ends soon; SFT this short leaves a model that goes on for ever
steps = 2
batch_size = 8
num_tasks = 16
group_size = 4
max_new_tokens = 180
min_reward = 0.0
stop = ["e", "s", "1"]
[[stage]]
kind = "grpo"
start = "base"
steps = 2
prompts_per_step = 2
group_size = 4
max_new_tokens = 180
stop = ["e", "s", "1"]
[[stage]]
kind = "evaluate"
models = ["grpo"]
baselines = ["random", "listening"]
metrics = ["success", "listened"]
num_tasks = 8
max_new_tokens = 90
"""
TIMES = {"time", "sample_s", "reward_s"}


def rows(run, stage):
    return [row for _, table in read_shards(shards(run / "traces", stage), on_bad=print) for row in table.to_pylist()]


@pytest.mark.slow
def test_every_stage_that_knows_several_turns(tmp_path, tiny_model, capsys):
    config, run = tmp_path / "run.toml", tmp_path / "run"
    longer = tiny_model.replace("context_length = 256", "context_length = 512")  # bytes at random take more tokens anew
    config.write_text(longer + ENV + STAGES)
    assert main(["run", str(config), "--run-dir", str(run)]) == 0, capsys.readouterr().err
    for stage in ("rft", "grpo"):
        turns = [json.loads(row["turns"]) for row in rows(run, stage)]
        assert max(len(each) for each in turns) >= 3, f"{stage} sampled one turn alone"
    kept = [json.loads(line) for line in (run / "data/rft.jsonl").read_text().splitlines()]
    assert all(line["completion"][0]["role"] == "assistant" for line in kept)
    listening = [json.loads(row["turns"]) for row in rows(run, "listening")]
    assert all("tokens" not in turn for turns in listening for turn in turns)
    found = json.loads((run / "results.json").read_text())
    metrics = {row["metric"] for row in found if row["stage"] == "grpo"}
    assert {"success", "listened", "turns", "parts.legal", "truncated", "tokens"} <= metrics
    assert {row["metric"]: row["mean"] for row in found if row["stage"] == "listening"}["listened"] == 1.0
    assert main(["traces", str(run), "--print", "--stage", "grpo", "--step", "1", "--group", "0"]) == 0
    assert "reply of user" in capsys.readouterr().out


@pytest.mark.parametrize("stage", ["dpo", "orpo"])
def test_pairs_of_episodes_are_refused(tmp_path, tiny_model, capsys, stage):
    config = tmp_path / "run.toml"
    config.write_text(f'{tiny_model}{ENV}[[stage]]\nkind = "{stage}"\nsteps = 1\n')
    assert main(["run", str(config), "--check"]) == 2
    assert "guess has several turns, and pairs are of one" in capsys.readouterr().err


INTERRUPTS = """
import os, signal
from pathlib import Path
from rlvr_rewards import reward

@reward
def interrupting(completion: str, turns: list) -> float:
    '''Another number for most texts; at the third completion of a step, once, Ctrl-C.'''
    mark = Path(__file__).with_name("mark")
    if mark.exists() and mark.read_text() == "6":
        mark.unlink()
        os.kill(os.getpid(), signal.SIGINT)
    elif mark.exists():
        mark.write_text(str(int(mark.read_text()) + 1))
    return sum(completion.encode()) % 97 / 97
"""


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_run_that_was_stopped_becomes_what_it_would_have_been(tmp_path, tiny_model):
    folder = tmp_path
    (folder / "interrupting.py").write_text(INTERRUPTS)
    reward = f"[reward]\nexpression = \"'{folder}/interrupting.py:interrupting'\"\n"
    stage = '[[stage]]\nkind = "grpo"\nsteps = 3\nsave_steps = 1\nprompts_per_step = 2\ngroup_size = 4\n'
    (folder / "run.toml").write_text(tiny_model + ENV + reward + stage + 'max_new_tokens = 90\nstop = ["e", "1"]\n')

    def run(name):
        command = [sys.executable, "-m", "rlvr", "run", str(folder / "run.toml"), "--run-dir", str(folder / name)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.run(command, capture_output=True, text=True, timeout=200, env=environment)

    assert run("whole").returncode == 0
    (folder / "mark").write_text("-20")  # past the golds that a run tries first
    stopped = run("stopped")
    assert stopped.returncode == 130, stopped.stderr
    assert run("stopped").returncode == 0

    def contents(name: str):
        weights = (folder / name / "models/grpo/model.safetensors").read_bytes()
        found = [{k: v for k, v in row.items() if k not in {*TIMES, "run"}} for row in rows(folder / name, "grpo")]
        return hashlib.sha256(weights).hexdigest(), found

    assert contents("stopped") == contents("whole")
    assert max(len(json.loads(row["turns"])) for row in rows(folder / "whole", "grpo")) > 2


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_grpo_teaches_to_listen(tmp_path, capsys):
    """The shipped run, shorter: guesses heed what was told before, and more numbers are found."""
    run = tmp_path / "run"
    assert main(["run", "guess", "--run-dir", str(run), "--set", "stage.grpo.steps=90"]) == 0, capsys.readouterr().err
    found = {(row["stage"], row["metric"]): row["mean"] for row in json.loads((run / "results.json").read_text())}
    for metric in ("success", "listened"):
        assert found["grpo", metric] > found["sft", metric], found


def test_the_pages_environment_keeps_the_contract_and_cannot_be_cheated(tmp_path):
    from rlvr.audit.testing import check_audit
    from rlvr_envs import make
    from rlvr_envs.testing import check_env

    page = (Path(__file__).parents[3] / "docs/multi_turn.md").read_text(encoding="utf-8")
    (tmp_path / "lock.py").write_text(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0])
    env = make(f"{tmp_path}/lock.py:Lock")
    check_env(env)
    check_audit(env)
