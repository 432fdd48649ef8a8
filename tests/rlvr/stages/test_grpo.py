"""The stage `grpo` before anything is sampled: the tasks that it trains on, and what it hands its sampler."""

from typing import Any

import pytest

pytest.importorskip("datasets", reason="needs the train extra")

from rlvr.config.load import check_config
from rlvr.engine.savings import OF_TORCH_SAMPLER, Savings
from rlvr.pipeline.grpo_tasks import tasks_of_all_steps
from rlvr.pipeline.run import Run
from rlvr.stages import STAGES
from rlvr_rewards import UserError


def tasks_of(**settings: Any):
    nothing: Any = None
    raw = {"env": {"name": "arithmetic", "largest": 1}, "stage": [{"kind": "grpo", **settings}]}
    config = check_config(raw, "here")
    return tasks_of_all_steps(config.stage[0], Run(config, nothing, nothing))


def test_fewer_tasks_than_a_step_takes_are_refused_and_not_called_trained():
    with pytest.raises(UserError, match=r"arithmetic has \d training tasks, fewer than the 16 that are sampled"):
        tasks_of()
    with pytest.raises(UserError, match=r"fewer than the 16 .* lower prompts_per_step or trl.steps_per_generation"):
        tasks_of(prompts_per_step=2, trl={"steps_per_generation": 8})


def test_there_are_as_many_tasks_as_are_sampled_at_once():
    assert len(tasks_of(prompts_per_step=2, steps=1, trl={"steps_per_generation": 1})) == 2
    two_at_once = {"prompts_per_step": 2, "micro_batch_size": 8, "trl": {"steps_per_generation": 4}}
    assert len(tasks_of(steps=1, **two_at_once)) == 4


def test_tasks_are_gone_through_again_where_steps_need_more():
    assert 2 <= len(tasks_of(prompts_per_step=2, steps=100)) < 200


def test_weights_that_the_reward_has_are_not_set_for_trl_too():
    config, run = stage_of(trl={"reward_weights": [2.0]})
    with pytest.raises(UserError, match=r"write weights in \[reward\] expression instead of trl.reward_weights"):
        STAGES.get("grpo").check(config, run)


def stage_of(**settings: Any):
    config = check_config({"env": {"name": "arithmetic"}, "stage": [{"kind": "grpo", **settings}]}, "here")
    return config.stage[0], config


@pytest.mark.parametrize("name", vars(Savings()))
def test_each_saving_has_a_setting(name):
    assert stage_of()[0].savings == Savings()
    assert stage_of(**{name: False})[0].savings == Savings(**{name: False})


def test_what_the_torch_sampler_leaves_out_is_handed_to_it():
    from rlvr.engine.samplers import SamplerSettings, sampler_source

    nothing: Any = None
    wanted = Savings(drop_finished=False)
    source: Any = sampler_source(SamplerSettings(savings=wanted), "", nothing, nothing, print)
    assert source.savings == wanted


@pytest.mark.parametrize("name", OF_TORCH_SAMPLER)
def test_a_saving_of_the_torch_sampler_is_refused_beside_another_one(name):
    config, run = stage_of(sampler="vllm-server", servers=["http://localhost:1"], **{name: False})
    with pytest.raises(UserError, match=f"{name} is of the torch sampler: drop it, or set sampler"):
        STAGES.get("grpo").check(config, run)
