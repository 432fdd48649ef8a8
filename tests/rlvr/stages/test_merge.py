"""SFT, SFT and GRPO with adapters on one another, merged and evaluated by the command; and what merging refuses."""

import json
import shutil

import pytest
import torch

pytest.importorskip("trl", reason="needs the train extra")

from safetensors.torch import load_file

from rlvr.cli import main
from rlvr.config.schema import ModelConfig
from rlvr.models.adapters import is_adapter
from rlvr.models.load import load_model, load_tokenizer

CHAIN = """
[env]
name = "arithmetic"
largest = 9
[[stage]]
kind = "sft"
steps = 3
batch_size = 4
num_examples = 8
[stage.lora]
r = 4
[[stage]]
kind = "sft"
name = "more"
steps = 3
batch_size = 4
num_examples = 8
[stage.lora]
r = 2
dora = true
[[stage]]
kind = "grpo"
steps = 2
prompts_per_step = 2
group_size = 4
max_new_tokens = 4
learning_rate = 1e-2
[stage.lora]
r = 4
rslora = true
[[stage]]
kind = "merge"
num_prompts = 4
[[stage]]
kind = "evaluate"
num_tasks = 3
max_new_tokens = 4
models = ["grpo", "merge"]
temperature = 0.0
"""
IDS = torch.tensor([[5, 6, 7, 8]])


@pytest.fixture(scope="module")
def merged_run(tmp_path_factory, tiny_model):
    """A run folder with three stacked adapters and what they were merged into; do not change it."""
    folder = tmp_path_factory.mktemp("merged")
    (folder / "chain.toml").write_text(tiny_model + CHAIN)
    assert main(["run", str(folder / "chain.toml"), "--run-dir", str(folder / "run")]) == 0
    return folder / "run"


def test_stacked_adapters_merge_into_an_ordinary_model(merged_run):
    models = merged_run / "models"
    assert all(is_adapter(str(models / name)) for name in ("sft", "more", "grpo"))
    assert not is_adapter(str(models / "merge")) and (models / "merge/model.safetensors").exists()
    with torch.no_grad():
        merged, stacked, base = (
            load_model(str(models / name), ModelConfig()).eval()(IDS).logits for name in ("merge", "grpo", "base")
        )
    assert torch.allclose(merged, stacked, atol=1e-5)
    assert (merged - base).abs().max() > 1e-3


def test_tokenizer_template_and_generation_config_go_along(merged_run):
    models = merged_run / "models"
    tokenizer, before = (load_tokenizer(str(models / name), ModelConfig()) for name in ("merge", "grpo"))
    assert tokenizer.chat_template == before.chat_template and tokenizer.get_vocab() == before.get_vocab()
    settings, base = (json.loads((models / name / "generation_config.json").read_text()) for name in ("merge", "base"))
    assert settings == base


def test_the_manifest_says_what_merging_moved_and_both_models_answer_alike(merged_run):
    stages = json.loads((merged_run / "manifest.json").read_text())["stages"]
    metrics = next(stage["metrics"] for stage in stages if stage["name"] == "merge")
    assert metrics["adapters"] == 3 and metrics["merge_kl"] < 1e-6 < metrics["effect_kl"]
    assert "trained_kl" not in metrics
    rows = json.loads((merged_run / "results.json").read_text())
    scores = {row["stage"]: row["mean"] for row in rows if row["metric"] == "score"}
    assert scores["merge"] == scores["grpo"]


def test_the_plan_names_the_adapters_and_the_merge(merged_run, tmp_path, capsys):
    assert main(["run", str(merged_run.parent / "chain.toml"), "--run-dir", str(tmp_path / "new"), "--check"]) == 0
    printed = capsys.readouterr().out
    assert "LoRA r 4" in printed and "DoRA r 2" in printed and "rsLoRA r 4" in printed
    assert "adapters into their base, logits compared on 4 prompts" in printed


def test_without_an_adapter_there_is_nothing_to_merge(tmp_path, tiny_model, capsys):
    config = tmp_path / "run.toml"
    config.write_text(f'{tiny_model}\n[env]\nname = "arithmetic"\n[[stage]]\nkind = "sft"\n[[stage]]\nkind = "merge"\n')
    assert main(["run", str(config), "--check"]) == 2
    assert "has no adapter" in capsys.readouterr().err


def test_a_merge_that_was_killed_is_done_again_and_half_a_model_is_swept_away(merged_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(merged_run, run)
    (run / "models/merge").rename(run / "models/.merge.tmp")
    (run / "models/.merge.tmp/model.safetensors").write_bytes(b"half")
    assert main(["run", str(merged_run.parent / "chain.toml"), "--run-dir", str(run)]) == 0
    assert not (run / "models/.merge.tmp").exists()
    made, before = (load_file(folder / "models/merge/model.safetensors") for folder in (run, merged_run))
    assert all(torch.equal(made[name], before[name]) for name in before)


QLORA = """
[env]
name = "arithmetic"
largest = 9
[[stage]]
kind = "sft"
steps = 3
batch_size = 4
num_examples = 8
learning_rate = 1e-2
[stage.lora]
r = 4
qlora = true
[[stage]]
kind = "merge"
num_prompts = 4
"""


def test_what_qlora_trained_is_compared_with_what_it_is_merged_into(tmp_path, tiny_model, capsys, monkeypatch):
    pytest.importorskip("bitsandbytes", reason="needs the qlora extra")
    from rlvr.models import merge
    from rlvr.models.adapters import trained_in_4_bits

    config, run = tmp_path / "run.toml", tmp_path / "run"
    config.write_text(tiny_model + QLORA)
    monkeypatch.setattr(merge, "TOLERANCE_4BIT", 1e-12)
    assert main(["run", str(config), "--run-dir", str(run)]) == 1
    assert "sft was trained on 4-bit weights, and merged into whole ones" in " ".join(capsys.readouterr().err.split())
    assert trained_in_4_bits(str(run / "models/sft")) and not (run / "models/merge").exists()
    monkeypatch.undo()
    assert main(["run", str(config), "--run-dir", str(run)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "from sft as it was trained, on 4-bit weights, the merged model is" in printed and "(at most 0.5)" in printed
    stages = json.loads((run / "manifest.json").read_text())["stages"]
    numbers = next(stage["metrics"] for stage in stages if stage["name"] == "merge")
    assert numbers["merge_kl"] < 1e-6 < numbers["trained_kl"] < 0.5
