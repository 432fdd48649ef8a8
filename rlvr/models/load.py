"""Opening a model and its tokenizer: a hub id or a local folder, checked before anything is trained."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvr.config.schema import ModelConfig
from rlvr_rewards.errors import UserError

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
        raise UserError(
            f"model {path}: its tokenizer has no chat template: use an instruct model, or add one to the folder"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(path: str, config: ModelConfig) -> "PreTrainedModel":
    """The causal language model in a folder or on the hub, from safetensors only.

    Raises:
        UserError: It cannot be opened.
    """
    from transformers import AutoModelForCausalLM

    return _opened(
        AutoModelForCausalLM.from_pretrained,
        path,
        dtype=config.dtype,
        trust_remote_code=config.trust_remote_code,
        use_safetensors=True,
    )


def _opened(opener: Any, path: str, **options: Any) -> Any:
    looks_local = path.startswith((".", "/", "~")) or path.count("/") != 1
    if looks_local and not Path(path).expanduser().is_dir():
        raise UserError(f"model {path}: no such folder: give a folder, a hub id as owner/name, or scratch")
    try:
        return opener(str(Path(path).expanduser()) if Path(path).expanduser().is_dir() else path, **options)
    except Exception as error:  # transformers raises many kinds; all mean that this model cannot be opened
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"model {path} cannot be opened: {type(error).__name__}: {reason}") from error
