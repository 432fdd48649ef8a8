"""Prints how a GRPO step scales on paper: memory a device, seconds, tokens, bytes of weights, and where the time goes.

    python benchmarks/scale.py

Nothing is run: `rlvr.models.throughput` with Qwen2.5's sizes, 256 completions a step of 200 + 786 tokens (the recipe of
`gsm8k-qwen2.5-0.5b`), eight H100 that each take 32 of them, and weights sent to other machines at 12.5 GB/s (100 Gb/s).
"""

from rlvr.models.adapters import LoraSettings
from rlvr.models.memory import Workload
from rlvr.models.shape import ModelShape
from rlvr.models.throughput import CARDS, Batch, states_bytes, step_on_paper

CARD = CARDS[-1]
BATCH = Batch(groups=2, group_size=16, prompt=200, completion=786)
LINK_BYTES_PER_S = 12.5e9
NUM_SHARDS = 8


def qwen(layers: int, hidden: int, mlp: int, heads: int, kv_heads: int, head: int, tied: bool) -> ModelShape:
    """The sizes of one of Qwen2.5's models; its norms and biases, under 0.1% of it, are left out."""
    vocabulary = 151_936 if tied else 152_064
    bare = ModelShape(0, 2, vocabulary, hidden, mlp, layers, heads, kv_heads, head, 32_768)
    return ModelShape(
        bare.layer_params + vocabulary * hidden * (1 if tied else 2),
        *(2, vocabulary, hidden, mlp, layers, heads, kv_heads, head, 32_768),
    )


SHAPES = {
    "0.5B": qwen(24, 896, 4_864, 14, 2, 64, tied=True),
    "7B": qwen(28, 3_584, 18_944, 28, 4, 128, tied=False),
    "72B": qwen(80, 8_192, 29_568, 64, 8, 128, tied=False),
}


def main() -> None:
    print(
        "| model | trained | states, one device (GB) | over 8 (GB) | whole in bfloat16 (GB) | sampling (s) "
        "| update (s) | tokens/s that keep one card training | cards that sample for each that trains | weights sent "
        "(GB) | in (s) | most time |\n|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|"
    )
    for name, shape in SHAPES.items():
        for trained, lora in (("all", None), ("LoRA r 32", LoraSettings(r=32))):
            work = Workload(rows=4, sampled_rows=BATCH.rows, max_new_tokens=786, lora=lora, reference=False)
            step = step_on_paper(shape, work, BATCH, CARD)
            cells = [
                f"{states_bytes(shape, work) / 1e9:,.0f}",
                f"{states_bytes(shape, work, NUM_SHARDS) / 1e9:,.1f}",
                f"{2 * shape.num_params / 1e9:,.0f}",
                f"{step.sample_s:,.1f}",
                f"{step.update_s:,.1f}",
                f"{step.busy_tokens_per_s:,.0f}",
                f"{step.samplers_per_trainer:.1f}",
                f"{step.sync_bytes / 1e9:,.1f}",
                f"{step.sync_bytes / LINK_BYTES_PER_S:.1f}",
                step.bottleneck(LINK_BYTES_PER_S),
            ]
            print(f"| {name} | {trained} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
