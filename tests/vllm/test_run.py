"""Whole runs with `sampler = "vllm"`: SFT, GRPO that learns, evaluation; what they leave behind, twice the same."""

import json
import math
import subprocess
import sys
import time
from pathlib import Path

import psutil
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


def start_from(model: Path, config: Path) -> None:
    """Changes a config to another model than one from nothing."""
    rest = config.read_text().partition("[env]")[2]
    config.write_text(f'threads = 1\n[model]\npath = "{model}"\n[env]{rest}')


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


@pytest.mark.parametrize("lora", ["", "[stage.lora]\nr = 4\n"], ids=["full", "lora"])
def test_a_llama_is_trained_with_it(tmp_path, llama_folder, lora):
    config = write_config(tmp_path, lora)
    start_from(llama_folder, config)
    done = rlvr("run", str(config), "--run-dir", str(tmp_path / "run"), "--set", "stage.sft.steps=10")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert [line["step"] for line in metrics(tmp_path / "run")] == [*range(1, 9)]
    assert max(line["sampler_gap"] for line in metrics(tmp_path / "run")) < 1e-4
    assert len(traces(tmp_path / "run")) == 8 * 4 * 8
    assert "merged" not in done.stdout
    assert {row["policy_version"] for row in traces(tmp_path / "run")} == {*range(8)}


def test_a_run_killed_while_vllm_is_up_goes_on_to_what_it_would_have_become(tmp_path, runs):
    config, run = write_config(tmp_path), tmp_path / "run"
    command = ["run", str(config), "--run-dir", str(run), "--set", "stage.grpo.save_steps=3"]
    with (tmp_path / "said.txt").open("w") as said:
        killed = subprocess.Popen([sys.executable, "-m", "rlvr", *command], stdout=said, stderr=said)
    wait_for_step(run, killed, 5)
    begun = psutil.Process(killed.pid).children(recursive=True)
    killed.kill()
    assert killed.wait() == -9
    _, alive = psutil.wait_procs(begun, timeout=10)
    assert not alive, "an engine outlived its run"
    assert max(row["step"] for row in traces(run)) >= 5
    done = rlvr(*command)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "grpo: resuming from step 3 of 8" in done.stdout
    assert [line["step"] for line in metrics(run)] == [*range(1, 9)]
    kept = ("step", "group", "sample", "seed", "token_ids", "logprobs", "reward", "advantage")
    assert [[row[k] for k in kept] for row in traces(run)] == [[row[k] for k in kept] for row in traces(runs[0])]


def wait_for_step(run: Path, process: subprocess.Popen, step: int) -> None:
    until = time.time() + 200
    while process.poll() is None and time.time() < until:
        if (run / "metrics.jsonl").exists() and any(f'"step": {step},' in line for line in grpo_lines(run)):
            return
        time.sleep(0.01)
    raise AssertionError(f"the run ended, with {process.poll()}, before step {step}")


def grpo_lines(run: Path) -> list[str]:
    return [line for line in (run / "metrics.jsonl").read_text().splitlines() if '"stage": "grpo"' in line]


def test_a_rank_above_vllms_limit_is_one_line_before_anything_loads(tmp_path, capfd):
    config = write_config(tmp_path, "[stage.lora]\nr = 513\n")
    assert main(["run", str(config), "--run-dir", str(tmp_path / "run")]) == 2
    said = " ".join(capfd.readouterr().err.split())
    assert "lora.r 513 is above vLLM's limit of 512: lower it, or set sampler" in said
    assert not (tmp_path / "run").exists()


def test_a_model_that_vllm_cannot_load_is_one_line_in_a_run(tmp_path, tokenizer, capfd):
    from transformers import OpenAIGPTConfig, OpenAIGPTLMHeadModel

    odd = OpenAIGPTConfig(vocab_size=len(tokenizer), n_positions=256, n_embd=32, n_layer=1, n_head=2)
    OpenAIGPTLMHeadModel(odd).save_pretrained(tmp_path / "odd")
    tokenizer.save_pretrained(tmp_path / "odd")
    config = write_config(tmp_path)
    start_from(tmp_path / "odd", config)
    assert main(["run", str(config), "--run-dir", str(tmp_path / "run"), "--set", "stage.sft.steps=2"]) == 2
    said = " ".join(capfd.readouterr().err.split())
    assert f"vLLM cannot load model {tmp_path / 'run' / 'models' / 'sft'}" in said
    assert 'set sampler = "torch"' in said
    assert "Traceback" not in said


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
