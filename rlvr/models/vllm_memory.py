"""What vLLM takes beside a trainer on the same device: an estimate from shapes alone, to be had before loading.

vLLM takes a fixed share of a GPU's memory, and makes KV cache of what its weights and its largest pass leave of it;
the trainer must get by with the rest. So the question is not what vLLM would need, but whether both parts are large
enough, and if not, how to cut the card otherwise. Sizes come from the sources of vLLM 0.31; there was no GPU to compare
them with. Not here: what the trainer takes (`memory`), and the numbers once vLLM is loaded (`rlvr.engine.vllm_engine`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from rlvr.models.shape import ModelShape

BATCHED_TOKENS = 4096
"""Prompt tokens that one pass takes; as TRL sets it, since vLLM plans memory for all of them."""
CPU_BLOCK = 32
"""Tokens of a block of the KV cache on a CPU: the fewest that vLLM takes there."""
_CPU_CACHE_BYTES = 2**30
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks that vLLM sets memory aside for; an adapter takes the next larger one."""
_SHORTEST_LIMIT = 4096
_BYTES = 2
"""Of a value in bfloat16 or float16, which is what vLLM computes in on a GPU."""
_DRAWING_BYTES = 28
"""A word of the vocabulary, while a token is drawn: its logit in 2 and 4 bytes, sorted with its place (12), the
probabilities of those and their sums (8), and what is drawn with."""
_RESERVE = 2**30
"""For what no shape tells: CUDA's own context, vLLM's graphs, the waste of two allocators."""


@dataclass(frozen=True)
class Engine:
    """How vLLM is loaded beside a trainer.

    Attributes:
        rows: Completions under way at once.
        max_length: Tokens of prompt and completion together, at most.
        share: Of the card's memory that it takes.
        sleeps: Whether it gives its memory back between sampling and update.
        lora_rank: Of the adapter that is hot-loaded; `None`: none.
    """

    rows: int
    max_length: int
    share: float
    sleeps: bool = False
    lora_rank: int | None = None


@dataclass(frozen=True)
class TrainerMemory:
    """Bytes of a trainer on the card that it shares with vLLM.

    Attributes:
        held: What it holds while vLLM samples: weights, moments, a reference.
        comparing: What the comparison of log-probs takes on top for a moment, after vLLM has sampled.
        peak: What an update takes in all.
    """

    held: int
    comparing: int
    peak: int

    @property
    def most(self) -> int:
        """The most that it takes at any time."""
        return max(self.peak, self.held + self.comparing)


def rank_of(rank: int) -> int:
    """The rank that vLLM sets memory aside for to take an adapter of this one."""
    return next(each for each in RANKS if each >= rank)


def loaded_length(asked: int | None, max_new_tokens: int, longest_prompt: int, context: int | None) -> int:
    """Tokens of prompt and completion together that vLLM is loaded for.

    Args:
        asked: What the user set, if anything.
        max_new_tokens: The budget of a completion.
        longest_prompt: Of those known so far, in tokens.
        context: The model's, where it has a limit.
    """
    length = asked or max(_SHORTEST_LIMIT, 2 * (longest_prompt + max_new_tokens))
    return min(length, context or length)


def cache_bytes(shape: ModelShape, num_tokens: int, value_bytes: int = _BYTES) -> int:
    """Keys and values of so many tokens."""
    return 2 * shape.num_layers * shape.num_kv_heads * shape.head_dim * value_bytes * num_tokens


def engine_bytes(shape: ModelShape, engine: Engine) -> dict[str, int]:
    """What vLLM takes of a GPU before any KV cache.

    With N weights, L layers, h, m, V as in `memory_estimate`, B rows at once, r the rank that memory is set aside for:

        weights      2 N
        adapter      2 r (inputs + outputs) of every matrix of every layer, of the embedding and of the head
        largest pass the larger of 4096 * 2 (2 h + 3 m) (one layer of a prefill) and 28 B V (the draw)
    """
    layer = sum(inputs + outputs for inputs, outputs in shape.linear_sizes)
    sizes = shape.num_layers * layer + 2 * (shape.vocab_size + shape.hidden_size)
    prefill = BATCHED_TOKENS * _BYTES * (2 * shape.hidden_size + 3 * shape.mlp_size)
    return {
        "weights": _BYTES * shape.num_params,
        "adapter": _BYTES * rank_of(engine.lora_rank) * sizes if engine.lora_rank else 0,
        "largest pass": max(prefill, _DRAWING_BYTES * engine.rows * shape.vocab_size),
    }


def cpu_bytes(shape: ModelShape, engine: Engine, value_bytes: int) -> dict[str, int]:
    """What vLLM takes of a machine's memory without a GPU, its weights of so many bytes each."""
    adapter = engine_bytes(shape, engine)["adapter"] * value_bytes // _BYTES
    return {
        "weights": value_bytes * shape.num_params,
        "adapter": adapter,
        "KV cache": cpu_cache_bytes(cache_bytes(shape, engine.max_length + CPU_BLOCK, value_bytes)),
    }


def cpu_cache_bytes(one_completion: int) -> int:
    """Of the KV cache without a GPU, fixed beforehand: 1 GiB, or one completion of full length where that is more."""
    return max(_CPU_CACHE_BYTES, one_completion)


def trainer_memory(shape: ModelShape, parts: Mapping[str, int], max_new_tokens: int) -> TrainerMemory:
    """What matters of the trainer's estimate.

    The comparison takes the logits of one completion: V values in 2 bytes, in 4 bytes, and their log-probs.

    Args:
        shape: Of the model.
        parts: `memory_estimate`, of a stage that does not sample itself.
        max_new_tokens: The budget of a completion.
    """
    held = sum(parts.get(name, 0) for name in ("weights", "optimizer", "reference"))
    return TrainerMemory(held, 10 * max_new_tokens * shape.vocab_size, sum(parts.values()))


def least_of_vllm(shape: ModelShape, engine: Engine) -> int:
    """Bytes that vLLM must have: what it takes beside the KV cache, and the cache of one completion of full length."""
    return sum(engine_bytes(shape, engine).values()) + cache_bytes(shape, engine.max_length)


def smallest_card(shape: ModelShape, engine: Engine, trainer: TrainerMemory) -> int:
    """Bytes of the smallest card on which both fit with the engine's share.

    With share u, vLLM's least E, the trainer's most T (held while vLLM samples: H), a GiB c for what no shape tells:

        awake   max(E / u, (T + c) / (1 - u))
        sleeps  max(E / u, (H + c) / (1 - u), T + c)
    """
    rest = 1 - engine.share
    needed = least_of_vllm(shape, engine) / engine.share
    if not engine.sleeps:
        return round(max(needed, (trainer.most + _RESERVE) / rest))
    return round(max(needed, (trainer.held + _RESERVE) / rest, trainer.most + _RESERVE))


def better_cut(shape: ModelShape, engine: Engine, trainer: TrainerMemory) -> Engine:
    """The engine with the share, in steps of 0.05, that lets both fit on the smallest card."""
    cuts = [replace(engine, share=twentieth / 20) for twentieth in range(1, 20)]
    return min(cuts, key=lambda cut: smallest_card(shape, cut, trainer))
