"""`sft`: supervised fine-tuning on gold or on given demonstrations, the loss on the completion only."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from rlvr.config.schema import RunConfig
from rlvr.models.demonstrations import read_demonstrations
from rlvr.pipeline.training import TrainingConfig
from rlvr.pipeline.training_stage import Start, TrainingStage
from rlvr_envs import Message

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import Trainer

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


class SFTStage(TrainingStage):
    """TRL's `SFTTrainer` on gold or demonstrations."""

    kind = "sft"
    Config = SFTStageConfig
    uses_reward = False
    shown: ClassVar[dict[str, str]] = {"loss": "loss", "mean_token_accuracy": "token accuracy"}

    @classmethod
    def check(cls, config: SFTStageConfig, run: RunConfig) -> None:
        super().check(config, run)
        if config.data:
            next(read_demonstrations(config.data))

    @classmethod
    def work(cls, config: SFTStageConfig) -> str:
        what = f"examples of {config.data}" if config.data else "golds"
        return f"{config.steps} steps of {config.batch_size} {what}"

    @classmethod
    def _dataset(cls, config: SFTStageConfig, run: "Run") -> "Dataset":
        """Prompt and completion of each example, as chat messages."""
        from datasets import Dataset

        found = read_demonstrations(config.data) if config.data else _golds(config, run)
        return Dataset.from_list(
            [{"prompt": messages[:-1], "completion": messages[-1:]} for messages in islice(found, config.num_examples)]
        )

    @classmethod
    def trainer(cls, config: SFTStageConfig, run: "Run", start: Start) -> "Trainer":
        from trl import SFTTrainer

        from rlvr.models.chat import check_template
        from rlvr.models.room import check_prompts

        dataset = cls._dataset(config, run)
        examples = _conversations(dataset)
        check_prompts(f"stage {config.name}", start.tokenizer, start.model, examples, max_new_tokens=0)
        check_template(start.path, start.tokenizer, examples[:10])
        return SFTTrainer(**start.arguments(config, dataset))


def _golds(config: SFTStageConfig, run: "Run") -> Iterator[list[Message]]:
    for task in run.env.rows("train", run.seed(stage=config.name)):
        yield [*run.env.messages(task), {"role": "assistant", "content": run.env.gold(task)}]


def _conversations(examples: "Dataset") -> list[list[Message]]:
    return [[*prompt, *completion] for prompt, completion in zip(*examples[:].values(), strict=True)]
