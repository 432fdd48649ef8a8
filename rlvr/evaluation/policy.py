"""Who answers the tasks of an evaluation: a model, or one of the environment's policies without a model.

All meet the same tasks, and their randomness depends on the run's seed, the task and the sample alone.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

from rlvr.config.schema import ModelConfig
from rlvr.engine.sampling import Completion, FinishReason, Request, Sampler, SamplingParams
from rlvr.engine.turns import sample_episodes
from rlvr.models.chat import completion_of, prompt_ids
from rlvr.models.room import check_prompts
from rlvr_envs import Environment, Task
from rlvr_envs.seeds import derive_seed
from rlvr_rewards.errors import UserError
from rlvr_rewards.row import Completion as Said
from rlvr_rewards.row import Message, completion_text

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from rlvr.engine.samplers import SamplerSettings, SamplerSource


@dataclass(frozen=True)
class Answer:
    """One completion of a policy.

    Attributes:
        text: What it wrote; of several turns all of them, a line break between.
        seed: Of its randomness.
        completion: Its tokens as sampled; of a policy without a model, none.
        num_prompt_tokens: The length of its prompt; 0 without a model.
        counted_tokens: The length of a completion whose tokens a server counted and kept to itself.
        failure: Why there is none: a server did not answer. It counts as an error with score 0.
        turns: The episode as chat messages, where the environment replies.
    """

    text: str
    seed: int
    completion: Completion = field(default_factory=lambda: Completion([], [], FinishReason.STOP, 0.0))
    num_prompt_tokens: int = 0
    counted_tokens: int = 0
    failure: str = ""
    turns: Sequence[Message] = ()

    @property
    def said(self) -> Said:
        """What is scored: the text, or of an episode its messages."""
        return list(self.turns) or self.text

    @property
    def num_tokens(self) -> int:
        """The length of the completion, replies left out; 0 without a model."""
        return len(self.completion.own_ids) or self.counted_tokens


def answer_of(said: Said, seed: int, **others: Any) -> Answer:
    """An answer from a completion, whether it is one turn or several."""
    return Answer(completion_text(said), seed, turns=() if isinstance(said, str) else list(said), **others)


class Policy(Protocol):
    """Answers tasks; equal tasks and seeds give equal answers."""

    @property
    def temperature(self) -> float | None:
        """Of its sampling; `None` where it has none."""
        ...

    def check(self, tasks: Sequence[Task]) -> None:
        """Raises `UserError` where it cannot answer one of the tasks, before it answers any."""

    def answer(self, tasks: Sequence[Task], num_samples: int) -> list[list[Answer]]:
        """For each task, as many answers as asked for."""
        ...


class ClosablePolicy(Policy, Protocol):
    """A policy that holds a model, a file or connections."""

    def close(self) -> None:
        """Frees them."""
        ...


@dataclass(frozen=True)
class BaselinePolicy:
    """A policy of the environment that needs no model, by its name."""

    env: Environment
    name: str
    split: str
    seed: int
    temperature: None = None

    def check(self, tasks: Sequence[Task]) -> None:
        """Baselines take every task."""

    def answer(self, tasks: Sequence[Task], num_samples: int) -> list[list[Answer]]:
        baseline = self.env.baselines()[self.name]
        groups = []
        for task in tasks:
            seeds = answer_seeds(self.env, task, self.split, self.seed, num_samples)
            groups.append([answer_of(baseline(task, Random(seed)), seed) for seed in seeds])
        return groups


class SampledPolicy(ABC):
    """A policy whose completions a `Sampler` draws: each task's as one group, under seeds of their own.

    Args:
        sampler: Draws them.
        tokenizer: Writes the prompts by its chat template, and reads the completions.
        env: Whose tasks.
        params: How completions are drawn.
        split: Which tasks; part of the seeds.
        seed: Of the run.
    """

    def __init__(
        self, sampler: Sampler, tokenizer: Any, env: Environment, params: SamplingParams, split: str, seed: int
    ) -> None:
        self.sampler, self.tokenizer, self.env = sampler, tokenizer, env
        self.params, self.split, self.seed = params, split, seed

    @property
    def temperature(self) -> float:
        return self.params.temperature

    @abstractmethod
    def check(self, tasks: Sequence[Task]) -> None:
        """Refuses tasks whose prompt and token budget do not fit the context together.

        Raises:
            UserError: One does not fit; the message says by how much.
        """

    def answer(self, tasks: Sequence[Task], num_samples: int) -> list[list[Answer]]:
        requests = [
            Request(self.prompt(task), answer_seeds(self.env, task, self.split, self.seed, num_samples))
            for task in tasks
        ]
        groups = sample_episodes(self.sampler, requests, self.params, self.env, tasks, self.tokenizer)
        return [
            [self._answer(completion, seed, request) for seed, completion in zip(request.seeds, group, strict=True)]
            for request, group in zip(requests, groups, strict=True)
        ]

    def _answer(self, completion: Completion, seed: int, request: Request) -> Answer:
        said = completion.messages or completion_of(self.tokenizer, completion.token_ids)
        prompt_tokens = len(request.prompt_ids)
        return answer_of(said, seed, completion=completion, num_prompt_tokens=prompt_tokens, failure=completion.error)

    @abstractmethod
    def close(self) -> None:
        """Frees what it holds."""

    def prompt(self, task: Task) -> list[int]:
        """The ids of a task's messages."""
        return prompt_ids(self.tokenizer, self.env.messages(task))


