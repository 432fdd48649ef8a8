"""The weights of a Hugging Face folder, read a few rows at a time.

The numbers behind a safetensors file's head are read with plain reads, not mapped: mapped pages count as memory of the
process, and numpy has no bfloat16. Nothing is unpickled.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from rlvr.models.safetensors_head import read_head
from rlvr_rewards.errors import UserError

if TYPE_CHECKING:
    import numpy as np

_SIZES = {"F32": 4, "F16": 2, "BF16": 2}
_BYTES_AT_ONCE = 2 * 2**20
"""Fits a cache: blocks of 64 MiB take twice the time."""


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as it lies in a file.

    Attributes:
        file: The safetensors file.
        offset: Of its first byte in there.
        dtype: `F32`, `F16` or `BF16`.
        shape: As in torch: rows first.
    """

    file: Path
    offset: int
    dtype: str
    shape: tuple[int, ...]

    @property
    def row_length(self) -> int:
        """Values of one row: of the last dimension, which quantization blocks never cross."""
        return self.shape[-1]

    def blocks(self, whole: bool = False) -> Iterator["np.ndarray"]:
        """Its rows as float32, at most 2 MiB of the file at once; `whole` gives all in one block."""
        import numpy as np

        rows, width = prod(self.shape[:-1]), self.row_length
        at_once = rows if whole else max(1, _BYTES_AT_ONCE // (width * _SIZES[self.dtype]))
        with self.file.open("rb") as file:
            file.seek(self.offset)
            for first in range(0, rows, at_once):
                num_rows = min(at_once, rows - first)
                stored = np.fromfile(file, dtype=_numpy_type(self.dtype), count=num_rows * width)
                yield _as_float32(stored, self.dtype).reshape(num_rows, width)


def stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Every tensor of a model's folder by its name.

    Raises:
        UserError: There are no weights, they are damaged, or of a type that is no plain float.
    """
    found: dict[str, StoredTensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        found |= _of_file(file)
    if not found:
        raise UserError(f"model {folder}: it has no *.safetensors: get the model again, or convert its weights")
    return found


def _of_file(file: Path) -> dict[str, StoredTensor]:
    start, head = read_head(file)
    for name, entry in head.items():
        if entry["dtype"] not in _SIZES:
            raise UserError(
                f"model {file.parent}: {name} is stored as {entry['dtype']}: quantized weights cannot be exported; "
                "export the model they were made from"
            )
    return {
        name: StoredTensor(file, start + entry["data_offsets"][0], entry["dtype"], tuple(entry["shape"]) or (1,))
        for name, entry in head.items()
    }


def _numpy_type(dtype: str) -> str:
    return {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}[dtype]


def _as_float32(stored: "np.ndarray", dtype: str) -> "np.ndarray":
    import numpy as np

    if dtype == "BF16":  # the upper half of a float32
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.astype(np.float32, copy=False)
