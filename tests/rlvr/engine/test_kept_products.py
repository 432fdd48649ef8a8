"""An update that looks up what sampling multiplied learns what one that multiplies again learns."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import TrainerCallback
from trl.trainer.utils import add_fused_lm_head

from rlvr.engine.kept_products import KeptProducts, can_keep_products
from rlvr.engine.sampling import SamplingParams
from rlvr.engine.savings import Savings
from rlvr.engine.shared_decoding import MODEL_TYPES
from rlvr.engine.shared_prompt import shared_log_probs
from rlvr.engine.torch_sampler import TorchSampler
from rlvr_rewards import reward
from tests.rlvr.engine.test_shared_decoding import REQUESTS, a_model
from tests.rlvr.engine.test_shared_prompt import gradients

BUDGET = 12
PLACES = 3 * 17 + 9 * BUDGET
"""For three prompts, the longest of 17 tokens, and nine completions."""


@reward
def letters(completion: str) -> float:
    return min(1.0, len(set(completion)) / 20)


def sampled(model, products, requests=REQUESTS, **savings):
    """Ids and mask of what is sampled, prompts padded on the left, completions on the right."""
    sampler = TorchSampler(model, [2, 5, 9], pad_id=0, savings=Savings(**savings))
    sampler.products = products
    groups = sampler.sample(requests, SamplingParams(BUDGET))
    longest = max(len(request.prompt_ids) for request in REQUESTS)
    ids, mask = [], []
    for request, group in zip(requests, groups, strict=True):
        for completion in group:
            left, right = longest - len(request.prompt_ids), BUDGET - len(completion.token_ids)
            ids.append([0] * left + [*request.prompt_ids, *completion.token_ids] + [0] * right)
            mask.append([0] * left + [1] * (len(ids[-1]) - left - right) + [0] * right)
    return torch.tensor(ids), torch.tensor(mask)


def learned(model, rows, products, tokens_a_pass=8):
    """Log-probs and gradients of an update, and how many tokens its layers multiplied."""
    multiplied = []
    add_fused_lm_head(model, temperature=1.0, outputs=("log_probs", "entropy"))
    linear = torch.nn.Linear.forward

    def counted(layer, x):
        multiplied.append(0 if layer is model.lm_head else x.shape[1])
        return linear(layer, x)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.Linear, "forward", counted)
        found = shared_log_probs(model, model, *rows, BUDGET, None, tokens_a_pass, products)
        assert found is not None
    return found[0].detach(), gradients(model, found[0]), sum(multiplied)


def same(one, two):
    torch.testing.assert_close(one[0], two[0], atol=1e-4, rtol=1e-4)
    assert one[1].keys() == two[1].keys()
    for name, gradient in one[1].items():
        scale = gradient.abs().max().item()
        torch.testing.assert_close(two[1][name], gradient, atol=1e-4 * scale, rtol=1e-4)


def bytes_of(model, places):
    linear = [each for each in model.model.layers.modules() if type(each) is torch.nn.Linear]
    return 4 * places * sum(each.out_features for each in linear)


@pytest.mark.parametrize("prefill_once", [True, False])
@pytest.mark.parametrize("model_type", sorted(MODEL_TYPES))
def test_nothing_is_multiplied_again_and_the_gradients_are_the_same(model_type, prefill_once):
    model = a_model(model_type).train()
    products = KeptProducts(model)
    rows = sampled(model, products, prefill_once=prefill_once)
    looked_up, again = learned(model, rows, products), learned(model, rows, None)
    assert looked_up[2] == 0 < again[2]
    same(again, looked_up)


def test_biases_learn_too():
    model = a_model("llama", attention_bias=True, mlp_bias=True).train()
    products = KeptProducts(model)
    rows = sampled(model, products)
    looked_up, again = learned(model, rows, products), learned(model, rows, None)
    assert looked_up[2] == 0 and "model.layers.0.mlp.down_proj.bias" in looked_up[1]
    same(again, looked_up)


def test_weights_that_are_frozen_stay_so_and_those_below_them_learn():
    model = a_model("qwen3").train()
    for layer in model.model.layers[1:3]:
        layer.requires_grad_(False)
    products = KeptProducts(model)
    rows = sampled(model, products)
    looked_up, again = learned(model, rows, products), learned(model, rows, None)
    assert "model.layers.0.mlp.up_proj.weight" in looked_up[1] and "model.layers.1.mlp.up_proj.weight" not in again[1]
    same(again, looked_up)


def test_what_does_not_fit_is_multiplied_again():
    model = a_model("qwen3").train()
    too_few, enough = (KeptProducts(model, bytes_of(model, PLACES - less)) for less in (1, 0))
    rows = sampled(model, too_few)
    assert torch.equal(rows[0], sampled(model, enough)[0])
    again = learned(model, rows, None)
    assert learned(model, rows, too_few)[2] == again[2]
    assert learned(model, rows, enough)[2] == 0


def test_where_the_rows_of_a_second_call_do_not_fit_those_of_the_first_are_looked_up():
    """As of dynamic sampling's fresh groups; all are learned from together."""
    model = a_model("qwen3").train()
    products = KeptProducts(model)
    first, second = sampled(model, products, REQUESTS[:2]), sampled(model, products, REQUESTS[2:])
    rows = tuple(torch.cat(parts) for parts in zip(first, second, strict=True))
    looked_up, again = learned(model, rows, products), learned(model, rows, None)
    assert 0 < looked_up[2] < again[2]
    same(again, looked_up)


