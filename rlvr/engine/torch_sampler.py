"""The sampler that needs nothing but the model: any causal language model of transformers, in this process.

Each prompt is prefilled once for its whole group, and finished rows leave the batch. Every completion has a random
stream of its own, so that its tokens do not depend on what else is in the batch (up to floating-point rounding).

Shapes: P prompts, B rows (completions under way), T tokens, V vocabulary.
"""

import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import pad

from rlvr.engine.attention_cache import ATTENTION_KINDS, layer_kinds, make_roomy, positions
from rlvr.engine.drawing import distribution, draw, uniforms
from rlvr.engine.sampling import MAX_ROWS, Completion, FinishReason, Request, SamplingParams
from rlvr.engine.savings import Savings
from rlvr.engine.shared_decoding import SharedDecoder, SharedPrompt, can_share_decoding, shared_prompt
from rlvr.engine.stops import StopStrings
from rlvr.engine.token_record import Others, TokenRecord, beside
from rlvr_rewards.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from rlvr.engine.kept_products import KeptProducts  # which loads what trains

_SHRINK_BELOW = 0.75
"""Finished rows leave the batch once fewer than this share of it is still under way: dropping copies the cache."""


class TorchSampler:
    """Samples from a model in this process.

    Args:
        model: The policy; its weights are read at each call.
        eos_ids: Tokens that end a turn.
        pad_id: The padding token.
        max_rows: Most completions under way at once; more requests are worked off in turns.
        tokenizer: What stop strings are looked for with; only they need it.
        savings: What sampling leaves out.

    Attributes:
        products: Keeps what it multiplies, where there is room; at first none.

    Raises:
        UserError: The model keeps something else than keys and values of attention (whole, or of a sliding window).
    """

    def __init__(
        self,
        model: "PreTrainedModel",
        eos_ids: Sequence[int],
        pad_id: int,
        max_rows: int = MAX_ROWS,
        tokenizer: "PreTrainedTokenizerBase | None" = None,
        savings: Savings = Savings(),  # noqa: B008 (frozen)
    ) -> None:
        _refuse_recurrent(model)
        self.savings, self.shares = savings, savings.shared_decoding and can_share_decoding(model)
        self.model, self.pad_id, self.max_rows, self.tokenizer = model, pad_id, max_rows, tokenizer
        self.eos_ids = torch.tensor(sorted(set(eos_ids)), device=model.device)
        self.decoder: SharedDecoder | None = None
        self.products: KeptProducts | None = None
        self._kept: KeptProducts | None = None

    @torch.no_grad()
    def sample(self, requests: Sequence[Request], params: SamplingParams) -> list[list[Completion]]:
        """A group for each request, in order; see `Sampler`."""
        was_training = self.model.training
        self.model.eval()
        asked = requests
        if not self.savings.prefill_once:
            asked = [replace(request, seeds=[seed]) for request in requests for seed in request.seeds]
        self._kept = self.products if self._keeps(asked, params) else None
        keeping = self._kept and self._kept.keeping
        self.decoder = SharedDecoder(self.model, self.savings.prepack_weights, keeping) if self.shares else None
        try:
            found = [group for chunk in self._chunks(asked) for group in self._sample_chunk(chunk, params)]
        finally:
            self.decoder = self._kept = None  # its weights are those of now
            self.model.train(was_training)
        completions = itertools.chain.from_iterable(found)
        return [list(itertools.islice(completions, len(request.seeds))) for request in requests]

    def _keeps(self, requests: Sequence[Request], params: SamplingParams) -> bool:
        if self.products is None or not self.shares or not requests:
            return False
        prompts = len(requests) * max(len(request.prompt_ids) for request in requests)
        rows = sum(len(request.seeds) for request in requests)
        return self.products.reserve(prompts + rows * params.max_new_tokens)

    def _chunks(self, requests: Sequence[Request]) -> Iterator[list[Request]]:
        chunk: list[Request] = []
        rows = 0
        for request in requests:
            if chunk and rows + len(request.seeds) > self.max_rows:
                yield chunk
                chunk, rows = [], 0
            chunk.append(request)
            rows += len(request.seeds)
        if chunk:
            yield chunk

    def _sample_chunk(self, requests: list[Request], params: SamplingParams) -> list[list[Completion]]:
        batch = self._prefill(requests, params)
        self._draw_all(batch, params)
        if self._kept:
            batch.note_places(self._kept, requests)
        return batch.groups(requests)

    def _draw_all(self, batch: "_Batch", params: SamplingParams) -> None:
        for position in range(params.max_new_tokens):
            if position < params.min_new_tokens:
                batch.logits_BV[:, self.eos_ids] = -torch.inf
            tokens_B, logprobs_B = draw(batch.logits_BV, batch.uniforms_BT[:, position], params)
            if params.alternatives:
                logprobs_BV = distribution(batch.logits_BV, params)
                batch.note(beside(logprobs_BV, tokens_B.tolist(), params.alternatives))
            batch.record(tokens_B, logprobs_B, torch.isin(tokens_B, self.eos_ids))
            if position + 1 == params.max_new_tokens or not batch.shrink():
                break
            self._decode(batch)

    def _prefill(self, requests: list[Request], params: SamplingParams) -> "_Batch":
        started = time.perf_counter()
        ids_PT, mask_PT = self._left_padded([request.prompt_ids for request in requests])
        with self._kept.watching(ids_PT.numel()) if self._kept else nullcontext() as places:
            out = self.model(
                input_ids=ids_PT,
                attention_mask=mask_PT,
                position_ids=positions(mask_PT),
                use_cache=True,
                logits_to_keep=1,
            )
        seeds = [seed for request in requests for seed in request.seeds]
        prompt_of_row_B = torch.tensor(
            [index for index, request in enumerate(requests) for _ in request.seeds], device=ids_PT.device
        )
        cache, prompt = out.past_key_values, None
        if self.shares:
            prompt, cache = shared_prompt(cache, mask_PT, prompt_of_row_B)
        else:
            cache.batch_select_indices(prompt_of_row_B)
        if self.savings.cache_room:
            make_roomy(cache)
        return _Batch(
            cache=cache,
            prompt=prompt,
            logits_BV=out.logits[:, -1].float()[prompt_of_row_B],
            mask_BT=mask_PT[prompt_of_row_B],
            uniforms_BT=uniforms(seeds, params.max_new_tokens).to(ids_PT.device),
            rows_B=torch.arange(len(seeds), device=ids_PT.device),
            started=started,
            token_ids=[[] for _ in seeds],
            logprobs=[[] for _ in seeds],
            seconds=[None] * len(seeds),
            stops=StopStrings.of(params, self.tokenizer),
            shrinks=self.savings.drop_finished,
            notes=[TokenRecord() for _ in seeds] if params.alternatives else None,
            places_BT=None if places is None else _with_room(places.view_as(ids_PT)[prompt_of_row_B], params),
        )

    def _decode(self, batch: "_Batch") -> None:
        positions_B = batch.mask_BT.sum(-1)
        batch.mask_BT = torch.cat([batch.mask_BT, batch.mask_BT.new_ones(len(batch.mask_BT), 1)], dim=1)
        if batch.places_BT is not None and self._kept:
            batch.places_BT[batch.rows_B, batch.mask_BT.shape[1] - 1] = self._kept.places(len(batch.rows_B))
        if batch.prompt is not None and self.decoder is not None:
            batch.logits_BV = self.decoder.logits(batch.tokens_B, positions_B, batch.cache, batch.prompt)
            return
        out = self.model(
            input_ids=batch.tokens_B[:, None],
            attention_mask=batch.mask_BT,
            position_ids=positions_B[:, None],
            past_key_values=batch.cache,
            use_cache=True,
        )
        batch.logits_BV = out.logits[:, -1].float()

    def _left_padded(self, prompts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        longest = max(map(len, prompts))
        ids = [[self.pad_id] * (longest - len(prompt)) + list(prompt) for prompt in prompts]
        mask = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        return torch.tensor(ids, device=self.model.device), torch.tensor(mask, device=self.model.device)


@dataclass
class _Batch:
    """The completions under way, and what was drawn so far for every completion of the chunk."""

    cache: Any
    prompt: SharedPrompt | None
    logits_BV: torch.Tensor
    mask_BT: torch.Tensor
    uniforms_BT: torch.Tensor
    rows_B: torch.Tensor
    started: float
    token_ids: list[list[int]]
    logprobs: list[list[float]]
    seconds: list[float | None]
    stops: StopStrings | None
    shrinks: bool
    notes: list[TokenRecord] | None
    places_BT: torch.Tensor | None
    tokens_B: torch.Tensor = field(default_factory=lambda: torch.empty(0))

    def note(self, found: Sequence[tuple[float, Others]]) -> None:
        """Keeps what is recorded beside the tokens drawn next; called before they are recorded themselves."""
        for row, (entropy, others) in zip(self.rows_B.tolist(), found, strict=True):
            if self.notes and self.seconds[row] is None:
                self.notes[row].add(entropy, others)

    def record(self, tokens_B: torch.Tensor, logprobs_B: torch.Tensor, ended_B: torch.Tensor) -> None:
        self.tokens_B = tokens_B
        elapsed = time.perf_counter() - self.started
        drawn = zip(self.rows_B.tolist(), tokens_B.tolist(), logprobs_B.tolist(), ended_B.tolist(), strict=True)
        for row, token, logprob, ended in drawn:
            if self.seconds[row] is None:
                self.token_ids[row].append(token)
                self.logprobs[row].append(logprob)
                if ended or (self.stops and self.stops.ended_by_the_last_of(self.token_ids[row])):
                    self.seconds[row] = elapsed

    def shrink(self) -> bool:
        """Drops finished rows where enough have finished; False where none is left."""
        alive = [index for index, row in enumerate(self.rows_B.tolist()) if self.seconds[row] is None]
        if self.shrinks and alive and len(alive) < _SHRINK_BELOW * len(self.rows_B):
            keep_B = torch.tensor(alive, device=self.rows_B.device)
            self.cache.batch_select_indices(keep_B)
            self.prompt = self.prompt and self.prompt.select(keep_B)
            self.rows_B, self.tokens_B = self.rows_B[keep_B], self.tokens_B[keep_B]
            self.mask_BT, self.uniforms_BT = self.mask_BT[keep_B], self.uniforms_BT[keep_B]
        return bool(alive)

    def note_places(self, products: "KeptProducts", requests: Sequence[Request]) -> None:
        """Says where the products of each row are, of its prompt's tokens and its own."""
        assert self.places_BT is not None
        longest = max(len(request.prompt_ids) for request in requests)
        prompts = (request.prompt_ids for request in requests for _ in request.seeds)
        for prompt, ids, places_T in zip(prompts, self.token_ids, self.places_BT, strict=True):
            products.note([*prompt, *ids], places_T[longest - len(prompt) : longest + len(ids) - 1])

    def groups(self, requests: Sequence[Request]) -> list[list[Completion]]:
        total = time.perf_counter() - self.started
        notes = self.notes or [None] * len(self.seconds)
        completions = iter(
            Completion(
                ids,
                logprobs,
                FinishReason.LENGTH if seconds is None else FinishReason.STOP,
                seconds or total,
                note and note.entropies,
                note and note.alternatives,
            )
            for ids, logprobs, seconds, note in zip(self.token_ids, self.logprobs, self.seconds, notes, strict=True)
        )
        return [[next(completions) for _ in request.seeds] for request in requests]


def _refuse_recurrent(model: "PreTrainedModel") -> None:
    """A recurrent state (Mamba, Qwen3-Next) cannot be spread over a group or shrunk as an attention cache can."""
    if unfit := layer_kinds(model) - ATTENTION_KINDS:
        names = ", ".join(sorted(kind.__name__ for kind in unfit))
        raise UserError(
            f"a model of type {model.config.model_type} cannot be sampled from here, since it keeps a state that is no "
            f"attention cache ({names}): take one with attention in every layer, such as Qwen3, Llama or Gemma 3"
        )


def _with_room(places_BT: torch.Tensor, params: SamplingParams) -> torch.Tensor:
    """Places of prompts, with columns for those of what is drawn."""
    return pad(places_BT, (0, params.max_new_tokens), value=-1)
