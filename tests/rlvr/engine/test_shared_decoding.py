"""Decoding with a group's prompt kept once gives what decoding with a copy for each row gives."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from rlvr.engine import shared_decoding
from rlvr.engine.attention_cache import RoomyLayer
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


def seen_while_drawing(model, monkeypatch, **savings):
    """What is drawn, and of each step of decoding its rows, the kind of its cache, and whether weights were packed."""
    rows, kinds, packed = [], set(), []
    decode, prepacked = TorchSampler._decode, shared_decoding.prepacked_linear

    def seen(self, batch):
        rows.append(len(batch.rows_B))
        kinds.update(map(type, batch.cache.layers))
        decode(self, batch)

    prompts = []
    hook = model.register_forward_pre_hook(
        lambda _, args, kwargs: prompts.append(kwargs["input_ids"].shape), with_kwargs=True
    )
    with monkeypatch.context() as patch:
        patch.setattr(TorchSampler, "_decode", seen)
        patch.setattr(shared_decoding, "prepacked_linear", lambda *weights: packed.append(1) or prepacked(*weights))
        found = drawn(model, **savings)
    hook.remove()
    return found, {"rows": rows, "roomy": RoomyLayer in kinds, "packed": bool(packed), "prompts": prompts[0][0]}


EFFECTS = {
    "prefill_once": lambda on, off: on["prompts"] == len(REQUESTS) and off["prompts"] == 9,
    "prepack_weights": lambda on, off: on["packed"] and not off["packed"],
    "drop_finished": lambda on, off: on["rows"][-1] < 9 and set(off["rows"]) == {9},
    "cache_room": lambda on, off: on["roomy"] and not off["roomy"],
}


@pytest.mark.parametrize("name", EFFECTS)
def test_each_saving_is_made_unless_it_is_off_and_changes_nothing_that_is_drawn(name, monkeypatch):
    model = a_model("qwen3")
    (saved, on), (plain, off) = (seen_while_drawing(model, monkeypatch, **{name: wanted}) for wanted in (True, False))
    assert EFFECTS[name](on, off), (on, off)
    for ours, theirs in zip(saved, plain, strict=True):
        assert ours.token_ids == theirs.token_ids
        assert ours.logprobs == pytest.approx(theirs.logprobs, abs=1e-4)


def test_a_prompt_read_in_bfloat16_is_decoded_in_float32():
    """As under `trl.bf16` on a CPU, where accelerate has the passes of the model be in bfloat16, not our steps."""
    model = a_model("qwen3")
    plain = drawn(model)
    model.forward = torch.autocast("cpu", torch.bfloat16)(model.forward)
    same = [one.token_ids[0] == two.token_ids[0] for one, two in zip(drawn(model), plain, strict=True)]
    assert sum(same) >= len(same) - 2  # rounding moves a first token now and then


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