def test_what_a_step_keeps_does_not_depend_on_the_steps_before():
    """Otherwise a run that was resumed would round otherwise."""
    model = a_model("qwen3").train()
    resumed, undisturbed = KeptProducts(model), KeptProducts(model)
    sampled(model, undisturbed)  # a larger step
    undisturbed.on_optimizer_step()
    multiplied = []
    for products in (resumed, undisturbed):
        sampled(model, products, REQUESTS[2:])
        refilled = sampled(model, products, REQUESTS[:1])
        multiplied.append(learned(model, refilled, products)[2])
    assert multiplied[0] == multiplied[1]


def test_nothing_sampled_keeps_nothing():
    model = a_model("qwen3")
    sampler = TorchSampler(model, [2], pad_id=0)
    sampler.products = KeptProducts(model)
    assert sampler.sample([], SamplingParams(BUDGET)) == []


def test_they_are_looked_up_until_the_optimizer_steps():
    model = a_model("qwen3").train()
    products = KeptProducts(model)
    rows = sampled(model, products)
    assert learned(model, rows, products)[2] == learned(model, rows, products)[2] == 0
    products.on_optimizer_step()
    assert learned(model, rows, products)[2] > 0
    assert learned(model, sampled(model, products), products)[2] == 0


def test_other_tokens_another_model_and_padding_are_computed():
    model = a_model("qwen3").train()
    products = KeptProducts(model)
    ids, mask = sampled(model, products)
    others = ids.clone()
    others[:, -BUDGET] = 63
    assert learned(model, (others, mask), products)[2] > 0
    assert learned(a_model("qwen3"), (ids, mask), products)[2] > 0
    assert learned(model, (ids, mask), products, tokens_a_pass=None)[2] > 0


def test_a_pass_that_breaks_leaves_the_model_as_it_was():
    model = a_model("qwen3").train()
    products = KeptProducts(model)
    places = products.of_rows(model, *sampled(model, products))[0]
    with pytest.raises(KeyboardInterrupt), products.given(places):
        raise KeyboardInterrupt
    assert not [name for name, each in model.named_modules() if "forward" in vars(each)]


@pytest.mark.parametrize("target", ["all-linear", ["embed_tokens"], ["q_proj"]])
def test_of_a_model_with_an_adapter_nothing_is_kept(arguments, target):
    assert can_keep_products(a_model("qwen3"), arguments())
    assert not can_keep_products(get_peft_model(a_model("qwen3"), LoraConfig(r=2, target_modules=target)), arguments())


@pytest.mark.parametrize(
    ("of_model", "of_training"),
    [
        ({"attention_dropout": 0.1}, {}),
        ({}, {"neftune_noise_alpha": 5.0}),
        ({}, {"gradient_checkpointing": True}),
        ({"attn_implementation": "eager"}, {}),
    ],
)
def test_nothing_is_kept_where_an_update_is_not_what_sampling_is(arguments, of_model, of_training):
    assert not can_keep_products(a_model("qwen3", **of_model), arguments(**of_training))


class EachGradient(TrainerCallback):
    def __init__(self):
        self.of_steps = []

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        self.of_steps.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_iterations": 2},
        {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 4},
        {"steps_per_generation": 2, "per_device_train_batch_size": 4, "beta": 0.1},
    ],
)
def test_training_comes_to_the_same(make_trainer, monkeypatch, changes):
    found, lookups, given = {}, {}, KeptProducts.given
    for keeps in (True, False):
        seen = lookups[keeps] = []
        monkeypatch.setattr(KeptProducts, "given", lambda self, at, seen=seen: seen.append(at) or given(self, at))
        found[keeps] = EachGradient()
        trainer = make_trainer(letters, savings=Savings(keep_products=keeps), max_steps=4, **changes)
        trainer.add_callback(found[keeps])
        trainer.train()
    assert lookups[True] and not lookups[False]
    for looked_up, again in zip(found[True].of_steps, found[False].of_steps, strict=True):
        for name, gradient in again.items():
            torch.testing.assert_close(looked_up[name], gradient, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("changes", [{"bf16": True}, {"per_device_train_batch_size": 1, "steps_per_generation": 8}])
def test_a_trainer_whose_passes_cannot_look_up_keeps_nothing(make_trainer, changes):
    assert make_trainer(letters)._products is not None
    assert make_trainer(letters, **changes)._products is None
