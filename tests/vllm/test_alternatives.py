"""What else a token could have been, as vLLM tells it: the same as the sampler in this process says."""

import pytest

from rlvr.engine.sampling import Request, SamplingParams
from rlvr.engine.torch_sampler import TorchSampler

from .test_servers import Serving, sampler_of

REQUESTS = [Request([5, 6, 7, 8 + group], [group]) for group in range(4)]
GREEDY = SamplingParams(12, temperature=0, alternatives=3)


def agree(there, here):
    for (ours,), (theirs,) in zip(here, there, strict=True):
        assert theirs.token_ids == ours.token_ids
        assert theirs.entropies is None  # vLLM does not tell them
        assert len(theirs.alternatives) == len(theirs.token_ids)
        for mine, others in zip(ours.alternatives, theirs.alternatives, strict=True):
            assert len(others) == 3
            assert [p for _, p in others] == pytest.approx([p for _, p in mine], abs=1e-3)
            assert {token for token, _ in others[:1]} <= {token for token, _ in mine}


@pytest.fixture
def here(model, tokenizer):
    return TorchSampler(model, [tokenizer.eos_token_id], tokenizer.pad_token_id).sample(REQUESTS, GREEDY)


def test_the_engine_in_this_process(sampler, model, here):
    agree(sampler.holding(model).sample(REQUESTS, GREEDY), here)


def test_a_server(model_folder, model, tokenizer, here, tmp_path):
    serving = Serving(model_folder, tmp_path / "log")
    try:
        server = sampler_of([serving.wait()], tokenizer)
        agree(server.holding(model).sample(REQUESTS, GREEDY), here)
        server.close()
    finally:
        serving.kill()
