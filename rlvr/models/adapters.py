"""Adapters through PEFT: the settings of LoRA and its kin, and what a saved one is.

A stage that trains one leaves an ordinary PEFT folder: the adapter, the tokenizer, and the path of the base model in
`adapter_config.json`. Whoever opens it gets the base with the adapter merged in (`merge`): the next stage trains a new
adapter on that, so that a chain of adapters opens one after the other.

LoRA (Hu et al. 2021, arXiv 2106.09685) adds alpha / r B A to a frozen matrix W. DoRA (Liu et al. 2024, arXiv
2402.09353) also learns the length of every row of the sum, rsLoRA (Kalajdzievski 2023, arXiv 2312.03732) divides by
sqrt(r) instead of r, and QLoRA holds W in 4 bits (`quantized`). Not here: training a share of the base's own weights
(`spectrum`).
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from rlvr.config.schema import Section
from rlvr_rewards.errors import UserError

if TYPE_CHECKING:
    from peft import LoraConfig

_SETTINGS_FILE = "adapter_config.json"
IN_4_BITS = "trained_in_4_bits"
"""The key, in the config of the base that lies beside an adapter, which says that the base was held in 4 bits."""


class LoraSettings(Section):
    """A stage's `[stage.lora]`; without it all weights are trained.

    Attributes:
        r: Rank of the update of each matrix.
        alpha: The update is scaled by alpha / r.
        dropout: On the adapter's input while SFT trains; GRPO wants 0, or sampling and training differ.
        target_modules: Names of the layers that get an adapter, or `all-linear`: all but the head.
        dora: Whether it is a DoRA: magnitude and direction of each row are learned apart. Slower than LoRA.
        rslora: Whether the update is scaled by alpha / sqrt(r), so that large ranks learn as fast as small ones.
        qlora: Whether the base is held in 4 bits while it is trained on (NF4, double quantization).
    """

    r: int = Field(default=16, ge=1)
    alpha: int = Field(default=32, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    dora: bool = False
    rslora: bool = False
    qlora: bool = False

    def __str__(self) -> str:
        rank_stabilized = "rs" if self.rslora else ""
        return f"{rank_stabilized}{'Q' if self.qlora else ''}{'DoRA' if self.dora else 'LoRA'} r {self.r}"


def peft_config(settings: LoraSettings | None) -> "LoraConfig | None":
    """The settings as PEFT wants them; `None` where all weights are trained."""
    if settings is None:
        return None
    from peft import LoraConfig

    targets = settings.target_modules
    return LoraConfig(
        r=settings.r,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        use_dora=settings.dora,
        use_rslora=settings.rslora,
        task_type="CAUSAL_LM",
    )


def is_adapter(path: str) -> bool:
    """Whether a folder holds an adapter and not a whole model."""
    return (Path(path).expanduser() / _SETTINGS_FILE).is_file()


def trained_in_4_bits(path: str) -> bool:
    """Whether an adapter's base was held in 4 bits while it was trained, as the stage noted in the folder's config."""
    try:
        config = json.loads((Path(path).expanduser() / "config.json").read_text(encoding="utf-8"))
        return bool(config.get(IN_4_BITS))
    except (OSError, ValueError, AttributeError):
        return False


def base_of(path: str) -> str:
    """The model that an adapter was trained on; in a run folder that was moved, the folder of its name beside it."""
    folder = Path(path).expanduser()
    try:
        base = str(json.loads((folder / _SETTINGS_FILE).read_text(encoding="utf-8"))["base_model_name_or_path"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"model {path}: {_SETTINGS_FILE} does not name its base model ({error})") from None
    beside = folder.parent / Path(base).name
    return str(beside) if Path(base).is_absolute() and not Path(base).exists() and beside.exists() else base
