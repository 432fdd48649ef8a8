"""The sampler that uses vLLM (colocate: in this process, on the trainer's device) behind the protocol of `sampling`.

Each request has a random stream of its own, from its seed; a group's prompt is computed once, by vLLM's prefix cache.
Where vLLM differs from `TorchSampler`: the streams are others, so equal seeds give other completions; a temperature
under 0.01 counts as 0.01.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from rlvr.engine.sampling import MAX_ROWS, Completion, FinishReason, Request, SamplingParams
from rlvr.engine.token_record import Others, others_of
from rlvr.engine.vllm_engine import (
    EngineSettings,
    close_engine,
    free_share,
    gpu_bytes_held,
    load_engine,
    memory_line,
    takes_adapters,
)
from rlvr.engine.vllm_guard import check_gap, longest_prompt, refuse_too_long, sampler_gap
from rlvr.engine.vllm_weights import HotAdapter, WeightSync, WholeModel, why_merged
from rlvr.models.vllm_memory import loaded_length
from rlvr_rewards.errors import one_line


class VLLMSampler:
    """Samples from the model that it was last given, with vLLM.

    Args:
        path: The folder or hub id where the model's configuration is.
        eos_ids: Tokens that end a turn.
        tokenizer: The folder or hub id of its tokenizer, which stop strings need.
        max_length: Tokens of prompt and completion together; by default twice what the first call needs and at least
            4,096, within the model's context, and more where a later call needs more.
        max_rows: Completions under way at once.
        gpu_memory_share: Of the card's memory that it takes; by default nine tenths of what is free of it.
        sleeps: Whether vLLM gives its memory back between sampling and the next sync; only on a GPU.
        trust_remote_code: Whether the model's own code may run.
        say: Told what takes long: that vLLM loads, and how long its first batch took.

    Attributes:
        metrics: `sampler_gap` (nats): how far its log-probs are from the model's, on average over the last batch.
    """

    def __init__(
        self,
        path: str,
        eos_ids: Sequence[int],
        *,
        tokenizer: str | None = None,
        max_length: int | None = None,
        max_rows: int = MAX_ROWS,
        gpu_memory_share: float | None = None,
        sleeps: bool = False,
        trust_remote_code: bool = False,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.path, self.eos_ids, self.max_length, self.say = path, sorted(set(eos_ids)), max_length, say
        self.tokenizer, self.sleeps = tokenizer, sleeps
        self.max_rows, self.gpu_memory_share, self.trust_remote_code = max_rows, gpu_memory_share, trust_remote_code
        self.metrics: dict[str, float] = {}
        self.sync: WeightSync = WholeModel()
        self._model: Any = None
        self._llm: Any = None
        self._loaded: EngineSettings | None = None
        self._synced = self._warm = self._leave_distributed = False

    def holding(self, model: Any) -> "VLLMSampler":
        """This sampler, which takes the model's weights as they are now before it samples next."""
        self._model, self._synced = model, False
        return self

    def sample(self, requests: Sequence[Request], params: SamplingParams) -> list[list[Completion]]:
        """A group for each request, in order; see `Sampler`.

        Raises:
            UserError: vLLM cannot load the model, or a request does not fit its context; nothing was sampled.
            WorkError: vLLM does not have the model's weights.
        """
        wanted = self._engine_settings(requests, params)
        refuse_too_long(requests, params, wanted.max_length, self._whose_limit(wanted.max_length))
        if self._loaded is not None and not _does_for(self._loaded, wanted, requests, params):
            self.say("longer prompts, or the first stop strings: vLLM is loaded anew for them")
            self.close()
        if self._loaded is None:
            self._load(wanted)
        fresh = not self._synced
        if fresh:
            self._push()
        groups = self._generate(requests, params)
        if self.sleeps:
            self._sleep()
        if fresh:
            self.metrics["sampler_gap"] = sampler_gap(self._model, requests, groups, params, self.eos_ids)
            check_gap(self.metrics["sampler_gap"])
        return groups

    def close(self) -> None:
        """Frees vLLM's memory; it loads again when it is used again."""
        if self._llm is not None:
            close_engine(self._llm, self._leave_distributed)
        self._llm, self._loaded, self._synced, self._warm = None, None, False, False

    def _load(self, wanted: EngineSettings) -> None:
        import torch

        self._leave_distributed = torch.distributed.is_initialized()
        self.say("vLLM is loading (seconds on a CPU, up to a minute on a GPU)")
        started = time.perf_counter()
        self.sync = self._choose_sync()
        rank = self._model.peft_config[self._model.active_adapter].r if isinstance(self.sync, HotAdapter) else None
        held, share = gpu_bytes_held(), self.gpu_memory_share or free_share()
        settings = replace(wanted, lora_rank=rank, gpu_memory_share=share)
        self._llm = load_engine(self.path, self._model, settings)
        self._loaded = settings
        self.say(f"vLLM loaded in {time.perf_counter() - started:.0f} s; its first batch is slower than those after it")
        self.say(memory_line(self._llm, settings, held))
        if self.sleeps:
            self._sleep()

    def _engine_settings(self, requests: Sequence[Request], params: SamplingParams) -> EngineSettings:
        """What these requests would have it loaded with."""
        context = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        return EngineSettings(
            max_length=loaded_length(self.max_length, params.max_new_tokens, longest_prompt(requests), context),
            max_rows=self.max_rows,
            trust_remote_code=self.trust_remote_code,
            tokenizer=self.tokenizer if params.stop else None,
            sleeps=self.sleeps,
        )

    def _whose_limit(self, limit: int) -> str:
        if self.max_length != limit:
            return "of the model's context: lower the budget, or shorten the prompts"
        return f"that vLLM is loaded for (trl.vllm_max_model_length {self.max_length}): raise it, or lower the budget"

    def _choose_sync(self) -> WeightSync:
        if not hasattr(self._model, "peft_config"):
            return WholeModel()
        reason = "vLLM sleeps between the steps" if self.sleeps else why_merged(self._model)
        if reason is None and not takes_adapters(self.path, self.trust_remote_code):
            reason = "vLLM takes no adapters for this architecture"
        return HotAdapter() if reason is None else self._merging(reason)

    def _merging(self, reason: str) -> WholeModel:
        self.say(f"the adapter is merged and all weights are pushed at every step: {reason}")
        return WholeModel()

    def _push(self) -> None:
        if self.sleeps:
            _empty_cache()
            self._llm.wake_up(tags=["weights"])
        try:
            self.sync.push(self._model, self._llm)
        except Exception as error:
            if not isinstance(self.sync, HotAdapter):
                raise
            self.sync = self._merging(f"vLLM does not take it as it is ({one_line(error)})")
            self.sync.push(self._model, self._llm)
        if self.sleeps:
            self._llm.wake_up(tags=["kv_cache"])
        self._synced = True

    def _sleep(self) -> None:
        """Gives the memory back; the weights are dropped (level 2), since the next sync brings them all again."""
        self._llm.sleep(level=2)
        self._synced = False

    def _generate(self, requests: Sequence[Request], params: SamplingParams) -> list[list[Completion]]:
        from vllm import SamplingParams as VLLMParams  # pyright: ignore[reportMissingImports]

        prompts = [{"prompt_token_ids": list(request.prompt_ids)} for request in requests for _ in request.seeds]
        shared = vllm_settings(params, self.eos_ids)
        settings = [
            VLLMParams(seed=seed, **{**shared, "max_tokens": request.budget(params)})
            for request in requests
            for seed in request.seeds
        ]
        started = time.perf_counter()
        outputs = self._llm.generate(prompts, settings, use_tqdm=False, lora_request=self.sync.request)
        if not self._warm:
            self.say(f"vLLM's first batch took {time.perf_counter() - started:.1f} s")
            self._warm = True
        begin = min((output.metrics.queued_ts for output in outputs), default=0.0)
        completions = iter([_completion(output, begin, params.alternatives) for output in outputs])
        return [[next(completions) for _ in request.seeds] for request in requests]


