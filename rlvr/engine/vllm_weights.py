"""How a model's weights come into a vLLM engine of this process: all of them, or, once its base is there, an adapter.

A LoRA adapter is hot-loaded where vLLM takes it: the base is copied once, and each version of the adapter is a few
matrices. Otherwise it is merged for the time of a copy, and everything is pushed. Which of the two was right shows in
the comparison of log-probs (`vllm_guard`). Not here: how the engine is loaded (`vllm_engine`), and servers.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from rlvr.models.vllm_memory import RANKS

MAX_RANK = RANKS[-1]


class WeightSync(Protocol):
    """Makes an engine's weights those of a model."""

    @property
    def request(self) -> Any:
        """What each completion must be asked for with: vLLM's `LoRARequest`, or `None`."""
        ...

    def push(self, model: Any, llm: Any) -> None:
        """Brings the weights as they are now, and forgets what was cached under those before."""
        ...


class WholeModel:
    """Every weight at every push; an adapter is merged for the time of the copy."""

    request = None

    def push(self, model: Any, llm: Any) -> None:
        _load(llm, named_weights(model))


class HotAdapter:
    """The base once, then the adapter alone, as a PEFT folder in temporary files that each version replaces."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="rlvr-adapter-")
        self._has_base = False

    @property
    def request(self) -> Any:
        from vllm.lora.request import LoRARequest  # pyright: ignore[reportMissingImports]

        return LoRARequest("policy", 1, self._folder.name)

    def push(self, model: Any, llm: Any) -> None:
        from vllm.lora.request import LoRARequest  # pyright: ignore[reportMissingImports]

        if not self._has_base:
            _load(llm, base_weights(model))
        save_adapter(model, Path(self._folder.name))
        llm.llm_engine.add_lora(LoRARequest("policy", 1, self._folder.name, load_inplace=True))
        llm.reset_prefix_cache()
        self._has_base = True


def why_merged(model: Any) -> str | None:
    """Why vLLM cannot take a PEFT model's adapter as it is; `None` where it can."""
    settings = model.peft_config[model.active_adapter]
    if settings.use_dora or settings.modules_to_save or settings.bias != "none":
        return "its adapter is more than two matrices a layer"
    targets = settings.target_modules
    if not isinstance(targets, str) and {"lm_head", "embed_tokens"} & {name.rpartition(".")[2] for name in targets}:
        return "its adapter changes the embedding or the head"
    return None


def named_weights(model: Any) -> Iterator[tuple[str, Any]]:
    """Every weight under the name that it has in a checkpoint; of a PEFT model, those of the base with the update."""
    if not hasattr(model, "merge_adapter"):
        yield from ((name, weight.data) for name, weight in model.named_parameters())
        return
    model.merge_adapter()
    try:
        yield from base_weights(model)
    finally:
        model.unmerge_adapter()


def base_weights(model: Any) -> Iterator[tuple[str, Any]]:
    """The weights of a PEFT model that are not its adapter's, under the names that they have in a checkpoint."""
    for name, weight in model.named_parameters():
        if model.prefix not in name and "original_module" not in name:
            name = name.removeprefix("base_model.model.").replace(".base_layer", "")
            yield name.replace("modules_to_save.default.", ""), _dense(weight)


def save_adapter(model: Any, folder: Path) -> None:
    """Writes the adapter of a PEFT model as PEFT does, without the model card and the look at the hub."""
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    weights = get_peft_model_state_dict(model, save_embedding_layers=False)
    save_file({name: weight.contiguous() for name, weight in weights.items()}, folder / "adapter_model.safetensors")
    model.peft_config[model.active_adapter].save_pretrained(str(folder))


def _load(llm: Any, weights: Iterator[tuple[str, Any]]) -> None:
    llm.llm_engine.model_executor.driver_worker.model_runner.model.load_weights(weights)
    llm.reset_prefix_cache()


def _dense(weight: Any) -> Any:
    """The weight's numbers; those of a 4-bit base unpacked, which vLLM holds in full."""
    if not hasattr(weight, "quant_state"):
        return weight.data
    from bitsandbytes.functional import dequantize_4bit  # pyright: ignore[reportMissingImports]

    return dequantize_4bit(weight.data, weight.quant_state)
