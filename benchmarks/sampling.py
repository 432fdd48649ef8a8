"""Tokens a second of the torch sampler, transformers' `generate`, and vLLM (warm, and with its load time).

.venv-vllm/bin/python benchmarks/sampling.py [--threads 1] [--only 0.8M]

Random Qwen3 models that never end a turn: every completion takes the whole budget. Each line is the median of rounds in
which the samplers alternate, since the speed of shared machines changes by the minute. `vLLM, loaded` counts the load
and the first batch in, as a run of one batch would see it. What shared machines took meanwhile (`steal`) is printed.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

ROUNDS, NUM_PROMPTS, NUM_TOKENS = 3, 4, 48
SHAPES: dict[str, dict[str, Any]] = {
    "0.8M": {"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 4, "num_attention_heads": 4},
    "10M": {"hidden_size": 384, "intermediate_size": 1024, "num_hidden_layers": 6, "num_attention_heads": 6},
}
GROUPS, PROMPTS = (8, 16), (40, 200, 800)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=SHAPES)
    args = parser.parse_args()
    os.environ.update({"OMP_NUM_THREADS": str(args.threads), "VLLM_LOGGING_LEVEL": "ERROR"})
    import torch

    torch.set_num_threads(args.threads)
    before = _ticks()
    print("| model | group | prompt | torch | generate | vLLM | vLLM, loaded | fastest |")
    print("|" + "---|" * 8)
    for shape in [args.only] if args.only else SHAPES:
        _measure_shape(shape)
    print(f"\n{args.threads} thread(s), {NUM_PROMPTS} prompts, {NUM_TOKENS} tokens each; steal {_steal(before):.0%}")


def _measure_shape(shape: str) -> None:
    from rlvr.engine.sampling import SamplingParams
    from rlvr.engine.torch_sampler import TorchSampler
    from rlvr.engine.vllm_sampler import VLLMSampler

    model = _model(shape)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        torch_sampler = TorchSampler(model, [-1], pad_id=0)
        vllm = VLLMSampler(folder, [], max_length=1024).holding(model)
        params = SamplingParams(NUM_TOKENS)
        started = time.perf_counter()
        vllm.sample(_requests(40, 8), params)
        load_s = time.perf_counter() - started
        samplers: dict[str, Callable[[Any], Any]] = {
            "torch": lambda requests: torch_sampler.sample(requests, params),
            "generate": lambda requests: _generate(model, requests),
            "vLLM": lambda requests: vllm.sample(requests, params),
        }
        for group in GROUPS:
            for prompt in PROMPTS:
                _print_row(shape, group, prompt, samplers, load_s)
        vllm.close()


def _print_row(shape: str, group: int, prompt: int, samplers: dict[str, Callable[[Any], Any]], load_s: float) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in samplers}
    for number in range(ROUNDS + 1):
        requests = _requests(prompt, group, number)
        for name, sample in samplers.items():
            started = time.perf_counter()
            sample(requests)
            if number:  # the first round warms up
                seconds[name].append(time.perf_counter() - started)
    tokens = NUM_PROMPTS * group * NUM_TOKENS
    speeds = {name: tokens / median(found) for name, found in seconds.items()}
    loaded = tokens / (load_s + median(seconds["vLLM"]))
    shown = " | ".join(f"{speed:,.0f}" for speed in (*speeds.values(), loaded))
    print(f"| {shape} | {group} | {prompt} | {shown} | {max(speeds, key=lambda name: speeds[name])} |", flush=True)


def _model(shape: str) -> Any:
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    sizes = SHAPES[shape]
    heads = sizes["num_attention_heads"]
    config = Qwen3Config(
        vocab_size=512,
        num_key_value_heads=heads,
        head_dim=sizes["hidden_size"] // heads,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        **sizes,
    )
    return Qwen3ForCausalLM(config).eval()


def _requests(prompt: int, group: int, number: int = 0) -> list[Any]:
    from random import Random

    from rlvr.engine.sampling import Request

    random = Random(number)
    return [
        Request([random.randrange(512) for _ in range(prompt)], [random.getrandbits(63) for _ in range(group)])
        for _ in range(NUM_PROMPTS)
    ]


def _generate(model: Any, requests: list[Any]) -> None:
    """As TRL calls it: every completion of a group is a row of its own."""
    import torch

    ids = torch.tensor([request.prompt_ids for request in requests for _ in request.seeds])
    model.generate(ids, do_sample=True, max_new_tokens=NUM_TOKENS, min_new_tokens=NUM_TOKENS, top_k=0, pad_token_id=0)


def _ticks() -> list[int]:
    """This machine's time by use since it started; the eighth number is what other machines took."""
    return [int(number) for number in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]


def _steal(before: list[int]) -> float:
    passed = [now - then for now, then in zip(_ticks(), before, strict=True)]
    return passed[7] / max(1, sum(passed))


if __name__ == "__main__":
    main()
