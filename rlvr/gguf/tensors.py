"""Which tensor of a Hugging Face folder becomes which tensor of the file, and what is done to its values on the way."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvr.gguf.architectures import OTHER_TOOL, Architecture, architecture_of, rope_factors
from rlvr.gguf.checkpoint import StoredTensor, stored_tensors
from rlvr_rewards.errors import UserError

if TYPE_CHECKING:
    import numpy as np

HEAD, EMBEDDING = "output.weight", "token_embd.weight"


@dataclass(frozen=True)
class PlannedTensor:
    """One tensor of the file.

    Attributes:
        name: In GGUF.
        shape: Rows first.
        source: Where its values lie; `None` where they are `values`.
        num_heads: The heads whose rows are reordered; 0 leaves the order.
        shift: Added to each value.
        values: Values that lie in no file, as float32.
    """

    name: str
    shape: tuple[int, ...]
    source: StoredTensor | None = None
    num_heads: int = 0
    shift: float = 0.0
    values: "np.ndarray | None" = None

    @property
    def num_values(self) -> int:
        return prod(self.shape)

    def blocks(self) -> Iterator["np.ndarray"]:
        """Its rows as float32, a block at a time."""
        if self.source is None:
            assert self.values is not None
            yield self.values.reshape(-1, self.shape[-1])
            return
        for block in self.source.blocks(whole=self.num_heads > 0):
            if self.num_heads:
                block = reordered(block.reshape(self.shape), self.num_heads).reshape(block.shape)
            yield block + self.shift if self.shift else block


def reordered(rows: "np.ndarray", num_heads: int) -> "np.ndarray":
    """Rows of a head in the order (0, d/2, 1, d/2 + 1, …) that llama.cpp turns in pairs.

    Args:
        rows: [num_heads * d, …].
        num_heads: Of queries, or of keys.
    """
    halves = rows.reshape(num_heads, 2, rows.shape[0] // num_heads // 2, *rows.shape[1:])
    return halves.swapaxes(1, 2).reshape(rows.shape)


def planned_tensors(folder: Path, config: Any) -> list[PlannedTensor]:
    """Every tensor of the file, in the order of the model.

    Raises:
        UserError: A tensor is unknown to llama.cpp's architecture, is missing, or has no weights that can be read.
    """
    import gguf

    architecture = architecture_of(config)
    known = gguf.get_tensor_name_map(_architecture_id(architecture.name), config.num_hidden_layers)
    stored = stored_tensors(folder)
    if config.tie_word_embeddings:
        stored.pop("lm_head.weight", None)
    planned = []
    for name, tensor in stored.items():
        mapped = known.get_name(name, try_suffixes=(".weight", ".bias"))
        if mapped is None:
            raise UserError(
                f"model {folder}: the tensor {name} has no place in llama.cpp's {architecture.name}; {OTHER_TOOL}"
            )
        planned.append(_planned(mapped, name, tensor, architecture, config))
    if (factors := rope_factors(config)) is not None:
        planned.append(PlannedTensor("rope_freqs.weight", factors.shape, values=factors))
    _refuse_gaps(folder, {tensor.name for tensor in planned}, config)
    return sorted(planned, key=lambda tensor: _place(tensor.name))


def _planned(mapped: str, name: str, tensor: StoredTensor, architecture: Architecture, config: Any) -> PlannedTensor:
    heads = 0
    if architecture.reorders_heads and name.endswith(("q_proj.weight", "q_proj.bias")):
        heads = config.num_attention_heads
    if architecture.reorders_heads and name.endswith(("k_proj.weight", "k_proj.bias")):
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    shift = architecture.norm_shift if name.endswith("norm.weight") else 0.0
    return PlannedTensor(mapped, tensor.shape, tensor, heads, shift)


def _refuse_gaps(folder: Path, names: set[str], config: Any) -> None:
    """llama.cpp would refuse the file anyway, in more words: a shard is missing."""
    kinds = {name.split(".", 2)[2] for name in names if name.startswith("blk.0.")}
    wanted = {f"blk.{layer}.{kind}" for layer in range(config.num_hidden_layers) for kind in kinds}
    wanted |= {EMBEDDING, "output_norm.weight"} | (set() if config.tie_word_embeddings else {HEAD})
    if missing := sorted(wanted - names) or (not kinds and ["blk.0"]):
        raise UserError(f"model {folder}: {len(missing)} tensors are missing ({missing[0]}, …): get the model again")


def _place(name: str) -> tuple[int, int, str]:
    """Embedding, layers in order, then what follows them."""
    if name.startswith("blk."):
        _, layer, kind = name.split(".", 2)
        return 1, int(layer), kind
    return (0 if name == EMBEDDING else 2), 0, name


def _architecture_id(name: str) -> Any:
    import gguf

    return next(each for each, known in gguf.MODEL_ARCH_NAMES.items() if known == name)
