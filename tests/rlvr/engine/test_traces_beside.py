"""Traces that are written while the model is updated: there when a step ends, and missed by nobody when they fail."""

import threading
import time

import pytest
from transformers import TrainerCallback

from rlvr.traces.store import TraceWriter, shards
from rlvr_rewards import UserError
from tests.rlvr.engine.conftest import ENV


class Seen(TrainerCallback):
    """The steps whose traces are there at the end of each step, which is before a checkpoint of it."""

    def __init__(self, folder):
        self.folder, self.steps = folder, []

    def on_step_end(self, args, state, control, **kwargs):
        self.steps.append([shard.step for shard in shards(self.folder)])


@pytest.fixture
def trainer(make_trainer, tasks, tmp_path):
    found = make_trainer(texts=[ENV.gold(task) for task in tasks for _ in range(4)], max_steps=2)
    found.seen = Seen(tmp_path / "traces")
    found.add_callback(found.seen)
    return found


def test_a_step_ends_with_its_traces_however_slowly_they_are_written(trainer, monkeypatch):
    write, threads = TraceWriter.write, []

    def slowly(self, step, rows):
        threads.append(threading.current_thread())
        time.sleep(1)
        write(self, step, rows)

    monkeypatch.setattr(TraceWriter, "write", slowly)
    trainer.train()
    assert trainer.seen.steps == [[1], [1, 2]]
    assert threading.main_thread() not in threads  # the update went on meanwhile


def test_traces_that_cannot_be_written_stop_the_run_in_their_step(trainer, monkeypatch):
    def full(self, step, rows):
        raise UserError("traces cannot be written: no space left")

    monkeypatch.setattr(TraceWriter, "write", full)
    with pytest.raises(UserError, match="no space left"):
        trainer.train()
    assert trainer.state.global_step == 1 and trainer.seen.steps == []


def test_a_step_that_is_broken_off_leaves_its_traces_whole(trainer, monkeypatch):
    write, step_of = TraceWriter.write, type(trainer).training_step

    def slowly(self, step, rows):
        time.sleep(1)
        write(self, step, rows)

    def broken_off(self, *args, **kwargs):
        step_of(self, *args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(TraceWriter, "write", slowly)
    monkeypatch.setattr(type(trainer), "training_step", broken_off)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    assert [shard.step for shard in shards(trainer.seen.folder)] == [1]
