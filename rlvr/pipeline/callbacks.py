"""What hooks into the trainer's loop: whole checkpoints, a stop that saves first, metrics as lines of JSON."""

import json
import math
import signal
import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from rlvr.cli import Terminated
from rlvr.pipeline.training import COMPLETE, drop_metrics_after
from rlvr_rewards.errors import UserError


class CheckpointMarker(TrainerCallback):
    """Marks a checkpoint as whole once all of it is on disk."""

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        (Path(str(args.output_dir)) / f"checkpoint-{state.global_step}" / COMPLETE).touch()


class StopRequest(TrainerCallback):
    """Ends training after the step under way, with a checkpoint, when a signal asked for it."""

    signal_number: int | None = None

    def request(self, signal_number: int) -> None:
        self.signal_number = signal_number

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.signal_number is not None:
            control.should_save = control.should_training_stop = True

    def raise_if_requested(self) -> None:
        if self.signal_number == signal.SIGTERM:
            raise Terminated
        if self.signal_number is not None:
            raise KeyboardInterrupt


class MetricsWriter(TrainerCallback):
    """Appends what the trainer logs to `metrics.jsonl`, and stops a run whose loss is not a number.

    Args:
        path: The file.
        stage: The name of the stage.
        step: Lines of the stage after this step are from before a crash, and are removed.
    """

    def __init__(self, path: Path, stage: str, step: int) -> None:
        self.path, self.stage = path, stage
        drop_metrics_after(path, stage, step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        numbers = {name: value for name, value in (logs or {}).items() if isinstance(value, int | float)}
        loss = numbers.get("loss", 0.0)
        if not math.isfinite(loss):
            raise UserError(
                f"stage {self.stage}: the loss is {loss} at step {state.global_step}: lower the learning rate; "
                "the last checkpoint is kept, and running again goes on from it"
            )
        finite = {name: value for name, value in numbers.items() if math.isfinite(value)}
        line = {"stage": self.stage, "step": state.global_step, "time": round(time.time(), 3), **finite}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
