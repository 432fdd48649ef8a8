"""Opening a model and its tokenizer: a hub id, a local folder or an adapter, checked before anything is trained."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvr.config.schema import ModelConfig
from rlvr.models.adapters import base_of, is_adapter
from rlvr.models.merge import adapter_chain, attached, merged
from rlvr.models.quantized import as_trained, dequantized, quantize, require_bitsandbytes, saved_in_4bit, settings_4bit
from rlvr_rewards.errors import UserError, one_line

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def load_tokenizer(path: str, config: ModelConfig) -> "PreTrainedTokenizerBase":
    """The tokenizer of a model; it must have a chat template and gets a padding token where it has none.

    Raises:
        UserError: It cannot be opened, or it has no chat template.
    """
    from transformers import AutoTokenizer

    while is_adapter(path) and not (Path(path).expanduser() / "tokenizer_config.json").is_file():
        path = base_of(path)
    tokenizer = _opened(AutoTokenizer.from_pretrained, path, trust_remote_code=config.trust_remote_code)
    if not tokenizer.chat_template:
        raise no_chat_template(path)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(path: str, config: ModelConfig, train_all: bool = False, four_bit: bool = False) -> "PreTrainedModel":
    """The causal language model in a folder or on the hub, from safetensors only; adapters are merged into their base.

    Args:
        path: A hub id, a model's folder, or an adapter's.
        config: Its precision, and whether its own code may run.
        train_all: Whether all weights will be trained: then `dtype = "auto"` means float32.
        four_bit: Whether the layers are wanted in 4 bits, for an adapter to be trained on.

    Raises:
        UserError: It cannot be opened, or it is saved in 4 bits and all of its weights are to be trained.
    """
    if four_bit:
        require_bitsandbytes()
    if not is_adapter(path):
        return _opened(_open_base, path, config=_precise(config, train_all), train_all=train_all, four_bit=four_bit)
    model, adapters = open_chain(path, _precise(config, train_all))
    for adapter in adapters:
        model = _opened(lambda folder, model=model: merged(attached(model, folder), folder), adapter)
    return quantize(model) if four_bit else model


def open_chain(path: str, config: ModelConfig) -> tuple["PreTrainedModel", list[str]]:
    """The whole model that a path leads to, ready to take adapters, and the adapters on it in the order of training.

    A base that is saved in 4 bits comes in the precision that it was made from.

    Raises:
        UserError: It cannot be opened.
    """
    base, adapters = adapter_chain(str(local_folder(path) or path))
    model = _opened(_open_base, base, config=config, train_all=False, four_bit=False)
    return dequantized(model) if getattr(model, "is_loaded_in_4bit", False) else model, adapters


def open_as_trained(path: str, config: ModelConfig) -> Any:
    """A QLoRA adapter on the 4-bit weights that it was trained on, unmerged.

    Args:
        path: The adapter's folder; adapters before it are merged first, as when its training began.
        config: Its precision, and whether its own code may run.

    Raises:
        UserError: It cannot be opened.
    """
    base = load_model(base_of(path), config, four_bit=True)
    return _opened(lambda folder: attached(base, folder), path)


def _precise(config: ModelConfig, train_all: bool) -> ModelConfig:
    """The settings with which all weights can be trained: a step of 1e-6 is lost in 16 bits."""
    return config.model_copy(update={"dtype": "float32"}) if train_all and config.dtype == "auto" else config


def _open_base(path: str, config: ModelConfig, train_all: bool, four_bit: bool) -> "PreTrainedModel":
    """A whole model; one that is saved in 4 bits stays so."""
    from transformers import AutoConfig, AutoModelForCausalLM

    known: Any = AutoConfig.from_pretrained(path, trust_remote_code=config.trust_remote_code)
    saved_in_4_bits = saved_in_4bit(known.to_dict())
    if saved_in_4_bits and train_all:
        raise UserError(
            f"model {path} is saved in 4 bits, and its weights cannot be trained: train an adapter on it "
            "([stage.lora] with qlora = true), or take the model that it was made from"
        )
    if saved_in_4_bits:
        require_bitsandbytes()
    computed_in = config.dtype if config.dtype != "auto" else str(known.dtype or "float32").removeprefix("torch.")
    model = AutoModelForCausalLM.from_pretrained(
        path,
        dtype=config.dtype,
        trust_remote_code=config.trust_remote_code,
        use_safetensors=True,
        # not even None for a model saved in 4 bits: transformers would take its packed weights for plain ones
        **({"quantization_config": settings_4bit(computed_in)} if four_bit and not saved_in_4_bits else {}),
    )
    return as_trained(model) if saved_in_4_bits or four_bit else model


def local_folder(path: str) -> Path | None:
    """The absolute folder that a model's path means, `None` for a hub id.

    Raises:
        UserError: It looks like a folder, and there is none.
    """
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if path.startswith((".", "/", "~")) or path.count("/") != 1:
        raise UserError(f"model {path}: no such folder: give a folder, a hub id as owner/name, or scratch")
    return None


def no_chat_template(path: str) -> UserError:
    """The error for a model whose tokenizer cannot write a conversation down."""
    return UserError(
        f"model {path}: its tokenizer has no chat template: use an instruct model, or add one to the folder"
    )


def _opened(opener: Any, path: str, **options: Any) -> Any:
    try:
        return opener(str(local_folder(path) or path), **options)
    except UserError:
        raise
    except Exception as error:  # transformers raises many kinds; all mean that this model cannot be opened
        absent = "" if local_folder(path) else "there is no such folder here, and as a model of the hub: "
        raise UserError(f"model {path} cannot be opened: {absent}{one_line(error)}") from error
