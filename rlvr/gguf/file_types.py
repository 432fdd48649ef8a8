"""What a GGUF file's weights are stored as: the types by name, and which type each tensor gets in each.

The recipe is llama.cpp's own (`src/llama-quant.cpp`), with one departure: in `Q4_0` the output matrix is `Q8_0` where
llama.cpp takes `Q6_K`, so that the file is the same whether or not a library for K-quants is installed.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from rlvr_rewards.errors import UserError, unknown_name

if TYPE_CHECKING:
    from gguf import GGMLQuantizationType


class FileType(StrEnum):
    """A file's type by llama.cpp's name."""

    F32 = "F32"
    F16 = "F16"
    BF16 = "BF16"
    Q8_0 = "Q8_0"
    Q6_K = "Q6_K"
    Q5_K_M = "Q5_K_M"
    Q4_K_M = "Q4_K_M"
    Q4_0 = "Q4_0"

    @property
    def is_k_quant(self) -> bool:
        """Whether gguf cannot write it, and a library of llama.cpp must."""
        return "_K" in self

    @property
    def code(self) -> int:
        """Its number in the file's metadata (`general.file_type`)."""
        from gguf import LlamaFileType

        return int(LlamaFileType["ALL_F32" if self == FileType.F32 else f"MOSTLY_{self}"])


_PLAIN = {FileType.Q8_0: "Q8_0", FileType.Q4_0: "Q4_0", FileType.Q6_K: "Q6_K"}
_MIXED = {FileType.Q4_K_M: "Q4_K", FileType.Q5_K_M: "Q5_K"}
_NARROW = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
"""What takes the place of a K-quant in rows that 256 does not divide."""


def parse_types(text: str | Sequence[str]) -> tuple[FileType, ...]:
    """The types that a list such as `F16,q8_0` names, each once.

    Raises:
        UserError: One is unknown; the nearest is offered.

    >>> parse_types("f16, Q8_0")
    (<FileType.F16: 'F16'>, <FileType.Q8_0: 'Q8_0'>)
    """
    names = [part.strip().upper() for part in (text.split(",") if isinstance(text, str) else text) if part.strip()]
    for name in names:
        if name not in list(FileType):
            raise unknown_name("type of a GGUF file", name, list(FileType))
    if not names:
        raise UserError(f"no type of a GGUF file is named: give some of {', '.join(FileType)}")
    return tuple(FileType(name) for name in dict.fromkeys(names))


def tensor_type(
    file_type: FileType, name: str, shape: Sequence[int], num_layers: int, is_tied: bool
) -> "GGMLQuantizationType":
    """What one tensor is stored as.

    Vectors and norms stay float32. The matrix that makes the logits (the embedding, where the head is tied to it) keeps
    more bits, and in the mixed types so do the values' and the MLP's last matrices of some layers.

    Args:
        file_type: The file's type.
        name: The tensor's, as in GGUF, such as `blk.0.attn_v.weight`.
        shape: Rows first.
        num_layers: Of the model.
        is_tied: Whether the model has no head of its own.
    """
    from gguf import GGMLQuantizationType

    wanted = wanted_type(file_type, name, shape, num_layers, is_tied)
    if _divides(wanted, shape):
        return GGMLQuantizationType[wanted]
    other = "Q8_0" if _makes_logits(name, is_tied) else _NARROW.get(wanted, wanted)
    return GGMLQuantizationType[other if _divides(other, shape) else "F16"]


def wanted_type(file_type: FileType, name: str, shape: Sequence[int], num_layers: int, is_tied: bool) -> str:
    """What `tensor_type` would be were every row a multiple of every block; its arguments."""
    if len(shape) < 2 or not name.endswith(".weight") or name.endswith("_norm.weight"):
        return "F32"
    if file_type in (FileType.F32, FileType.F16, FileType.BF16):
        return file_type
    return _quantized(file_type, name, num_layers, _makes_logits(name, is_tied))


def _divides(kind: str, shape: Sequence[int]) -> bool:
    """Whether rows of a shape are whole blocks of a type."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    return shape[-1] % GGML_QUANT_SIZES[GGMLQuantizationType[kind]][0] == 0


def _makes_logits(name: str, is_tied: bool) -> bool:
    return name == "output.weight" or (is_tied and name == "token_embd.weight")


def _quantized(file_type: FileType, name: str, num_layers: int, makes_logits: bool) -> str:
    if makes_logits:
        return "Q6_K" if file_type.is_k_quant else "Q8_0"
    if file_type in _PLAIN:
        return _PLAIN[file_type]
    is_sensitive = name.endswith(("attn_v.weight", "ffn_down.weight"))
    return "Q6_K" if is_sensitive and _gets_more_bits(int(name.split(".")[1]), num_layers) else _MIXED[file_type]


def _gets_more_bits(layer: int, num_layers: int) -> bool:
    """The first and last eighth of the layers, and every third between them (`use_more_bits` in llama.cpp)."""
    eighth = num_layers // 8
    return layer < eighth or layer >= 7 * num_layers // 8 or (layer - eighth) % 3 == 2
