"""Decoding with a group's prompt kept once gives what decoding with a copy for each row gives."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from rlvr.engine.sampling import Request, SamplingParams
from rlvr.engine.savings import Savings
from rlvr.engine.shared_decoding import MODEL_TYPES, can_share_decoding
from rlvr.engine.torch_sampler import TorchSampler

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
REQUESTS = [Request(list(range(3, 20)), [1, 2, 3, 4, 5]), Request([7, 8], [6]), Request(list(range(30, 41)), [7, 8, 9])]
"""Prompts of uneven length, groups of uneven size."""


def a_model(model_type, **changes):
    torch.manual_seed(0)
    config = AutoConfig.for_model(model_type, **SIZES, **changes)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return model


def drawn(model, **savings):
    """Three tokens in 64 end a turn, so that rows and whole groups leave the batch early."""
    sampler = TorchSampler(model, [2, 5, 9], pad_id=0, savings=Savings(**savings))
    groups = sampler.sample(REQUESTS, SamplingParams(40))
    assert [len(group) for group in groups] == [len(request.seeds) for request in REQUESTS]
    return [completion for group in groups for completion in group]


@pytest.mark.parametrize("shared_decoding", [True, False])
@pytest.mark.parametrize("name", ["prefill_once", "lay_out_weights", "drop_finished", "cache_room"])
def test_no_saving_changes_what_is_drawn(name, shared_decoding):
    model = a_model("qwen3")
    saved = drawn(model, shared_decoding=shared_decoding)
    plain = drawn(model, shared_decoding=shared_decoding, **{name: False})
    for ours, theirs in zip(saved, plain, strict=True):
        assert ours.token_ids == theirs.token_ids
        assert ours.logprobs == pytest.approx(theirs.logprobs, abs=1e-4)


@pytest.mark.parametrize("model_type", sorted(MODEL_TYPES))
def test_tokens_and_log_probs_are_those_of_a_copy_for_each_row(model_type):
    model = a_model(model_type)
    assert can_share_decoding(model)
    before = model.config._attn_implementation
    shared, copied = drawn(model), drawn(model, shared_decoding=False)
    assert model.config._attn_implementation == before
    assert len({len(each.token_ids) for each in shared}) > 3
    for ours, theirs in zip(shared, copied, strict=True):
        assert ours.token_ids == theirs.token_ids
        assert ours.logprobs == pytest.approx(theirs.logprobs, abs=1e-4)


def test_adapters_are_part_of_the_weights():
    model = a_model("qwen2")
    plain = drawn(model)
    model = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
    assert can_share_decoding(model)
    adapted, copied = drawn(model), drawn(model, shared_decoding=False)
    assert [each.token_ids for each in adapted] == [each.token_ids for each in copied]
    assert [each.token_ids for each in adapted] != [each.token_ids for each in plain]


def test_a_model_that_adds_to_its_scores_decodes_as_transformers_does():
    model = a_model("gemma2", head_dim=8, sliding_window=64)
    assert not can_share_decoding(model)
    assert [each.token_ids for each in drawn(model)] == [each.token_ids for each in drawn(model, shared_decoding=False)]


def test_a_model_in_half_precision_decodes_as_transformers_does():
    assert not can_share_decoding(a_model("llama").to(torch.bfloat16))


def test_the_prompt_is_kept_once(monkeypatch):
    seen = []
    decode = TorchSampler._decode

    def looking(self, batch):
        decode(self, batch)
        seen.append((batch.cache.layers[0].keys.shape[2], [len(keys) for keys, _ in batch.prompt.states]))

    monkeypatch.setattr(TorchSampler, "_decode", looking)
    drawn(a_model("qwen3"))
    assert seen[0] == (1, [3] * 4)
    assert seen[-1][1][0] < 3, "the prompt of a group that has ended is let go"
