"""GDPO: each part normalized within its group by itself; advantages worked out by hand."""

import math

import pytest
from trl import GRPOTrainer

from rlvr.config.schema import ModelConfig
from rlvr.engine.algorithms import ALGORITHMS
from rlvr.models.load import load_model, load_tokenizer
from rlvr_rewards import UserError, exact_number, linear, reward, think_format
from tests.rlvr.engine.conftest import ENV, Dictated, trained
from tests.rlvr.engine.test_trainer import rows_of
from tests.rlvr.engine.test_update import assert_equal

GDPO = ALGORITHMS["gdpo"].trl
CORRECT, FORMAT = exact_number.named("correct"), think_format.named("format")


def completions(tasks):
    """Group 0 has both, the form, the answer, nothing; group 1 twice the answer without form, twice the form alone."""
    form, wrong = ENV.gold(tasks[0]), "<think>x</think><answer>99</answer>"
    bare = [f"<answer>{task['answer']}</answer>" for task in tasks]
    return [form, wrong, bare[0], "<think>", bare[1], bare[1], wrong, wrong]


def normalized(values):
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return [(value - mean) / (deviation + 1e-4) for value in values]


def by_hand(parts, weights):
    """The advantages of a batch: `parts` by group, each a list of the values of each part."""
    summed = [
        sum(w * part[n] for w, part in zip(weights, map(normalized, group), strict=True))
        for group in parts
        for n in range(len(group[0]))
    ]
    return normalized(summed)


PARTS = [[[1, 0, 1, 0], [1, 1, 0, 0]], [[1, 1, 0, 0], [0, 0, 1, 1]]]


def advantages(tmp_path, step=1):
    return [row["advantage"] for row in rows_of(tmp_path, step)]


def test_advantages_by_hand(make_trainer, tasks, tmp_path):
    trained(make_trainer(2.0 * CORRECT + 1.0 * FORMAT, texts=completions(tasks), **GDPO))
    # Within a group both parts are 1, 1, 0, 0 in some order: ±0.5 / sqrt(1/3) = ±0.866. Weighed by 2 and by 1 they add
    # up to ±2.598 and ±0.866, whose deviation over the batch is sqrt(18 / 7) = 1.604.
    sums = [2.598, -0.866, 0.866, -2.598, 0.866, 0.866, -0.866, -0.866]
    assert advantages(tmp_path) == pytest.approx([value / 1.604 for value in sums], abs=1e-3)
    assert advantages(tmp_path) == pytest.approx(by_hand(PARTS, [2.0, 1.0]), abs=1e-5)


@reward
def half_for_form(completion: str) -> float:
    return 0.5 * think_format(completion)


def test_a_group_whose_totals_are_equal_teaches_where_its_parts_are_not(make_trainer, tasks, tmp_path):
    """The answer without form, or the form alone, earns 1.0 in all: GRPO learns nothing from that, GDPO does."""
    total = CORRECT + 2.0 * half_for_form
    trained(
        make_trainer(total, texts=completions(tasks), **{**GDPO, "multi_objective_aggregation": "sum_then_normalize"})
    )
    assert advantages(tmp_path)[4:] == [0.0] * 4
    assert not any(row["kept"] for row in rows_of(tmp_path)[4:])


def test_and_does_so_under_gdpo(make_trainer, tasks, tmp_path):
    trained(make_trainer(CORRECT + 2.0 * half_for_form, texts=completions(tasks), **GDPO))
    halved = [[correct, [0.5 * form for form in forms]] for correct, forms in PARTS]
    assert advantages(tmp_path) == pytest.approx(by_hand(halved, [1.0, 2.0]), abs=1e-5)
    assert advantages(tmp_path)[4] < -0.3 and all(row["kept"] for row in rows_of(tmp_path))


def test_a_schedule_weighs_the_normalized_part(make_trainer, tasks, tmp_path):
    total = CORRECT + linear(0.0, 2.0, steps=2) * FORMAT
    trained(make_trainer(total, texts=completions(tasks), max_steps=3, **GDPO))
    for step in (1, 2, 3):
        assert advantages(tmp_path, step) == pytest.approx(by_hand(PARTS, [1.0, step - 1.0]), abs=1e-5)


def test_it_is_stock_trl_with_a_function_for_each_part(make_trainer, tiny_model, dataset, arguments, tasks):
    tokenizer, texts = load_tokenizer(str(tiny_model), ModelConfig()), completions(tasks)
    dictated = Dictated(texts, tokenizer)

    class Stock(GRPOTrainer):
        def _generate_single_turn(self, prompt_ids, *args, **kwargs):
            return [next(dictated.ids) for _ in prompt_ids], None

    stock = Stock(
        model=load_model(str(tiny_model), ModelConfig()),
        reward_funcs=[CORRECT, FORMAT],
        args=arguments(reward_weights=[2.0, 0.5], **GDPO),
        train_dataset=dataset,
        processing_class=tokenizer,
    )
    ours = make_trainer(2.0 * CORRECT + 0.5 * FORMAT, texts=texts, **GDPO)
    assert_equal(trained(ours), trained(stock))


def test_a_reward_that_is_no_sum_of_named_parts_is_refused(make_trainer, tasks):
    with pytest.raises(UserError, match="has no name of its own"):
        make_trainer(CORRECT & FORMAT, texts=completions(tasks), **GDPO)
