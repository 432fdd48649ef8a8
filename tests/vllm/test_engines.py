"""Engines of their own, one at a time: other models, models that cannot be loaded, and weights that never arrive."""

import pytest
import torch

from rlvr.engine import vllm_sampler
from rlvr.engine.sampling import Request, SamplingParams
from rlvr.engine.vllm_weights import WholeModel
from rlvr.failure import WorkError
from rlvr_rewards import UserError

PARAMS = SamplingParams(max_new_tokens=24)
REQUESTS = [Request([5, 6, 7, 8 + group], [100 * group + sample for sample in range(8)]) for group in range(6)]


def test_the_guard_stops_where_weights_never_arrived(model, model_folder, tokenizer, monkeypatch):
    monkeypatch.setattr(WholeModel, "push", lambda self, model, llm: None)
    fresh = vllm_sampler.VLLMSampler(str(model_folder), [tokenizer.eos_token_id], max_rows=64)
    try:
        with pytest.raises(WorkError, match="its weights did not arrive"):
            fresh.holding(model).sample(REQUESTS, PARAMS)
    finally:
        fresh.close()


def test_a_llama_too(tmp_path, tokenizer, sharpen):
    from transformers import LlamaConfig, LlamaForCausalLM

    settings = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    llama = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=256, **settings))
    sharpen(llama)
    llama.save_pretrained(tmp_path)
    other = vllm_sampler.VLLMSampler(str(tmp_path), [tokenizer.eos_token_id], max_rows=64)
    try:
        other.holding(llama).sample(REQUESTS, PARAMS)
        assert other.metrics["sampler_gap"] < 1e-4
        with torch.no_grad():
            llama.lm_head.weight.mul_(2)
        other.holding(llama).sample(REQUESTS, PARAMS)
        assert other.metrics["sampler_gap"] < 1e-4
    finally:
        other.close()


def test_a_model_that_vllm_cannot_load_is_one_line(tmp_path):
    from transformers import OpenAIGPTConfig, OpenAIGPTLMHeadModel

    odd = OpenAIGPTLMHeadModel(OpenAIGPTConfig(vocab_size=64, n_positions=256, n_embd=32, n_layer=1, n_head=2))
    odd.save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r'vLLM cannot load model .*: set sampler = "torch"') as refused:
        vllm_sampler.VLLMSampler(str(tmp_path), [2]).holding(odd).sample(REQUESTS, PARAMS)
    assert "\n" not in str(refused.value)


def far_reaching(folder, context):
    """A Qwen3 with a context of so many tokens."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = Qwen3Config(vocab_size=64, num_key_value_heads=2, head_dim=32, max_position_embeddings=context, **sizes)
    model = Qwen3ForCausalLM(config)
    model.save_pretrained(folder)
    return model


def test_too_little_memory_for_the_cache_is_one_line(tmp_path):
    model = far_reaching(tmp_path, 2**30)
    asked = vllm_sampler.VLLMSampler(str(tmp_path), [2], max_length=2**30)
    # 2 layers x 2 heads x 32 values of 4 bytes, of keys and of values: 1 KiB a token
    with pytest.raises(UserError, match=r"KV cache: one completion of 1,073,741,824 tokens takes 1024\.0 GiB, and of"):
        asked.holding(model).sample(REQUESTS, PARAMS)


def test_a_longer_prompt_than_it_was_loaded_for_is_sampled_from_too(tmp_path):
    model, said = far_reaching(tmp_path, 16_384), []
    sampler = vllm_sampler.VLLMSampler(str(tmp_path), [2], max_rows=64, say=said.append).holding(model)
    try:
        first = sampler.sample(REQUESTS, PARAMS)
        longer = sampler.sample([Request([5, 6, 7] * 1500, [1, 2])], PARAMS)
        assert len(longer[0]) == 2
        assert sampler.metrics["sampler_gap"] < 1e-4
        assert any("longer prompts, or the first stop strings: vLLM is loaded anew" in line for line in said)
        again = sampler.sample(REQUESTS, PARAMS)
        assert [[c.token_ids for c in group] for group in again] == [[c.token_ids for c in group] for group in first]
        assert sum("vLLM is loading" in line for line in said) == 2
    finally:
        sampler.close()


def test_a_length_that_was_set_is_kept_to(model_folder, model):
    sampler = vllm_sampler.VLLMSampler(str(model_folder), [2], max_length=100).holding(model)
    refusal = r"a prompt of 90 tokens .* the 100 tokens .*\(trl\.vllm_max_model_length 100\): raise it"
    with pytest.raises(UserError, match=refusal):
        sampler.sample([Request([5] * 90, [1])], PARAMS)


def test_what_is_switched_off_in_vllm_is_still_there():
    import vllm._custom_ops as ops
    import vllm.model_executor.layers.utils as layers
    import vllm.v1.sample.sampler as sampling

    assert isinstance(ops._supports_onednn, bool)
    assert callable(layers.check_cpu_sgl_kernel)
    assert callable(sampling.batched_count_greater_than)
