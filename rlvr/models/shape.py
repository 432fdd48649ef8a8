"""What can be known of a model without loading it: sizes from its config, parameters from the heads of its weights.

Only JSON is read, so that `rlvr run --check` needs no torch. A hub model is known where it was downloaded before;
nothing is fetched, and nothing is guessed from a name.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from rlvr.config.schema import SCRATCH, ModelConfig, ScratchConfig
from rlvr.models.adapters import base_of, is_adapter
from rlvr.models.load import local_folder
from rlvr.models.safetensors_head import read_head
from rlvr_rewards.errors import UserError

_BYTES = {"F64": 8, "F32": 4, "BF16": 2, "F16": 2, "I64": 8, "I32": 4, "I16": 2}


@dataclass(frozen=True)
class ModelShape:
    """The sizes of a dense decoder.

    Attributes:
        num_params: Weights, a tied head counted once.
        bytes_per_weight: As saved; 4 is float32. Of a model that is saved in 4 bits, of those that are not.
        mlp_size: Width of the MLP.
        head_dim: Width of one attention head.
        context_length: Tokens of prompt and completion together.
        norms_heads: Whether queries and keys have norms of their own (Qwen3, Gemma 3).
    """

    num_params: int
    bytes_per_weight: float
    vocab_size: int
    hidden_size: int
    mlp_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    context_length: int
    norms_heads: bool = False

    @property
    def linear_sizes(self) -> list[tuple[int, int]]:
        """Inputs and outputs of the matrices of one layer: query, key, value, output, and the three of the MLP."""
        queries, keys = self.num_heads * self.head_dim, self.num_kv_heads * self.head_dim
        h, m = self.hidden_size, self.mlp_size
        return [(h, queries), (h, keys), (h, keys), (queries, h), (h, m), (h, m), (m, h)]

    @property
    def layer_params(self) -> int:
        """Weights of the matrices of all layers."""
        return self.num_layers * sum(inputs * outputs for inputs, outputs in self.linear_sizes)


def shape_of(config: ModelConfig) -> ModelShape | None:
    """The shape of a run's model; `None` for a hub model that is not on this machine, or one of another kind.

    Raises:
        UserError: A local folder is missing, or its config or weights cannot be read.
    """
    if config.path == SCRATCH:
        return scratch_shape(config.scratch)
    folder = model_folder(config.path)
    return None if folder is None else folder_shape(folder)


def model_folder(path: str) -> Path | None:
    """The folder that holds a model's config and weights: an adapter's base, or a hub model's download."""
    folder = local_folder(path)
    if folder and is_adapter(str(folder)):
        return model_folder(base_of(str(folder)))
    return folder or _downloaded(path)


def _downloaded(hub_id: str) -> Path | None:
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    found = try_to_load_from_cache(hub_id, "config.json")
    folder = Path(found).parent if isinstance(found, str) else None
    return folder if folder and any(folder.glob("*.safetensors")) else None


def scratch_shape(config: ScratchConfig) -> ModelShape:
    """The shape of a model yet to be made (with as many tokens as allowed)."""
    sizes: dict[str, Any] = {
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "mlp_size": config.intermediate_size,
        "num_layers": config.num_layers,
        "num_heads": config.num_heads,
        "num_kv_heads": config.num_kv_heads,
        "head_dim": config.hidden_size // config.num_heads,
        "context_length": config.context_length,
    }
    matrices = sum(inputs * outputs for inputs, outputs in ModelShape(0, 4, **sizes).linear_sizes)
    norms = 2 * config.hidden_size + 2 * sizes["head_dim"]
    head = config.vocab_size * config.hidden_size + config.hidden_size
    return ModelShape(config.num_layers * (matrices + norms) + head, 4, **sizes, norms_heads=True)


def folder_shape(folder: Path) -> ModelShape | None:
    """The shape of a model's folder; `None` where its config has not the fields of a dense decoder."""
    try:
        raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config: dict[str, Any] = raw.get("text_config", raw)
    except FileNotFoundError:
        raise UserError(f"model {folder}: it has no config.json: is it a model's folder?") from None
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"model {folder}: config.json cannot be read ({error}): get the model again") from None
    heads = [read_head(path)[1] for path in sorted(folder.glob("*.safetensors"))]
    weights = [each for tensors in heads for each in _weights(tensors)]
    if not weights:
        raise UserError(f"model {folder}: it has no *.safetensors: get the model again, or convert its weights")
    try:
        num_heads = config["num_attention_heads"]
        return ModelShape(
            num_params=sum(count for count, _ in weights),
            bytes_per_weight=sum(size for _, size in weights) / sum(count for count, size in weights if size),
            vocab_size=config["vocab_size"],
            hidden_size=config["hidden_size"],
            mlp_size=config["intermediate_size"],
            num_layers=config["num_hidden_layers"],
            num_heads=num_heads,
            num_kv_heads=config.get("num_key_value_heads") or num_heads,
            head_dim=config.get("head_dim") or config["hidden_size"] // num_heads,
            context_length=config["max_position_embeddings"],
            norms_heads=any(name.endswith("q_norm.weight") for tensors in heads for name in tensors),
        )
    except (KeyError, TypeError):
        return None


def _weights(tensors: dict[str, dict[str, Any]]) -> Iterator[tuple[int, float]]:
    """Number of values and bytes of every tensor of a file.

    Weights that bitsandbytes packed, two in a byte, come with 0 bytes, and what it needs to unpack them does not count.
    """
    packed = {name for name in tensors if f"{name}.absmax" in tensors}
    for name, tensor in tensors.items():
        count = prod(tensor["shape"])
        if name in packed:
            yield 2 * count, 0
        elif name.rpartition(".")[0] not in packed and name.rpartition(".quant_state")[0] not in packed:
            yield count, count * _BYTES.get(tensor["dtype"], 1)
