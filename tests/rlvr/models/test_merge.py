"""Merging: a chain of adapters of any kind, whatever they were trained on, answers as it did before."""

import json
import shutil

import pytest
import torch
from peft import get_peft_model

from rlvr.config.schema import ModelConfig
from rlvr.models.adapters import LoraSettings, peft_config
from rlvr.models.load import load_model, load_tokenizer, open_chain
from rlvr.models.merge import TOLERANCE, adapter_chain, agreement, logprobs_of, mean_kl, merge_measured
from rlvr_rewards import UserError

TEXTS = [[5, 6, 7, 8], list(range(3, 60))]


def train_adapter(base, folder, settings, seed, scale=0.1):
    """An adapter with random weights saved as a stage saves it, and its log-probs."""
    adapted = get_peft_model(load_model(str(base), ModelConfig()), peft_config(settings))
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, weights in adapted.named_parameters():
            if "lora_magnitude" in name:
                weights.mul_(torch.rand_like(weights) + 0.5)
            elif "lora_" in name:
                weights.normal_(std=scale)
    wanted = logprobs_of(adapted, TEXTS)
    adapted.save_pretrained(folder)
    load_tokenizer(str(base), ModelConfig()).save_pretrained(folder)
    return wanted


KINDS = [LoraSettings(r=4), LoraSettings(r=2, dora=True), LoraSettings(r=4, rslora=True)]


def test_adapters_of_every_kind_on_one_another_merge_into_what_they_were(tiny, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(tiny, run / "base")
    names = ["base", "sft", "dpo", "grpo"]
    wanted = [
        train_adapter(run / before, run / name, settings, seed)
        for seed, (before, name, settings) in enumerate(zip(names, names[1:], KINDS, strict=False))
    ]
    assert adapter_chain(str(run / "grpo")) == (str(run / "base"), [str(run / name) for name in names[1:]])
    for name, logprobs in zip(names[1:], wanted, strict=True):
        assert mean_kl(logprobs, logprobs_of(load_model(str(run / name), ModelConfig()), TEXTS)) < 1e-6

    model, adapters = open_chain(str(run / "grpo"), ModelConfig())
    merges = [merge for _, merge in merge_measured(model, adapters, TEXTS)]
    assert [merge.path for merge in merges] == adapters
    for merge in merges:
        assert merge.gap < TOLERANCE["float32"] and merge.effect > 1e-3 and merge.agreement == 1
    assert mean_kl(wanted[-1], logprobs_of(model, TEXTS)) < 1e-6


def test_what_sixteen_bits_lose_is_measured(tiny, tmp_path):
    half = tmp_path / "half"
    load_model(str(tiny), ModelConfig(dtype="bfloat16")).save_pretrained(half)
    load_tokenizer(str(tiny), ModelConfig()).save_pretrained(half)
    train_adapter(half, tmp_path / "strong", LoraSettings(r=4), 1)
    train_adapter(half, tmp_path / "weak", LoraSettings(r=4), 1, scale=1e-3)
    measured = {}
    for name in ("strong", "weak"):
        model, adapters = open_chain(str(tmp_path / name), ModelConfig())
        [(merged, measured[name])] = merge_measured(model, adapters, TEXTS)
        assert merged.dtype == torch.bfloat16 and measured[name].gap < TOLERANCE["bfloat16"]
    assert measured["strong"].gap < measured["strong"].effect / 10
    assert measured["weak"].gap > measured["weak"].effect / 2


def test_an_adapter_that_is_no_number_has_no_small_gap(tiny, tmp_path):
    train_adapter(tiny, tmp_path / "sft", LoraSettings(r=4), 1, scale=1e30)
    model, adapters = open_chain(str(tmp_path / "sft"), ModelConfig())
    [(_, merge)] = merge_measured(model, adapters, TEXTS)
    assert not merge.gap <= TOLERANCE["float32"]


def test_a_chain_that_leads_back_to_itself_is_refused(tmp_path):
    for name, base in (("a", "b"), ("b", "a")):
        (tmp_path / name).mkdir()
        settings = {"base_model_name_or_path": str(tmp_path / base)}
        (tmp_path / name / "adapter_config.json").write_text(json.dumps(settings))
    with pytest.raises(UserError, match="name each other"):
        load_model(str(tmp_path / "a"), ModelConfig())


def test_an_adapter_without_a_tokenizer_has_its_bases(tiny, tmp_path):
    train_adapter(tiny, tmp_path / "sft", LoraSettings(r=4), 1)
    for file in (tmp_path / "sft").glob("*token*"):
        file.unlink()
    base = load_tokenizer(str(tiny), ModelConfig())
    assert load_tokenizer(str(tmp_path / "sft"), ModelConfig()).get_vocab() == base.get_vocab()


def test_kl_and_agreement_by_hand():
    p, q = torch.tensor([[0.5, 0.5], [0.9, 0.1]]).log(), torch.tensor([[0.25, 0.75], [0.9, 0.1]]).log()
    expected = (0.5 * torch.tensor(2.0).log() + 0.5 * torch.tensor(2 / 3).log()) / 2
    assert mean_kl([p], [q]) == pytest.approx(float(expected))
    assert agreement([p], [q]) == 0.5
