"""Log-probs with each prompt computed once, beside those of passing every row whole."""

from copy import deepcopy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from trl.trainer.utils import add_fused_lm_head

from rlvr.engine.packed_attention import can_pack
from rlvr.engine.shared_prompt import shared_log_probs
from tests.rlvr.engine.test_torch_sampler import PAD, made

NUM_TOKENS = 6
PROMPTS = [[5, 6, 7, 8, 9], [20, 21], [5, 6, 7, 8, 10]]


def rows(prompts, group_size=4):
    """Ids and mask of groups whose completions have 1 to 6 tokens, in an order that mixes the groups."""
    torch.manual_seed(0)
    ids, mask = [], []
    for number, prompt in enumerate(prompts):
        for sample in range(group_size):
            length = 1 + (3 * number + 2 * sample) % NUM_TOKENS
            completion = torch.randint(2, 60, (length,)).tolist()
            left, right = max(map(len, prompts)) - len(prompt), NUM_TOKENS - length
            ids.append([PAD] * left + prompt + completion + [PAD] * right)
            mask.append([0] * left + [1] * (len(prompt) + length) + [0] * right)
    order = torch.randperm(len(ids))
    return torch.tensor(ids)[order], torch.tensor(mask)[order]


def whole_log_probs(model, ids, mask):
    labels = ids.masked_fill(mask == 0, -100)
    labels[:, :-NUM_TOKENS] = -100
    out = model(input_ids=ids, attention_mask=mask, labels=labels, fused_lm_head=True)
    return out.log_probs[:, -NUM_TOKENS:], out.entropy[:, -NUM_TOKENS:]


def gradients(model, log_probs):
    model.zero_grad()
    (log_probs * torch.arange(1, log_probs.numel() + 1).view_as(log_probs)).sum().backward()
    return {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


@pytest.fixture(params=["qwen3", "llama"])
def model(request):
    found = made(request.param).train()
    add_fused_lm_head(found, temperature=0.7, outputs=("log_probs", "entropy"))
    return found


@pytest.mark.parametrize("tokens_a_pass", [1000, 8])
@pytest.mark.parametrize("adapted", [False, True])
def test_log_probs_entropies_and_gradients_are_those_of_whole_rows(model, adapted, tokens_a_pass):
    if adapted:
        model = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
    ids, mask = rows(PROMPTS)
    found = shared_log_probs(model, model, ids, mask, NUM_TOKENS, None, tokens_a_pass)
    assert found is not None
    shared, whole = found, whole_log_probs(model, ids, mask)
    for ours, theirs in zip(shared, whole, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    ours, theirs = gradients(model, shared[0]), gradients(model, whole[0])
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        assert (ours[name] - gradient).norm() < 1e-4 * gradient.norm(), name


def tokens_of_passes(model, ids, mask, max_rows, tokens):
    seen = []
    model.register_forward_pre_hook(lambda _, args, kwargs: seen.append(kwargs["input_ids"].numel()), with_kwargs=True)
    shared_log_probs(model, model, ids, mask, NUM_TOKENS, max_rows, tokens)
    return seen


def test_each_token_goes_through_the_model_once(model):
    ids, mask = rows(PROMPTS)
    prompts, *passes = tokens_of_passes(model, ids, mask, None, 8)
    assert prompts == sum(len(prompt) - 1 for prompt in PROMPTS)
    assert sum(passes) == mask[:, -NUM_TOKENS:].sum()  # the last of a prompt in place of the last of a completion
    assert len(passes) > 2 and max(passes) <= 8 + NUM_TOKENS


def test_a_pass_takes_no_more_rows_than_allowed(model):
    ids, mask = rows(PROMPTS)
    _, *passes = tokens_of_passes(model, ids, mask, 5, None)
    assert passes == [5 * NUM_TOKENS, 5 * NUM_TOKENS, 2 * NUM_TOKENS]  # untrimmed, as told


def test_prompts_beyond_the_rows_of_a_pass_go_in_several(model):
    ids, mask = rows(PROMPTS)
    seen = tokens_of_passes(model, ids, mask, 2, 1000)
    assert len(seen) > 3 and max(seen) <= 2 * NUM_TOKENS
    limited = shared_log_probs(model, model, ids, mask, NUM_TOKENS, 2, 1000)
    for ours, theirs in zip(limited, whole_log_probs(model, ids, mask), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_a_completion_without_tokens_and_a_prompt_of_one(model):
    ids, mask = rows(PROMPTS)
    mask[:2, -NUM_TOKENS:] = 0
    found = shared_log_probs(model, model, ids, mask, NUM_TOKENS, None, 8)
    for ours, theirs in zip(found, whole_log_probs(model, ids, mask), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    assert shared_log_probs(model, model, *rows([[5], [20, 21]]), NUM_TOKENS, None, 8) is None


def test_the_attention_that_a_model_had_is_put_back_after_an_error_too(model):
    ids, mask = rows(PROMPTS)
    with pytest.raises(IndexError):
        shared_log_probs(model, model, ids + 1000, mask, NUM_TOKENS, None, None)
    assert model.config._attn_implementation == "sdpa"
    whole_log_probs(model, ids, mask)


def test_prompts_that_all_differ_are_left_to_trl(model):
    assert shared_log_probs(model, model, *rows(PROMPTS, group_size=1), NUM_TOKENS, None, 1000) is None


def test_windows_other_attention_and_activations_recomputed_reentrantly_are_left_to_trl():
    assert can_pack(made("qwen3"))
    recomputing = made("qwen3").train()
    recomputing.gradient_checkpointing_enable()
    assert can_pack(recomputing)
    for other in ({"use_reentrant": True}, {"preserve_rng_state": False}, {"use_reentrant": False, "context_fn": None}):
        recomputing.gradient_checkpointing_enable(other)
        assert not can_pack(recomputing)
    assert can_pack(recomputing.eval())
    eager = deepcopy(made("qwen3"))  # whose settings are its own
    eager.set_attn_implementation("eager")
    assert not can_pack(eager)
    assert not can_pack(made("mistral"))  # a sliding window forgets the start of a long prompt


def test_recomputed_activations_give_the_gradients_of_whole_rows(model):
    """Of the prompts too, whose keys and values outlive their pass; the model has its own attention back before it."""
    ids, mask = rows(PROMPTS)
    theirs = gradients(model, whole_log_probs(model, ids, mask)[0])
    model.gradient_checkpointing_enable()
    found = shared_log_probs(model, model, ids, mask, NUM_TOKENS, None, 8)
    assert model.config._attn_implementation == "sdpa"
    ours = gradients(model, found[0])
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        assert (ours[name] - gradient).norm() < 1e-4 * gradient.norm(), name
