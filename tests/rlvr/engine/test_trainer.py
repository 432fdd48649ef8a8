"""GRPO on dictated completions: equal to stock TRL, advantages worked out by hand, every failure on the trace."""

import json
import math

import pytest
from trl import GRPOTrainer
from trl.rewards import think_format_reward

from rlvr.config.schema import ModelConfig
from rlvr.models.load import load_model, load_tokenizer
from rlvr.traces.store import read_shard, shards
from rlvr_rewards import UserError, exact_number, reward, think_format
from tests.rlvr.engine.conftest import ENV, trained


def completions(tasks):
    """Two groups of four: gold, a wrong answer in the right form, a bare number, and nothing."""
    return [
        text
        for task in tasks
        for text in (ENV.gold(task), "<think>x</think><answer>99</answer>", task["answer"], "<think>")
    ]


def rows_of(tmp_path, step=1):
    paths = [shard.path for shard in shards(tmp_path / "traces") if shard.step == step]
    return [row for path in paths for row in read_shard(path).to_pylist()]


def test_advantages_of_a_hand_computed_group(make_trainer, tasks, tmp_path):
    trained(make_trainer(texts=completions(tasks)))
    rows = [row for row in rows_of(tmp_path) if row["group"] == 0]
    # rewards 1.2, 0.2, 0, 0: mean 0.35; sample standard deviation sqrt((0.85² + 0.15² + 2 * 0.35²) / 3)
    rewards, mean = [1.2, 0.2, 0.0, 0.0], 0.35
    deviation = math.sqrt((0.85**2 + 0.15**2 + 2 * 0.35**2) / 3)
    assert [row["reward"] for row in rows] == pytest.approx(rewards)
    assert [row["advantage"] for row in rows] == pytest.approx(
        [(value - mean) / (deviation + 1e-4) for value in rewards], abs=1e-6
    )


def test_groups_that_earn_the_same_are_counted_as_such_where_rounding_leaves_a_rest(make_trainer, tasks):
    """TRL looks at the standard deviation, which of eight times 0.2 in float32 is 2e-8, and not 0."""
    texts = ["<think>x</think><answer>99</answer>"] * 8 + completions(tasks)
    trainer = make_trainer(texts=texts, num_generations=8, per_device_train_batch_size=16)
    assert trained(trainer).logs["frac_reward_zero_std"] == 0.5


def test_a_trace_row_says_all_of_a_completion(make_trainer, tasks, tmp_path):
    trained(make_trainer(texts=completions(tasks)))
    rows = rows_of(tmp_path)
    assert [(row["group"], row["sample"]) for row in rows] == [(g, s) for g in range(2) for s in range(4)]
    first = rows[0]
    assert first["completion"] == first["gold"] == ENV.gold(json.loads(first["task"]))
    assert dict(first["parts"]) == {"correct": 1.0, "format": 1.0}
    assert first["success"] and first["kept"] and first["finish_reason"] == "stop"
    assert (first["step"], first["policy_version"], first["stage"], first["split"]) == (1, 0, "grpo", "train")
    assert len(first["token_ids"]) == first["completion_tokens"] == len(first["logprobs"])
    assert len({row["seed"] for row in rows}) == len(rows)


def test_a_failed_part_leaves_its_completion_out_and_says_why(make_trainer, tasks, tmp_path):
    @reward
    def brittle(completion: str) -> float:
        if "99" in completion:
            raise RuntimeError("cannot read 99")
        return 1.0

    trained(make_trainer(exact_number + brittle, texts=completions(tasks)))
    failed = rows_of(tmp_path)[1]
    assert (failed["reward"], failed["advantage"], failed["kept"]) == (None, 0.0, False)
    assert dict(failed["errors"]) == {"brittle": "RuntimeError: cannot read 99"}
    assert failed["why_not_kept"]


