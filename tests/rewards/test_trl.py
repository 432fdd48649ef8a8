"""TRL's calling convention, both ways, as `GRPOTrainer._calculate_rewards` of TRL 1.16 calls."""

import pytest

from rlvr_rewards import UserError, exact_number, reward, think_format

GOOD, WRONG = "<think>3+4</think><answer>7</answer>", "<answer>8</answer>"


def call_as_trl(function, prompts, completions, log_metric=None, **columns):
    """The call of TRL 1.16 for a synchronous function, and what it then asks of the result."""
    rewards = function(
        prompts=prompts,
        completions=completions,
        completion_ids=[[1, 2]] * len(completions),
        **columns,
        trainer_state=object(),
        log_extra=lambda column, values: None,
        log_metric=log_metric or (lambda name, value: None),
    )
    rewards = [value if value is not None else float("nan") for value in rewards]
    assert len(rewards) == len(prompts)
    return rewards


def chat(text):
    return [{"role": "assistant", "content": text}]


@pytest.mark.parametrize("wrap", [str, chat], ids=["plain", "conversational"])
def test_a_composed_reward_is_called_as_it_is(wrap):
    node = 2.0 * exact_number + 0.5 * think_format
    rewards = call_as_trl(node, ["p", "p"], [wrap(GOOD), wrap(WRONG)], answer=["7", "7"], question=["3+4", "3+4"])
    assert rewards == [2.5, 0.0]


def test_a_single_function_is_called_as_it_is():
    assert call_as_trl(exact_number, ["p", "p"], [GOOD, WRONG], answer=["7", "7"]) == [1.0, 0.0]


def test_a_failed_row_is_none_and_its_siblings_keep_theirs():
    rewards = exact_number(prompts=["p", "q"], completions=[GOOD, GOOD], answer=["7", "seven"])
    assert rewards == [1.0, None]


def test_drop_group_takes_its_groups_from_the_prompts():
    node = exact_number.on_error("drop_group")
    prompts = [chat("a"), chat("a"), chat("b")]
    assert node(prompts=prompts, completions=[GOOD] * 3, answer=["7", "seven", "7"]) == [None, None, 1.0]


def test_the_mean_of_each_part_and_the_share_of_errors_are_logged():
    logged = {}
    node = exact_number.named("correct") + 0.5 * think_format.named("format")
    call_as_trl(node, ["p"] * 3, [GOOD, WRONG, GOOD], log_metric=logged.__setitem__, answer=["7", "7", "seven"])
    assert logged == {"parts/correct": 0.5, "parts/format": pytest.approx(2 / 3), "reward_errors": pytest.approx(1 / 3)}


def test_trl_labels_its_metrics_with_our_name():
    assert exact_number.__name__ == "exact_number"
    assert (exact_number + think_format).__name__ == "reward"
    assert (exact_number + think_format).named("both").__name__ == "both"


def test_a_function_with_trl_signature_comes_in_unchanged():
    seen = {}

    def shorter(prompts, completions, completion_ids, trainer_state=None, **kwargs):
        seen.update(kwargs, prompts=prompts)
        return [-2.0 if len(text) > 20 else 3.0 for text in completions]

    node = exact_number + 0.5 * reward(shorter)
    assert call_as_trl(node, ["p", "q"], [GOOD, WRONG], answer=["7", "8"]) == [0.0, 2.5]
    assert seen["prompts"] == ["p", "q"]
    assert seen["answer"] == ["7", "8"]
    assert (exact_number + shorter).part_names() == ["exact_number", "shorter"]


def test_the_rewards_of_trl_come_in_unchanged():
    trl_rewards = pytest.importorskip("trl.rewards")
    node = exact_number + 0.5 * reward(trl_rewards.think_format_reward, high=1.0)
    rewards = call_as_trl(node, [chat("q")] * 2, [chat(GOOD), chat(WRONG)], answer=["7", "8"])
    assert rewards == [1.5, 1.0]
    overlong = trl_rewards.get_soft_overlong_punishment(max_completion_len=10, soft_punish_cache=5)
    assert call_as_trl(reward(overlong), ["p"], [GOOD]) == [0.0]


def test_a_batch_function_is_called_once_for_the_whole_batch():
    calls = []

    @reward
    def counted(completions, **columns):
        calls.append(len(completions))
        return [0.5] * len(completions)

    (counted + counted.named("again")).score_batch(["x"] * 5, {})
    assert calls == [5, 5]


def test_an_empty_batch_gives_an_empty_list():
    assert exact_number(prompts=[], completions=[], answer=[]) == []


def test_a_column_is_not_mistaken_for_shared_where_its_length_differs():
    with pytest.raises(UserError, match="'answer' has 1 values for 2"):
        exact_number.score_batch([GOOD, GOOD], {"answer": ["7"]})
