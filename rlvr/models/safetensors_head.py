"""The head of a safetensors file: JSON that says which tensors follow, of what type and shape, and where.

The format is github.com/huggingface/safetensors: eight bytes for the length of the head, the head, raw numbers. Read
here without that library, so that sizes are known without torch, and so that a file which is cut short is said to be.
"""

import json
from pathlib import Path
from typing import Any

from rlvr_rewards.errors import UserError


def read_head(file: Path) -> tuple[int, dict[str, dict[str, Any]]]:
    """Where the numbers begin, in bytes, and of each tensor `dtype`, `shape` and `data_offsets` from there.

    Raises:
        UserError: The file cannot be read, is cut short, or is no safetensors file.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            if length > size:
                raise ValueError("it is cut short")
            head = json.loads(opened.read(length))
        tensors = {name: tensor for name, tensor in head.items() if name != "__metadata__"}
        if 8 + length + max(tensor["data_offsets"][1] for tensor in tensors.values()) != size:
            raise ValueError("it is cut short")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"model {file.parent}: {file.name} is damaged ({error}): get the model again") from None
    return 8 + length, tensors
