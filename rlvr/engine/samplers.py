"""Which sampler a run uses, by its name or by the machine; each behind one way to be given the model's weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from rlvr.engine.sampling import Sampler, SamplingParams
from rlvr.engine.savings import Savings
from rlvr.models.adapters import base_of, is_adapter
from rlvr.models.chat import end_of_turn_ids, pad_id

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SamplerName = Literal["torch", "vllm", "vllm-server", "auto"]
"""`auto`: vLLM in this process on a CUDA GPU where it is installed, otherwise torch."""


class SamplerSource(Protocol):
    """Where samplers come from, one for each version of the policy."""

    def holding(self, model: Any) -> Sampler:
        """A sampler of the model as it is now."""
        ...

    def close(self) -> None:
        """Frees what it holds."""
        ...


def alone(work: Callable[[], None]) -> None:
    """Does the work: there is no other process."""
    work()


@dataclass(frozen=True)
class SamplerSettings:
    """Which sampler, and what it is set up with.

    Attributes:
        name: Which.
        servers: URLs, of `vllm-server`.
        answer_s: How long a server may take for one completion.
        patience_s: How long a server may be away.
        group_port: For weights over NCCL.
        max_length: Tokens of prompt and completion together that vLLM in this process is loaded for.
        gpu_memory_share: Of the card that vLLM in this process takes; by default nine tenths of what is free of it.
        sleeps: Whether it gives its memory back between sampling and update.
        trust_remote_code: Whether the model's own code may run.
        savings: What the torch sampler leaves out.
        by_first: Does what one of the processes that sample together does for all, such as to send servers the weights.
    """

    name: SamplerName = "torch"
    servers: tuple[str, ...] = ()
    answer_s: float = 600.0
    patience_s: float = 240.0
    group_port: int = 51216
    max_length: int | None = None
    gpu_memory_share: float | None = None
    sleeps: bool = False
    trust_remote_code: bool = False
    savings: Savings = Savings()  # noqa: RUF009 (frozen)
    by_first: Callable[[Callable[[], None]], None] = alone


class _TorchSource:
    """The model samples itself: nothing to copy, nothing to free."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", savings: Savings) -> None:
        self.tokenizer, self.savings = tokenizer, savings

    def holding(self, model: Any) -> Sampler:
        from rlvr.engine.torch_sampler import TorchSampler

        eos_ids = end_of_turn_ids(model, self.tokenizer)
        return TorchSampler(model, eos_ids, pad_id(self.tokenizer), tokenizer=self.tokenizer, savings=self.savings)

    def close(self) -> None:
        pass


def sampler_source(
    settings: SamplerSettings,
    path: str,
    model: Any,
    tokenizer: "PreTrainedTokenizerBase",
    say: Callable[[str], None],
) -> SamplerSource:
    """The source that the settings name.

    Args:
        settings: Which sampler, and what it is set up with.
        path: The folder or hub id that the model was opened from.
        model: The model.
        tokenizer: Its tokenizer.
        say: Told what takes long.

    Raises:
        UserError: It is vLLM in this process, and that is not installed, or in a version that TRL does not support.
    """
    name = resolve(settings.name)
    if name == "torch":
        return _TorchSource(tokenizer, settings.savings)
    eos_ids = end_of_turn_ids(model, tokenizer)
    if name == "vllm-server":
        from rlvr.engine.vllm_server import ServerSampler

        return ServerSampler(
            settings.servers,
            eos_ids,
            answer_s=settings.answer_s,
            patience_s=settings.patience_s,
            group_port=settings.group_port,
            by_first=settings.by_first,
            say=say,
        )
    from rlvr.engine.vllm_sampler import VLLMSampler
    from rlvr.installed import require_vllm

    require_vllm()
    base = path
    while is_adapter(base):  # vLLM reads the configuration alone, which an adapter has from its base
        base = base_of(base)
    return VLLMSampler(
        base,
        eos_ids,
        tokenizer=path,
        max_length=settings.max_length,
        gpu_memory_share=settings.gpu_memory_share,
        sleeps=settings.sleeps,
        trust_remote_code=settings.trust_remote_code,
        say=say,
    )


def resolve(name: SamplerName) -> Literal["torch", "vllm", "vllm-server"]:
    """What `auto` means on this machine; other names mean themselves."""
    if name != "auto":
        return name
    import torch

    from rlvr.installed import has_vllm

    return "vllm" if torch.cuda.is_available() and has_vllm() else "torch"


def biases(params: SamplingParams) -> Sequence[str]:
    """What makes samples come from another distribution than the one that is learned, under the names of settings.

    Temperature does not: the update divides by it too. Nor do stop strings: where a completion ends follows from its
    tokens, each of which was drawn from the whole distribution.
    """
    off = SamplingParams(max_new_tokens=params.max_new_tokens)
    names = {"top_p": "trl.top_p", "top_k": "trl.top_k", "min_p": "trl.min_p", "min_new_tokens": "min_new_tokens"}
    found = {
        written: getattr(params, name) for name, written in names.items() if getattr(params, name) != getattr(off, name)
    }
    return [f"{name} {value}" for name, value in found.items()]
