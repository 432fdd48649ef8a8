"""Whether the disk has room for what a stage writes, asked before it writes: a checkpoint cut short helps nobody.

Beforehand sizes are known from the model's shape, in training from the weights themselves. What else a run writes
(traces, metrics, logs) is small beside them, and left out.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvr.config.schema import StageConfig
from rlvr.failure import WorkError
from rlvr.models.memory import CPU, memory_estimate
from rlvr.models.room import Lengths
from rlvr.models.shape import ModelShape
from rlvr.stages import STAGES

if TYPE_CHECKING:
    import torch

_MARGIN = 1.05


@dataclass(frozen=True)
class Written:
    """Bytes that a stage writes.

    Attributes:
        model: Its model.
        checkpoint: One checkpoint of its training; 0 where it trains nothing.
        num_checkpoints: As many at once: those that stay, and the one that is written.
    """

    model: int
    checkpoint: int = 0
    num_checkpoints: int = 0

    @property
    def most(self) -> int:
        """What lies there at most at once."""
        return self.model + self.num_checkpoints * self.checkpoint

    def __str__(self) -> str:
        checkpoints = f"{self.num_checkpoints} checkpoints of {size_text(self.checkpoint)} and "
        return f"{checkpoints if self.checkpoint else ''}a model of {size_text(self.model)}"


def written_by(stage: StageConfig, shape: ModelShape) -> Written | None:
    """What a stage writes, from the shape of the model that it starts from; `None` where it makes no model."""
    kind = STAGES.get(stage.kind)
    if not kind.makes_model:
        return None
    work = kind.workload(stage)
    if work is None:
        return Written(round(shape.num_params * shape.bytes_per_weight))
    parts = memory_estimate(shape, work, Lengths(prompt=0, gold=0, exact=False), CPU)
    model = parts["gradients"] if work.lora else 4 * shape.num_params  # an adapter is saved alone, in float32
    return Written(model, model + parts["optimizer"], getattr(stage, "keep_checkpoints", 0) + 1)


def require_space(folder: Path, num_bytes: int, what: str) -> None:
    """Refuses to write what the disk has no room for.

    Args:
        folder: Where it goes.
        num_bytes: How much it is.
        what: What it is, with its size.

    Raises:
        WorkError: There is less free.
    """
    free = shutil.disk_usage(folder).free
    if free < num_bytes * _MARGIN:
        raise WorkError(
            f"{what}: {folder} has {size_text(free)} free, and {size_text(round(num_bytes * _MARGIN))} are needed: "
            "free some space, or choose another --run-dir; the same command goes on"
        )


def model_bytes(model: "torch.nn.Module") -> int:
    """The weights that are saved of a model in training: of one with an adapter the adapter alone."""
    return sum(w.numel() * w.element_size() for w in model.parameters() if w.requires_grad or not _has_adapter(model))


def checkpoint_bytes(model: "torch.nn.Module", optimizer: Any, moving_reference: bool = False) -> int:
    """A checkpoint of it: the weights, and two moments of each trained one, in a byte each with an 8-bit optimizer."""
    trained = sum(weights.numel() for weights in model.parameters() if weights.requires_grad)
    moments = (2 if "8bit" in type(optimizer).__name__.lower() else 8) * trained
    return (2 if moving_reference else 1) * model_bytes(model) + moments


def size_text(num_bytes: int) -> str:
    """Such as `1.2 GiB` or `34 MiB`."""
    return f"{num_bytes / 2**30:.1f} GiB" if num_bytes >= 2**30 else f"{num_bytes / 2**20:.0f} MiB"


def _has_adapter(model: "torch.nn.Module") -> bool:
    return hasattr(model, "peft_config")
