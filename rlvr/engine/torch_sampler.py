"""The sampler that needs nothing but the model: any causal language model of transformers, in this process.

Each prompt is prefilled once for its whole group, and finished rows leave the batch. Every completion has a random
stream of its own, so that its tokens do not depend on what else is in the batch (up to floating-point rounding).

Shapes: P prompts, B rows (completions under way), T tokens, V vocabulary.
"""

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch

from rlvr.engine.attention_cache import ATTENTION_KINDS, layer_kinds, make_roomy, positions
from rlvr.engine.sampling import MAX_ROWS, Completion, FinishReason, Request, SamplingParams
from rlvr.engine.savings import Savings
from rlvr.engine.shared_decoding import SharedDecoder, SharedPrompt, can_share_decoding, shared_prompt
from rlvr.engine.stops import StopStrings
from rlvr.engine.token_record import Others, TokenRecord, beside
from rlvr_rewards.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

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

    @torch.no_grad()
    def sample(self, requests: Sequence[Request], params: SamplingParams) -> list[list[Completion]]:
        """A group for each request, in order; see `Sampler`."""
        was_training = self.model.training
        self.model.eval()
        self.decoder = SharedDecoder(self.model, self.savings.prepack_weights) if self.shares else None
        asked = requests
        if not self.savings.prefill_once:
            asked = [replace(request, seeds=[seed]) for request in requests for seed in request.seeds]
        try:
            found = [group for chunk in self._chunks(asked) for group in self._sample_chunk(chunk, params)]
        finally:
            self.decoder = None  # its weights are those of now
            self.model.train(was_training)
        completions = itertools.chain.from_iterable(found)
        return [list(itertools.islice(completions, len(request.seeds))) for request in requests]

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
            uniforms_BT=_uniforms(seeds, params.max_new_tokens).to(ids_PT.device),
            rows_B=torch.arange(len(seeds), device=ids_PT.device),
            started=started,
            token_ids=[[] for _ in seeds],
            logprobs=[[] for _ in seeds],
            seconds=[None] * len(seeds),
            stops=StopStrings.of(params, self.tokenizer),
            shrinks=self.savings.drop_finished,
            notes=[TokenRecord() for _ in seeds] if params.alternatives else None,
        )

    def _decode(self, batch: "_Batch") -> None:
        positions_B = batch.mask_BT.sum(-1)
        batch.mask_BT = torch.cat([batch.mask_BT, batch.mask_BT.new_ones(len(batch.mask_BT), 1)], dim=1)
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


def draw(
    logits_BV: torch.Tensor, uniforms_B: torch.Tensor, params: SamplingParams
) -> tuple[torch.Tensor, torch.Tensor]:
    """One token a row and its log-prob: by inversion of the distribution's cumulative sum at a uniform number."""
    logprobs_BV = distribution(logits_BV, params)
    if params.temperature == 0:
        tokens_B = logprobs_BV.argmax(-1)
    else:
        cumulative_BV = logprobs_BV.exp().cumsum(-1)
        targets_B1 = uniforms_B[:, None] * cumulative_BV[:, -1:]
        tokens_B = (
            torch.searchsorted(cumulative_BV, targets_B1, right=True).squeeze(-1).clamp(max=logits_BV.size(-1) - 1)
        )
    return tokens_B, logprobs_BV.gather(-1, tokens_B[:, None]).squeeze(-1)


def distribution(logits_BV: torch.Tensor, params: SamplingParams) -> torch.Tensor:
    """Log-probs (B, V) of what a token is drawn from; of greedy sampling those under temperature 1."""
    if params.temperature == 0:
        return logits_BV.log_softmax(-1)
    return restricted(logits_BV / params.temperature, params).log_softmax(-1)


def restricted(logits_BV: torch.Tensor, params: SamplingParams) -> torch.Tensor:
    """Logits with the tokens that min-p, top-k or top-p leave out at minus infinity; in this order, which is vLLM's."""
    if params.top_k == 0 and params.top_p == 1.0 and params.min_p == 0.0:
        return logits_BV
    from transformers import LogitsProcessorList, MinPLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    warpers = LogitsProcessorList()
    if params.min_p > 0:
        warpers.append(MinPLogitsWarper(params.min_p))
    if params.top_k:
        warpers.append(TopKLogitsWarper(params.top_k))
    if params.top_p < 1:
        warpers.append(TopPLogitsWarper(params.top_p))
    return warpers(torch.empty(0, dtype=torch.long), logits_BV)  # pyright: ignore[reportArgumentType]


def _uniforms(seeds: Sequence[int], num_tokens: int) -> torch.Tensor:
    """A row of uniform numbers in [0, 1) for each seed, made on the CPU so that every device draws the same."""
    return torch.stack([torch.rand(num_tokens, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
