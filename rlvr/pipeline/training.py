"""The settings that every training stage has, and TRL's: which of them are ours, and whether they fit together."""

from abc import abstractmethod
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError

from rlvr.config.schema import StageConfig
from rlvr.config.trl_settings import has_trl, trl_settings
from rlvr.models.adapters import LoraSettings
from rlvr.models.spectrum import SpectrumSettings
from rlvr.pipeline.processes import num_processes
from rlvr.pipeline.trained_weights import optimizer_arguments
from rlvr_rewards.errors import UserError, unknown_name

if TYPE_CHECKING:
    from rlvr.pipeline.run import Run


_BREAKS_RESUMING = ("save_only_model", "ignore_data_skip")
"""Settings of TRL that leave out of a checkpoint, or of going on from it, what makes it one."""


class TrainingConfig(StageConfig):
    """What every training stage has.

    Attributes:
        steps: Optimizer steps.
        learning_rate: Its peak; the schedule is TRL's `lr_scheduler_type`.
        save_steps: Steps between checkpoints.
        keep_checkpoints: How many stay, the latest; the earlier ones are what is left where the last is damaged.
        micro_batch_size: Rows that one device takes at once; gradients add up over a step's. By default all of them.
        lora: Trains an adapter instead of all weights.
        spectrum: Trains the matrices with the most signal instead of all weights.
        trl: Any setting of TRL under TRL's own name.
    """

    trl_class: ClassVar[str]
    """TRL's dataclass of settings, such as `GRPOConfig`."""
    trl_module: ClassVar[str] = "trl"
    """Where it is imported from."""
    ours: ClassVar[dict[str, str]] = {
        "max_steps": "steps",
        "learning_rate": "learning_rate",
        "save_steps": "save_steps",
        "save_total_limit": "keep_checkpoints",
        "gradient_accumulation_steps": "micro_batch_size",
        "per_device_train_batch_size": "micro_batch_size",
        "output_dir": "--run-dir",
        "seed": "seed of the run",
        "resume_from_checkpoint": "the same command again",
    }
    """TRL's names of what is set otherwise here, with what to write instead."""
    without_effect: ClassVar[frozenset[str]] = frozenset({"save_steps", "keep_checkpoints"})

    steps: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    save_steps: int = Field(default=50, ge=1)
    keep_checkpoints: int = Field(default=2, ge=1)
    micro_batch_size: int | None = Field(default=None, ge=1)
    lora: LoraSettings | None = None
    spectrum: SpectrumSettings | None = None
    trl: dict[str, Any] = Field(default_factory=dict)

    @property
    @abstractmethod
    def rows_per_step(self) -> int:
        """Rows of one optimizer step, over all devices."""

    @property
    def portion(self) -> tuple[str, int]:
        """What a step is dealt out to processes in: the setting that says how many there are, and the rows of each."""
        return "batch_size", 1

    @abstractmethod
    def trl_defaults(self) -> dict[str, Any]:
        """TRL's settings that this kind of stage chooses; `trl` has the last word."""

    @classmethod
    def advice(cls, key: str, stage: str) -> str | None:
        if key in cls.ours:
            return f"write {cls.ours[key]} instead of {key}"
        if has_trl() and key in trl_settings(cls.trl_class):
            return f"{key} is a setting of TRL: write stage.{stage}.trl.{key}, in a file under [stage.trl]"
        return None


def check_training(config: TrainingConfig) -> None:
    """Refuses TRL settings that TRL does not know or that are set otherwise, and rows that cannot be dealt out.

    Where TRL is not installed, nobody can say which settings it knows: those are let through.
    """
    known = trl_settings(config.trl_class) if has_trl() else None
    for name in config.trl:
        if name in config.ours:
            raise UserError(f"stage {config.name}: write {config.ours[name]} instead of trl.{name}")
        if known is not None and name not in known:
            raise unknown_name(f"TRL setting in stage {config.name}", name, known)
        if name in _BREAKS_RESUMING and config.trl[name]:
            raise UserError(f"stage {config.name}: with trl.{name} a stopped run could not go on as it was: drop it")
    batch_arguments(config)


