"""The command line of a vLLM server that can be sampled from while it is trained; `rlvr serve` runs it.

It is vLLM's own server, started through its module: the program `vllm` of the CPU build 0.31 looks its version up under
the name of the other build, and fails.
"""

import socket
from argparse import Namespace
from typing import Any

from rlvr.engine.vllm_engine import kv_cache_on_cpu, model_class
from rlvr.models.adapters import base_of, is_adapter
from rlvr.models.load import local_folder
from rlvr.models.vllm_memory import BATCHED_TOKENS, CPU_BLOCK
from rlvr_rewards.errors import UserError, one_line


def server_command(args: Namespace) -> list[str]:
    """What follows `python`.

    Args:
        args: Of `rlvr serve`.

    Raises:
        UserError: The model cannot be found, vLLM cannot load it here, or the port is in use.
    """
    refuse_port_in_use(args.host, args.port)
    path = args.model
    while is_adapter(path):
        path = base_of(path)
    model = str(local_folder(path) or path)
    model_class(model, args.trust_remote_code)
    options = {
        "model": model,
        "host": args.host,
        "port": args.port,
        "max-num-seqs": args.max_rows,
        "load-format": "dummy",
        "logprobs-mode": "processed_logprobs",
        "uvicorn-log-level": "warning",
        **(_gpu_options(args) if has_gpu() else _cpu_options(args, model)),
    }
    flags = ["--enable-prefix-caching", *(["--trust-remote-code"] if args.trust_remote_code else [])]
    flags += [] if has_gpu() else ["--enforce-eager", "--no-enable-chunked-prefill"]
    pairs = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    return ["-m", "vllm.entrypoints.openai.api_server", *pairs, *flags]


def server_environment() -> dict[str, str]:
    """What vLLM reads from the environment: weights are brought over its development endpoints."""
    return {"VLLM_SERVER_DEV_MODE": "1", "VLLM_LOGGING_LEVEL": "ERROR"}


def refuse_port_in_use(host: str, port: int) -> None:
    """Refuses an address that cannot be listened on: vLLM would find out only after it has loaded.

    Raises:
        UserError: It cannot.
    """
    try:
        with socket.create_server((host, port)):
            pass
    except (OSError, OverflowError) as error:
        raise UserError(f"cannot listen on {host}:{port} ({error}): choose another --port or --host") from None


def has_gpu() -> bool:
    """Whether torch here can use CUDA."""
    import torch

    return torch.cuda.is_available()


def _cpu_options(args: Namespace, model: str) -> dict[str, object]:
    """See `vllm_engine`: prompts are prefilled whole, so that a pass must take the longest there can be."""
    config = _config(args, model)
    context = getattr(config.get_text_config(), "max_position_embeddings", None)
    length = args.max_length or min(context or BATCHED_TOKENS, BATCHED_TOKENS)
    if context and length > context:
        raise UserError(f"--max-length {length} is above the {context} tokens of the model's context: lower it")
    return {
        "dtype": "float32",
        "block-size": CPU_BLOCK,
        "max-model-len": length,
        "max-num-batched-tokens": max(BATCHED_TOKENS, length),
        "kv-cache-memory-bytes": kv_cache_on_cpu(config, 4, length),
        "worker-extension-cls": "rlvr.engine.vllm_worker.WeightsFromFile",
    }


def _config(args: Namespace, model: str) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(model, trust_remote_code=args.trust_remote_code)
    except (OSError, ValueError) as error:
        raise UserError(f"model {model}: its configuration cannot be read ({one_line(error)})") from None


def _gpu_options(args: Namespace) -> dict[str, object]:
    """As TRL asks for (`trl.generation.vllm_client`)."""
    return {
        **({"max-model-len": args.max_length} if args.max_length else {}),
        "max-num-batched-tokens": BATCHED_TOKENS,
        "dtype": "bfloat16",
        "gpu-memory-utilization": args.gpu_memory_share,
        "weight-transfer-config": '{"backend": "nccl"}',
        "max-logprobs": -1,
    }
