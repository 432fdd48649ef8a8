"""`sft`: supervised fine-tuning on gold or on given demonstrations, the loss on the completion only."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from rlvr.config.schema import RunConfig
from rlvr.models.adapters import peft_config
from rlvr.models.demonstrations import read_demonstrations
from rlvr.models.memory import Workload
from rlvr.pipeline.stage import Stage, StageResult
from rlvr.pipeline.training import (
    TrainingConfig,
    batch_arguments,
    check_training,
    train,
    trl_config,
)
from rlvr_envs import Message

if TYPE_CHECKING:
    from datasets import Dataset

    from rlvr.pipeline.run import Run


class SFTStageConfig(TrainingConfig):
    """Settings of `sft`.

    Attributes:
        batch_size: Examples a step.
        num_examples: Examples learned from at most; they repeat where steps need more.
        data: A JSONL of demonstrations instead of the environment's golds; see `rlvr.models.demonstrations`.
    """

    trl_class: ClassVar[str] = "SFTConfig"

    steps: int = Field(default=300, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    batch_size: int = Field(default=64, ge=1)
    num_examples: int = Field(default=5000, ge=1)
    data: Path | None = None

    @property
    def rows_per_step(self) -> int:
        return self.batch_size

    def trl_defaults(self) -> dict[str, Any]:
        return {
            "completion_only_loss": True,
            "max_length": None,
            "lr_scheduler_type": "cosine",
            "warmup_steps": max(1, self.steps // 20),
        }


class SFTStage(Stage):
    """TRL's `SFTTrainer` on gold or demonstrations."""

    kind = "sft"
    Config = SFTStageConfig

    @staticmethod
    def check(config: SFTStageConfig, run: RunConfig) -> None:
        check_training(config)
        if config.data:
            next(read_demonstrations(config.data))

    @staticmethod
    def rehearse(config: SFTStageConfig, run: "Run") -> None:
        trl_config(config, run, run.config.model.path)

    @staticmethod
    def plan(config: SFTStageConfig) -> str:
        trained = f", LoRA r {config.lora.r}" if config.lora else ""
        what = f"examples of {config.data}" if config.data else "golds"
        return f"{config.steps} steps of {config.batch_size} {what}, learning rate {config.learning_rate:g}{trained}"

    @staticmethod
    def workload(config: SFTStageConfig) -> Workload:
        return Workload(
            rows=batch_arguments(config)["per_device_train_batch_size"],
            sampled_rows=0,
            max_new_tokens=None,
            lora=config.lora,
            reference=False,
            optimizer=str(config.trl.get("optim", "")),
        )

    @staticmethod
    def run(config: SFTStageConfig, run: "Run") -> StageResult:
        from trl import SFTTrainer

        from rlvr.models.chat import check_template
        from rlvr.models.load import load_model, load_tokenizer
        from rlvr.models.room import check_prompts
        from rlvr.pipeline.progress import ProgressCallback

        path = run.model_before(config)
        args = trl_config(config, run, path)
        tokenizer = load_tokenizer(path, run.config.model)
        model = load_model(path, run.config.model, train_all=config.lora is None)
        examples = examples_of(config, run)
        check_prompts(config.name, tokenizer, model, _conversations(examples), max_new_tokens=0)
        check_template(path, tokenizer, _conversations(examples.select(range(min(10, len(examples))))))
        trainer = SFTTrainer(
            model=model,
            args=args,
            train_dataset=examples,
            processing_class=tokenizer,
            peft_config=peft_config(config.lora),
        )
        shown = {"loss": "loss", "mean_token_accuracy": "token accuracy"}
        progress = ProgressCallback(run.console, config.name, shown, config.rows_per_step, "examples")
        return train(trainer, config, run, progress)


def examples_of(config: SFTStageConfig, run: "Run") -> "Dataset":
    """Prompt and completion of each example, as chat messages."""
    from datasets import Dataset

    found = read_demonstrations(config.data) if config.data else _golds(config, run)
    return Dataset.from_list(
        [{"prompt": messages[:-1], "completion": messages[-1:]} for messages in islice(found, config.num_examples)]
    )


def _golds(config: SFTStageConfig, run: "Run") -> Iterator[list[Message]]:
    for task in run.env.rows("train", run.seed(stage=config.name)):
        yield [*run.env.messages(task), {"role": "assistant", "content": run.env.gold(task)}]


def _conversations(examples: "Dataset") -> list[list[Message]]:
    return [[*prompt, *completion] for prompt, completion in zip(*examples[:].values(), strict=True)]
