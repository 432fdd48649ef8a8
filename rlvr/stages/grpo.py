"""`grpo`: group relative policy optimization (Shao et al. 2024, arXiv 2402.03300) on the environment's reward."""

from itertools import islice
from typing import TYPE_CHECKING, Any

from pydantic import Field

from rlvr.config.schema import RunConfig
from rlvr.pipeline.stage import Stage, StageResult
from rlvr.pipeline.training import TrainingConfig, check_trl_settings, common_arguments, train
from rlvr_envs.seeds import canonical_json
from rlvr_rewards.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

    from rlvr.pipeline.run import Run

_OURS = {
    "max_steps": "steps",
    "learning_rate": "learning_rate",
    "save_steps": "save_steps",
    "num_generations": "group_size",
    "max_completion_length": "max_new_tokens",
    "per_device_train_batch_size": "prompts_per_step and group_size",
    "temperature": "temperature",
}


class GRPOStageConfig(TrainingConfig):
    """Settings of `grpo`.

    Attributes:
        prompts_per_step: Groups sampled for one optimizer step.
        group_size: Completions a prompt.
        max_new_tokens: The token budget of one completion.
        temperature: Of sampling.
    """

    steps: int = Field(default=200, ge=1)
    learning_rate: float = Field(default=2e-4, gt=0)
    prompts_per_step: int = Field(default=16, ge=1)
    group_size: int = Field(default=8, ge=2)
    max_new_tokens: int = Field(default=64, ge=1)
    temperature: float = Field(default=1.0, gt=0)


class GRPOStage(Stage):
    """TRL's `GRPOTrainer` with our reward."""

    kind = "grpo"
    Config = GRPOStageConfig

    @staticmethod
    def check(config: GRPOStageConfig, run: RunConfig) -> None:
        from trl import GRPOConfig

        check_trl_settings(config, GRPOConfig, _OURS)
        if run.model.path == "scratch" and config.max_new_tokens >= run.model.scratch.context_length:
            raise UserError(
                f"stage {config.name}: max_new_tokens {config.max_new_tokens} leaves no room for a prompt in "
                f"model.scratch.context_length {run.model.scratch.context_length}"
            )

    @staticmethod
    def plan(config: GRPOStageConfig) -> str:
        return f"{config.steps} steps of {config.prompts_per_step} prompts x {config.group_size} completions"

    @staticmethod
    def run(config: GRPOStageConfig, run: "Run") -> StageResult:
        from trl import GRPOConfig

        from rlvr.engine.torch_sampler import TorchSampler
        from rlvr.engine.trainer import GroupTrainer, Origin
        from rlvr.models.chat import end_of_turn_ids, pad_id
        from rlvr.models.load import load_model, load_tokenizer
        from rlvr.pipeline.progress import ProgressCallback
        from rlvr.pipeline.training import last_checkpoint, step_of
        from rlvr.traces.store import TraceWriter

        path = run.model_before(config)
        arguments: dict[str, Any] = {
            **common_arguments(config, run),
            "per_device_train_batch_size": config.prompts_per_step * config.group_size,
            "num_generations": config.group_size,
            "max_completion_length": config.max_new_tokens,
            "temperature": config.temperature,
            "lr_scheduler_type": "constant_with_warmup",
            "warmup_steps": 5,
            **config.trl,
        }
        tokenizer = load_tokenizer(path, run.config.model)
        traces = TraceWriter(run.folder.traces, config.name, "train")
        checkpoint = last_checkpoint(run.folder.checkpoints / config.name)
        traces.drop_after(step_of(checkpoint) if checkpoint else 0)
        trainer = GroupTrainer(
            env=run.env,
            reward=run.reward,
            make_sampler=lambda model: TorchSampler(model, end_of_turn_ids(model, tokenizer), pad_id(tokenizer)),
            traces=traces,
            origin=Origin(run.folder.path.name, config.name, run.config.seed),
            model=load_model(path, run.config.model),
            args=GRPOConfig(**arguments),
            train_dataset=training_tasks(config, run),
            processing_class=tokenizer,
        )
        shown = {
            "reward": "reward",
            "parts/*": "",
            "frac_reward_zero_std": "zero-variance",
            "completions/mean_length": "tokens",
        }
        return train(trainer, config, run, ProgressCallback(run.console, config.name, shown))


def training_tasks(config: GRPOStageConfig, run: "Run") -> "Dataset":
    """The prompts of training tasks; the task itself as JSON, since Arrow would bend rows of uneven shape."""
    from datasets import Dataset

    num_tasks = config.steps * config.prompts_per_step
    tasks = islice(run.env.rows("train", run.seed(stage=config.name)), num_tasks)
    return Dataset.from_list(
        [
            {"prompt": run.env.messages(task), "task": canonical_json(task), "task_id": run.env.task_id(task)}
            for task in tasks
        ]
    )
