"""What makes sampling and the update faster, and changes rounding and memory alone; each can be turned off."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Savings:
    """Which are made.

    Attributes:
        share_prompts: The update computes the prompt of a group once, where the model's attention allows it
            (`rlvr.engine.packed_attention`).
        trim_padding: Rows go through the update in passes of similar length, without padding where prompts are shared,
            otherwise each cut to its longest.
        skip_zero_variance: Rows without an advantage, or masked whole, do not go through the update.
        keep_products: What the torch sampler multiplied in shared decoding is kept for the update, which multiplies in
            its backward pass alone then (`rlvr.engine.kept_products`); with
            `share_prompts` and `trim_padding`.
        prefill_once: The torch sampler passes a prompt through the model once for its group.
        shared_decoding: It decodes in few operations, which read a group's prompt together, where the model allows it
            (`rlvr.engine.shared_decoding`).
        prepack_weights: Where it does, it has a copy of the weights as products of few rows read them
            (`rlvr.engine.prepacked`).
        drop_finished: Finished completions leave its batch.
        cache_room: Its keys and values are written into room made before, not copied at each token.
    """

    share_prompts: bool = True
    trim_padding: bool = True
    skip_zero_variance: bool = True
    keep_products: bool = True
    prefill_once: bool = True
    shared_decoding: bool = True
    prepack_weights: bool = True
    drop_finished: bool = True
    cache_room: bool = True

    @property
    def keeps_for_update(self) -> bool:
        """Whether sampling keeps what it multiplies, where the model and its training allow it."""
        return self.keep_products and self.shared_decoding and self.share_prompts and self.trim_padding


MOST_PRODUCT_BYTES = 2**30
"""What `keep_products` takes at most; where a step's do not fit, they are made again."""

OF_TORCH_SAMPLER = (
    "keep_products",
    "prefill_once",
    "shared_decoding",
    "prepack_weights",
    "drop_finished",
    "cache_room",
)
"""Those that vLLM knows nothing of."""
