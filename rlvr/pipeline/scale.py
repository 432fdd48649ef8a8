"""What a stage that samples and learns takes on cards of a data sheet, as `rlvr run --check` tells it."""

from collections.abc import Iterator
from typing import Any

from rlvr.config.schema import StageConfig
from rlvr.models.memory import Workload
from rlvr.models.room import Lengths
from rlvr.models.shape import ModelShape
from rlvr.models.throughput import CARDS, Batch, step_on_paper
from rlvr.pipeline.processes import num_processes
from rlvr.pipeline.space import size_text

_SMALLEST = 100_000_000
"""Parameters under which launches and waiting, not arithmetic, take a step's time."""


def scale_lines(stage: StageConfig, work: Workload, shape: ModelShape, lengths: Lengths) -> Iterator[str]:
    """A line a card; none for stages that do not sample while they learn, and for models too small for arithmetic.

    Args:
        stage: Of any kind.
        work: What it holds on a device.
        shape: Of the model.
        lengths: Of the prompts and golds.
    """
    batch = batch_of(stage, lengths)
    if batch is None or shape.num_params < _SMALLEST:
        return
    for card in CARDS:
        step = step_on_paper(shape, work, batch, card)
        yield (
            f"on paper, {card.name}: a step samples {step.sample_s:.1f} s and updates {step.update_s:.1f} s; "
            f"{step.busy_tokens_per_s:,.0f} sampled tokens a second, of {step.samplers_per_trainer:.1f} such cards, "
            f"keep it training; weights sent {size_text(step.sync_bytes)}"
        )


def batch_of(stage: Any, lengths: Lengths) -> Batch | None:
    """What each process does in a step of a stage that samples for each of its steps; `None` of others."""
    groups = getattr(stage, "prompts_per_step", None)
    if groups is None:
        return None
    return Batch(groups // num_processes(), stage.group_size, lengths.prompt, stage.max_new_tokens)
