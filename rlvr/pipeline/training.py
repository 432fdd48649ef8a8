"""What SFT and GRPO share: settings for TRL, checkpoints that are whole, resuming, and a clean stop on a signal."""

import json
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from rlvr.config.schema import StageConfig
from rlvr.pipeline.files import new_folder
from rlvr.pipeline.stage import StageResult
from rlvr_rewards.errors import UserError, unknown_name

if TYPE_CHECKING:
    from transformers import Trainer

    from rlvr.pipeline.run import Run

COMPLETE = "complete"
"""A file in a checkpoint that is written last: a checkpoint without it was cut short, and is not used."""


class TrainingConfig(StageConfig):
    """What every training stage has.

    Attributes:
        steps: Optimizer steps.
        learning_rate: Its peak; the schedule is TRL's `lr_scheduler_type`.
        save_steps: Steps between checkpoints.
        trl: Any setting of TRL under TRL's own name.
    """

    steps: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    save_steps: int = Field(default=50, ge=1)
    trl: dict[str, Any] = Field(default_factory=dict)


def check_trl_settings(config: TrainingConfig, trl_config: type, ours: dict[str, str]) -> None:
    """Refuses a setting that TRL does not know, and one that the stage sets itself.

    Args:
        config: The stage.
        trl_config: TRL's dataclass of settings, such as `GRPOConfig`.
        ours: TRL's names of the settings that the stage has keys for, with those keys.
    """
    known = {field.name for field in fields(trl_config)}
    for name in config.trl:
        if name in ours:
            raise UserError(f"stage {config.name}: set {ours[name]!r} of the stage itself instead of trl.{name}")
        if name not in known:
            raise unknown_name("TRL setting", name, known)


def common_arguments(config: TrainingConfig, run: "Run") -> dict[str, Any]:
    """The settings of TRL's trainers that do not depend on the algorithm."""
    import torch

    return {
        "output_dir": str(run.folder.checkpoints / config.name),
        "max_steps": config.steps,
        "learning_rate": config.learning_rate,
        "save_steps": config.save_steps,
        "save_total_limit": 2,
        "logging_steps": 1,
        "seed": run.seed(stage=config.name, purpose="trainer") % 2**32,
        "use_cpu": not torch.cuda.is_available(),
        "bf16": torch.cuda.is_available() and torch.cuda.is_bf16_supported(),
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "gradient_checkpointing": torch.cuda.is_available(),
    }


def train(trainer: "Trainer", config: TrainingConfig, run: "Run", progress: "Any") -> StageResult:
    """Trains from the last whole checkpoint, or from the start, and saves the model.

    Raises:
        KeyboardInterrupt: A signal asked to stop; a checkpoint was written first.
    """
    from transformers import PrinterCallback

    from rlvr.pipeline.callbacks import CheckpointMarker, MetricsWriter, StopRequest

    trainer.remove_callback(PrinterCallback)
    folder = Path(str(trainer.args.output_dir))
    checkpoint = last_checkpoint(folder)
    step = step_of(checkpoint) if checkpoint else 0
    if checkpoint:
        run.console.print(f"[yellow]{config.name}: resuming from step {step} of {config.steps}[/]")
    stop = StopRequest()
    for callback in (
        CheckpointMarker(),
        stop,
        MetricsWriter(run.folder.path / "metrics.jsonl", config.name, step),
        progress,
    ):
        trainer.add_callback(callback)
    with stop_on_signals(stop):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    stop.raise_if_requested()
    model = run.folder.models / config.name
    with new_folder(model) as target:
        trainer.save_model(str(target))
    shutil.rmtree(folder, ignore_errors=True)
    return StageResult(model, progress.summary())


def last_checkpoint(folder: Path) -> Path | None:
    """The latest whole checkpoint; those that a crash cut short are removed."""
    found = sorted(folder.glob("checkpoint-*"), key=step_of) if folder.is_dir() else []
    for path in found:
        if not (path / COMPLETE).exists():
            shutil.rmtree(path)
    whole = [path for path in found if path.exists()]
    return whole[-1] if whole else None


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


@contextmanager
def stop_on_signals(stop: Any) -> Iterator[None]:
    """The first SIGINT or SIGTERM asks training to stop after a checkpoint; a second one stops at once."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: Any) -> None:
        for each, handler in before.items():
            signal.signal(each, handler)
        stop.request(number)

    for number in before:
        signal.signal(number, ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def drop_metrics_after(path: Path, stage: str, step: int) -> None:
    """Removes a stage's lines after a step, so that a resumed run does not report a step twice."""
    if not path.exists():
        return
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
    kept = [line for line in lines if line["stage"] != stage or line["step"] <= step]
    from rlvr.pipeline.files import write_text

    write_text(path, "".join(json.dumps(line) + "\n" for line in kept))
