"""SFT and GRPO with adapters, one on the other, then evaluated: the whole chain through the command."""

import json

import pytest

pytest.importorskip("trl", reason="needs the train extra")

from rlvr.cli import main
from rlvr.models.adapters import base_of

CONFIG = """
[env]
name = "arithmetic"
[[stage]]
kind = "sft"
steps = 2
batch_size = 4
num_examples = 8
micro_batch_size = 2
[stage.lora]
r = 4
[[stage]]
kind = "grpo"
steps = 2
prompts_per_step = 2
group_size = 2
micro_batch_size = 2
max_new_tokens = 4
[stage.trl]
beta = 0.04
[stage.lora]
r = 4
target_modules = ["q_proj", "v_proj"]
[[stage]]
kind = "evaluate"
num_tasks = 2
max_new_tokens = 4
models = ["base", "sft", "grpo"]
"""


def test_adapters_train_on_each_other_and_are_evaluated(tmp_path, tiny_model):
    config, run = tmp_path / "lora.toml", tmp_path / "run"
    config.write_text(tiny_model + CONFIG)
    assert main(["run", str(config), "--run-dir", str(run)]) == 0
    assert base_of(str(run / "models/grpo")) == str(run / "models/sft")
    assert base_of(str(run / "models/sft")) == str(run / "models/base")
    assert not (run / "models/grpo/model.safetensors").exists()
    settings = json.loads((run / "models/grpo/adapter_config.json").read_text())
    assert sorted(settings["target_modules"]) == ["q_proj", "v_proj"]
    steps = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in steps] == [1, 2, 1, 2]
    assert all("kl" in line for line in steps[2:])
    results = json.loads((run / "results.json").read_text())
    assert {row["stage"] for row in results} == {"base", "sft", "grpo"}
