"""Which sampler a run uses: `torch`, `vllm`, or by the machine; each behind one way to be given the model's weights."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from rlvr.engine.sampling import Sampler
from rlvr.models.adapters import base_of, is_adapter
from rlvr.models.chat import end_of_turn_ids, pad_id

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SamplerName = Literal["torch", "vllm", "auto"]
"""`auto`: vLLM on a CUDA GPU where it is installed, otherwise torch."""


class SamplerSource(Protocol):
    """Where samplers come from, one for each version of the policy."""

    def holding(self, model: Any) -> Sampler:
        """A sampler of the model as it is now."""
        ...

    def close(self) -> None:
        """Frees what it holds."""
        ...


class _TorchSource:
    """The model samples itself: nothing to copy, nothing to free."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        self.tokenizer = tokenizer

    def holding(self, model: Any) -> Sampler:
        from rlvr.engine.torch_sampler import TorchSampler

        return TorchSampler(model, end_of_turn_ids(model, self.tokenizer), pad_id(self.tokenizer))

    def close(self) -> None:
        pass


def sampler_source(
    name: SamplerName,
    path: str,
    model: Any,
    tokenizer: "PreTrainedTokenizerBase",
    *,
    say: Callable[[str], None],
    **vllm_settings: Any,
) -> SamplerSource:
    """The source of that name.

    Args:
        name: Which.
        path: The folder or hub id that the model was opened from.
        model: The model.
        tokenizer: Its tokenizer.
        say: Told what takes long.
        **vllm_settings: Further arguments of `VLLMSampler`; `torch` needs none.

    Raises:
        UserError: It is vLLM, and that is not installed, or in a version that TRL does not support.
    """
    if resolve(name) == "torch":
        return _TorchSource(tokenizer)
    from rlvr.engine.vllm_sampler import VLLMSampler
    from rlvr.installed import require_vllm

    require_vllm()
    while is_adapter(path):  # vLLM reads the configuration alone, which an adapter has from its base
        path = base_of(path)
    return VLLMSampler(path, end_of_turn_ids(model, tokenizer), say=say, **vllm_settings)


def resolve(name: SamplerName) -> Literal["torch", "vllm"]:
    """What `auto` means on this machine; other names mean themselves."""
    if name != "auto":
        return name
    import torch

    from rlvr.installed import has_vllm

    return "vllm" if torch.cuda.is_available() and has_vllm() else "torch"


def biases(settings: Any) -> Sequence[str]:
    """Those of TRL's settings that make samples come from another distribution than the one that is learned."""
    off: dict[str, tuple[Any, ...]] = {"top_p": (None, 1.0), "top_k": (None, 0), "min_p": (None, 0.0)}
    return [f"trl.{name} {getattr(settings, name)}" for name in off if getattr(settings, name) not in off[name]]
