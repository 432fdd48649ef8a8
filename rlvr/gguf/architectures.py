"""The architectures that can be exported: their settings in llama.cpp's words, and what its tensors hold otherwise.

Each entry refuses what llama.cpp computes differently from transformers, since such a file would load and speak
gibberish: the settings that it has no words for are fixed in its code.

Departures of llama.cpp's tensors from those of transformers:

1. `llama` and `smollm3` turn neighbouring values of a head (i, i + 1) where transformers turns (i, i + d/2): the rows
   of queries and keys are reordered.
2. Gemma's norms are saved as w and applied as 1 + w: llama.cpp stores 1 + w.
3. The frequencies of Llama 3's long-context RoPE are a tensor of their own.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlvr_rewards.errors import UserError

if TYPE_CHECKING:
    import numpy as np

Metadata = dict[str, Any]
OTHER_TOOL = "llama.cpp's convert_hf_to_gguf.py knows more of them"


@dataclass(frozen=True)
class Architecture:
    """One architecture.

    Attributes:
        name: llama.cpp's.
        activation: Of the MLP, as transformers names it; the only one that llama.cpp computes for it.
        reorders_heads: Whether the rows of queries and keys are reordered (departure 1).
        norm_shift: What is added to the weights of norms (departure 2).
        settings: Further settings; raises `UserError` for those that llama.cpp cannot follow.
    """

    name: str
    activation: str = "silu"
    reorders_heads: bool = False
    norm_shift: float = 0.0
    settings: Callable[[Any], Metadata] = lambda config: {}


def architecture_of(config: Any) -> Architecture:
    """The architecture of a transformers config.

    Raises:
        UserError: It is none that can be exported, or one of its settings has no counterpart in llama.cpp.
    """
    names = list(config.architectures or [])
    found = next((ARCHITECTURES[name] for name in names if name in ARCHITECTURES), None)
    if found is None:
        known = ", ".join(each.name for each in ARCHITECTURES.values())
        raise UserError(
            f"{names[0] if names else config.model_type} cannot be exported: there is no mapping of its tensors here, "
            f"only of {known}; {OTHER_TOOL}"
        )
    activation = getattr(config, "hidden_activation", None) or config.hidden_act
    if activation not in (found.activation, {"silu": "swish"}.get(found.activation)):
        raise _unlike(found.name, f"the activation {activation}", f"always computes {found.activation}")
    return found


def settings_of(config: Any) -> Metadata:
    """What llama.cpp must know of a model's shape, under its own keys.

    Raises:
        UserError: A setting has no counterpart in llama.cpp.
    """
    found = architecture_of(config)
    heads = config.num_attention_heads
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    shape = {
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": heads,
        "attention.head_count_kv": getattr(config, "num_key_value_heads", None) or heads,
        "attention.key_length": head_dim,
        "attention.value_length": head_dim,
        "attention.layer_norm_rms_epsilon": float(config.rms_norm_eps),
        "rope.dimension_count": head_dim,
        "vocab_size": config.vocab_size,
        **_rope(found.name, _rope_parameters(config)),
        **found.settings(config),
    }
    return {f"{found.name}.{key}": value for key, value in shape.items()}


def rope_factors(config: Any) -> "np.ndarray | None":
    """What each frequency is divided by under Llama 3's long-context RoPE, shape [head_dim / 2]; `None` without it.

    Wavelengths above `old / low_freq_factor` are stretched by `factor`, those below `old / high_freq_factor` are left,
    and between them the share goes linearly (`_compute_llama3_parameters` in transformers).
    """
    import numpy as np

    rope = _rope_parameters(config)
    if rope.get("rope_type") != "llama3":
        return None
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    wavelengths = 2 * math.pi * rope["rope_theta"] ** (np.arange(0, head_dim, 2, dtype=np.float32) / head_dim)
    old, low, high = rope["original_max_position_embeddings"], rope["low_freq_factor"], rope["high_freq_factor"]
    share = np.clip((old / wavelengths - low) / (high - low), 0, 1)
    return (1 / ((1 - share) / rope["factor"] + share)).astype(np.float32)


def _rope_parameters(config: Any) -> dict[str, Any]:
    """Those of the layers that see everything, where layers differ."""
    found = config.rope_parameters or {}
    return found.get("full_attention", found)


def _rope(name: str, rope: dict[str, Any]) -> Metadata:
    kind = rope.get("rope_type", "default")
    base = {"rope.freq_base": float(rope["rope_theta"])}
    if kind in ("default", "llama3"):
        return base
    scaling = {"rope.scaling.type": kind, "rope.scaling.factor": float(rope.get("factor", 1.0))}
    if kind == "linear":
        return base | scaling
    if kind == "yarn":
        return base | scaling | {"rope.scaling.original_context_length": rope["original_max_position_embeddings"]}
    raise _unlike(name, f"the position encoding {kind}", "knows default, linear, llama3 and yarn here")


def _no_window(config: Any) -> Metadata:
    if any(kind != "full_attention" for kind in getattr(config, "layer_types", None) or []):
        raise _unlike(config.model_type, "a sliding window in some layers", "lets every layer see everything")
    return {}


def _smollm3(config: Any) -> Metadata:
    layers = range(config.num_hidden_layers)
    if list(config.no_rope_layers) != [int((layer + 1) % 4 != 0) for layer in layers]:
        raise _unlike("smollm3", "another order of layers without positions", "takes every fourth")
    return _no_window(config)


def _gemma3(config: Any) -> Metadata:
    divisor = config.head_dim if config.num_hidden_layers != 62 else config.hidden_size // config.num_attention_heads
    if config.query_pre_attn_scalar != divisor:  # llama.cpp knows the 27B by its 62 layers
        scale = f"query_pre_attn_scalar {config.query_pre_attn_scalar}"
        raise _unlike("gemma3", scale, f"divides by the root of {divisor}")
    expected = [
        "full_attention" if layer % 6 == 5 else "sliding_attention" for layer in range(config.num_hidden_layers)
    ]
    if list(config.layer_types) != expected:
        raise _unlike("gemma3", "another order of sliding windows", "lets every sixth layer see everything")
    if getattr(config, "attn_logit_softcapping", None):
        raise _unlike("gemma3", "attn_logit_softcapping", "has none")
    capped = config.final_logit_softcapping
    return {
        "attention.sliding_window": config.sliding_window,
        "rope.freq_base_swa": float(config.rope_parameters["sliding_attention"]["rope_theta"]),
        **({"final_logit_softcapping": float(capped)} if capped else {}),
    }


def _unlike(name: str, what: str, llama_cpp: str) -> UserError:
    return UserError(
        f"{name} with {what} cannot be exported: llama.cpp {llama_cpp}; take a model with its usual setting"
    )


ARCHITECTURES = {
    "LlamaForCausalLM": Architecture("llama", reorders_heads=True),
    "Qwen2ForCausalLM": Architecture("qwen2", settings=_no_window),
    "Qwen3ForCausalLM": Architecture("qwen3", settings=_no_window),
    "SmolLM3ForCausalLM": Architecture("smollm3", reorders_heads=True, settings=_smollm3),
    "Gemma3ForCausalLM": Architecture("gemma3", "gelu_pytorch_tanh", norm_shift=1.0, settings=_gemma3),
}
"""By the class that transformers names in `config.json`."""
