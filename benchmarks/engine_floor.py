"""The least time that a GRPO step can take here: its arithmetic at the measured speed of matrix products, its bytes at
the measured bandwidth of memory.

    python benchmarks/engine_floor.py [--threads 2]

Counted are multiplications and additions of the matrices, of the head and of attention, each token once: a prompt once
for its group, completions at the mean length that engine.py gives them; forward and backward are three times forward.
To draw one more token of every completion, all weights are read once, and the keys and values of what came before,
those of a prompt once for its group. The floor of a part is the longer of arithmetic and bytes.
"""

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine_work import SHAPES, Plan, Shape, make_model

BYTES = 4
"""Of a number: float32."""


@dataclass(frozen=True)
class Machine:
    """What it does at best: floating-point operations, and bytes read, in a second."""

    flops: float
    bandwidth: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    os.environ.update(OMP_NUM_THREADS=str(args.threads))
    machine = measured(args.threads)
    print(f"{args.threads} thread(s): {machine.flops / 1e9:.0f} GFLOP/s, {machine.bandwidth / 1e9:.1f} GB/s read\n")
    print("| shape | sample (ms) | forward/backward (ms) | step (ms) |")
    print("|---|---:|---:|---:|")
    for name, shape in SHAPES.items():
        if not shape.vllm:
            sample, update = floor(shape, machine)
            shown = " | ".join(f"{seconds * 1000:,.0f}" for seconds in (sample, update, sample + update))
            print(f"| {name} | {shown} |")


def measured(threads: int) -> Machine:
    """The best of several tries: what others take of the machine only makes them slower."""
    import torch

    torch.set_num_threads(threads)
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    large = torch.randn(64 * 2**20)
    return Machine(2 * 1024**3 / _best(lambda: a @ b), large.numel() * BYTES / _best(lambda: large.sum()))


def _best(work: Any) -> float:
    found = []
    for _ in range(20):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return min(found)


def floor(shape: Shape, machine: Machine) -> tuple[float, float]:
    """Seconds of sampling, and of forward and backward."""
    from transformers import AutoConfig

    with tempfile.TemporaryDirectory() as folder:
        make_model(shape, Path(folder))
        config: Any = AutoConfig.from_pretrained(folder)
    weights = _weights(config)
    width = config.num_hidden_layers * config.num_attention_heads * config.head_dim
    plan = Plan(shape, full=False)
    plan.next(0.0)
    drawn, longest, prompt = sum(plan.lengths), max(plan.lengths), shape.prompt_tokens
    prompts = shape.prompts * prompt
    seen = prompts * prompt / 2 + drawn * (prompt + drawn / shape.rows / 2)
    forward = 2 * weights * (prompts + drawn) + 4 * width * seen
    states = sum(prompts + shape.rows * position for position in range(longest)) * 2 * width * BYTES
    read = (longest * weights * BYTES + states) / machine.bandwidth
    return max(forward / machine.flops, read), 3 * forward / machine.flops


def _weights(config: Any) -> int:
    """Of the matrices and the head; that a token's embedding is looked up costs nothing."""
    heads = (config.num_attention_heads * 2 + config.num_key_value_heads * 2) * config.head_dim
    layer = config.hidden_size * (heads + 3 * config.intermediate_size)
    return config.num_hidden_layers * layer + config.vocab_size * config.hidden_size


if __name__ == "__main__":
    main()
