"""LoRA adapters (Hu et al. 2021, arXiv 2106.09685) through PEFT: their settings, and opening a saved one.

A stage that trains one leaves an ordinary PEFT folder: the adapter, the tokenizer, and the path of the base model in
`adapter_config.json`. Whoever opens it gets the base with the adapter merged in, in the base's precision: the next
stage trains a new adapter on that, so that a chain of adapters opens one after the other.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from rlvr.config.schema import Section
from rlvr_rewards.errors import UserError

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import PreTrainedModel

_SETTINGS_FILE = "adapter_config.json"


class LoraSettings(Section):
    """A stage's `[stage.lora]`; without it all weights are trained.

    Attributes:
        r: Rank of the update of each matrix.
        alpha: The update is scaled by alpha / r.
        dropout: On the adapter's input while SFT trains; GRPO wants 0, or sampling and training differ.
        target_modules: Names of the layers that get an adapter, or `all-linear`: all but the head.
    """

    r: int = Field(default=16, ge=1)
    alpha: int = Field(default=32, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: Literal["all-linear"] | tuple[str, ...] = "all-linear"


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
        task_type="CAUSAL_LM",
    )


def is_adapter(path: str) -> bool:
    """Whether a folder holds an adapter and not a whole model."""
    return (Path(path).expanduser() / _SETTINGS_FILE).is_file()


def base_of(path: str) -> str:
    """The model that an adapter was trained on; in a run folder that was moved, the folder of its name beside it."""
    folder = Path(path).expanduser()
    try:
        base = str(json.loads((folder / _SETTINGS_FILE).read_text(encoding="utf-8"))["base_model_name_or_path"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"model {path}: {_SETTINGS_FILE} does not name its base model ({error})") from None
    beside = folder.parent / Path(base).name
    return str(beside) if Path(base).is_absolute() and not Path(base).exists() and beside.exists() else base


def merged(base: "PreTrainedModel", path: str) -> "PreTrainedModel":
    """The base model with an adapter's update added to its weights."""
    from peft import PeftModel

    adapted: Any = PeftModel.from_pretrained(base, path)
    model = adapted.merge_and_unload()
    model.requires_grad_(True)  # PEFT froze the base, which a stage without an adapter trains
    model.name_or_path = model.config._name_or_path = path  # what the next adapter names as its base
    return model
