"""`grpo`: group relative policy optimization (Shao et al. 2024, arXiv 2402.03300) on the environment's reward."""

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from rlvr.config.schema import RunConfig
from rlvr.engine.samplers import SamplerName
from rlvr.installed import require_vllm
from rlvr.models.memory import Workload
from rlvr.models.room import check_budget
from rlvr.pipeline.trained_weights import starts_from_adapter
from rlvr.pipeline.training import TrainingConfig, batch_arguments
from rlvr.pipeline.training_stage import Start, TrainingStage
from rlvr_envs.seeds import canonical_json
from rlvr_rewards.errors import UserError, unknown_name

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import Trainer

    from rlvr.engine.samplers import SamplerSource
    from rlvr.pipeline.run import Run

_CHOICES = {
    "loss_type": ("grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo"),
    "scale_rewards": ("group", "batch", "none", True, False),
    "importance_sampling_level": ("token", "sequence"),
}
"""Settings of TRL 1.16 whose values TRL itself looks at only once it trains."""

_OF_TRLS_SAMPLING = (
    "chat_template_kwargs",
    "repetition_penalty",
    "generation_kwargs",
    "cache_implementation",
    "use_transformers_paged",
    "use_transformers_continuous_batching",
    "transformers_continuous_batching_config",
)


class GRPOStageConfig(TrainingConfig):
    """Settings of `grpo`.

    Attributes:
        prompts_per_step: Groups sampled for one optimizer step.
        group_size: Completions a prompt.
        max_new_tokens: The token budget of one completion.
        temperature: Of sampling.
        sampler: What samples: `torch` (the default), `vllm`, or `auto` (vLLM on a CUDA GPU where it is installed).
    """

    trl_class: ClassVar[str] = "GRPOConfig"
    ours: ClassVar[dict[str, str]] = {
        **TrainingConfig.ours,
        "num_generations": "group_size",
        "max_completion_length": "max_new_tokens",
        "temperature": "temperature",
        "generation_batch_size": "prompts_per_step and group_size",
        "use_vllm": 'sampler = "vllm"',
    }

    steps: int = Field(default=200, ge=1)
    learning_rate: float = Field(default=2e-4, gt=0)
    prompts_per_step: int = Field(default=16, ge=1)
    group_size: int = Field(default=8, ge=2)
    max_new_tokens: int = Field(default=64, ge=1)
    temperature: float = Field(default=1.0, gt=0)
    sampler: SamplerName | None = None

    @property
    def rows_per_step(self) -> int:
        return self.prompts_per_step * self.group_size

    def trl_defaults(self) -> dict[str, Any]:
        return {
            "num_generations": self.group_size,
            "max_completion_length": self.max_new_tokens,
            "temperature": self.temperature,
            "lr_scheduler_type": "constant_with_warmup",
            "warmup_steps": 5,
        }

    @property
    def keeps_reference(self) -> bool:
        """Whether the KL to the model that it starts from is part of the loss."""
        return bool(self.trl.get("beta"))


