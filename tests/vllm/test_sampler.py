"""`VLLMSampler` against the model in this process: the same distribution, seeds of its own, and a guard that fires."""

from itertools import islice

import pytest
import torch

from rlvr.engine.sampling import FinishReason, Request, SamplingParams
from rlvr.engine.vllm_guard import sampler_gap
from rlvr.engine.vllm_weights import WholeModel
from rlvr.failure import WorkError
from rlvr.models.chat import prompt_ids
from rlvr_envs import make
from rlvr_envs.seeds import derive_seed
from rlvr_rewards import UserError

ENV = make("scheduling?tier=compact")
PARAMS = SamplingParams(max_new_tokens=24)


@pytest.fixture(scope="module")
def requests(tokenizer):
    tasks = islice(ENV.rows("train", 0), 6)
    return [
        Request(prompt_ids(tokenizer, ENV.messages(task)), [derive_seed(0, group=group, sample=n) for n in range(8)])
        for group, task in enumerate(tasks)
    ]


def tokens(groups):
    return [[completion.token_ids for completion in group] for group in groups]


def nudge(model, scale=0.05):
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)) * scale)


def test_log_probs_are_those_of_the_model(sampler, model, requests):
    sampler.holding(model).sample(requests, PARAMS)
    assert sampler.metrics["sampler_gap"] < 1e-4


@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(24, temperature=0.7),
        SamplingParams(24, top_k=5),
        SamplingParams(24, top_p=0.8),
        SamplingParams(24, min_p=0.1),
        SamplingParams(24, temperature=1.3, top_p=0.9, top_k=20),
        SamplingParams(24, temperature=0),
    ],
)
def test_restrictions_mean_what_they_mean_to_the_torch_sampler(sampler, model, requests, params):
    groups = sampler.holding(model).sample(requests, params)
    assert sampler_gap(model, requests, groups, params) < 1e-4


def test_greedy_completions_are_those_of_the_torch_sampler(sampler, model, tokenizer, requests):
    from rlvr.engine.torch_sampler import TorchSampler

    greedy = SamplingParams(24, temperature=0)
    ours = TorchSampler(model, [tokenizer.eos_token_id], tokenizer.pad_token_id).sample(requests, greedy)
    assert tokens(sampler.holding(model).sample(requests, greedy)) == tokens(ours)


def test_equal_seeds_repeat_and_a_group_differs(sampler, model, requests):
    first = sampler.holding(model).sample(requests, PARAMS)
    assert tokens(sampler.holding(model).sample(requests, PARAMS)) == tokens(first)
    assert all(len({tuple(ids) for ids in group}) == 8 for group in tokens(first))


def test_a_completion_does_not_depend_on_what_else_is_sampled(sampler, model, requests):
    together = sampler.holding(model).sample(requests, PARAMS)
    alone = sampler.holding(model).sample(requests[3:4], PARAMS)
    assert tokens(alone) == tokens(together[3:4])


def test_it_ends_at_the_end_of_a_turn_and_at_the_budget(sampler, model, tokenizer, requests):
    long = SamplingParams(max_new_tokens=120)
    ended = [c for group in sampler.holding(model).sample(requests, long) for c in group]
    assert {c.finish_reason for c in ended} == {FinishReason.STOP, FinishReason.LENGTH}
    for completion in ended:
        stopped = completion.token_ids[-1] == tokenizer.eos_token_id
        assert stopped == (completion.finish_reason == FinishReason.STOP)
        assert stopped or len(completion.token_ids) == 120
        assert tokenizer.eos_token_id not in completion.token_ids[:-1]
        assert len(completion.logprobs) == len(completion.token_ids)
        assert completion.seconds > 0


def test_new_weights_are_sampled_from(sampler, model, requests):
    before = sampler.holding(model).sample(requests, PARAMS)
    nudge(model)
    after = sampler.holding(model).sample(requests, PARAMS)
    assert tokens(before) != tokens(after)
    assert sampler.metrics["sampler_gap"] < 1e-4


def test_the_guard_stops_where_weights_stayed_behind(sampler, model, requests, monkeypatch):
    sampler.holding(model).sample(requests, PARAMS)
    monkeypatch.setattr(WholeModel, "push", lambda self, model, llm: None)
    nudge(model)
    with pytest.raises(WorkError, match="does not sample from the model that is trained"):
        sampler.holding(model).sample(requests, PARAMS)
    assert sampler.metrics["sampler_gap"] > 0.05


def test_an_adapter_is_merged_into_an_engine_that_takes_none_and_stays_apart(sampler, model, requests):
    from peft import LoraConfig, get_peft_model

    adapted = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(generator=torch.Generator().manual_seed(0)).mul_(0.1)
    base = {name: weight.clone() for name, weight in model.named_parameters() if "lora" not in name}
    sampler.holding(adapted).sample(requests, PARAMS)
    assert sampler.metrics["sampler_gap"] < 1e-4
    assert all(
        torch.allclose(weight, base[name], atol=1e-6) for name, weight in model.named_parameters() if name in base
    )
    with adapted.disable_adapter():
        assert sampler_gap(adapted, requests, sampler.sample(requests, PARAMS), PARAMS) > 0.05


def test_a_prompt_longer_than_the_context_is_one_line(sampler, model):
    sampler.holding(model).sample([Request([5, 6, 7], [1])], PARAMS)
    with pytest.raises(UserError, match="a prompt of 250 tokens and max_new_tokens 24 do not fit into the 256 tokens"):
        sampler.sample([Request([5] * 250, [1])], PARAMS)


