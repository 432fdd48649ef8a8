"""A model as a folder with all its weights, whatever it is given as: a folder, an adapter, a hub id."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rlvr.config.schema import ModelConfig
from rlvr.models.adapters import is_adapter
from rlvr.models.load import load_model, load_tokenizer, local_folder
from rlvr_rewards.errors import UserError, one_line

if TYPE_CHECKING:
    from rich.console import Console

_WANTED = ("*.json", "*.safetensors", "*.jinja", "README.md")


@contextlib.contextmanager
def whole_model(config: ModelConfig, scratch: Path, console: "Console") -> Iterator[Path]:
    """The folder of a model.

    Args:
        config: Its path, and whether its own code may run.
        scratch: Where an adapter is merged into its base; it is up to the caller to remove it.
        console: Told what takes long.

    Raises:
        UserError: There is no such model, or it cannot be opened.
    """
    folder = local_folder(config.path)
    if folder is None:
        yield _downloaded(config.path)
    elif is_adapter(str(folder)):
        console.print(f"{config.path} is an adapter: merging it into its base", markup=False, highlight=False)
        load_model(config.path, config).save_pretrained(scratch)
        load_tokenizer(config.path, config).save_pretrained(scratch)
        yield scratch
    else:
        yield folder


def _downloaded(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(hub_id, allow_patterns=list(_WANTED)))
    except Exception as error:  # the hub's client raises many kinds; all mean that it cannot be had
        raise UserError(f"model {hub_id} cannot be had from the hub: {one_line(error)}") from error
