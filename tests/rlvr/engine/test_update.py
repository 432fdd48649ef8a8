"""What an update leaves out changes neither loss nor gradients: each algorithm beside stock TRL, with each saving."""

import math
import signal
from threading import Event
from typing import Any

import pytest
import torch
from trl import GRPOTrainer

from rlvr.config.schema import ModelConfig
from rlvr.engine.algorithms import ALGORITHMS
from rlvr.engine.savings import Savings
from rlvr.models.load import load_model, load_tokenizer
from tests.rlvr.engine.conftest import CUT, ENV, Dictated, trained

NONE = Savings(share_prompts=False, trim_padding=False, skip_zero_variance=False)


def completions(tasks):
    """A group whose rewards and lengths differ, and one in which all earn the same: 1.2, which float32 only nears."""
    wrong = "<think>x</think><answer>99</answer>"
    return [ENV.gold(tasks[0]), wrong, tasks[0]["answer"], "<think>", *[ENV.gold(tasks[1])] * 4]


@pytest.fixture
def make_stock(tiny_model, dataset, arguments):
    """Stock TRL with dictated completions."""

    def build(texts, **changes):
        tokenizer = load_tokenizer(str(tiny_model), ModelConfig())
        dictated = Dictated(texts, tokenizer)

        class Stock(GRPOTrainer):
            def _generate_single_turn(self, prompt_ids, *args, **kwargs):
                return [next(dictated.ids) for _ in prompt_ids], None

        reward_funcs: list[Any] = [ENV.reward]
        if "multi_objective_aggregation" in changes:  # of its parts, correct and format
            reward_funcs = [node for node in ENV.reward.walk() if node.name]
            changes = {**changes, "reward_weights": [1.0, 0.2]}
        return Stock(
            model=load_model(str(tiny_model), ModelConfig()),
            reward_funcs=reward_funcs,
            args=arguments(**changes),
            train_dataset=dataset,
            processing_class=tokenizer,
        )

    return build


def assert_equal(ours, stock):
    assert math.isclose(ours.logs["loss"], stock.logs["loss"], abs_tol=1e-5)
    assert ours.values.keys() == stock.values.keys()
    for name, gradient in stock.values.items():
        torch.testing.assert_close(ours.values[name], gradient, rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_algorithm_is_stock_trl_under_its_settings(make_trainer, make_stock, tasks, algorithm):
    texts, settings = completions(tasks), ALGORITHMS[algorithm].trl
    assert_equal(trained(make_trainer(texts=texts, **settings)), trained(make_stock(texts, **settings)))


SAVINGS = {
    "none": NONE,
    "share_prompts": Savings(True, False, False),
    "trim_padding": Savings(False, True, False),
    "skip_zero_variance": Savings(False, False, True),
}


@pytest.mark.parametrize("saving", SAVINGS)
@pytest.mark.parametrize("changes", [{}, {"loss_type": "grpo", "num_iterations": 2, "max_steps": 2}], ids=["on", "off"])
def test_each_saving_by_itself_is_stock_trl(make_trainer, make_stock, tasks, saving, changes):
    texts = completions(tasks)
    ours = trained(make_trainer(texts=texts, savings=SAVINGS[saving], **changes))
    assert_equal(ours, trained(make_stock(texts, **changes)))


CORNERS = {
    "some cut short": ({"mask_truncated_completions": True}, (1, 5)),
    "all that teach cut short": ({"mask_truncated_completions": True}, (0, 1, 2, 3)),
    "all cut short": ({"mask_truncated_completions": True}, range(8)),
    "cut short, with KL": ({"mask_truncated_completions": True, "beta": 0.1}, (0, 1, 5)),
    "cut short, vespo": ({"mask_truncated_completions": True, "loss_type": "vespo"}, (1, 5)),
    "off-policy mask": ({"off_policy_mask_threshold": 1e-4, "num_iterations": 2, "max_steps": 3}, ()),
    "off-policy with KL": ({"beta": 0.1, "num_iterations": 2, "max_steps": 3}, ()),
    "bonus on entropy": ({"entropy_coef": 0.1}, ()),
    "the uncertain tokens": ({"top_entropy_quantile": 0.5}, ()),
    "recomputed activations": ({"gradient_checkpointing": True}, ()),
    "padded to eights": ({"pad_to_multiple_of": 8, "mask_truncated_completions": True}, (1,)),
}


@pytest.mark.parametrize("corner", CORNERS)
def test_a_corner_is_stock_trl(make_trainer, make_stock, tasks, corner):
    changes, cut = CORNERS[corner]
    texts = [CUT * (n in cut) + text for n, text in enumerate(completions(tasks))]
    assert_equal(trained(make_trainer(texts=texts, **changes)), trained(make_stock(texts, **changes)))


@pytest.mark.parametrize("loss_type", ["dapo", "grpo", "dr_grpo"])
def test_a_step_in_several_passes_is_the_step_in_one(make_trainer, tasks, loss_type):
    texts = completions(tasks)
    whole = trained(make_trainer(texts=texts, savings=NONE, loss_type=loss_type))
    passes = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}
    assert_equal(trained(make_trainer(texts=texts, loss_type=loss_type, **passes)), whole)


