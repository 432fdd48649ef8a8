"""Whether vLLM samples from the model that is trained: both log-probs of the same tokens, compared after each sync.

Two programs never agree to the last bit: in float32 they differ by about 1e-6, in bfloat16 by about 0.01. Weights that
did not arrive show as a jump far above that, at once where vLLM started from random ones, and within a few steps where
it stayed behind. A reward curve would not show it: training goes on, from samples of another policy.
"""

from collections.abc import Sequence
from typing import Any

import torch

from rlvr.engine.drawing import restricted
from rlvr.engine.sampling import Completion, Request, SamplingParams
from rlvr.failure import WorkError
from rlvr_rewards.errors import UserError

MAX_GAP = 0.05
"""In nats a token, on average."""
_ROWS = 8


def check_gap(gap: float) -> None:
    """Stops where the gap says that vLLM has other weights than the trainer.

    Raises:
        WorkError: It is above `MAX_GAP`, or no number.
    """
    if not gap <= MAX_GAP:
        raise WorkError(
            f"vLLM does not sample from the model that is trained: log-probs of the same tokens differ by {gap:.3f} "
            f"on average (at most {MAX_GAP} is rounding), so its weights did not arrive; nothing was learned from this "
            'step, the last checkpoint is kept: set sampler = "torch", and report the model and versions (rlvr doctor)'
        )


def longest_prompt(requests: Sequence[Request]) -> int:
    """Tokens of the longest prompt."""
    return max((len(request.prompt_ids) for request in requests), default=0)


def refuse_too_long(requests: Sequence[Request], params: SamplingParams, max_length: int, which: str) -> None:
    """Refuses prompts that, with their completions, are longer than what vLLM was loaded for.

    Args:
        requests: What is asked for.
        params: How it is drawn.
        max_length: Tokens of prompt and completion together.
        which: Whose limit that is, and what to do.

    Raises:
        UserError: The longest is; nothing was sampled.
    """
    for request in requests:
        if len(request.prompt_ids) + request.budget(params) > max_length:
            raise UserError(
                f"a prompt of {longest_prompt(requests)} tokens and max_new_tokens {params.max_new_tokens} do not fit "
                f"into the {max_length} tokens {which}"
            )


@torch.no_grad()
def sampler_gap(
    model: Any,
    requests: Sequence[Request],
    groups: Sequence[Sequence[Completion]],
    params: SamplingParams,
    eos_ids: Sequence[int] = (),
) -> float:
    """The mean of |log-prob of the sampler − log-prob of the model| over the tokens of up to 8 completions.

    Args:
        model: The model that is trained.
        requests: What was asked for.
        groups: What came back, a group for each request.
        params: How it was drawn.
        eos_ids: Tokens that end a turn, which `min_new_tokens` leaves out.
    """
    rows = [(request.prompt_ids, group[0]) for request, group in zip(requests, groups, strict=True)][:_ROWS]
    was_training = model.training
    model.eval()
    try:
        gaps = torch.cat([_gaps(model, prompt_ids, completion, params, eos_ids) for prompt_ids, completion in rows])
    finally:
        model.train(was_training)
    return float(gaps.mean())


def _gaps(
    model: Any, prompt_ids: Sequence[int], completion: Completion, params: SamplingParams, eos_ids: Sequence[int]
) -> torch.Tensor:
    """Of each token of one completion (T,); a token that only one of both could have drawn is left out."""
    tokens_T = torch.tensor(completion.token_ids, device=model.device)
    ids = torch.tensor([[*prompt_ids, *completion.token_ids]], device=model.device)
    logits_TV = model(input_ids=ids, logits_to_keep=len(tokens_T) + 1).logits[0, :-1].float()
    logits_TV[: params.min_new_tokens, list(eos_ids)] = -torch.inf
    if params.temperature:
        logits_TV = restricted(logits_TV / params.temperature, params)
    ours_T = logits_TV.log_softmax(-1).gather(-1, tokens_T[:, None]).squeeze(-1)
    gaps_T = (ours_T - torch.tensor(completion.logprobs, device=model.device)).abs()
    return gaps_T[ours_T.isfinite()]