def batch_arguments(config: TrainingConfig) -> dict[str, int]:
    """How a step's rows are dealt out to passes.

    Raises:
        UserError: They cannot be dealt out evenly.
    """
    rows = _share(config)
    micro = config.micro_batch_size or rows
    if rows % micro:
        whose = "a step" if num_processes() == 1 else f"a step that each of {num_processes()} processes takes"
        below = max(each for each in range(1, micro) if rows % each == 0)
        wrong = f"stage {config.name}: micro_batch_size {micro} does not divide the {rows} rows of {whose}"
        raise UserError(f"{wrong}: set it to {below}")
    return {"per_device_train_batch_size": micro, "gradient_accumulation_steps": rows // micro}


def _share(config: TrainingConfig) -> int:
    """Rows of a step that each process takes: whole portions, such as groups, all as many."""
    setting, rows = config.portion
    check_share(config, setting, config.rows_per_step // rows)
    return config.rows_per_step // num_processes()


def check_share(config: StageConfig, setting: str, value: int) -> None:
    """Refuses a number that cannot be dealt out evenly over the processes, and names those that can.

    Raises:
        UserError: It cannot.
    """
    count = num_processes()
    if value % count:
        below, above = value // count * count, (value // count + 1) * count
        fits = f"{below} or {above}" if below else str(above)
        raise UserError(
            f"stage {config.name}: {setting} {value} cannot be dealt out evenly over {count} processes: set it to "
            f"{fits}, or start another number of processes"
        )


def common_arguments(config: TrainingConfig, run: "Run", base: str) -> dict[str, Any]:
    """The settings of TRL's trainers that do not depend on the algorithm.

    On a GPU: bfloat16 arithmetic, fused AdamW (TRL's default), and recomputed activations in models that are large
    enough for it to matter. On a CPU: float32, nothing recomputed.

    Args:
        config: The stage.
        run: The run.
        base: The path of the model that the stage starts from.
    """
    import torch

    from rlvr.models.memory import recomputes_activations
    from rlvr.models.shape import shape_of

    on_gpu = torch.cuda.is_available()
    shape = shape_of(run.config.model.model_copy(update={"path": base}))
    return {
        "output_dir": str(run.folder.checkpoints / config.name),
        "max_steps": config.steps,
        "learning_rate": config.learning_rate,
        "save_steps": config.save_steps,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # otherwise a loss that is no number is logged as the mean of those before
        "seed": run.seed(stage=config.name, purpose="trainer") % 2**32,
        "use_cpu": not on_gpu,
        "bf16": on_gpu and torch.cuda.is_bf16_supported(),
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": on_gpu,
        "ddp_broadcast_buffers": False,  # at each pass, of which processes need not make as many
        "ddp_find_unused_parameters": False,  # nor at each pass: every weight that is trained gets a gradient
        "gradient_checkpointing": on_gpu and (shape is None or recomputes_activations(shape)),
        **batch_arguments(config),
        **optimizer_arguments(config),
    }


def trl_config(config: TrainingConfig, run: "Run", base: str) -> Any:
    """TRL's settings for a stage: ours, and over them what the config passes through.

    Raises:
        UserError: A value is of the wrong type, TRL refuses it, or a tracker is not installed.
    """
    import torch
    from transformers import integrations

    settings = getattr(import_module(config.trl_module), config.trl_class)
    _check_types(config, get_type_hints(settings))
    arguments = {**common_arguments(config, run, base), **config.trl_defaults(), **config.trl}
    try:
        args = settings(**arguments)
    except (ValueError, TypeError, ImportError) as error:
        raise UserError(f"stage {config.name}: TRL refuses its settings: {error}") from error
    if missing := set(args.report_to) - set(integrations.get_available_reporting_integrations()):
        names = ", ".join(sorted(missing))
        raise UserError(f"stage {config.name}: trl.report_to names {names}, which is not installed, or not known")
    _refuse_precision(config, args.mixed_precision)
    if args.device.type == "cpu":  # of several, transformers opens a checkpoint onto `cpu:0`, which torch cannot
        vars(args)["_setup_devices"] = torch.device("cpu")
    return args


def _refuse_precision(config: TrainingConfig, precision: str) -> None:
    """Refuses arithmetic that the device does not do; libraries would fail later, or go on without it."""
    import torch

    on_gpu = torch.cuda.is_available()
    if precision in ("fp16", "fp8") and not on_gpu:
        raise UserError(
            f"stage {config.name}: mixed precision {precision} needs a GPU, and here is none: drop trl.{precision}, "
            "and mixed_precision of accelerate"
        )
    if precision == "bf16" and on_gpu and not torch.cuda.is_bf16_supported():
        raise UserError(
            f"stage {config.name}: this GPU has no bfloat16: drop trl.bf16, and mixed_precision of accelerate"
        )


def _check_types(config: TrainingConfig, hints: dict[str, Any]) -> None:
    for name, value in config.trl.items():
        try:
            TypeAdapter(hints[name], config={"arbitrary_types_allowed": True}).validate_python(value)
        except ValidationError as error:
            raise UserError(f"stage {config.name}: trl.{name} = {value!r}: {error.errors()[0]['msg']}") from None
