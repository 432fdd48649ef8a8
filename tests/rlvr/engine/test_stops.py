"""Stop strings and the fewest tokens, of the sampler in this process; `tests/vllm` holds vLLM to the same."""

import pytest
import torch

from rlvr.config.schema import ModelConfig
from rlvr.engine.sampling import FinishReason, Request, SamplingParams
from rlvr.engine.torch_sampler import TorchSampler
from rlvr.models.load import load_model, load_tokenizer

REQUESTS = [Request([5, 6, 7, 8 + group], [10 * group + sample for sample in range(8)]) for group in range(4)]


@pytest.fixture
def tokenizer(tiny_model):
    return load_tokenizer(str(tiny_model), ModelConfig())


@pytest.fixture
def sampled(tiny_model, tokenizer):
    model = load_model(str(tiny_model), ModelConfig())
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(3)
    eos = [tokenizer.eos_token_id]

    def sample(**params):
        sampler = TorchSampler(model, eos, tokenizer.pad_token_id, tokenizer=tokenizer)
        return [
            c for group in sampler.sample(REQUESTS, SamplingParams(**{"max_new_tokens": 24, **params})) for c in group
        ]

    return sample


def text(tokenizer, ids):
    return tokenizer.decode(ids, skip_special_tokens=False)


def first_end(tokenizer, ids, stop, after=0):
    """The tokens up to the first one that finishes the stop string, past `after` tokens."""
    for end in range(1, len(ids) + 1):
        before, now = text(tokenizer, ids[: end - 1]), text(tokenizer, ids[:end])
        if end > after and now.find(stop, max(0, len(before) - len(stop) + 1)) >= 0:
            return ids[:end]
    return None


@pytest.mark.parametrize("min_new_tokens", [0, 9])
def test_a_completion_ends_with_the_token_that_finishes_a_stop_string(sampled, tokenizer, min_new_tokens):
    whole = sampled(min_new_tokens=min_new_tokens)
    across = text(tokenizer, whole[0].token_ids[11:13])  # of two tokens
    stopped = sampled(stop=(across, "<answer>"), min_new_tokens=min_new_tokens)
    ends = 0
    for free, cut in zip(whole, stopped, strict=True):
        found = [first_end(tokenizer, free.token_ids, stop, min_new_tokens) for stop in (across, "<answer>")]
        shortest = min((ids for ids in found if ids), key=len, default=None)
        assert cut.token_ids == (shortest or free.token_ids)
        assert cut.finish_reason == (FinishReason.STOP if shortest else free.finish_reason)
        assert len(cut.logprobs) == len(cut.token_ids)
        ends += shortest is not None
    assert ends >= 1


def test_a_turn_does_not_end_before_the_fewest_tokens(sampled, tokenizer):
    eos = tokenizer.eos_token_id
    usual = sampled(max_new_tokens=200)
    assert any(len(c.token_ids) < 50 and c.token_ids[-1] == eos for c in usual)
    longer = sampled(max_new_tokens=200, min_new_tokens=50)
    assert all(eos not in c.token_ids[:50] for c in longer)
    assert all(len(c.token_ids) >= 50 for c in longer)
    assert any(c.finish_reason == FinishReason.STOP for c in longer)


def test_nothing_changes_where_a_stop_string_never_comes(sampled):
    ids = [c.token_ids for c in sampled()]
    assert [c.token_ids for c in sampled(stop=("no such text",))] == ids
