"""QLoRA's base (Dettmers et al. 2023, arXiv 2305.14314): weights of the layers in 4 bits, NF4 with double quantization.

Everything goes through bitsandbytes, on a GPU and on a CPU. Two habits of the libraries are switched off:

1.  On a CPU with bfloat16 instructions, bitsandbytes repacks a layer's weights for good once it is only evaluated, with
    coarser scales, and computes in bfloat16 whatever the model's precision: samples would come from another model than
    the one that is trained. It cannot do so with rows of fewer than 64 weights, and fails.
2.  TRL casts the adapter to bfloat16, where a step of 1e-6 to a weight of 1e-2 is lost: it stays in float32.

Not here: the adapter (`adapters`), and opening a chain of them (`load`).
"""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvr_rewards.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BYTES_PER_WEIGHT = 0.5 + (1 + 4 / 256) / 64
"""Half a byte, a byte for each 64 weights' scale, and four for each 256 scales' own (double quantization)."""


def require_bitsandbytes() -> None:
    """Refuses to go on without bitsandbytes, which alone knows the 4-bit format.

    Raises:
        UserError: It is not installed.
    """
    if find_spec("bitsandbytes") is None:
        raise UserError(
            "a base in 4 bits (qlora) needs bitsandbytes, which is not installed: pip install 'rlvr[qlora]'"
        )


def is_4bit(folder: Path | None) -> bool:
    """Whether a model's folder holds weights in bitsandbytes' 4 bits already, by its config."""
    try:
        return folder is not None and saved_in_4bit(json.loads((folder / "config.json").read_text("utf-8")))
    except (OSError, ValueError):
        return False


def saved_in_4bit(config: Any) -> bool:
    """Whether a model's config, as JSON, says that its weights are in bitsandbytes' 4 bits."""
    settings = config.get("quantization_config") if isinstance(config, dict) else None
    return isinstance(settings, dict) and bool(settings.get("load_in_4bit"))


def settings_4bit(dtype: Any) -> Any:
    """How transformers is told to quantize while it loads.

    Args:
        dtype: The precision that the layers compute in.
    """
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def quantize(model: "PreTrainedModel") -> "PreTrainedModel":
    """The same model with its layers in 4 bits; embeddings, norms and head stay as they are."""
    path = str(model.name_or_path)
    quantized = type(model).from_pretrained(
        None,
        config=model.config,
        state_dict=model.state_dict(),
        quantization_config=settings_4bit(model.dtype),
        dtype=model.dtype,
    )
    quantized.generation_config = model.generation_config
    quantized.name_or_path = quantized.config._name_or_path = path  # what the adapter names as its base
    return as_trained(quantized)


def as_trained(model: "PreTrainedModel") -> "PreTrainedModel":
    """Keeps the 4-bit layers of a model from repacking themselves when they are evaluated on a CPU."""
    from bitsandbytes.nn import Linear4bit

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False
    return model


def dequantized(model: "PreTrainedModel") -> "PreTrainedModel":
    """The same model with its layers in its own 16 bits (32 where it was made so), which adapters are merged into."""
    return model.dequantize()  # pyright: ignore[reportReturnType, reportAttributeAccessIssue]


def adapter_in_float32(model: Any) -> None:
    """Undoes TRL's cast of a trained adapter to bfloat16; other weights are not trained, and stay."""
    for weight in model.parameters():
        if weight.requires_grad and weight.is_floating_point():
            weight.data = weight.data.float()
