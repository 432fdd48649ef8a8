"""What hooks into the trainer's loop: a stop that saves first, metrics, and a stop where training broke."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from rlvr.failure import WorkError
from rlvr.pipeline.metrics import Metrics
from rlvr.pipeline.processes import agreed
from rlvr.pipeline.space import checkpoint_bytes, model_bytes, require_space, size_text
from rlvr.stopping import SAVE_SIGNAL, raise_for


class StopRequest(TrainerCallback):
    """Does after the step under way what a signal asked for: a checkpoint, and for all but SIGUSR1 the end of training.

    Args:
        said: Told of a checkpoint that was asked for, once it is saved.
    """

    def __init__(self, said: Callable[[int], None]) -> None:
        self.said = said
        self.signal_number: int | None = None
        self.wants_checkpoint = False

    def request(self, signal_number: int) -> None:
        if signal_number == SAVE_SIGNAL:
            self.wants_checkpoint = True
        else:
            self.signal_number = signal_number

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.signal_number = agreed(self.signal_number)
        self.wants_checkpoint = agreed(int(self.wants_checkpoint)) == 1
        if self.signal_number is not None:
            control.should_save = control.should_training_stop = True
        if self.wants_checkpoint:
            control.should_save = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.wants_checkpoint:
            self.said(state.global_step)
        self.wants_checkpoint = False

    def raise_if_requested(self) -> None:
        """Raises `KeyboardInterrupt` or `Terminated` where a signal came."""
        if self.signal_number is not None:
            raise_for(self.signal_number)


class SpeedCallback(TrainerCallback):
    """Adds to what is logged how fast rows go through a whole step, over the steps since the last log.

    Args:
        num_rows: Rows of a step, over all devices.
        metric: Under which name, such as `completions_per_s`.
    """

    def __init__(self, num_rows: int, metric: str) -> None:
        self.num_rows, self.metric = num_rows, metric
        self.step, self.since = 0, time.perf_counter()

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.step, self.since = state.global_step, time.perf_counter()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        now = time.perf_counter()
        if logs is not None and state.global_step > self.step:
            logs[self.metric] = (state.global_step - self.step) * self.num_rows / (now - self.since)
        self.step, self.since = state.global_step, now


class MetricsCallback(TrainerCallback):
    """Appends what the trainer logs to `metrics.jsonl`."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if state.is_world_process_zero and "train_runtime" not in (logs or {}):  # the summary repeats the last step
            self.metrics.append(state.global_step, logs or {})


class SpaceGuard(TrainerCallback):
    """Stops training before a checkpoint, or the model, that the disk has no room for."""

    def __init__(self, stage: str, folder: Path) -> None:
        self.stage, self.folder = stage, folder

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: torch.nn.Module | None = None,
        optimizer: Any = None,
        **_: Any,
    ) -> None:
        if control.should_save and model is not None:
            size = checkpoint_bytes(model, optimizer, getattr(args, "sync_ref_model", False))
            what = f"stage {self.stage}: a checkpoint of step {state.global_step} takes {size_text(size)}"
            require_space(self.folder, size, what)

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: torch.nn.Module | None = None,
        **_: Any,
    ) -> None:
        if model is not None:
            size = model_bytes(model)
            require_space(self.folder, size, f"stage {self.stage}: its model takes {size_text(size)}")


class DivergenceGuard(TrainerCallback):
    """Stops training whose loss, gradient or weights are no numbers any more.

    Loss and gradient are looked at when they are logged, the weights before a checkpoint: so no checkpoint ever holds
    weights that are no numbers, however rarely is logged.
    """

    def __init__(self, stage: str) -> None:
        self.stage = stage

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: torch.nn.Module | None = None,
        **_: Any,
    ) -> None:
        if control.should_save and model is not None and agreed(int(not _finite(model))):  # of shards, each has its own
            self._stop("a weight", state)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        for name, called in (("loss", "the loss"), ("grad_norm", "the gradient")):
            value = (logs or {}).get(name)
            if value is not None and not math.isfinite(value):
                self._stop(called, state)

    def _stop(self, what: str, state: TrainerState) -> None:
        raise WorkError(
            f"stage {self.stage}: {what} is not a finite number at step {state.global_step}; the last checkpoint "
            f"before it is kept: lower stage.{self.stage}.learning_rate, or trl.max_grad_norm, in a new --run-dir"
        )


@torch.no_grad()
def _finite(model: torch.nn.Module) -> bool:
    return all(bool(weights.isfinite().all()) for weights in model.parameters() if weights.requires_grad)