def rows_through(trainer):
    seen = []
    trainer.model.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    return trained(trainer), seen


def test_a_group_without_variance_does_not_go_through_the_model(make_trainer, tasks):
    texts = completions(tasks)
    assert rows_through(make_trainer(texts=texts, savings=SAVINGS["none"]))[1] == [8]
    assert rows_through(make_trainer(texts=texts, savings=SAVINGS["skip_zero_variance"]))[1] == [4]


@pytest.mark.parametrize("recomputes", [False, True])
def test_the_rows_of_a_pass_go_side_by_side_as_one(make_trainer, tasks, recomputes):
    packed = rows_through(make_trainer(texts=completions(tasks), gradient_checkpointing=recomputes))[1]
    assert len(packed) > 1 and set(packed) == {1}
    whole = rows_through(make_trainer(texts=completions(tasks), savings=SAVINGS["trim_padding"]))[1]
    assert max(whole) > 1


def test_with_kl_every_row_counts(make_trainer, tasks):
    saving = SAVINGS["skip_zero_variance"]
    assert 4 not in rows_through(make_trainer(texts=completions(tasks), savings=saving, beta=0.1))[1]


def test_a_step_that_teaches_nothing_changes_no_weight(make_trainer, tasks):
    trainer = make_trainer(texts=["<think>"] * 8)
    before = {name: weight.clone() for name, weight in trainer.model.named_parameters()}
    found = trained(trainer)
    assert found.logs["loss"] == 0.0
    for name, weight in trainer.model.named_parameters():
        torch.testing.assert_close(weight, before[name], rtol=0, atol=0)


def test_there_is_an_entropy_where_nothing_teaches(make_trainer, tasks):
    cut = [CUT * (n < 4) + text for n, text in enumerate(completions(tasks))]
    assert trained(make_trainer(texts=cut, mask_truncated_completions=True)).logs["entropy"] > 1


def test_a_reward_may_set_an_alarm(make_trainer, tasks):
    def watches_the_clock(completions, **_):
        before = signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.signal(signal.SIGALRM, before)
        return [1.0] * len(completions)

    logs = trained(make_trainer(ENV.reward + watches_the_clock, texts=completions(tasks))).logs
    assert logs["parts/watches_the_clock"] == 1.0


def test_the_entropy_logged_is_that_of_the_rows_that_teach(make_trainer, tasks):
    texts = completions(tasks)
    taught = trained(make_trainer(texts=texts)).logs["entropy"]
    alone = make_trainer(texts=texts[:4], savings=NONE, per_device_train_batch_size=4, max_steps=1)
    assert taught == pytest.approx(trained(alone).logs["entropy"], abs=1e-5)


def test_rewards_are_computed_beside_the_reference_models_log_probs(make_trainer, tasks):
    begun = Event()

    def waits_for_the_reference(completions, **_):
        return [float(begun.wait(10))] * len(completions)

    options = {"texts": completions(tasks), "beta": 0.1, "score_beside": True}
    trainer = make_trainer(ENV.reward + waits_for_the_reference, **options)
    trainer.ref_model.register_forward_pre_hook(lambda *_: begun.set())
    assert trained(trainer).logs["parts/waits_for_the_reference"] == 1.0