@pytest.mark.parametrize("name", ["vllm", "torch"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"temperature": 0.6},
        {"top_k": 7},
        {"top_p": 0.7},
        {"min_p": 0.2},
        {"top_p": 0.8, "min_p": 0.3},
        {"temperature": 1.3, "top_k": 40, "top_p": 0.9, "min_p": 0.1},
        {"min_new_tokens": 1},
    ],
    ids=str,
)
def test_tokens_come_as_often_as_their_probability_says(sampler, model, tokenizer, requests, name, settings):
    from rlvr.engine.drawing import restricted
    from rlvr.engine.torch_sampler import TorchSampler

    drawn, prompt, eos = 2000, requests[0].prompt_ids, tokenizer.eos_token_id
    used = sampler.holding(model) if name == "vllm" else TorchSampler(model, [eos], tokenizer.pad_token_id)
    seeds = [derive_seed(0, draw=number) for number in range(drawn)]
    params = SamplingParams(max_new_tokens=1, **settings)
    group = used.sample([Request(prompt, seeds)], params)[0]
    counts = torch.bincount(torch.tensor([c.token_ids[0] for c in group]), minlength=model.config.vocab_size)
    with torch.no_grad():
        logits = model(torch.tensor([prompt])).logits[0, -1:]
    if params.min_new_tokens:
        logits[:, eos] = -torch.inf
    expected = restricted(logits / params.temperature, params)[0].softmax(-1) * drawn
    assert set(counts.nonzero().flatten().tolist()) <= set(expected.nonzero().flatten().tolist())
    common = expected >= 5  # the rest counts as one kind
    counts, expected = (torch.cat([x[common].float(), x[~common].sum()[None].float()]) for x in (counts, expected))
    chi2 = float(((counts - expected) ** 2 / expected.clamp(min=1e-9)).sum())
    degrees = int(common.sum())
    assert chi2 < degrees + 4 * (2 * degrees) ** 0.5


@pytest.mark.parametrize(
    "params", [{"stop": ("8 ",)}, {"stop": ("1", "<answer>"), "min_new_tokens": 10}, {"min_new_tokens": 20}]
)
def test_stop_strings_and_the_fewest_tokens_mean_the_same_to_both(sampler, model, tokenizer, requests, params):
    from rlvr.engine.torch_sampler import TorchSampler

    greedy = SamplingParams(48, temperature=0, **params)
    theirs = TorchSampler(model, [tokenizer.eos_token_id], tokenizer.pad_token_id, tokenizer=tokenizer)
    ours, theirs = (s.sample(requests, greedy) for s in (sampler.holding(model), theirs))
    assert tokens(ours) == tokens(theirs)
    assert [[c.finish_reason for c in group] for group in ours] == [[c.finish_reason for c in g] for g in theirs]
    assert sampler.metrics["sampler_gap"] < 1e-4


def test_a_stop_string_cuts_a_completion_and_changes_nothing_before(sampler, model, tokenizer, requests):
    free = sampler.holding(model).sample(requests, SamplingParams(48, min_new_tokens=20))
    stop = tokenizer.decode(free[0][0].token_ids[24:26], skip_special_tokens=False)
    cut = sampler.sample(requests, SamplingParams(48, min_new_tokens=20, stop=(stop,)))
    pairs = [(a.token_ids, b) for x, y in zip(free, cut, strict=True) for a, b in zip(x, y, strict=True)]
    assert all(b.token_ids == a[: len(b.token_ids)] and len(b.token_ids) >= 20 for a, b in pairs)
    shorter = [b for a, b in pairs if len(b.token_ids) < len(a)]
    assert shorter
    for completion in shorter:
        assert completion.finish_reason == FinishReason.STOP
        assert stop in tokenizer.decode(completion.token_ids[-8:], skip_special_tokens=False)


def test_every_turn_of_an_episode_is_drawn_after_all_that_was_said(sampler, model, tokenizer):
    from rlvr.engine.turns import sample_episodes

    env = make("guess?largest=15&guesses=4")
    tasks = list(islice(env.rows("train", 0), 4))
    asked = [Request(prompt_ids(tokenizer, env.messages(task)), [n, 100 + n]) for n, task in enumerate(tasks)]
    params = SamplingParams(80, min_new_tokens=2, stop=("e", "s", "1", "A", "2"))
    groups = sample_episodes(sampler.holding(model), asked, params, env, tasks, tokenizer)
    assert max(len(completion.turns) for group in groups for completion in group) > 2
    for request, group in zip(asked, groups, strict=True):
        for completion in group:
            ids = torch.tensor([[*request.prompt_ids, *completion.token_ids]])
            with torch.no_grad():
                logits_TV = model(input_ids=ids).logits[0, len(request.prompt_ids) - 1 : -1]
            ours = logits_TV.log_softmax(-1).gather(-1, ids[0, len(request.prompt_ids) :, None]).squeeze(-1).tolist()
            starts = [turn.start for turn in completion.turns if turn.is_own]  # where a turn may not end yet
            forced = {place for start in starts for place in (start, start + 1)}
            gaps = [
                abs(mine - theirs)
                for place, (mine, theirs) in enumerate(zip(ours, completion.logprobs, strict=True))
                if theirs is not None and place not in forced
            ]
            assert not gaps or max(gaps) < 1e-3
