"""benchmarks/engine.py on one CUDA GPU: a GRPO step of ours beside one of stock TRL, part by part, in bfloat16.

    python benchmarks/gpu.py [--shapes 100M,0.5B] [--pairs 5] [--flat 0,0.25] [--each] [--full]

Models are made from nothing: 100M weights with a small vocabulary, and the shape of Qwen2.5-0.5B with its vocabulary.
Where vLLM is installed, `100M-vllm` and `0.5B-vllm` let it sample on both sides. The device is waited for where a part
ends, so that each gets its own time; steps are a little slower so. Parts and rules are those of engine.py.
"""

import argparse
import os
import sys
from dataclasses import replace

from engine import add_comparison_arguments, compare, has_vllm
from engine_rounds import Setting
from engine_work import Shape

HUNDRED_MILLION = {
    "hidden_size": 768,
    "intermediate_size": 2048,
    "num_layers": 14,
    "num_heads": 12,
    "num_kv_heads": 12,
    "vocab_size": 1024,
    "context_length": 1024,
}
_SHAPES = {
    "100M": Shape("from scratch, 100M", HUNDRED_MILLION, 200, 16, 8, 256),
    "0.5B": Shape("the shape of Qwen2.5-0.5B", "0.5B", 200, 8, 8, 256),
}
SHAPES = {
    **_SHAPES,
    **{
        f"{name}-vllm": replace(each, title=f"{each.title}, sampled by vLLM", vllm=True)
        for name, each in _SHAPES.items()
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shapes", help=f"some of {', '.join(SHAPES)}; by default all that can be sampled here")
    add_comparison_arguments(parser)
    args = parser.parse_args()
    import torch

    if not torch.cuda.is_available():
        sys.exit("benchmarks/gpu.py measures on a CUDA GPU, and here is none: benchmarks/engine.py measures on a CPU")
    wanted = args.shapes.split(",") if args.shapes else [name for name in SHAPES if has_vllm() or not SHAPES[name].vllm]
    for name in wanted:
        if name not in SHAPES:
            sys.exit(f"--shapes {name}: give some of {', '.join(SHAPES)}")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, CUDA {torch.version.cuda}")
    for name in wanted:
        compare(
            f"{name}: {SHAPES[name].title}", Setting(SHAPES[name], os.cpu_count() or 1, args.full, on_gpu=True), args
        )


if __name__ == "__main__":
    main()
