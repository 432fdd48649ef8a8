"""The stage `grpo` before anything is sampled: the tasks that it trains on."""

from typing import Any

import pytest

pytest.importorskip("datasets", reason="needs the train extra")

from rlvr.config.load import check_config
from rlvr.pipeline.grpo_tasks import training_tasks
from rlvr.pipeline.run import Run
from rlvr_rewards import UserError


def tasks_of(**settings: Any):
    nothing: Any = None
    raw = {"env": {"name": "arithmetic", "largest": 1}, "stage": [{"kind": "grpo", **settings}]}
    config = check_config(raw, "here")
    return training_tasks(config.stage[0], Run(config, nothing, nothing))


def test_fewer_tasks_than_a_step_takes_are_refused_and_not_called_trained():
    with pytest.raises(UserError, match=r"arithmetic has \d training tasks, fewer than the prompts_per_step 16"):
        tasks_of()


def test_tasks_are_gone_through_again_where_steps_need_more():
    assert 2 <= len(tasks_of(prompts_per_step=2, steps=100)) < 200
