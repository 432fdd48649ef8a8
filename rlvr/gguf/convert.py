"""From a Hugging Face folder to a GGUF file: a plan of metadata and tensors, then one pass that writes it.

One block of rows is in memory at a time. Not here: what a file's types mean (`file_types`), whether the file is right
(`gate`).
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvr.gguf.architectures import Metadata, architecture_of, settings_of
from rlvr.gguf.credits import Credits
from rlvr.gguf.file_types import FileType, tensor_type, wanted_type
from rlvr.gguf.tensors import HEAD, PlannedTensor, planned_tensors
from rlvr.gguf.vocabulary import vocabulary
from rlvr_rewards.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from gguf import GGMLQuantizationType, GGUFWriter


_LARGEST_FLOAT16 = 65_504.0
_BLOCKS_AHEAD = 8


@dataclass(frozen=True)
class Plan:
    """A file before it is written, the same for every type.

    Attributes:
        architecture: llama.cpp's name for it.
        metadata: The file's keys and values; a float is stored as float32, an int as uint32.
        tensors: In the order of the file.
        num_layers: Of the model.
    """

    architecture: str
    metadata: Metadata
    tensors: list[PlannedTensor]
    num_layers: int

    @property
    def is_tied(self) -> bool:
        """Whether the embedding makes the logits."""
        return all(tensor.name != HEAD for tensor in self.tensors)

    def type_of(self, tensor: PlannedTensor, file_type: FileType) -> "GGMLQuantizationType":
        """What a tensor is stored as in a file of that type."""
        return tensor_type(file_type, tensor.name, tensor.shape, self.num_layers, self.is_tied)

    def bytes_of(self, tensor: PlannedTensor, file_type: FileType) -> int:
        """The size of a tensor in a file of that type."""
        from gguf import GGML_QUANT_SIZES

        values, size = GGML_QUANT_SIZES[self.type_of(tensor, file_type)]
        return tensor.num_values // values * size

    def size(self, file_type: FileType) -> int:
        """The bytes of all tensors in a file of that type."""
        return sum(self.bytes_of(tensor, file_type) for tensor in self.tensors)

    def narrowed(self, file_type: FileType) -> dict[str, str]:
        """The matrices whose rows are no whole blocks of the type that they should have, and what they have instead."""
        wanted = {
            tensor.name: wanted_type(file_type, tensor.name, tensor.shape, self.num_layers, self.is_tied)
            for tensor in self.tensors
        }
        found = {tensor.name: self.type_of(tensor, file_type).name for tensor in self.tensors}
        return {name: kind for name, kind in found.items() if kind != wanted[name]}


def plan_export(folder: Path, tokenizer: Any, credits: Credits) -> Plan:
    """Everything that a file of this model holds, its numbers aside.

    Args:
        folder: A whole model with its tokenizer; an adapter must be merged before.
        tokenizer: Of that folder; it has a chat template.
        credits: For the metadata.

    Raises:
        UserError: Architecture, a setting, the tokenizer or the weights cannot be exported; the line says which.
    """
    config = text_config(folder)
    architecture = architecture_of(config)
    metadata = {
        **{f"general.{key}": value for key, value in vars(credits.filled_from(folder)).items() if value},
        "general.type": "model",
        **settings_of(config),
        **vocabulary(folder, tokenizer, config.vocab_size),
        "tokenizer.chat_template": template_of(tokenizer),
    }
    return Plan(architecture.name, metadata, planned_tensors(folder, config), config.num_hidden_layers)


def text_config(folder: Path) -> Any:
    """The model's config as transformers reads it, with the defaults that the file leaves out.

    Raises:
        UserError: There is none, or transformers does not know the model.
    """
    from transformers import AutoConfig

    from rlvr_rewards.errors import one_line

    try:
        config = AutoConfig.from_pretrained(str(folder))
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"model {folder}: its config.json cannot be read: {one_line(error)}") from None
    if getattr(config, "quantization_config", None):
        raise UserError(f"model {folder}: its weights are quantized: export the model they were made from")
    return config


def template_of(tokenizer: Any) -> str:
    """The chat template, of several the one called `default`."""
    template = tokenizer.chat_template
    return template.get("default") or next(iter(template.values())) if isinstance(template, dict) else template


def write_file(
    path: Path, plan: Plan, file_type: FileType, on_bytes: Callable[[int], None] = lambda count: None
) -> None:
    """Writes a plan as a file of one type.

    Args:
        path: Where; whoever calls sees to it that no half of a file is ever found there.
        plan: What.
        file_type: The type.
        on_bytes: Told how many bytes were written since the last call.

    Raises:
        UserError: A value does not fit the type (float16 ends at 65,504), or K-quants have nothing that makes them.
    """
    from gguf import GGUFWriter

    writer = GGUFWriter(path, plan.architecture)
    for key, value in {**plan.metadata, "general.file_type": file_type.code}.items():
        _add(writer, key, value)
    if file_type not in (FileType.F32, FileType.F16, FileType.BF16):
        writer.add_quantization_version(2)
    for tensor in plan.tensors:
        _announce(writer, tensor, plan.type_of(tensor, file_type), plan.bytes_of(tensor, file_type))
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        _write_tensors(writer, plan, file_type, on_bytes)
    finally:
        writer.close()


def _write_tensors(writer: "GGUFWriter", plan: Plan, file_type: FileType, on_bytes: Callable[[int], None]) -> None:
    """The part of the file that `write_tensor_data` would write, which takes a tensor as a whole."""
    assert writer.fout is not None
    file = writer.fout[0]
    writer.write_padding(file, file.tell())
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for tensor in plan.tensors:
            size = 0
            for stored in _stored_blocks(pool, tensor, plan.type_of(tensor, file_type)):
                stored.tofile(file)
                size += stored.nbytes
                on_bytes(stored.nbytes)
            assert size == plan.bytes_of(tensor, file_type), f"{tensor.name}: {size} bytes written"
            writer.write_padding(file, size)


def _stored_blocks(
    pool: ThreadPoolExecutor, tensor: PlannedTensor, kind: "GGMLQuantizationType"
) -> Iterator["np.ndarray"]:
    """A tensor's blocks as they are stored, in order; a few are made while one is written (numpy and ggml allow it)."""
    coming: deque[Future[np.ndarray]] = deque()
    for block in tensor.blocks():
        coming.append(pool.submit(_stored, tensor.name, block, kind))
        if len(coming) > _BLOCKS_AHEAD:
            yield coming.popleft().result()
    while coming:
        yield coming.popleft().result()


