"""Whether vLLM and the trainer fit on one device, told before anything loads: estimates, and this machine's card.

The card's size comes from `nvidia-smi`, since asking torch takes seconds; without one, what is told is the smallest
card that would do. Not here: the arithmetic (`rlvr.models.vllm_memory`).
"""

import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rlvr.config.schema import StageConfig
from rlvr.engine.sampling import MAX_ROWS
from rlvr.installed import has_vllm
from rlvr.models.memory import Arithmetic
from rlvr.models.room import Lengths
from rlvr.models.shape import ModelShape
from rlvr.models.vllm_memory import (
    Engine,
    TrainerMemory,
    better_cut,
    cache_bytes,
    cpu_bytes,
    engine_bytes,
    loaded_length,
    smallest_card,
    trainer_memory,
)
from rlvr.pipeline.own_groups import GroupsConfig
from rlvr.pipeline.sampling import SamplingConfig
from rlvr.pipeline.space import size_text
from rlvr_rewards.errors import UserError

_SHARE = "trl.vllm_gpu_memory_utilization"


class _TRLSettings(BaseModel):
    """Those of TRL's settings that say what vLLM takes, with TRL's defaults."""

    model_config = ConfigDict(extra="ignore")

    vllm_gpu_memory_utilization: float = Field(default=0.3, gt=0, lt=1)
    vllm_max_model_length: int | None = Field(default=None, ge=1)
    vllm_enable_sleep_mode: bool = False


def samples_itself(stage: StageConfig, arithmetic: Arithmetic) -> bool:
    """Whether a stage samples with the very model that it trains."""
    if not isinstance(stage, SamplingConfig):
        return False
    return stage.sampler in (None, "torch") or (stage.sampler == "auto" and not uses_vllm(stage, arithmetic))


def uses_vllm(stage: StageConfig, arithmetic: Arithmetic) -> bool:
    """Whether a stage samples with vLLM on the device that it trains on."""
    if not isinstance(stage, SamplingConfig):
        return False
    return stage.sampler == "vllm" or (stage.sampler == "auto" and arithmetic.on_gpu and has_vllm())


def vllm_lines(
    stage: Any, shape: ModelShape, parts: Mapping[str, int], lengths: Lengths, arithmetic: Arithmetic
) -> Iterator[str]:
    """What vLLM takes beside a stage's training, and whether both fit; a line a thing.

    Args:
        stage: One that samples with vLLM in its process.
        shape: Of the model.
        parts: `memory_estimate` of the stage, without sampling of its own.
        lengths: Of the prompts and golds.
        arithmetic: Of the device.

    Raises:
        UserError: A setting of TRL's that says what vLLM takes is out of its range.
    """
    engine = _engine(stage, lengths, shape)
    if not arithmetic.on_gpu:
        value_bytes = 4 if stage.lora is None else round(shape.bytes_per_weight)
        yield f"vLLM in the same memory, estimated: {_listed(cpu_bytes(shape, engine, value_bytes))}"
        return
    trainer = trainer_memory(shape, parts, stage.max_new_tokens)
    takes = f"{engine.share:.0%} of it"
    if isinstance(stage, GroupsConfig):  # it samples before it trains, and takes what is free
        trainer = replace(trainer, held=parts["weights"])
        engine, takes = better_cut(shape, engine, trainer), "what is free of it before training"
    yield (
        f"vLLM on the same GPU, estimated: {takes}: {_listed(engine_bytes(shape, engine))}, and KV cache of the rest "
        f"({size_text(cache_bytes(shape, engine.max_length))} for one completion of {engine.max_length:,} tokens)"
    )
    yield _verdict(shape, engine, trainer, card_bytes())


def card_bytes() -> int | None:
    """The memory of the first GPU that this process may use; `None` where there is none, or nobody says."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    command = ["nvidia-smi", f"--id={visible}", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
        return int(found.split()[0]) * 2**20
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def _engine(stage: Any, lengths: Lengths, shape: ModelShape) -> Engine:
    names = {name: value for name, value in stage.trl.items() if name in _TRLSettings.model_fields}
    try:
        trl = _TRLSettings.model_validate(names)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"stage {stage.name}: trl.{first['loc'][0]} = {first['input']!r}: {first['msg']}") from None
    before, lora = isinstance(stage, GroupsConfig), stage.lora
    alone = before or trl.vllm_enable_sleep_mode  # the adapter is merged, or not there yet
    return Engine(
        rows=MAX_ROWS,
        max_length=loaded_length(trl.vllm_max_model_length, stage.max_new_tokens, lengths.prompt, shape.context_length),
        share=trl.vllm_gpu_memory_utilization,
        sleeps=alone,
        lora_rank=None if alone or lora is None else lora.r,
    )


def _verdict(shape: ModelShape, engine: Engine, trainer: TrainerMemory, card: int | None) -> str:
    needed = smallest_card(shape, engine, trainer)
    if card is None:
        return f"both fit on a GPU of {size_text(needed)}{_better(shape, engine, trainer, round(0.95 * needed))}"
    if card >= needed:
        return f"both fit on this GPU: it has {size_text(card)}, and {size_text(needed)} would do"
    mend = _better(shape, engine, trainer, card) or (
        ": lower micro_batch_size or max_new_tokens, train an adapter ([stage.lora]), or sample elsewhere "
        '(sampler = "vllm-server")'
    )
    return f"both do not fit on this GPU: it has {size_text(card)}, and they need one of {size_text(needed)}{mend}"


def _better(shape: ModelShape, engine: Engine, trainer: TrainerMemory, card: int) -> str:
    """What to set for the same stage to fit on a card of so many bytes; nothing where that would not help."""
    cuts = {"": better_cut(shape, engine, trainer)}
    if not engine.sleeps:
        asleep = replace(engine, sleeps=True, lora_rank=None)  # which vLLM takes no adapter with
        cuts[" and trl.vllm_enable_sleep_mode true"] = better_cut(shape, asleep, trainer)
    for more, cut in cuts.items():
        needed = smallest_card(shape, cut, trainer)
        if cut != engine and needed <= card:
            return f"; with {_SHARE} {cut.share:g}{more} on one of {size_text(needed)}"
    return ""


def _listed(parts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {size_text(size)}" for name, size in parts.items() if size)