def test_a_reward_that_often_fails_is_warned_of_once(make_trainer, tasks):
    @reward
    def brittle(completion: str) -> float:
        if "99" in completion:
            raise RuntimeError("cannot read 99")
        return 1.0

    lines = []
    trained(make_trainer(exact_number + brittle, texts=completions(tasks), warn=lines.append, max_steps=2))
    assert lines == [
        "step 1: 2 of 8 completions could not be scored, and no mean counts them; "
        "the first error is of the part brittle: RuntimeError: cannot read 99"
    ]


def test_drop_group_leaves_the_whole_group_out(make_trainer, tasks, tmp_path):
    first_gold = ENV.gold(tasks[0])

    @reward
    def brittle(completion: str) -> float:
        if completion == first_gold:
            raise RuntimeError("no")
        return 0.0

    trained(make_trainer((exact_number + brittle).on_error("drop_group"), texts=completions(tasks)))
    assert [row["kept"] for row in rows_of(tmp_path)] == [False] * 4 + [True] * 4


def test_a_reward_that_always_fails_stops_with_its_first_error(make_trainer, tasks):
    @reward
    def broken(completion: str) -> float:
        raise KeyError("solution")

    with pytest.raises(UserError, match=r"every completion of step 1.*part broken.*solution"):
        make_trainer(broken, texts=completions(tasks)).train()


def test_a_composed_reward_trains_stock_trl_unchanged(tiny_model, dataset, arguments):
    trainer = GRPOTrainer(
        model=load_model(str(tiny_model), ModelConfig()),
        reward_funcs=2.0 * exact_number + 0.5 * think_format,
        args=arguments(max_steps=2),
        train_dataset=dataset,
        processing_class=load_tokenizer(str(tiny_model), ModelConfig()),
    )
    logs = trained(trainer).logs
    assert trainer.state.global_step == 2
    assert {"rewards/reward/mean", "parts/exact_number", "parts/think_format"} <= logs.keys()


def test_a_reward_of_trl_trains_in_ours(make_trainer, tasks, tmp_path):
    trained(make_trainer(exact_number + think_format_reward, texts=completions(tasks), max_steps=2))
    parts = dict(rows_of(tmp_path, step=2)[0]["parts"])
    assert parts == {"exact_number": 1.0, "think_format_reward": 1.0}


def test_a_batch_function_may_log_as_in_trl(make_trainer, tasks):
    def logs(completions, log_metric, log_extra, **columns):
        log_metric("seen", 2.0)
        log_extra("upper", [completion[0]["content"].upper() for completion in completions])
        return [0.0] * len(completions)

    assert trained(make_trainer(exact_number + logs, texts=completions(tasks))).logs["seen"] == 2.0


def test_a_success_that_raises_is_an_error_on_the_trace_and_no_end_of_the_run(
    make_trainer, tasks, tmp_path, monkeypatch
):
    def brittle(env, task, completion):
        if completion == "<think>":
            raise RuntimeError("no answer")
        return False

    monkeypatch.setattr(type(ENV), "success", brittle)
    trained(make_trainer(texts=completions(tasks)))
    assert [row["success"] for row in rows_of(tmp_path)] == [False, False, False, None] * 2
    assert dict(rows_of(tmp_path)[3]["errors"]) == {"success": "RuntimeError: no answer"}


def test_sampled_groups_differ_within_and_repeat_between_runs(make_trainer, tmp_path):
    trained(make_trainer())
    first = [row["token_ids"] for row in rows_of(tmp_path)]
    trained(make_trainer())
    assert [row["token_ids"] for row in rows_of(tmp_path)] == first
    assert len({tuple(ids) for ids in first[:4]}) > 1


def test_one_task_whose_reward_fails_does_not_stop_the_run(make_trainer, tasks, tmp_path):
    @reward
    def brittle(answer: str) -> float:
        if answer == tasks[0]["answer"]:
            raise ValueError("this gold cannot be read")
        return 1.0

    settings = {"per_device_train_batch_size": 4, "max_steps": 2}
    trained(make_trainer(brittle, texts=completions(tasks)[:4], **settings))
    assert {row["reward"] for step in (1, 2) for row in rows_of(tmp_path, step)} == {None, 1.0}
