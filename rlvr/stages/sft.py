"""`sft`: supervised fine-tuning on the environment's gold completions, the loss on the completion only."""

from itertools import islice
from typing import TYPE_CHECKING, Any

from pydantic import Field

from rlvr.config.schema import RunConfig
from rlvr.pipeline.stage import Stage, StageResult
from rlvr.pipeline.training import TrainingConfig, check_trl_settings, common_arguments, train

if TYPE_CHECKING:
    from datasets import Dataset

    from rlvr.pipeline.run import Run

_OURS = {
    "max_steps": "steps",
    "learning_rate": "learning_rate",
    "save_steps": "save_steps",
    "per_device_train_batch_size": "batch_size",
}


class SFTStageConfig(TrainingConfig):
    """Settings of `sft`.

    Attributes:
        batch_size: Examples a step.
        num_examples: Training tasks whose gold is learned from; they repeat where steps need more.
    """

    steps: int = Field(default=300, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    batch_size: int = Field(default=64, ge=1)
    num_examples: int = Field(default=5000, ge=1)


class SFTStage(Stage):
    """TRL's `SFTTrainer` on gold."""

    kind = "sft"
    Config = SFTStageConfig

    @staticmethod
    def check(config: SFTStageConfig, run: RunConfig) -> None:
        from trl import SFTConfig

        check_trl_settings(config, SFTConfig, _OURS)

    @staticmethod
    def plan(config: SFTStageConfig) -> str:
        return f"{config.steps} steps of {config.batch_size} golds, learning rate {config.learning_rate:g}"

    @staticmethod
    def run(config: SFTStageConfig, run: "Run") -> StageResult:
        from trl import SFTConfig, SFTTrainer

        from rlvr.models.load import load_model, load_tokenizer
        from rlvr.pipeline.progress import ProgressCallback

        path = run.model_before(config)
        arguments: dict[str, Any] = {
            **common_arguments(config, run),
            "per_device_train_batch_size": config.batch_size,
            "completion_only_loss": True,
            "max_length": None,
            "lr_scheduler_type": "cosine",
            "warmup_steps": max(1, config.steps // 20),
            **config.trl,
        }
        trainer = SFTTrainer(
            model=load_model(path, run.config.model),
            args=SFTConfig(**arguments),
            train_dataset=gold_examples(config, run),
            processing_class=load_tokenizer(path, run.config.model),
        )
        shown = {"loss": "loss", "mean_token_accuracy": "token accuracy"}
        return train(trainer, config, run, ProgressCallback(run.console, config.name, shown))


def gold_examples(config: SFTStageConfig, run: "Run") -> "Dataset":
    """Prompt and gold completion of training tasks, as chat messages."""
    from datasets import Dataset

    tasks = islice(run.env.rows("train", run.seed(stage=config.name)), config.num_examples)
    return Dataset.from_list(
        [
            {"prompt": run.env.messages(task), "completion": [{"role": "assistant", "content": run.env.gold(task)}]}
            for task in tasks
        ]
    )
