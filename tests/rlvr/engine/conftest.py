"""A trainer small enough for tests: one layer, two prompts a step, completions that a test can dictate."""

from collections.abc import Callable, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from rlvr.config.schema import ModelConfig, ScratchConfig
from rlvr.engine.dynamic_sampling import FreshTasks
from rlvr.engine.rollout import Origin
from rlvr.engine.sampling import Completion, FinishReason, Request, SamplingParams
from rlvr.engine.savings import Savings
from rlvr.engine.torch_sampler import TorchSampler
from rlvr.engine.trainer import GroupTrainer
from rlvr.models.chat import end_of_turn_ids, pad_id
from rlvr.models.load import load_model, load_tokenizer
from rlvr.models.scratch import make_scratch_model
from rlvr.traces.store import TraceWriter
from rlvr_envs import make
from rlvr_envs.seeds import canonical_json

ENV = make("arithmetic?largest=9")
CUT = "…"
"""Marks a dictated completion that the token budget cut short."""
TINY = ScratchConfig(hidden_size=32, intermediate_size=64, num_layers=1, num_heads=2, num_kv_heads=2, vocab_size=330)


class Dictated:
    """A sampler that gives the completions it was told to, in order, over all of its calls; then from the start.

    What begins with `CUT` ends without the end of a turn.
    """

    def __init__(self, texts: Sequence[str], tokenizer: Any) -> None:
        self.ids = cycle([self._ids(text, tokenizer) for text in texts])

    def sample(self, requests: Sequence[Request], params: SamplingParams) -> list[list[Completion]]:
        return [[self._completion(next(self.ids)) for _ in request.seeds] for request in requests]

    @staticmethod
    def _ids(text: str, tokenizer: Any) -> list[int]:
        end = [] if text.startswith(CUT) else [tokenizer.eos_token_id]
        return [*tokenizer(text.removeprefix(CUT)).input_ids, *end]

    def _completion(self, token_ids: list[int]) -> Completion:
        return Completion(token_ids, [-1.0] * len(token_ids), FinishReason.STOP, 0.0)


class Gradients(TrainerCallback):
    """Keeps the gradients of the last step, and what was logged."""

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        self.values = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        self.logs = {**getattr(self, "logs", {}), **logs}


def trained(trainer: GRPOTrainer) -> Gradients:
    gradients = Gradients()
    trainer.add_callback(gradients)
    trainer.train()
    return gradients


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    make_scratch_model(folder, TINY, ENV, seed=0)
    return folder


@pytest.fixture
def tasks() -> list[dict[str, Any]]:
    return list(islice(ENV.rows("train", 0), 2))


@pytest.fixture
def dataset(tasks) -> Dataset:
    return Dataset.from_list(
        [{**t, "prompt": ENV.messages(t), "task": canonical_json(t), "task_id": ENV.task_id(t)} for t in tasks]
    )


@pytest.fixture
def arguments(tmp_path: Path) -> Callable[..., GRPOConfig]:
    def make_arguments(**changes: Any) -> GRPOConfig:
        settings: dict[str, Any] = {
            "output_dir": str(tmp_path / "out"),
            "max_steps": 1,
            "learning_rate": 1e-3,
            "per_device_train_batch_size": 8,
            "num_generations": 4,
            "max_completion_length": 24,
            "max_grad_norm": 1e9,
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": "none",
            "disable_tqdm": True,
            "use_cpu": True,
            "bf16": False,
            "gradient_checkpointing": False,
            "shuffle_dataset": False,
            "seed": 0,
        }
        return GRPOConfig(**{**settings, **changes})

    return make_arguments


@pytest.fixture
def make_trainer(tiny_model, dataset, arguments, tmp_path) -> Callable[..., GroupTrainer]:
    """A `GroupTrainer`; with `texts` its sampler is dictated."""

    def build(
        reward: Any = ENV.reward,
        texts: Sequence[str] | None = None,
        savings: Savings = Savings(),  # noqa: B008 (frozen)
        fresh_tasks: FreshTasks | None = None,
        score_beside: bool = False,
        warn: Callable[[str], None] = lambda line: None,
        **changes: Any,
    ) -> GroupTrainer:
        tokenizer = load_tokenizer(str(tiny_model), ModelConfig())
        dictated = Dictated(texts, tokenizer) if texts is not None else None

        def make_sampler(model: Any) -> Any:
            if dictated is not None:
                return dictated
            return TorchSampler(model, end_of_turn_ids(model, tokenizer), pad_id(tokenizer), savings=savings)

        args = arguments(**changes)
        return GroupTrainer(
            env=ENV,
            reward=reward,
            make_sampler=make_sampler,
            params=SamplingParams(args.max_completion_length, args.temperature),
            traces=TraceWriter(tmp_path / "traces", "grpo", "train"),
            origin=Origin("test", "grpo", 0),
            model=load_model(str(tiny_model), ModelConfig()),
            args=args,
            train_dataset=dataset,
            processing_class=tokenizer,
            savings=savings,
            fresh_tasks=fresh_tasks,
            score_beside=score_beside,
            warn=warn,
        )

    return build
