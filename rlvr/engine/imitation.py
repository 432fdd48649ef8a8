"""TRL's `SFTTrainer` that also logs the loss of each channel, and that of the special tokens, apart from the whole.

A mean hides that one kind of task is not learned, or that the model never learns to end its turn. Nothing private of
TRL's is overridden: what its fused head returns is seen through a forward hook.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from trl import SFTTrainer

SPECIAL = "loss_special"
"""The logged loss of special and added tokens: ends of turns, tags that are one token."""


class ChannelTrainer(SFTTrainer):
    """SFT on ready-made tokens.

    The dataset has `input_ids`, `labels` and, where there are channels, `channels`: each token's, by its number.

    Args:
        channels: Their names; `loss/NAME` is logged for each that a step holds.
        special_ids: Tokens whose loss is logged as `loss_special`.
        **kwargs: Of `trl.SFTTrainer`.
    """

    def __init__(self, *, channels: Sequence[str], special_ids: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.channels = channels
        self.special_ids = torch.tensor(sorted(special_ids), device=self.accelerator.device)
        self.data_collator = _WithChannels(self.data_collator) if channels else self.data_collator
        self._log_probs_BT: torch.Tensor | None = None
        self._sums: dict[str, torch.Tensor] = defaultdict(lambda: torch.zeros(2, device=self.accelerator.device))
        model: Any = self.model
        fused = model.get_base_model() if hasattr(model, "get_base_model") else model
        fused.register_forward_hook(self._keep_log_probs)

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        channels_BT = inputs.pop("channels", None)
        labels_BT = inputs["labels"]
        loss = super().compute_loss(model, inputs, *args, **kwargs)
        if self._log_probs_BT is not None:
            self._add(self._log_probs_BT, labels_BT[:, 1:], None if channels_BT is None else channels_BT[:, 1:])
            self._log_probs_BT = None
        return loss

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        prefix = "" if self.model is None or self.model.training else "eval_"
        if "loss" in logs or "eval_loss" in logs:
            for name, (total, count) in self._sums.items():
                logs[prefix + name] = (total / count).item()
            self._sums.clear()
        super().log(logs, *args, **kwargs)

    def _keep_log_probs(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        log_probs = getattr(output, "log_probs", None)
        self._log_probs_BT = None if log_probs is None else log_probs.detach()

    @torch.no_grad()
    def _add(self, log_probs_BT: torch.Tensor, labels_BT: torch.Tensor, channels_BT: torch.Tensor | None) -> None:
        """Adds up the loss of the learned tokens by what they are."""
        learned_BT = labels_BT != -100
        parts = {SPECIAL: torch.isin(labels_BT, self.special_ids)}
        if channels_BT is not None:
            parts |= {f"loss/{name}": channels_BT == number for number, name in enumerate(self.channels)}
        for name, part_BT in parts.items():
            mask_BT = part_BT & learned_BT
            if count := mask_BT.sum():
                self._sums[name] += torch.stack([-log_probs_BT[mask_BT].float().sum(), count])


class _WithChannels:
    """TRL's collator, and beside what it makes the channels in the same shape."""

    def __init__(self, collate: Callable[..., dict[str, torch.Tensor]]) -> None:
        self.collate = collate

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        rows = [torch.tensor(example.pop("channels")) for example in examples]
        batch = self.collate(examples)
        if len(batch["labels"]) != len(rows):  # flattened into one row
            rows = [torch.cat(rows)]
        batch["channels"] = torch.full_like(batch["labels"], -1)
        for number, row in enumerate(rows):
            batch["channels"][number, : len(row)] = row
        return batch
