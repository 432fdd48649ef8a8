"""Which of a model's weights a training stage trains: all of them, an adapter (LoRA and its kin), or Spectrum's choice.

Not here: the methods themselves (`rlvr.models.adapters`, `quantized`, `spectrum`), and the loop.
"""

from collections import Counter
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvr.config.schema import SCRATCH, RunConfig, StageConfig
from rlvr.models.adapters import IN_4_BITS
from rlvr.models.quantized import adapter_in_float32, is_4bit, require_bitsandbytes
from rlvr.models.spectrum_files import read_unfrozen
from rlvr_rewards.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from rlvr.pipeline.run import Run
    from rlvr.pipeline.training import TrainingConfig


def check_weights(config: "TrainingConfig", run: RunConfig) -> None:
    """Refuses ways of training that exclude each other, and those whose library or file is missing.

    Raises:
        UserError: They do, or it is.
    """
    from rlvr.models.shape import model_folder

    if config.spectrum and config.lora:
        raise UserError(
            f"stage {config.name}: [stage.spectrum] trains weights of the model itself, [stage.lora] an adapter beside "
            "them: keep one of the two"
        )
    if config.spectrum and config.spectrum.parameters:
        read_unfrozen(config.spectrum.parameters)
    if config.lora and config.lora.qlora:
        require_bitsandbytes()
    elif run.model.path != SCRATCH and is_4bit(model_folder(run.model.path)) and _is_first(config, run):
        raise UserError(
            f"stage {config.name}: model {run.model.path} is saved in 4 bits, on which only a QLoRA adapter can be "
            "trained: set qlora = true in [stage.lora], or take the model that it was made from"
        )


def _is_first(config: "TrainingConfig", run: RunConfig) -> bool:
    """Whether the stage starts from the run's own model."""
    from rlvr.pipeline.run import BASE, start_of

    return start_of(config, run) == BASE


def starts_from_adapter(config: StageConfig, run: RunConfig) -> bool | None:
    """Whether a stage starts from an adapter; `None` where its start is of a kind that does not say."""
    from rlvr.models.adapters import is_adapter
    from rlvr.pipeline.run import start_of

    start = start_of(config, run)
    before = next((stage for stage in run.stage if stage.name == start), None)
    if before is None:
        return is_adapter(run.model.path)
    return before.lora is not None if hasattr(before, "lora") else None


def described(config: "TrainingConfig") -> str:
    """What is trained, as the end of a plan's line; empty where it is all weights."""
    if config.lora:
        return f", {config.lora}"
    if config.spectrum:
        chosen = config.spectrum.parameters or f"top {config.spectrum.top_percent:g}%"
        return f", Spectrum {chosen}"
    return ""


def optimizer_arguments(config: "TrainingConfig") -> dict[str, Any]:
    """TRL's `optim` where the way of training has one of its own: QLoRA's AdamW pages its state out of a full GPU."""
    import torch

    asked = str(config.trl.get("optim", ""))
    if asked.startswith("paged_") and not torch.cuda.is_available():
        other = asked.removeprefix("paged_")
        where = f"stage {config.name}: trl.optim {asked}"
        raise UserError(f"{where} pages to and from a GPU, and here is none: set it to {other}")
    uses_paging = config.lora is not None and config.lora.qlora and torch.cuda.is_available()
    return {"optim": "paged_adamw_32bit"} if uses_paging else {}


def settle_adapter(model: Any, config: "TrainingConfig") -> None:
    """Sets right what TRL did to the adapter of a trainer's model, before its optimizer is made."""
    if config.lora:
        adapter_in_float32(model)


def save_settings(model: Any, folder: Path) -> None:
    """Puts the base's config beside its adapter: PEFT looks for it when the next adapter is trained on this one.

    Whoever opens the adapter gets the base in 16 bits; that it was held in 4 is noted for the stage `merge`, no more.
    """
    settings = copy(model.config)
    if hasattr(settings, "quantization_config"):
        del settings.quantization_config
        setattr(settings, IN_4_BITS, True)
    settings.save_pretrained(folder)


def choose_weights(model: "PreTrainedModel", path: str, config: "TrainingConfig", run: "Run") -> None:
    """Freezes what the stage does not train, where it is Spectrum that says so; PEFT and full training see to it.

    What was scanned is kept in the run's folder `spectrum`: every ratio, and the list of what is trained.

    Args:
        model: As opened; changed in place.
        path: Where it was opened from.
        config: The stage.
        run: The run.
    """
    from rlvr.models.spectrum import freeze_all_but

    if config.spectrum is None:
        return
    file = config.spectrum.parameters or _scanned(model, path, config, run)
    trained = freeze_all_but(model, read_unfrozen(file))
    total = sum(weight.numel() for weight in model.parameters())
    share = f"{trained / 1e6:,.2f} M of {total / 1e6:,.2f} M weights"
    run.console.print(f"[dim]{config.name}: Spectrum trains {share}, named in {file}[/]")


def kept_files(config: "TrainingConfig", run: "Run") -> tuple[Path, ...]:
    """What a stage's scan left in the run's folder; nothing where it made none."""
    if config.spectrum is None or config.spectrum.parameters:
        return ()
    return tuple(run.folder.path / f"spectrum/{config.name}.{kind}" for kind in ("jsonl", "yaml"))


def _scanned(model: "PreTrainedModel", path: str, config: "TrainingConfig", run: "Run") -> Path:
    from rlvr.models.spectrum import best, chosen_types, held_matrices, outside_of_layers
    from rlvr.models.spectrum_files import fingerprint, scan_into, write_unfrozen
    from rlvr.progress import progress_bar

    settings, (rows, listed) = config.spectrum, kept_files(config, run)
    assert settings is not None
    matrices = list(held_matrices(model))
    wanted = chosen_types(matrices, settings.modules)
    with progress_bar(run.console, f"{config.name}: scan", len(wanted)) as advance:
        signals = scan_into(rows, fingerprint(path), wanted, advance)
    for note, count in Counter(signal.note for signal in signals if signal.note).items():
        run.warn(f"{config.name}: of {count} of {len(signals)} matrices the ratio says little: {note}")
    others = outside_of_layers(matrices) if settings.embeddings else []
    write_unfrozen(listed, best(signals, settings.top_percent), others)
    return listed
