"""The in-process sampler beside transformers' own, on networks with one or two layers and random weights."""

import math
from collections import Counter

import pytest
import torch
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from rlvr.engine.drawing import draw
from rlvr.engine.sampling import FinishReason, Request, SamplingParams
from rlvr.engine.torch_sampler import TorchSampler
from rlvr_rewards import UserError

PAD, EOS = 0, 1
SHAPE = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 128,
    "bos_token_id": None,
    "eos_token_id": EOS,
    "pad_token_id": PAD,
}
SLIDING = ["sliding_attention", "full_attention"]
MODELS = {
    "qwen3": (Qwen3ForCausalLM, Qwen3Config(**SHAPE)),
    "llama": (LlamaForCausalLM, LlamaConfig(**SHAPE)),
    "gemma3": (
        Gemma3ForCausalLM,
        Gemma3TextConfig(**SHAPE, sliding_window=4, layer_types=SLIDING, query_pre_attn_scalar=16),
    ),
    "mistral": (MistralForCausalLM, MistralConfig(**SHAPE, sliding_window=4)),
}
PROMPTS = [list(range(5, 16)), [20, 21, 22], list(range(30, 37))]


def made(name):
    """A model with weights so large that its tokens are sure, and its completions of unequal length."""
    cls, config = MODELS[name]
    torch.manual_seed(0)
    model = cls(config).float()
    for weight in model.parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=0.2)
    return model


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return made(request.param)


@pytest.fixture(scope="module")
def qwen():
    return made("qwen3")


def sample(model, prompts=PROMPTS, num_samples=4, eos=(EOS,), max_rows=256, first_seed=0, **params):
    params = SamplingParams(**{"max_new_tokens": 16, **params})
    requests = [
        Request(prompt, [first_seed + 100 * number + n for n in range(num_samples)])
        for number, prompt in enumerate(prompts)
    ]
    return TorchSampler(model, eos, PAD, max_rows).sample(requests, params)


def ids_of(groups):
    return [[completion.token_ids for completion in group] for group in groups]


def test_greedy_equals_generate_on_unequal_prompts(model):
    """Also past a sliding window of 4 tokens, and with rows that end early."""
    plain = ids_of(sample(model, num_samples=1, temperature=0))
    eos = plain[0][0][5]
    for (found,), prompt in zip(ids_of(sample(model, num_samples=1, eos=(eos,), temperature=0)), PROMPTS, strict=True):
        ours = model.generate(
            torch.tensor([prompt]), max_new_tokens=16, do_sample=False, eos_token_id=eos, pad_token_id=PAD
        )
        assert found == ours[0, len(prompt) :].tolist()


def test_log_probs_equal_a_fresh_forward_pass(model):
    for prompt, group in zip(PROMPTS, sample(model, temperature=0.7), strict=True):
        for completion in group:
            with torch.no_grad():
                logits = model(torch.tensor([prompt + completion.token_ids])).logits[0, len(prompt) - 1 : -1]
            fresh = (logits / 0.7).log_softmax(-1).gather(-1, torch.tensor(completion.token_ids)[:, None]).squeeze(-1)
            assert torch.tensor(completion.logprobs) == pytest.approx(fresh, abs=1e-4)


def test_members_of_a_group_differ_and_a_rerun_repeats(qwen):
    first = sample(qwen)
    assert all(len({tuple(ids) for ids in group}) == 4 for group in ids_of(first))
    again = sample(qwen)
    assert ids_of(again) == ids_of(first)
    assert [[c.logprobs for c in g] for g in again] == [[c.logprobs for c in g] for g in first]
    assert ids_of(sample(qwen, first_seed=7)) != ids_of(first)


@pytest.mark.parametrize("max_rows", [1, 5, 256])
def test_a_completion_does_not_depend_on_its_neighbours(model, max_rows):
    together = ids_of(sample(model, max_rows=max_rows))
    for number, prompt in enumerate(PROMPTS):
        assert ids_of(sample(model, [prompt], first_seed=100 * number)) == [together[number]]


def test_a_seed_means_the_same_whatever_the_group_size(qwen):
    assert ids_of(sample(qwen, num_samples=2))[0] == ids_of(sample(qwen, num_samples=4))[0][:2]


def test_eos_ends_a_completion_and_the_budget_cuts_it(qwen):
    whole = ids_of(sample(qwen, num_samples=8, eos=()))
    ends = {ids[4] for group in whole for ids in group}
    stopped = sample(qwen, num_samples=8, eos=tuple(ends))
    for before, group in zip(whole, stopped, strict=True):
        for ids, completion in zip(before, group, strict=True):
            end = next(index for index, token in enumerate(ids) if token in ends)
            assert completion.token_ids == ids[: end + 1]
            assert completion.finish_reason is FinishReason.STOP
            assert len(completion.logprobs) == len(completion.token_ids)
    cut = sample(qwen, eos=(), max_new_tokens=3)
    assert {(c.finish_reason, len(c.token_ids)) for group in cut for c in group} == {(FinishReason.LENGTH, 3)}


