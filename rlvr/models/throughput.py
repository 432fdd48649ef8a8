"""How long a GRPO step takes on paper, and where its time goes: arithmetic from shapes and a card's data sheet.

It says what is worth buying or moving, not what a stopwatch will say: kernels, launches, waiting and padding are all in
two shares of the peak, `COMPUTE_SHARE` and `MEMORY_SHARE`, which are assumptions. Small models are slower than that.
Not here: memory (`memory`, `vllm_memory`), and anything measured.
"""

from dataclasses import dataclass
from math import ceil

from rlvr.models.memory import Workload, recomputes_activations, trained_params
from rlvr.models.shape import ModelShape

COMPUTE_SHARE, MEMORY_SHARE = 0.4, 0.6
"""Of the peaks of a data sheet; assumed."""


@dataclass(frozen=True)
class Card:
    """A GPU as its maker describes it.

    Attributes:
        flops: Dense bfloat16 operations a second.
        bytes_per_s: Of its memory.
    """

    name: str
    memory: int
    flops: float
    bytes_per_s: float


CARDS = (
    Card("RTX 4090", 24 * 10**9, 165e12, 1.008e12),
    Card("H100 SXM", 80 * 10**9, 989e12, 3.35e12),
)


@dataclass(frozen=True)
class Batch:
    """What one process does in a step.

    Attributes:
        groups: Prompts.
        group_size: Completions of each.
        prompt: Tokens of a prompt.
        completion: Tokens of a completion.
    """

    groups: int
    group_size: int
    prompt: int
    completion: int

    @property
    def rows(self) -> int:
        return self.groups * self.group_size


@dataclass(frozen=True)
class StepOnPaper:
    """Seconds of a step on one card, and what follows from them.

    Attributes:
        sample_s: For all completions, with a KV cache.
        update_s: For the forward and backward pass, and what is recomputed between.
        sync_bytes: Weights that a sampler in another process is given, in bfloat16.
        sampled_tokens: In a step.
    """

    sample_s: float
    update_s: float
    sync_bytes: int
    sampled_tokens: int

    @property
    def busy_tokens_per_s(self) -> float:
        """Sampled tokens a second that keep one training card busy."""
        return self.sampled_tokens / self.update_s

    @property
    def samplers_per_trainer(self) -> float:
        """Cards that sample, for each that trains, so that neither waits."""
        return self.sample_s / self.update_s

    def bottleneck(self, link_bytes_per_s: float) -> str:
        """What most of a step's time goes to, with weights sent over a link of so many bytes a second."""
        times = {
            "sampling": self.sample_s,
            "the update": self.update_s,
            "sending weights": self.sync_bytes / link_bytes_per_s,
        }
        return max(times, key=lambda what: times[what])


def step_on_paper(shape: ModelShape, work: Workload, batch: Batch, card: Card) -> StepOnPaper:
    """The seconds of a step.

    With M weights in matrices that a token goes through (the layers' and the head's), N weights in all, L layers, Q
    query and K key-value heads of d values, R rows of P prompt and C completion tokens, T = P + C:

        forward of a token   f = 2 M + 2 L Q d T                 operations (of causal attention the mean, T / 2 keys)
        update               R T k f / (COMPUTE_SHARE flops)     k = 3; 2 with an adapter, whose base takes no gradient;
                                                                 1 more where activations are recomputed
        prefill              groups P f / (COMPUTE_SHARE flops)
        a decoding step      the slower of R f / (COMPUTE_SHARE flops) and
                             (2 N + R (P + C / 2) L 4 K d) / (MEMORY_SHARE bytes_per_s)

    Args:
        shape: Of the model.
        work: Of the stage.
        batch: Of one process.
        card: That it is done on.
    """
    tokens = batch.prompt + batch.completion
    forward = 2 * (shape.layer_params + shape.vocab_size * shape.hidden_size)
    forward += 2 * shape.num_layers * shape.num_heads * shape.head_dim * tokens
    compute, memory = COMPUTE_SHARE * card.flops, MEMORY_SHARE * card.bytes_per_s
    recomputes = recomputes_activations(shape) if work.recomputes is None else work.recomputes
    passes = (2 if work.lora else 3) + recomputes
    cached = (batch.prompt + batch.completion / 2) * shape.num_layers * 4 * shape.num_kv_heads * shape.head_dim
    decoding_s = max(batch.rows * forward / compute, (2 * shape.num_params + batch.rows * cached) / memory)
    return StepOnPaper(
        sample_s=batch.groups * batch.prompt * forward / compute + batch.completion * decoding_s,
        update_s=batch.rows * tokens * passes * forward / compute,
        sync_bytes=2 * shape.num_params,
        sampled_tokens=batch.rows * batch.completion,
    )


def states_bytes(shape: ModelShape, work: Workload, num_shards: int = 1) -> int:
    """Weights, gradients and AdamW's moments in float32 on one of the devices that share them (FSDP2); 1: all of it."""
    trained = trained_params(shape, work)
    frozen = 2 * shape.num_params if work.lora else 0
    return ceil((16 * trained + frozen) / num_shards)
