"""The command line of a vLLM server that can be sampled from while it is trained; `rlvr serve` runs it.

It is vLLM's own server, started through its module: the program `vllm` of the CPU build 0.31 looks its version up under
the name of the other build, and fails.
"""

from argparse import Namespace

from rlvr.models.adapters import base_of, is_adapter
from rlvr.models.load import local_folder

_BATCHED_TOKENS = 4096


def server_command(args: Namespace) -> list[str]:
    """What follows `python`.

    Args:
        args: Of `rlvr serve`.

    Raises:
        UserError: The model is a folder that does not exist.
    """
    path = args.model
    while is_adapter(path):
        path = base_of(path)
    options = {
        "model": str(local_folder(path) or path),
        "host": args.host,
        "port": args.port,
        "max-num-seqs": args.max_rows,
        "max-num-batched-tokens": max(_BATCHED_TOKENS, args.max_length or 0),
        "load-format": "dummy",
        "logprobs-mode": "processed_logprobs",
        "uvicorn-log-level": "warning",
        **({"max-model-len": args.max_length} if args.max_length else {}),
        **(_gpu_options(args) if has_gpu() else _CPU_OPTIONS),
    }
    flags = ["--enable-prefix-caching", *(["--trust-remote-code"] if args.trust_remote_code else [])]
    flags += [] if has_gpu() else ["--enforce-eager", "--no-enable-chunked-prefill"]
    pairs = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    return ["-m", "vllm.entrypoints.openai.api_server", *pairs, *flags]


def server_environment() -> dict[str, str]:
    """What vLLM reads from the environment: weights are brought over its development endpoints."""
    return {"VLLM_SERVER_DEV_MODE": "1", "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_CPU_KVCACHE_SPACE": "1"}


def has_gpu() -> bool:
    """Whether torch here can use CUDA."""
    import torch

    return torch.cuda.is_available()


_CPU_OPTIONS = {
    "dtype": "float32",
    "block-size": 32,  # see `vllm_engine`
    "worker-extension-cls": "rlvr.engine.vllm_worker.WeightsFromFile",
}


def _gpu_options(args: Namespace) -> dict[str, object]:
    """As TRL asks for (`trl.generation.vllm_client`)."""
    return {
        "dtype": "bfloat16",
        "gpu-memory-utilization": args.gpu_memory_share,
        "weight-transfer-config": '{"backend": "nccl"}',
        "max-logprobs": -1,
    }