def test_an_end_with_the_last_token_of_the_budget_is_a_stop(qwen):
    ids = ids_of(sample(qwen, [PROMPTS[0]], num_samples=1, eos=()))[0][0]
    budget = next(n for n in range(1, 16) if ids[n] not in ids[:n]) + 1
    ((found,),) = sample(qwen, [PROMPTS[0]], num_samples=1, eos=(ids[budget - 1],), max_new_tokens=budget)
    assert (len(found.token_ids), found.finish_reason) == (budget, FinishReason.STOP)


def test_finished_rows_leave_the_batch(qwen, monkeypatch):
    whole = ids_of(sample(qwen, num_samples=8, eos=()))
    ends = tuple({ids[2] for group in whole for ids in group})
    sizes = []
    decode = TorchSampler._decode
    monkeypatch.setattr(
        TorchSampler, "_decode", lambda self, batch: (sizes.append(len(batch.rows_B)), decode(self, batch))
    )
    sample(qwen, num_samples=8, eos=ends)
    assert sizes[0] <= 24
    assert sizes[-1] < sizes[0]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) < 15


def test_each_prompt_is_prefilled_once_for_its_group(qwen, monkeypatch):
    shapes = []
    forward = qwen.forward

    def counted(*args, **kwargs):
        shapes.append(tuple(kwargs["input_ids"].shape))
        return forward(*args, **kwargs)

    monkeypatch.setattr(qwen, "forward", counted)
    groups = sample(qwen, num_samples=8, eos=(), max_new_tokens=3)
    assert shapes == [(3, 11)]
    assert [len(group) for group in groups] == [8, 8, 8]


def test_a_model_in_training_goes_back_to_training(qwen):
    qwen.train()
    sample(qwen, max_new_tokens=1)
    assert qwen.training
    qwen.eval()


LOGITS = torch.tensor([2.0, 1.0, 0.0, -1.0, -3.0])


def drawn(num_rows=4000, **params):
    uniforms = torch.rand(num_rows, generator=torch.Generator().manual_seed(0))
    tokens, logprobs = draw(LOGITS.repeat(num_rows, 1), uniforms, SamplingParams(1, **params))
    return tokens.tolist(), logprobs.tolist()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_frequencies_match_the_softmax(temperature):
    """Pearson's χ² with 4 degrees of freedom stays below its 99.9% point, 18.5."""
    tokens, logprobs = drawn(temperature=temperature)
    expected = (LOGITS / temperature).softmax(-1).tolist()
    counts = Counter(tokens)
    assert sum((counts[t] - 4000 * p) ** 2 / (4000 * p) for t, p in enumerate(expected)) < 18.5
    assert all(math.exp(lp) == pytest.approx(expected[t], rel=1e-4) for t, lp in zip(tokens, logprobs, strict=True))


def test_temperature_zero_takes_the_likeliest():
    tokens, logprobs = drawn(num_rows=3, temperature=0.0)
    assert tokens == [0, 0, 0]
    assert logprobs == pytest.approx([LOGITS.log_softmax(-1)[0].item()] * 3)


@pytest.mark.parametrize(
    ("params", "kept"),
    [({"top_k": 2}, {0, 1}), ({"top_p": 0.8}, {0, 1}), ({"min_p": 0.1}, {0, 1, 2}), ({"top_k": 3, "top_p": 0.3}, {0})],
)
def test_restrictions_keep_the_likeliest_and_renormalise(params, kept):
    """Softmax of the logits is 0.64, 0.23, 0.09, 0.03, 0.004."""
    tokens, logprobs = drawn(**params)
    assert set(tokens) == kept
    shares = LOGITS[sorted(kept)].softmax(-1).tolist()
    for token, logprob in zip(tokens[:50], logprobs, strict=False):
        assert math.exp(logprob) == pytest.approx(shares[sorted(kept).index(token)], rel=1e-4)


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-24])
def test_the_ends_of_the_uniform_range_never_draw_what_was_ruled_out(uniform):
    logits = torch.tensor([[-torch.inf, 0.0, 0.0, -torch.inf]])
    tokens, logprobs = draw(logits, torch.tensor([uniform]), SamplingParams(1))
    assert tokens.item() in (1, 2)
    assert math.isfinite(logprobs.item())


def test_a_recurrent_model_is_refused_in_one_line():
    model = MambaForCausalLM(MambaConfig(vocab_size=64, hidden_size=32, num_hidden_layers=1))
    with pytest.raises(UserError, match="mamba cannot be sampled from here") as refused:
        TorchSampler(model, [EOS], PAD)
    assert "\n" not in str(refused.value)
