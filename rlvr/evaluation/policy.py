"""A model as a policy that evaluation can ask for completions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rlvr.engine.sampling import Request, SamplingParams
from rlvr.engine.torch_sampler import TorchSampler
from rlvr.evaluation.evaluate import Policy
from rlvr.models.chat import completion_of, end_of_turn_ids, pad_id, prompt_ids
from rlvr_envs import Environment, Task
from rlvr_envs.seeds import derive_seed

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def model_policy(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    env: Environment,
    params: SamplingParams,
    seed: int,
) -> Policy:
    """Samples each task's completions with seeds of their own, so that every model meets the same randomness."""
    sampler = TorchSampler(model, end_of_turn_ids(model, tokenizer), pad_id(tokenizer))

    def sample(tasks: Sequence[Task], num_samples: int) -> list[list[str]]:
        requests = [
            Request(
                prompt_ids(tokenizer, env.messages(task)),
                [derive_seed(seed, stage="evaluate", task_id=env.task_id(task), sample=n) for n in range(num_samples)],
            )
            for task in tasks
        ]
        groups = sampler.sample(requests, params)
        return [[completion_of(tokenizer, c.token_ids) for c in group] for group in groups]

    return sample
