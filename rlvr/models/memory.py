"""How much memory a training stage needs on each device: an estimate from shapes alone, to be had before loading.

It counts what grows with the model and the batch, not the allocator's waste or the library's own few hundred MB. The
attention is taken to be fused (no T x T matrix is kept). Off by some tens of percent is to be expected.
"""

from dataclasses import dataclass
from pathlib import Path

from rlvr.models.adapters import LoraSettings
from rlvr.models.quantized import BYTES_PER_WEIGHT
from rlvr.models.room import Lengths
from rlvr.models.shape import ModelShape
from rlvr.models.spectrum import SpectrumSettings

_RECOMPUTES_FROM = 500_000_000


@dataclass(frozen=True)
class Workload:
    """What a training stage holds at once on one device.

    Attributes:
        rows: Rows of one forward and backward pass.
        sampled_rows: Completions under way at once while sampling; 0 where none are sampled.
        max_new_tokens: The most tokens of a completion; `None`: as many as the longest gold has.
        lora: The adapter that is trained, if one is.
        spectrum: Which of the weights are trained, where it is neither an adapter nor all of them.
        reference: Whether a second, frozen copy of the model is kept (KL to it, without an adapter).
        optimizer: TRL's `optim`; names with `8bit` keep a byte a moment.
    """

    rows: int
    sampled_rows: int
    max_new_tokens: int | None
    lora: LoraSettings | None
    reference: bool
    optimizer: str = "adamw"
    spectrum: SpectrumSettings | None = None


@dataclass(frozen=True)
class Arithmetic:
    """What a training stage computes with.

    Attributes:
        on_gpu: On a GPU, where large models recompute activations; otherwise on the CPU, where none does.
        bfloat16: In bfloat16; otherwise in float32.
    """

    on_gpu: bool
    bfloat16: bool

    def __str__(self) -> str:
        return f"{'bfloat16' if self.bfloat16 else 'float32'} on {'a GPU' if self.on_gpu else 'the CPU'}"


CPU, GPU = Arithmetic(on_gpu=False, bfloat16=False), Arithmetic(on_gpu=True, bfloat16=True)
_GPU_DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")


def likely_arithmetic() -> tuple[Arithmetic, ...]:
    """What a stage may be computed with: the GPU where there seems to be one, else the CPU here or a GPU elsewhere.

    It looks for the driver's files (NVIDIA, ROCm, WSL), since asking torch takes seconds.
    """
    return (GPU,) if any(Path(device).exists() for device in _GPU_DEVICES) else (CPU, GPU)


def memory_estimate(
    shape: ModelShape, work: Workload, lengths: Lengths, arithmetic: Arithmetic = GPU
) -> dict[str, int]:
    """Bytes by what they are for; those of sampling and updating take turns, so that only the larger one counts.

    With N weights of w bytes, N' trained ones, L layers, B rows of T = prompt + completion tokens (C of completion),
    hidden size h, MLP width m, vocabulary V, K key-value heads of d values, and a bytes an activation:

        weights      N w            (w = 4 where the model's own are trained, as saved with an adapter; 0.516 in the
                                    layers of QLoRA's base) + 4 N' of an adapter
        gradients    4 N'
        optimizer    2 * 4 N'       (AdamW's two moments; 2 N' in 8 bits)
        reference    N w            (KL without an adapter)
        activations  B T L a (8 h + 4 m); recomputed (on a GPU, N >= 500 M): B T a (L h + 8 h + 4 m)
        logits       B C 2 * 4 V    (float32, and their gradient)
        cache        B_s T L a 2 K d   (while sampling B_s completions)

    Args:
        shape: Of the model.
        work: Of the stage.
        lengths: Of the prompts and golds.
        arithmetic: Of the device; a is 2 in bfloat16, 4 in float32.
    """
    activation_bytes = 2 if arithmetic.bfloat16 else 4
    weights = _weight_bytes(shape, work.lora)
    trained = trained_params(shape, work)
    completion = lengths.gold if work.max_new_tokens is None else work.max_new_tokens
    tokens = lengths.prompt + completion
    layer = 8 * shape.hidden_size + 4 * shape.mlp_size
    kept = layer * shape.num_layers
    if arithmetic.on_gpu and recomputes_activations(shape):
        kept = shape.num_layers * shape.hidden_size + layer
    parts = {
        "weights": weights + (4 * trained if work.lora else 0),
        "gradients": 4 * trained,
        "optimizer": (2 if "8bit" in work.optimizer else 8) * trained,
        "reference": weights if work.reference and not work.lora else 0,
    }
    update = {
        "activations": work.rows * tokens * kept * activation_bytes,
        "logits": work.rows * completion * 8 * shape.vocab_size,
    }
    cache = work.sampled_rows * tokens * shape.num_layers * activation_bytes * 2 * shape.num_kv_heads * shape.head_dim
    sampling = {"cache": cache}
    return parts | (update if sum(update.values()) >= cache else sampling)


def recomputes_activations(shape: ModelShape) -> bool:
    """Whether a GPU recomputes activations: from 500 M parameters on; in smaller models the logits fill the memory."""
    return shape.num_params >= _RECOMPUTES_FROM


def _weight_bytes(shape: ModelShape, lora: LoraSettings | None) -> int:
    if lora is None:
        return 4 * shape.num_params
    layers = shape.layer_params if lora.qlora else 0
    return round((shape.num_params - layers) * shape.bytes_per_weight + layers * BYTES_PER_WEIGHT)


def trained_params(shape: ModelShape, work: Workload) -> int:
    """How many weights a stage trains: an adapter's, Spectrum's share, or all.

    Of a list that Spectrum was given only the stage itself knows what it names: it counts as all.
    """
    if work.lora:
        return lora_params(shape, work.lora)
    if work.spectrum is None or work.spectrum.parameters:
        return shape.num_params
    others = shape.num_params - shape.layer_params if work.spectrum.embeddings else 0
    return round(shape.layer_params * work.spectrum.top_percent / 100) + others


def lora_params(shape: ModelShape, lora: LoraSettings) -> int:
    """Weights of an adapter on every matrix of every layer: r (inputs + outputs) each, a DoRA's outputs more.

    Named target modules may be fewer, which makes this an upper bound.
    """
    magnitudes = sum(outputs for _, outputs in shape.linear_sizes) if lora.dora else 0
    return shape.num_layers * (magnitudes + sum(lora.r * (inputs + outputs) for inputs, outputs in shape.linear_sizes))
