"""Adapters: what a stage saves opens again with the same logits, and the next one trains on it."""

import json
import shutil

import torch
from peft import get_peft_model

from rlvr.config.schema import ModelConfig
from rlvr.models.adapters import LoraSettings, base_of, is_adapter, peft_config
from rlvr.models.load import load_model, load_tokenizer

IDS = torch.tensor([[5, 6, 7, 8]])


def trained_adapter(base_path, folder, seed):
    """An adapter with random weights saved as a stage saves it, and the logits of the model that it was trained in."""
    adapted = get_peft_model(load_model(str(base_path), ModelConfig()), peft_config(LoraSettings(r=4)))
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, weights in adapted.named_parameters():
            if "lora_" in name:
                weights.normal_(std=0.1)
        logits = adapted.eval()(IDS).logits
    adapted.save_pretrained(folder)
    load_tokenizer(str(base_path), ModelConfig()).save_pretrained(folder)
    return logits


def test_a_chain_of_adapters_opens_with_the_logits_it_was_trained_to(tiny, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(tiny, run / "base")
    base = load_model(str(run / "base"), ModelConfig()).eval()(IDS).logits
    first = trained_adapter(run / "base", run / "sft", 1)
    second = trained_adapter(run / "sft", run / "grpo", 2)
    assert is_adapter(str(run / "grpo")) and base_of(str(run / "grpo")) == str(run / "sft")
    assert (first - base).abs().max() > 0.01 and (second - first).abs().max() > 0.01
    for name, logits in (("sft", first), ("grpo", second)):
        again = load_model(str(run / name), ModelConfig()).eval()(IDS).logits
        assert torch.allclose(again, logits, atol=1e-5)

    merged = load_model(str(run / "grpo"), ModelConfig(), train_all=True)
    assert all(weights.requires_grad for weights in merged.parameters())

    run.rename(tmp_path / "moved")
    again = load_model(str(tmp_path / "moved/grpo"), ModelConfig()).eval()(IDS).logits
    assert torch.allclose(again, second, atol=1e-5)


def test_all_weights_are_trained_in_float32_and_an_adapters_base_stays_as_saved(tiny, tmp_path):
    half = tmp_path / "half"
    load_model(str(tiny), ModelConfig(dtype="bfloat16")).save_pretrained(half)
    assert load_model(str(half), ModelConfig()).dtype == torch.bfloat16
    assert load_model(str(half), ModelConfig(), train_all=True).dtype == torch.float32
    assert load_model(str(half), ModelConfig(dtype="bfloat16"), train_all=True).dtype == torch.bfloat16


def test_an_adapter_without_a_base_is_refused(tmp_path):
    import pytest

    from rlvr_rewards import UserError

    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 4}))
    with pytest.raises(UserError, match="does not name its base model"):
        load_model(str(tmp_path), ModelConfig())