def _does_for(
    loaded: EngineSettings, wanted: EngineSettings, requests: Sequence[Request], params: SamplingParams
) -> bool:
    """Whether an engine as it was loaded is enough for these requests."""
    longest = max(len(request.prompt_ids) + request.budget(params) for request in requests)
    long_enough = longest <= loaded.max_length
    return long_enough and wanted.tokenizer in (None, loaded.tokenizer)


def _empty_cache() -> None:
    """What the update freed goes back to the card: vLLM's memory is not the trainer's allocator's."""
    import torch

    torch.cuda.empty_cache()


def vllm_settings(params: SamplingParams, eos_ids: Sequence[int]) -> dict[str, Any]:
    """How completions are drawn, in vLLM's names; the same for its engine and its servers."""
    return {
        "max_tokens": params.max_new_tokens,
        "min_tokens": params.min_new_tokens,
        "temperature": params.temperature,
        "top_p": params.top_p,
        "top_k": params.top_k,
        "min_p": params.min_p,
        "stop": list(params.stop),
        "stop_token_ids": list(eos_ids),
        "ignore_eos": True,  # what ends a turn is `eos_ids` alone, as in the other samplers
        # of the drawn token; with alternatives of one more than they are, since it may be among the likeliest
        "logprobs": params.alternatives + 1 if params.alternatives else 0,
        "skip_special_tokens": False,  # stop strings may name them
        "detokenize": bool(params.stop),
    }


def _completion(output: Any, begin: float, num_others: int) -> Completion:
    drawn = output.outputs[0]
    tokens = list(zip(list(drawn.token_ids), drawn.logprobs, strict=True))
    return Completion(
        token_ids=[token for token, _ in tokens],
        logprobs=[at[token].logprob for token, at in tokens],
        finish_reason=FinishReason(drawn.finish_reason),
        seconds=output.metrics.last_token_ts - begin,
        alternatives=[_others(at, token, num_others) for token, at in tokens] if num_others else None,
    )


def _others(at: dict[int, Any], token: int, num_others: int) -> Others:
    return others_of(((other, each.logprob) for other, each in at.items()), token, num_others)
