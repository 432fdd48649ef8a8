"""Adapters hot-loaded into vLLM, of a Qwen3 and a Llama, and merged where vLLM takes none; the guard looks at each."""

import pytest
import torch

from rlvr.config.schema import ModelConfig
from rlvr.engine import vllm_weights
from rlvr.engine.sampling import Request, SamplingParams
from rlvr.engine.vllm_guard import sampler_gap
from rlvr.engine.vllm_sampler import VLLMSampler
from rlvr.failure import WorkError
from rlvr.models.load import load_model
from rlvr.models.shape import folder_shape
from rlvr.models.vllm_memory import RANKS, Engine, engine_bytes

PARAMS = SamplingParams(max_new_tokens=24)
REQUESTS = [Request([5, 6, 7, 8 + group], [100 * group + sample for sample in range(8)]) for group in range(6)]


@pytest.fixture
def made(request, model_folder, llama_folder):
    folder = {"qwen3": model_folder, "llama": llama_folder}[request.param]
    return load_model(str(folder), ModelConfig(path=str(folder)), train_all=True), folder


def adapted(model, **settings):
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(**{"r": 4, "target_modules": "all-linear", "task_type": "CAUSAL_LM", **settings})
    return turned(get_peft_model(model, config), 0)


def turned(model, seed):
    """The model with another adapter of the same shape."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(generator=torch.Generator().manual_seed(seed)).mul_(0.1)
    return model


@pytest.mark.parametrize("made", ["qwen3", "llama"], indirect=True)
def test_each_version_of_an_adapter_is_sampled_with_and_the_base_is_pushed_once(made, monkeypatch):
    model, folder = made
    pushed = []
    monkeypatch.setattr(vllm_weights, "base_weights", spied(vllm_weights.base_weights, pushed))
    peft, said = adapted(model), []
    sampler = VLLMSampler(str(folder), [2], max_rows=64, say=said.append)
    try:
        for version in range(3):
            sampler.holding(turned(peft, version)).sample(REQUESTS, PARAMS)
            assert sampler.metrics["sampler_gap"] < 1e-4
        assert len(pushed) == 1
        assert not any("merged" in line for line in said)
        with peft.disable_adapter():
            assert sampler_gap(peft, REQUESTS, sampler.sample(REQUESTS, PARAMS), PARAMS) > 0.05
        monkeypatch.setattr(vllm_weights, "save_adapter", lambda model, folder: None)
        with pytest.raises(WorkError, match="its weights did not arrive"):
            sampler.holding(turned(peft, 7)).sample(REQUESTS, PARAMS)
    finally:
        sampler.close()


def spied(function, calls):
    def spy(*arguments):
        calls.append(arguments)
        return function(*arguments)

    return spy


def test_where_vllm_takes_no_adapter_it_is_merged_and_this_is_said(tmp_path):
    from transformers import GPT2Config, GPT2LMHeadModel

    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_positions=256, n_embd=64, n_layer=1, n_head=2))
    gpt2.save_pretrained(tmp_path)
    said = []
    sampler = VLLMSampler(str(tmp_path), [2], max_rows=64, say=said.append)
    try:
        sampler.holding(adapted(gpt2, target_modules=["c_fc"], fan_in_fan_out=True)).sample(REQUESTS, PARAMS)
        assert sampler.metrics["sampler_gap"] < 1e-4
    finally:
        sampler.close()
    assert any("merged and all weights are pushed at every step: vLLM takes no adapters" in line for line in said)


def test_an_adapter_of_the_head_is_merged(model, model_folder):
    assert (
        vllm_weights.why_merged(adapted(model, target_modules=["lm_head"]))
        == "its adapter changes the embedding or the head"
    )


def test_ranks_are_those_that_vllm_takes():
    from typing import get_args

    from vllm.config.lora import MaxLoRARanks

    assert get_args(MaxLoRARanks) == RANKS


def test_an_adapter_of_the_highest_rank_is_hot_loaded_into_as_much_memory_as_estimated(model, model_folder):
    peft, said = adapted(model, r=RANKS[-1]), []
    sampler = VLLMSampler(str(model_folder), [2], max_rows=64, say=said.append)
    try:
        sampler.holding(peft).sample(REQUESTS, PARAMS)
        assert sampler.metrics["sampler_gap"] < 1e-4
        assert not any("merged" in line for line in said)
        loaded = sampler._llm.llm_engine.model_executor.driver_worker.model_runner.model
        stacked = [t for m in loaded.modules() for name in ("lora_a_stacked", "lora_b_stacked") for t in found(m, name)]
    finally:
        sampler.close()
    shape = folder_shape(model_folder)
    assert shape is not None
    estimated = engine_bytes(shape, Engine(64, 256, 0.3, lora_rank=RANKS[-1]))["adapter"]  # in 2 bytes a value
    assert sum(tensor.numel() * 2 for tensor in stacked) == estimated


def found(module, name):
    value = vars(module).get(name, ())
    return [value] if torch.is_tensor(value) else list(value)
