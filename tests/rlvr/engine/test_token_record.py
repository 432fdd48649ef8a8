"""What is recorded of a token beside its log-prob, and that recording it changes no completion."""

import doctest
import math
from dataclasses import replace

import pytest
import torch

from rlvr.cli import main
from rlvr.config.schema import ModelConfig
from rlvr.engine import token_record
from rlvr.engine.sampling import Request, SamplingParams
from rlvr.engine.token_record import beside
from rlvr.engine.torch_sampler import TorchSampler
from rlvr.models.chat import end_of_turn_ids, pad_id, prompt_ids
from rlvr.models.load import load_model, load_tokenizer
from rlvr.traces.store import read_shard, shards
from rlvr.traces.summary import row_dicts

from .conftest import ENV

PARAMS = SamplingParams(max_new_tokens=12)


def test_what_the_docstrings_show():
    failed, tried = doctest.testmod(token_record)
    assert tried
    assert not failed


def test_by_hand():
    logprobs_BV = torch.tensor([[0.5, 0.25, 0.25, 0.0], [1.0, 0.0, 0.0, 0.0]]).log()
    (entropy, others), (sure, nothing) = beside(logprobs_BV, [1, 0], 2)
    assert entropy == pytest.approx(1.5 * math.log(2))
    assert others == [(0, pytest.approx(math.log(0.5))), (2, pytest.approx(math.log(0.25)))]
    assert (sure, nothing) == (0.0, [])


@pytest.fixture(scope="module")
def sampling(tiny_model):
    config = ModelConfig(path=str(tiny_model))
    tokenizer, model = load_tokenizer(str(tiny_model), config), load_model(str(tiny_model), config)
    prompts = [
        prompt_ids(tokenizer, ENV.messages(task)) for _, task in zip(range(3), ENV.rows("train", 0), strict=False)
    ]
    requests = [Request(prompt, [10 * number, 10 * number + 1]) for number, prompt in enumerate(prompts)]
    sampler = TorchSampler(model, end_of_turn_ids(model, tokenizer), pad_id(tokenizer))
    return lambda params: [each for group in sampler.sample(requests, params) for each in group]


@pytest.mark.parametrize("params", [PARAMS, replace(PARAMS, top_k=2), replace(PARAMS, temperature=0.0)])
def test_recording_changes_no_token_and_names_likelier_and_likely_others(sampling, params):
    without = sampling(params)
    recorded = sampling(replace(params, alternatives=3))
    assert [(each.token_ids, each.logprobs) for each in recorded] == [
        (each.token_ids, each.logprobs) for each in without
    ]
    assert all(each.entropies is None and each.alternatives is None for each in without)
    for each in recorded:
        assert len(each.entropies) == len(each.alternatives) == len(each.token_ids)
        assert all(0 <= entropy < 7 for entropy in each.entropies)
        for token, logprob, others in zip(each.token_ids, each.logprobs, each.alternatives, strict=True):
            assert len(others) == (1 if params.top_k else 3)
            assert token not in dict(others)
            values = [value for _, value in others]
            assert values == sorted(values, reverse=True)
            assert math.exp(logprob) + sum(map(math.exp, values)) < 1.0001


def test_a_turn_that_cannot_end_yet_has_no_end_among_the_others(sampling, tiny_model):
    eos = load_tokenizer(str(tiny_model), ModelConfig(path=str(tiny_model))).eos_token_id
    found = sampling(SamplingParams(max_new_tokens=4, min_new_tokens=4, alternatives=16))
    assert all(eos not in dict(others) for each in found for others in each.alternatives)


def test_an_evaluation_writes_them_into_its_traces(tiny_model, tmp_path):
    words = ["eval", "--model", str(tiny_model), "--env", "arithmetic?largest=9", "--n", "2", "--max-new-tokens", "5"]
    assert main([*words, "--traces", str(tmp_path / "traces"), "--record-alternatives", "2"]) == 0
    (shard,) = shards(tmp_path / "traces")
    for row in row_dicts(read_shard(shard.path)):
        assert [len(others) for others in row["alternatives"]] == [2] * len(row["token_ids"])
        assert len(row["entropies"]) == len(row["token_ids"])
    assert main([*words, "--record-alternatives", "99"]) == 2