class GRPOStage(TrainingStage):
    """TRL's `GRPOTrainer` with our reward."""

    kind = "grpo"
    Config = GRPOStageConfig
    rows = "completions"
    shown: ClassVar[dict[str, str]] = {
        "reward": "reward",
        "parts/*": "",
        "frac_reward_zero_std": "zero-variance",
        "completions/mean_length": "tokens",
    }

    @classmethod
    def check(cls, config: GRPOStageConfig, run: RunConfig) -> None:
        super().check(config, run)
        _check_sampling(config)
        if config.sampler == "vllm":
            require_vllm()
        check_budget(config.name, config.max_new_tokens, run.model)
        if config.keeps_reference and config.lora is None and starts_from_adapter(config, run):
            raise UserError(
                f"stage {config.name}: with trl.beta > 0 it keeps the model that it starts from, which is an adapter "
                "that TRL cannot open: merge it before (a stage of kind merge), train an adapter here too "
                "([stage.lora]), or leave trl.beta at 0"
            )
        if config.lora and config.lora.qlora and config.sampler not in (None, "torch"):
            raise UserError(
                f"stage {config.name}: vLLM cannot be given the weights of a base in 4 bits: set sampler to torch, or "
                "train a LoRA on the base as it is saved (qlora = false)"
            )

    @classmethod
    def work(cls, config: GRPOStageConfig) -> str:
        return f"{config.steps} steps of {config.prompts_per_step} prompts x {config.group_size} completions"

    @classmethod
    def workload(cls, config: GRPOStageConfig) -> Workload:
        from rlvr.engine.sampling import MAX_ROWS

        return replace(
            super().workload(config),
            sampled_rows=min(config.rows_per_step, MAX_ROWS),
            max_new_tokens=config.max_new_tokens,
            reference=config.keeps_reference,
        )

    @classmethod
    def trainer(cls, config: GRPOStageConfig, run: "Run", start: Start) -> "Trainer":
        from rlvr.engine.rollout import Origin
        from rlvr.engine.samplers import biases
        from rlvr.engine.trainer import GroupTrainer
        from rlvr.models.room import check_prompts
        from rlvr.traces.store import TraceWriter

        tasks = training_tasks(config, run)
        check_prompts(f"stage {config.name}", start.tokenizer, start.model, tasks["prompt"], config.max_new_tokens)
        if found := biases(start.args):
            run.console.print(
                f"[yellow]{config.name}: {', '.join(found)} restricts what is sampled, while the update takes it for "
                "samples of the whole distribution: its gradient is biased[/]"
            )
        if config.lora and config.lora.dropout:
            run.console.print(
                f"[yellow]{config.name}: lora.dropout {config.lora.dropout:g} is off while groups are sampled and on in "
                "the update, which then learns for another policy than it sampled from: leave it at 0[/]"
            )
        traces = TraceWriter(run.folder.traces, config.name, "train")
        traces.drop_after(start.step)
        return GroupTrainer(
            env=run.env,
            reward=run.reward,
            make_sampler=_sampler_source(config, run, start).holding,
            traces=traces,
            origin=Origin(run.folder.path.name, config.name, run.config.seed),
            **start.arguments(config, tasks),
        )


def _sampler_source(config: GRPOStageConfig, run: "Run", start: Start) -> "SamplerSource":
    from rlvr.engine.samplers import sampler_source

    source = sampler_source(
        config.sampler or "torch",
        start.path,
        start.model,
        start.tokenizer,
        say=lambda line: run.console.print(f"[dim]{config.name}: {line}[/]"),
        max_length=start.args.vllm_max_model_length,
        gpu_memory_share=start.args.vllm_gpu_memory_utilization,
        trust_remote_code=run.config.model.trust_remote_code,
    )
    start.at_end.callback(source.close)
    return source


def training_tasks(config: GRPOStageConfig, run: "Run") -> "Dataset":
    """The prompts of training tasks; the task itself as JSON, since Arrow would bend rows of uneven shape."""
    from datasets import Dataset

    num_tasks = config.steps * config.prompts_per_step
    tasks = list(islice(run.env.rows("train", run.seed(stage=config.name)), num_tasks))
    if len(tasks) < config.prompts_per_step:  # TRL would go through no batch at all, and call that trained
        raise UserError(
            f"stage {config.name}: {run.env.name} has {len(tasks)} training tasks, fewer than the prompts_per_step "
            f"{config.prompts_per_step} of one step: lower it, or give more tasks"
        )
    return Dataset.from_list(
        [
            {"prompt": run.env.messages(task), "task": canonical_json(task), "task_id": run.env.task_id(task)}
            for task in tasks
        ]
    )


def _check_sampling(config: GRPOStageConfig) -> None:
    """Refuses settings that would do nothing here, and sampling for part of a step, whose trace is one shard."""
    for name in _OF_TRLS_SAMPLING:
        if name in config.trl:
            raise UserError(f"stage {config.name}: trl.{name} is of TRL's own sampling, not used here: drop it")
    for name, choices in _CHOICES.items():
        if config.trl.get(name, choices[0]) not in choices:
            raise unknown_name(f"trl.{name} in stage {config.name}", str(config.trl[name]), map(str, choices))
    passes = batch_arguments(config)["gradient_accumulation_steps"]
    per_generation = config.trl.get("steps_per_generation", passes)
    if type(per_generation) is not int or per_generation < 1 or per_generation % passes:
        raise UserError(
            f"stage {config.name}: trl.steps_per_generation {per_generation} is no multiple of the {passes} passes of "
            "a step: completions are sampled for whole steps"
        )
