"""Whole runs with `sampler = "vllm"`: SFT, GRPO that learns, evaluation; what they leave behind, twice the same."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from rlvr.cli import main
from rlvr.engine.vllm_weights import WholeModel
from rlvr.traces.store import read_shard

CONFIG = """
threads = 1
[model.scratch]
hidden_size = 64
intermediate_size = 128
num_layers = 2
num_heads = 2
num_kv_heads = 2
vocab_size = 400
context_length = 256
[env]
name = "scheduling"
tier = "compact"
[reward]
expression = "'FOLDER/letters.py:digits'"
[[stage]]
kind = "sft"
steps = 30
learning_rate = 2e-3
[[stage]]
kind = "grpo"
steps = 8
prompts_per_step = 4
group_size = 8
max_new_tokens = 40
learning_rate = 2e-3
sampler = "vllm"
LORA
[[stage]]
kind = "evaluate"
num_tasks = 20
max_new_tokens = 40
sampler = "vllm"
"""
DIGITS = '''
from rlvr_rewards import reward

@reward
def digits(completion: str) -> float:
    """The share of digits: what a model of a few steps can learn."""
    return sum(letter.isdigit() for letter in completion) / max(1, len(completion))
'''


def write_config(folder: Path, lora: str = "") -> Path:
    (folder / "letters.py").write_text(DIGITS)
    path = folder / "run.toml"
    path.write_text(CONFIG.replace("FOLDER", str(folder)).replace("LORA", lora))
    return path


def rlvr(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "rlvr", *arguments], capture_output=True, text=True, timeout=280, check=False
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[Path]:
    """The same config twice, each in a process of its own."""
    folder = tmp_path_factory.mktemp("runs")
    config = write_config(folder)
    made = []
    for name in ("first", "second"):
        done = rlvr("run", str(config), "--run-dir", str(folder / name))
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        (folder / name / "said.txt").write_text(done.stdout)
        made.append(folder / name)
    return made


def metrics(run: Path) -> list[dict]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["stage"] == "grpo"]


def traces(run: Path, split: str = "train") -> list[dict]:
    paths = sorted((run / "traces").glob(f"grpo.{split}.*.parquet"))
    return [row for path in paths for row in read_shard(path).to_pylist()]


def test_the_gap_is_rounding_at_every_step(runs):
    gaps = [line["sampler_gap"] for line in metrics(runs[0])]
    assert len(gaps) == 8
    assert max(gaps) < 1e-4


def test_it_learns(runs):
    rewards = [line["reward"] for line in metrics(runs[0])]
    assert sum(rewards[-2:]) > 1.3 * sum(rewards[:2])


def test_traces_hold_what_vllm_said(runs):
    rows = traces(runs[0])
    assert len(rows) == 8 * 4 * 8
    assert {row["finish_reason"] for row in rows} <= {"stop", "length"}
    for row in rows:
        assert len(row["logprobs"]) == len(row["token_ids"])
        assert all(math.isfinite(logprob) and logprob <= 0 for logprob in row["logprobs"])
        assert row["sample_s"] > 0
        assert (row["finish_reason"] == "length") <= (len(row["token_ids"]) == 40)


def test_seeds_differ_and_so_do_the_completions_of_a_group(runs):
    rows = traces(runs[0])
    assert len({row["seed"] for row in rows}) == len(rows)
    first = [row for row in rows if row["step"] == 1]
    for group in range(4):
        assert len({tuple(row["token_ids"]) for row in first if row["group"] == group}) > 1


def test_a_rerun_repeats(runs):
    kept = ("step", "group", "sample", "seed", "token_ids", "logprobs", "reward", "advantage", "finish_reason")
    first, second = ([{name: row[name] for name in kept} for row in traces(run)] for run in runs)
    assert first == second


def test_evaluation_samples_with_it_too(runs):
    rows = traces(runs[0], "test")
    assert len(rows) == 20
    assert all(row["logprobs"] for row in rows)


def test_the_user_is_told_what_takes_long(runs):
    said = (runs[0] / "said.txt").read_text()
    assert "vLLM is loading" in said
    assert "its first batch is slower" in said
    assert "vLLM's first batch took" in said


def test_an_adapter_is_trained_with_it(tmp_path):
    config = write_config(tmp_path, "[stage.lora]\nr = 4\n")
    done = rlvr("run", str(config), "--run-dir", str(tmp_path / "run"), "--set", "stage.grpo.steps=3")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert max(line["sampler_gap"] for line in metrics(tmp_path / "run")) < 1e-4


def test_a_broken_sync_stops_the_run(tmp_path, monkeypatch, capfd):
    arrived = []
    push = WholeModel.push

    def only_once(self, model, llm):
        if not arrived:
            push(self, model, llm)
        arrived.append(True)

    monkeypatch.setattr(WholeModel, "push", only_once)
    config = write_config(tmp_path)
    assert main(["run", str(config), "--run-dir", str(tmp_path / "run"), "--set", "stage.sft.steps=5"]) == 1
    error = capfd.readouterr().err
    assert "vLLM does not sample from the model that is trained" in error
    assert "Traceback" not in error


def test_eval_command(runs, tmp_path):
    out = tmp_path / "out.json"
    model = str(runs[0] / "models" / "grpo")
    env = "scheduling?tier=compact"
    done = rlvr(
        "eval", "--model", model, "--env", env, "--n", "20", "--max-new-tokens", "40", "--sampler", "vllm",
        "--json", str(out),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert {row["metric"] for row in json.loads(out.read_text())} >= {"score", "success"}
