"""How much memory a training stage needs on each device: an estimate from shapes alone, to be had before loading.

It counts what grows with the model and the batch, not the allocator's waste or the library's own few hundred MB. The
attention is taken to be fused (no T x T matrix is kept), and the head to be TRL's, which makes logits in tiles and
keeps none. The coefficients were read off Qwen2 networks, tensor by tensor (`benchmarks/counted_memory.py`), and those
of the norms of queries and keys off Qwen3.
"""

from dataclasses import dataclass
from pathlib import Path

from rlvr.engine.savings import MOST_PRODUCT_BYTES
from rlvr.models.adapters import LoraSettings
from rlvr.models.quantized import BYTES_PER_WEIGHT
from rlvr.models.room import Lengths
from rlvr.models.shape import ModelShape
from rlvr.models.spectrum import SpectrumSettings

_RECOMPUTES_FROM = 500_000_000
_TILE_TOKENS, _TILE_WORDS = 4096, 32_768
"""Most tokens and words of the vocabulary in one tile of TRL's head."""
_TILE_BYTES_CPU = 32
"""A value of a tile where no Triton kernel folds it: itself and what torch makes of it on the way."""


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
        recomputes: TRL's `gradient_checkpointing`, where it was set; otherwise the device and the model decide.
        kept_prompts, kept_rows: Prompts and completions of a step whose products are kept for the update, on a CPU; at
            most, since not of every type of model are they.
    """

    rows: int
    sampled_rows: int
    max_new_tokens: int | None
    lora: LoraSettings | None
    reference: bool
    optimizer: str = "adamw"
    recomputes: bool | None = None
    spectrum: SpectrumSettings | None = None
    kept_prompts: int = 0
    kept_rows: int = 0


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
        activations  B T L s        with s = 40 h + 16 m in float32, 34 h + 8 m in bfloat16 (norms stay in float32);
                                    where queries and keys have norms, 8 (Q + K) d more, or 6 (Q + K) d
                     B T (L h b + s)   where they are recomputed (on a GPU, N >= 500 M), b bytes a value between layers
        copies       2 a weight of the layers (in bfloat16 of weights in float32, kept for the backward pass)
        head         min(B T, 4096) min(V, 32768) a, 32 instead of a on a CPU; and 4 V h where it is trained
        cache        5/4 B_s T L a 2 K d                 (while sampling B_s completions, with room to grow)
        decoding     B_s max(16 V, T a 2 Q d)            (logits and what is drawn from; or, where the Q heads share
                                                         keys and values, those of one layer, spread over them)
        prepacked    4 a weight of the layers and of the head    (on a CPU, while sampling)
        products     4 L f (prompts P + B C)     (of a step, on a CPU, without an adapter and with activations as they
                                    are; f outputs of a layer's matrices; none where it were more than 1 GiB)

    Args:
        shape: Of the model.
        work: Of the stage.
        lengths: Of the prompts and golds.
        arithmetic: Of the device; a is 2 in bfloat16, 4 in float32.
    """
    weights = _weight_bytes(shape, work.lora)
    trained = trained_params(shape, work)
    completion = lengths.gold if work.max_new_tokens is None else work.max_new_tokens
    tokens = lengths.prompt + completion
    keeps_products = arithmetic == CPU and work.lora is None and not work.recomputes
    outputs = shape.num_layers * sum(out for _, out in shape.linear_sizes)
    products = 4 * outputs * (work.kept_prompts * lengths.prompt + work.kept_rows * completion)
    parts = {
        "weights": weights + (4 * trained if work.lora else 0),
        "gradients": 4 * trained,
        "optimizer": (2 if "8bit" in work.optimizer else 8) * trained,
        "reference": weights if work.reference and not work.lora else 0,
        "products": products if keeps_products and products <= MOST_PRODUCT_BYTES else 0,
    }
    update = _update_bytes(shape, work, tokens, arithmetic)
    sampling = _sampling_bytes(shape, work.sampled_rows, tokens, arithmetic)
    return parts | max(update, sampling, key=lambda found: sum(found.values()))


def _update_bytes(shape: ModelShape, work: Workload, tokens: int, arithmetic: Arithmetic) -> dict[str, int]:
    h, m, rows = shape.hidden_size, shape.mlp_size, work.rows * tokens
    in_32_bits = work.lora is None
    normed = (shape.num_heads + shape.num_kv_heads) * shape.head_dim if shape.norms_heads else 0
    layer = 34 * h + 8 * m + 6 * normed if arithmetic.bfloat16 else 40 * h + 16 * m + 8 * normed
    recomputes = work.recomputes
    if recomputes is None:
        recomputes = arithmetic.on_gpu and recomputes_activations(shape)
    between = 4 if in_32_bits or not arithmetic.bfloat16 else 2
    kept = shape.num_layers * h * between + layer if recomputes else shape.num_layers * layer
    tile_bytes = (2 if arithmetic.bfloat16 else 4) if arithmetic.on_gpu else _TILE_BYTES_CPU
    tile = min(rows, _TILE_TOKENS) * min(shape.vocab_size, _TILE_WORDS) * tile_bytes
    copied = in_32_bits and arithmetic.bfloat16 and not recomputes
    trains_head = in_32_bits and (work.spectrum is None or work.spectrum.embeddings)
    return {
        "activations": rows * kept,
        "copies": 2 * shape.layer_params if copied else 0,
        "head": tile + (4 * shape.vocab_size * h if trains_head else 0),
    }


def _sampling_bytes(shape: ModelShape, rows: int, tokens: int, arithmetic: Arithmetic) -> dict[str, int]:
    token = 2 * (2 if arithmetic.bfloat16 else 4) * shape.head_dim
    spread = tokens * token * shape.num_heads if shape.num_kv_heads < shape.num_heads else 0
    packs = rows > 0 and arithmetic == CPU
    return {
        "cache": rows * tokens * shape.num_layers * token * shape.num_kv_heads * 5 // 4,
        "decoding": rows * max(16 * shape.vocab_size, spread),
        "prepacked": 4 * (shape.layer_params + shape.vocab_size * shape.hidden_size) if packs else 0,
    }


def recomputes_activations(shape: ModelShape) -> bool:
    """Whether a GPU recomputes activations: from 500 M parameters on; smaller ones fit as they are."""
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
