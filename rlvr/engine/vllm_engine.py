"""The vLLM engine within this process: loaded without weights, filled with those of the model that is trained.

It never reads weights from disk: it starts with random ones, so that an engine that was not filled, or was filled
wrongly, is found out at its first batch instead of sampling from a policy of yesterday. It is set up as TRL's colocate
mode does it (`trl.generation.vllm_generation`, 1.16), for models that are not sharded.
Not here: how it is filled (`vllm_weights`), requests and completions (`vllm_sampler`), the guard (`vllm_guard`).
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rlvr.engine.sampling import MAX_ROWS
from rlvr.models.vllm_memory import BATCHED_TOKENS, CPU_BLOCK, cpu_cache_bytes, rank_of
from rlvr_rewards.errors import UserError, one_line


@dataclass(frozen=True)
class EngineSettings:
    """How vLLM is loaded.

    Attributes:
        max_length: Tokens of prompt and completion together, at most.
        max_rows: Completions under way at once.
        gpu_memory_share: Of the card's memory that vLLM takes, beside the trainer; of no use on a CPU.
        trust_remote_code: Whether the model's own code may run.
        tokenizer: The folder or hub id of the tokenizer; only stop strings need one.
        lora_rank: The rank of the adapters that it will take; `None`: none.
        sleeps: Whether it can give its memory back between two calls; only on a GPU.
    """

    max_length: int
    max_rows: int = MAX_ROWS
    gpu_memory_share: float = 0.9
    trust_remote_code: bool = False
    tokenizer: str | None = None
    lora_rank: int | None = None
    sleeps: bool = False


def load_engine(path: str, model: Any, settings: EngineSettings) -> Any:
    """A `vllm.LLM` for the model of a folder or of the hub, with random weights.

    Args:
        path: Where its configuration is.
        model: The same model as transformers opened it: decides device and precision.
        settings: How it is loaded.

    Raises:
        UserError: vLLM cannot load it, or there is not enough memory for its KV cache.
    """
    on_cpu = model.device.type == "cpu"
    options = _cpu_options(model, settings) if on_cpu else _gpu_options(settings)
    if settings.lora_rank:
        options |= {"enable_lora": True, "max_loras": 1, "max_lora_rank": rank_of(settings.lora_rank)}
    if settings.tokenizer:
        options |= {"tokenizer": settings.tokenizer}
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    try:
        if on_cpu:
            prepare_for_cpu()
        from vllm import LLM  # pyright: ignore[reportMissingImports]

        with _rendezvous():
            return LLM(
                model=path,
                load_format="dummy",
                skip_tokenizer_init=settings.tokenizer is None,
                trust_remote_code=settings.trust_remote_code,
                dtype=_precision(model),
                max_model_len=settings.max_length,
                max_num_seqs=settings.max_rows,
                enable_prefix_caching=True,
                logprobs_mode="processed_logprobs",  # of the distribution that is drawn from, as `Completion` says
                distributed_executor_backend="external_launcher",  # in this process, on this process's device
                disable_log_stats=False,  # the times of each request
                seed=0,  # every request brings its own
                **options,
            )
    except UserError:
        raise
    except Exception as error:  # vLLM raises many kinds; all mean that this model cannot be loaded so
        raise UserError(_refusal(path, error)) from error


def takes_adapters(path: str, trust_remote_code: bool) -> bool:
    """Whether vLLM can load LoRA adapters beside the model of a folder or of the hub.

    Raises:
        UserError: vLLM does not know this kind of model.
    """
    from vllm.model_executor.models.interfaces import supports_lora  # pyright: ignore[reportMissingImports]

    return supports_lora(model_class(path, trust_remote_code))


def model_class(path: str, trust_remote_code: bool) -> Any:
    """vLLM's class for the model of a folder or of the hub.

    Raises:
        UserError: vLLM does not know this kind of model.
    """
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    from vllm import EngineArgs  # pyright: ignore[reportMissingImports]

    try:
        arguments = EngineArgs(model=path, skip_tokenizer_init=True, trust_remote_code=trust_remote_code)
        config = arguments.create_model_config()
        return config.registry.resolve_model_cls(config.architectures, config)[0]
    except Exception as error:  # as in `load_engine`
        raise UserError(_refusal(path, error)) from error


def free_share() -> float:
    """Nine tenths of what is free of the GPU, as a share of all of it."""
    import torch

    if not torch.cuda.is_available():
        return 0.9
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    return 0.9 * free / total


def gpu_bytes_held() -> int:
    """What this process holds of the GPU's memory in tensors; 0 without a GPU."""
    import torch

    return torch.cuda.memory_allocated() if torch.cuda.is_available() else 0


def memory_line(llm: Any, settings: EngineSettings, trainer_bytes: int) -> str:
    """What a loaded engine takes, in numbers.

    Args:
        llm: The engine.
        settings: How it was loaded.
        trainer_bytes: What the trainer held of the GPU before.
    """
    import torch

    cache = llm.llm_engine.vllm_config.cache_config
    tokens = cache.num_gpu_blocks * cache.block_size
    line = f"its KV cache holds {tokens:,} tokens, {tokens // settings.max_length:,} completions of full length"
    if not torch.cuda.is_available():
        return line
    free, total = torch.cuda.mem_get_info()
    sleeping = " (given back for the update)" if settings.sleeps else ""
    return (
        f"{line}; of the GPU's {total / 2**30:.1f} GiB the trainer holds {trainer_bytes / 2**30:.1f}, vLLM takes "
        f"{settings.gpu_memory_share * total / 2**30:.1f}{sleeping}, {free / 2**30:.1f} are free"
    )


