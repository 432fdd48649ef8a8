"""The private names of transformers and TRL that `rlvr.pipeline.continuation` leans on are still theirs."""

import inspect
import re

import pytest
from transformers import Trainer
from trl import DPOTrainer, GRPOTrainer, SFTTrainer
from trl.experimental.orpo import ORPOTrainer
from trl.trainer.utils import RepeatSampler

from rlvr.engine.imitation import ChannelTrainer
from rlvr.engine.trainer import GroupTrainer
from rlvr.pipeline.continuation import COUNTERS, LOSS, SAMPLES, STATES, SUMS

OWNERS = {
    "_step": GRPOTrainer,
    "_total_train_tokens": SFTTrainer,
    "_globalstep_last_logged": Trainer,
    "_failed_before": GroupTrainer,
    "_metrics": GRPOTrainer,
    "_stored_metrics": ORPOTrainer,
    "_sums": ChannelTrainer,
    "_buffered_inputs": GRPOTrainer,
    LOSS: Trainer,
}


def test_each_name_has_its_owner():
    assert set(OWNERS) == {*COUNTERS, *SUMS, *SAMPLES, LOSS}


@pytest.mark.parametrize("name", OWNERS)
def test_the_attribute_is_still_theirs(name):
    assert re.search(rf"self\.{name}(: .+)? = ", inspect.getsource(OWNERS[name]))


@pytest.mark.parametrize("name", STATES)
def test_a_state_is_an_attribute_that_can_be_set(name):
    assert getattr(GroupTrainer, name).fset


def test_dpo_counts_as_sft_does():
    assert all(f"self.{name} = " in inspect.getsource(DPOTrainer) for name in ("_total_train_tokens", "_metrics"))


def test_the_order_of_an_epoch_is_still_drawn_when_it_begins():
    assert "generator=self.generator" in inspect.getsource(RepeatSampler.__iter__)
    epoch = inspect.getsource(Trainer._inner_training_loop)
    assert epoch.index("callback_handler.on_epoch_begin") < epoch.index("self._run_epoch(")
    assert "iter(train_dataloader)" in inspect.getsource(Trainer._run_epoch)


def test_the_trainer_still_saves_where_it_is_told_to():
    assert "self._get_output_dir(" in inspect.getsource(Trainer._save_checkpoint)
    saving = inspect.getsource(Trainer._maybe_log_save_evaluate)
    assert saving.index("self._save_checkpoint(") < saving.index("callback_handler.on_save(")
