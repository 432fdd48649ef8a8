"""The sampler that uses vLLM (colocate: in this process, on the trainer's device) behind the protocol of `sampling`.

Each request has a random stream of its own, from its seed; a group's prompt is computed once, by vLLM's prefix cache.
Where vLLM differs from `TorchSampler`: the streams are others, so equal seeds give other completions; min-p is applied
before top-k and top-p; a temperature under 0.01 counts as 0.01.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from rlvr.engine.sampling import MAX_ROWS, Completion, FinishReason, Request, SamplingParams
from rlvr.engine.vllm_engine import EngineSettings, close_engine, load_engine, push_weights
from rlvr.engine.vllm_guard import check_gap, sampler_gap
from rlvr_rewards.errors import UserError

_SHORTEST_LIMIT = 4096


class VLLMSampler:
    """Samples from the model that it was last given, with vLLM.

    Args:
        path: The folder or hub id where the model's configuration is.
        eos_ids: Tokens that end a turn.
        max_length: Tokens of prompt and completion together; by default twice the token budget of the first call and at
            least 4,096, within the model's context.
        max_rows: Completions under way at once.
        gpu_memory_share: See `EngineSettings`.
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
        max_length: int | None = None,
        max_rows: int = MAX_ROWS,
        gpu_memory_share: float = 0.3,
        trust_remote_code: bool = False,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.path, self.eos_ids, self.max_length, self.say = path, sorted(set(eos_ids)), max_length, say
        self.max_rows, self.gpu_memory_share, self.trust_remote_code = max_rows, gpu_memory_share, trust_remote_code
        self.metrics: dict[str, float] = {}
        self._model: Any = None
        self._llm: Any = None
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
        if self._llm is None:
            self._load(params)
        self._refuse_too_long(requests, params)
        fresh = not self._synced
        if fresh:
            push_weights(self._model, self._llm)
            self._synced = True
        groups = self._generate(requests, params)
        if fresh:
            self.metrics["sampler_gap"] = sampler_gap(self._model, requests, groups, params)
            check_gap(self.metrics["sampler_gap"])
        return groups

    def close(self) -> None:
        """Frees vLLM's memory; it loads again when it is used again."""
        if self._llm is not None:
            close_engine(self._llm, self._leave_distributed)
        self._llm, self._synced, self._warm = None, False, False

    def _load(self, params: SamplingParams) -> None:
        import torch

        context = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        length = self.max_length or max(_SHORTEST_LIMIT, 2 * params.max_new_tokens)
        settings = EngineSettings(
            max_length=min(length, context or length),
            max_rows=self.max_rows,
            gpu_memory_share=self.gpu_memory_share,
            trust_remote_code=self.trust_remote_code,
        )
        self._leave_distributed = torch.distributed.is_initialized()
        self.say("vLLM is loading (seconds on a CPU, up to a minute on a GPU)")
        started = time.perf_counter()
        self._llm, self.max_length = load_engine(self.path, self._model, settings), settings.max_length
        self.say(f"vLLM loaded in {time.perf_counter() - started:.0f} s; its first batch is slower than those after it")

    def _refuse_too_long(self, requests: Sequence[Request], params: SamplingParams) -> None:
        longest = max((len(request.prompt_ids) for request in requests), default=0)
        if self.max_length is not None and longest + params.max_new_tokens > self.max_length:
            raise UserError(
                f"a prompt of {longest} tokens and max_new_tokens {params.max_new_tokens} do not fit into the "
                f"{self.max_length} tokens that vLLM was loaded for: lower the budget, or raise "
                "trl.vllm_max_model_length up to the model's context"
            )

    def _generate(self, requests: Sequence[Request], params: SamplingParams) -> list[list[Completion]]:
        prompts = [{"prompt_token_ids": list(request.prompt_ids)} for request in requests for _ in request.seeds]
        settings = [self._settings(seed, params) for request in requests for seed in request.seeds]
        started = time.perf_counter()
        outputs = self._llm.generate(prompts, settings, use_tqdm=False)
        if not self._warm:
            self.say(f"vLLM's first batch took {time.perf_counter() - started:.1f} s")
            self._warm = True
        begin = min((output.metrics.queued_ts for output in outputs), default=0.0)
        completions = iter([_completion(output, begin) for output in outputs])
        return [[next(completions) for _ in request.seeds] for request in requests]

    def _settings(self, seed: int, params: SamplingParams) -> Any:
        from vllm import SamplingParams as VLLMParams  # pyright: ignore[reportMissingImports]

        return VLLMParams(
            seed=seed,
            max_tokens=params.max_new_tokens,
            temperature=params.temperature,
            top_p=params.top_p,
            top_k=params.top_k,
            min_p=params.min_p,
            stop_token_ids=self.eos_ids,
            ignore_eos=True,  # what ends a turn is `eos_ids` alone, as in the other samplers
            logprobs=0,  # of the drawn token
            detokenize=False,
        )


def _completion(output: Any, begin: float) -> Completion:
    drawn = output.outputs[0]
    token_ids = list(drawn.token_ids)
    logprobs = [at[token].logprob for token, at in zip(token_ids, drawn.logprobs, strict=True)]
    return Completion(token_ids, logprobs, FinishReason(drawn.finish_reason), output.metrics.last_token_ts - begin)
