"""Stop strings for samplers that draw token by token: whether a completion's newest token finished one.

The meaning is vLLM's, so that every sampler stops at the same token: the text is decoded with its special tokens, and a
stop string counts where it ends within the newest token's text, past `min_new_tokens`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional

from rlvr.engine.sampling import SamplingParams

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_MARGIN = 8
"""Tokens decoded beyond the length of the longest stop string: some tokens have no text of their own."""


@dataclass(frozen=True)
class StopStrings:
    """The stop strings of one call."""

    tokenizer: "PreTrainedTokenizerBase"
    stop: tuple[str, ...]
    min_new_tokens: int

    @classmethod
    def of(cls, params: SamplingParams, tokenizer: "PreTrainedTokenizerBase | None") -> Optional["StopStrings"]:
        """Those that the parameters ask for, `None` where they ask for none."""
        if not params.stop:
            return None
        assert tokenizer is not None, "stop strings need a tokenizer"
        return cls(tokenizer, params.stop, params.min_new_tokens)

    def ended_by_the_last_of(self, token_ids: Sequence[int]) -> bool:
        """Whether the last token finished a stop string."""
        if len(token_ids) <= self.min_new_tokens:
            return False
        tail = list(token_ids[-(max(map(len, self.stop)) + _MARGIN) :])
        text, before = self._decoded(tail), len(self._decoded(tail[:-1]))
        return any(text.find(stop, max(0, before - len(stop) + 1)) >= 0 for stop in self.stop)

    def _decoded(self, token_ids: list[int]) -> str:
        return str(self.tokenizer.decode(token_ids, skip_special_tokens=False))