def close_engine(llm: Any, leave_distributed: bool) -> None:
    """Frees the engine's memory.

    Args:
        llm: The engine.
        leave_distributed: Whether torch.distributed was up before the engine, and others need it still.
    """
    import gc

    from vllm.distributed.parallel_state import destroy_model_parallel  # pyright: ignore[reportMissingImports]

    client = llm.llm_engine.engine_core
    if leave_distributed:  # its own way to shut down, also when it is collected, ends torch.distributed too
        client._finalizer.detach()
        client.engine_core.model_executor.shutdown()
        client.engine_core.scheduler.shutdown()
        destroy_model_parallel()
        gc.unfreeze()  # vLLM froze what it made, weights and cache too
    else:
        client.shutdown()
    gc.collect()


def _precision(model: Any) -> str:
    """On a CPU the model's own, so that both agree to rounding; on a GPU the one that training computes in."""
    import torch

    if model.device.type == "cpu":
        return str(model.dtype).removeprefix("torch.")
    return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"


def _gpu_options(settings: EngineSettings) -> dict[str, Any]:
    return {
        "gpu_memory_utilization": settings.gpu_memory_share,
        "enable_sleep_mode": settings.sleeps,
        "max_num_batched_tokens": BATCHED_TOKENS,
    }


def _cpu_options(model: Any, settings: EngineSettings) -> dict[str, Any]:
    """Nothing is compiled: vLLM loads within seconds, not half a minute, and a model of 10M samples 0.75 as fast."""
    return {
        "enforce_eager": True,
        "kv_cache_memory_bytes": kv_cache_on_cpu(model.config, model.dtype.itemsize, settings.max_length),
        "block_size": CPU_BLOCK,  # only whole blocks of a prefix are shared
        # a prompt in two parts makes vLLM rewind the request's random generator, which one on a CPU cannot do
        "enable_chunked_prefill": False,
        "max_num_batched_tokens": max(BATCHED_TOKENS, settings.max_length),
    }


def kv_cache_on_cpu(config: Any, value_bytes: int, max_length: int) -> int:
    """1 GiB, or what one completion of full length takes where that is more.

    Args:
        config: Of the model, as transformers has it.
        value_bytes: Of a key's value.
        max_length: Tokens of prompt and completion together.

    Raises:
        UserError: That is more than half of the memory that is free.
    """
    import psutil

    config = config.get_text_config()
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    one_row = 2 * config.num_hidden_layers * heads * head_dim * value_bytes * (max_length + CPU_BLOCK)
    needed, free = cpu_cache_bytes(one_row), psutil.virtual_memory().available
    if needed > free // 2:
        raise UserError(
            f"not enough memory for vLLM's KV cache: one completion of {max_length:,} tokens takes "
            f"{one_row / 2**30:.1f} GiB, and of the {free / 2**30:.1f} GiB that are free half may be taken: close "
            'other programs, lower max_new_tokens or trl.vllm_max_model_length, or set sampler = "torch"'
        )
    return needed


def prepare_for_cpu() -> None:
    """Changes three things inside vLLM for the CPU, before an engine loads.

    Weights are not repacked for the CPU's matrix kernels (oneDNN, SGL), after which none could be loaded again; and the
    rank of a drawn token, which nobody asked for, is not worth half a minute of compiling at the first batch.
    """
    import vllm._custom_ops as ops  # pyright: ignore[reportMissingImports]
    import vllm.model_executor.layers.utils as layers  # pyright: ignore[reportMissingImports]
    import vllm.v1.sample.sampler as sampling  # pyright: ignore[reportMissingImports]

    ops._supports_onednn = False
    layers.check_cpu_sgl_kernel = lambda *_: False
    sampling.batched_count_greater_than = _count_greater


def _count_greater(x: Any, values: Any) -> Any:
    """vLLM's function of this name, not compiled."""
    return (x >= values).sum(-1)


@contextmanager
def _rendezvous() -> Iterator[None]:
    """What vLLM reads about the processes, where no launcher such as torchrun has set it."""
    from trl.trainer.utils import ensure_master_addr_port

    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    before = {name: os.environ.get(name) for name in names}
    for name, value in (("RANK", "0"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", "1")):
        os.environ.setdefault(name, value)
    ensure_master_addr_port()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


def _refusal(path: str, error: Exception) -> str:
    text = one_line(error)
    if _mentions(text, ("free memory on device",)):
        return (
            f"less of the GPU is free than vLLM is to take ({text}): close what else uses it, or in grpo lower "
            "trl.vllm_gpu_memory_utilization"
        )
    if _mentions(text, ("kv cache", "cache blocks", "out of memory")):
        return (
            f"not enough memory for vLLM's KV cache ({text}): lower max_new_tokens, or in grpo raise "
            "trl.vllm_gpu_memory_utilization or lower trl.vllm_max_model_length"
        )
    return f'vLLM cannot load model {path} ({text}): set sampler = "torch", which takes any causal language model'


def _mentions(text: str, words: Sequence[str]) -> bool:
    return any(word in text.lower() for word in words)