class ModelPolicy(SampledPolicy):
    """A model of transformers, sampled from by what `source` gives."""

    def __init__(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        env: Environment,
        params: SamplingParams,
        split: str,
        seed: int,
        source: "SamplerSource",
    ) -> None:
        super().__init__(source.holding(model), tokenizer, env, params, split, seed)
        self.model, self.source = model, source

    def check(self, tasks: Sequence[Task]) -> None:
        prompts = [self.env.messages(task) for task in tasks]
        check_prompts("evaluation", self.tokenizer, self.model, prompts, self.params.max_new_tokens)

    def close(self) -> None:
        """Frees what the sampler holds beside the model."""
        self.source.close()


def load_policy(
    path: str,
    config: ModelConfig,
    env: Environment,
    params: SamplingParams,
    split: str,
    seed: int,
    sampler: "SamplerSettings | None" = None,
    say: Callable[[str], None] = lambda line: None,
) -> ClosablePolicy:
    """The model of a folder or of the hub as a policy, on the GPU where there is one; a GGUF file, or a server.

    Raises:
        UserError: It cannot be opened, or not sampled from.
    """
    from rlvr.evaluation.gguf_policy import GGUFPolicy, is_gguf
    from rlvr.evaluation.server_policy import ServerPolicy, is_server

    if sampler and sampler.name.startswith("vllm") and (is_gguf(path) or is_server(path)):
        raise UserError(f"model {path}: it samples by itself: leave the sampler {sampler.name} out")
    if is_gguf(path):
        return GGUFPolicy(path, env, params, split, seed)
    if is_server(path):
        return ServerPolicy(path, env, params, split, seed)
    import torch

    from rlvr.engine.samplers import SamplerSettings, sampler_source
    from rlvr.models.load import load_model, load_tokenizer

    tokenizer, model = load_tokenizer(path, config), load_model(path, config)
    if torch.cuda.is_available():
        model.to("cuda")  # pyright: ignore[reportArgumentType]
    source = sampler_source(sampler or SamplerSettings(), path, model, tokenizer, say)
    return ModelPolicy(model, tokenizer, env, params, split, seed, source)


def answer_seeds(env: Environment, task: Task, split: str, seed: int, num_samples: int) -> list[int]:
    """A seed for each sample of a task, the same for every policy."""
    labels = {"stage": "evaluate", "split": split, "step": 0, "task_id": env.task_id(task)}
    return [
        derive_seed(seed, **labels, occurrence=0, attempt=0, turn=0, sample=number) for number in range(num_samples)
    ]
