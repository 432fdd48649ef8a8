"""Opening a model and its tokenizer: a hub id, a local folder or an adapter, checked before anything is trained."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvr.config.schema import ModelConfig
from rlvr.models.adapters import base_of, is_adapter, merged
from rlvr_rewards.errors import UserError, one_line

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def load_tokenizer(path: str, config: ModelConfig) -> "PreTrainedTokenizerBase":
    """The tokenizer of a model; it must have a chat template and gets a padding token where it has none.

    Raises:
        UserError: It cannot be opened, or it has no chat template.
    """
    from transformers import AutoTokenizer

    tokenizer = _opened(AutoTokenizer.from_pretrained, path, trust_remote_code=config.trust_remote_code)
    if not tokenizer.chat_template:
        raise no_chat_template(path)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(path: str, config: ModelConfig, train_all: bool = False) -> "PreTrainedModel":
    """The causal language model in a folder or on the hub, from safetensors only; an adapter is merged into its base.

    Args:
        path: A hub id, a model's folder, or an adapter's.
        config: Its precision, and whether its own code may run.
        train_all: Whether all weights will be trained: then `dtype = "auto"` means float32.

    Raises:
        UserError: It cannot be opened.
    """
    from transformers import AutoModelForCausalLM

    if is_adapter(path):
        return _opened(lambda folder: merged(load_model(base_of(folder), config, train_all), folder), path)
    return _opened(
        AutoModelForCausalLM.from_pretrained,
        path,
        dtype="float32" if train_all and config.dtype == "auto" else config.dtype,
        trust_remote_code=config.trust_remote_code,
        use_safetensors=True,
    )


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
        raise UserError(f"model {path} cannot be opened: {one_line(error)}") from error
