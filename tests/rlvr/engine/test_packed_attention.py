"""Which models can be packed: those that come to the same packed, whatever their class says of itself."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from rlvr.engine.packed_attention import can_pack

SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def a_model(model_type, **changes):
    torch.manual_seed(0)
    config = AutoConfig.for_model(model_type, **SIZES, **changes)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    for weight in model.parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=0.3)
    return model


MOE = {"moe_intermediate_size": 16, "num_experts": 4, "num_experts_per_tok": 2}


@pytest.mark.parametrize(
    ("model_type", "changes"),
    [("llama", {}), ("qwen2", {}), ("qwen3", {}), ("smollm3", {}), ("phi3", {}), ("qwen3_moe", MOE)],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_models_that_pass_the_rows_on_to_attention_are_packed(model_type, changes, dtype):
    model = a_model(model_type, **changes).to(dtype).train()
    assert can_pack(model)
    assert model.training and model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize(
    ("model_type", "why"),
    [
        ("nemotron", "its layers drop what they are passed for attention"),
        ("diffllama", "its attention is called twice a layer"),
        ("doge", "its attention has a mask of its own"),
        ("bloom", "its attention cannot be exchanged"),
    ],
)
def test_models_that_say_they_could_and_cannot_are_not(model_type, why):
    model = a_model(model_type)
    assert not can_pack(model), why
    assert model(input_ids=torch.tensor([[1, 2, 3]])).logits.isfinite().all()


def test_attention_that_never_hears_of_the_rows_is_found_out(monkeypatch):
    model = a_model("llama")
    monkeypatch.setattr(model, "set_attn_implementation", lambda name: None)
    assert not can_pack(model)
