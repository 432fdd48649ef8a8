"""Peak memory of one update at real size, counted tensor by tensor without computing it, beside the estimate.

python benchmarks/counted_memory.py [--on-cpu]

Qwen2.5 networks of real shape as fake tensors (sizes without values), TRL's head, PEFT's adapters, AdamW's moments, two
forward and backward passes: the most bytes that live tensors had at once. As on a GPU, where a Triton kernel folds the
head's tiles in place; with --on-cpu as torch folds them. What it cannot see: the allocator's waste, kernels' workspaces
and the driver's context. Seconds a case, and no model is needed.
"""

import argparse
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from random_model import SHAPES, TIED, qwen2_config
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from rlvr.models.adapters import LoraSettings
from rlvr.models.memory import Arithmetic, Workload, memory_estimate
from rlvr.models.room import Lengths
from rlvr.models.shape import ModelShape

MIB = 2**20
LORA = LoraSettings(r=32, alpha=32)


@dataclass(frozen=True)
class Case:
    """One shape of update: `rows` of `prompt` + `completion` tokens, all weights or an adapter of r 32."""

    size: str
    lora: bool
    recomputes: bool
    bfloat16: bool = True
    rows: int = 4
    prompt: int = 304
    completion: int = 786


CASES = (
    Case("0.5B", lora=False, recomputes=False),
    Case("0.5B", lora=False, recomputes=True),
    Case("0.5B", lora=False, recomputes=True, rows=16),
    Case("0.5B", lora=False, recomputes=False, bfloat16=False),
    Case("0.5B", lora=True, recomputes=False),
    Case("0.5B", lora=True, recomputes=True),
    Case("1.5B", lora=True, recomputes=True),
    Case("7B", lora=True, recomputes=True, rows=2, prompt=448, completion=1600),
)


class LiveBytes(TorchDispatchMode):
    """Counts the storages of what operations return, from when they are made until they are freed."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._seen = WeakIdKeyDictionary()

    def add(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage not in self._seen:
            self._seen[storage] = size = storage.nbytes()
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._free, size)

    def _free(self, size: int) -> None:
        self.now -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self.add(leaf)
        return out


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--on-cpu", action="store_true")
    on_cpu = parser.parse_args().on_cpu
    if not on_cpu:
        _fold_in_place()
    print("| model | trained | arithmetic | recomputes | rows x tokens | counted (MiB) | estimate (MiB) | ratio |")
    print("|---|---|---|---|---|---:|---:|---:|")
    for case in CASES:
        counted, estimate = count(case), estimated(case, on_gpu=not on_cpu)
        cells = (
            case.size,
            "LoRA r 32" if case.lora else "all",
            "bfloat16" if case.bfloat16 else "float32",
            "yes" if case.recomputes else "no",
            f"{case.rows} x {case.prompt + case.completion:,}",
            f"{counted / MIB:,.0f}",
            f"{estimate / MIB:,.0f}",
            f"{estimate / counted:.2f}",
        )
        print(f"| {' | '.join(cells)} |", flush=True)


def count(case: Case) -> int:
    """The most bytes alive during two passes, weights, gradients and moments included."""
    with FakeTensorMode():
        model, forward = _model(case)
        trained = [weights for weights in model.parameters() if weights.requires_grad]
        live = LiveBytes()
        for weights in model.parameters():
            live.add(weights)
        moments = [torch.zeros_like(weights, dtype=torch.float32) for weights in trained for _ in range(2)]
        for moment in moments:
            live.add(moment)
        with live:
            for _ in range(2):  # the second finds the gradients of the first
                _update(case, forward)
    return live.peak


def estimated(case: Case, on_gpu: bool) -> int:
    """What `rlvr run --check` would say of it."""
    work = Workload(
        case.rows, 0, case.completion, LORA if case.lora else None, reference=False, recomputes=case.recomputes
    )
    arithmetic = Arithmetic(on_gpu=on_gpu, bfloat16=case.bfloat16)
    return sum(memory_estimate(_shape(case.size), work, Lengths(case.prompt, 0, True), arithmetic).values())


def _update(case: Case, forward: Callable[..., Any]) -> None:
    size = case.rows, case.prompt + case.completion
    ids, mask, labels = (torch.ones(size, dtype=torch.long) for _ in range(3))
    mask[0, 0] = 0
    labels[:, : case.prompt] = -100
    with torch.autocast("cpu", torch.bfloat16, enabled=case.bfloat16):
        out = forward(input_ids=ids, attention_mask=mask, labels=labels, fused_lm_head=True)
    (-out.log_probs.mean()).backward()


def _model(case: Case) -> tuple[torch.nn.Module, Callable[..., Any]]:
    """The network in training, and its forward with TRL's head."""
    from peft import get_peft_model
    from transformers import Qwen2ForCausalLM
    from trl.trainer.utils import add_fused_lm_head

    from rlvr.models.adapters import peft_config

    config = qwen2_config(case.size)
    torch.set_default_dtype(torch.bfloat16 if case.lora else torch.float32)
    model: Any = Qwen2ForCausalLM(config)
    torch.set_default_dtype(torch.float32)
    if case.recomputes:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.enable_input_require_grads()
    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    if case.lora:
        settings = peft_config(LORA)
        assert settings is not None
        with _no_conversion():
            get_peft_model(model, settings, autocast_adapter_dtype=False)
    return model.train(), model


@contextmanager
def _no_conversion() -> Iterator[None]:
    """PEFT moves adapters to the base's device and precision, where fake ones cannot follow: they stay in float32."""
    before = torch.nn.Module.to
    torch.nn.Module.to = lambda module, *_, **__: module  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        torch.nn.Module.to = before


def _fold_in_place() -> None:
    """Leaves out what torch makes of a tile where Triton's kernel makes nothing, and what cuBLAS adds in place."""
    import trl.kernels.chunked_logprob as head

    head._forward_tile = head._backward_tile = head._addmm_fp32 = lambda *_, **__: None


def _shape(size: str) -> ModelShape:
    s = SHAPES[size]
    h, heads = s["hidden_size"], s["heads"]
    bare = ModelShape(
        0, 2, s["vocab"], h, s["intermediate_size"], s["layers"], heads, s["kv_heads"], h // heads, 32_768
    )
    matrices = sum(inputs * outputs for inputs, outputs in bare.linear_sizes)
    biases_and_norms = h + 2 * s["kv_heads"] * bare.head_dim + 2 * h
    embeddings = s["vocab"] * h * (1 if size in TIED else 2) + h
    num_params = s["layers"] * (matrices + biases_and_norms) + embeddings
    return replace(bare, num_params=num_params)


if __name__ == "__main__":
    main()