def _stored(name: str, rows: "np.ndarray", kind: "GGMLQuantizationType") -> "np.ndarray":
    """Float32 rows as they are stored."""
    from gguf import GGMLQuantizationType, quants

    from rlvr.gguf.k_quants import quantize_rows

    if kind in (GGMLQuantizationType.Q4_K, GGMLQuantizationType.Q5_K, GGMLQuantizationType.Q6_K):
        return quantize_rows(rows, kind)
    if kind == GGMLQuantizationType.F16 and not -_LARGEST_FLOAT16 <= rows.min() <= rows.max() <= _LARGEST_FLOAT16:
        raise UserError(f"{name} holds values beyond 65,504, where float16 ends, or no numbers: export BF16 instead")
    return quants.quantize(rows, kind)


def _announce(writer: "GGUFWriter", tensor: PlannedTensor, kind: "GGMLQuantizationType", size: int) -> None:
    import numpy as np

    writer.add_tensor_info(tensor.name, tensor.shape, np.dtype(np.float32), size, raw_dtype=kind)


def _add(writer: "GGUFWriter", key: str, value: Any) -> None:
    add: dict[type, Callable[[str, Any], None]] = {
        bool: writer.add_bool,
        int: writer.add_uint32,
        float: writer.add_float32,
        str: writer.add_string,
        list: writer.add_array,
    }
    add[type(value)](key, value)
