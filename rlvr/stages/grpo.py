"""`grpo`: group relative policy optimization (Shao et al. 2024, arXiv 2402.03300) on the environment's reward."""

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from rlvr.config.schema import RunConfig
from rlvr.engine.algorithms import ALGORITHMS, Algorithm
from rlvr.engine.curriculum import CurriculumSettings
from rlvr.engine.examples import Example
from rlvr.engine.samplers import resolve
from rlvr.engine.sampling import SamplingParams
from rlvr.engine.savings import OF_TORCH_SAMPLER, Savings
from rlvr.models.memory import Workload
from rlvr.models.room import check_budget
from rlvr.pipeline.grpo_settings import check_trls_settings
from rlvr.pipeline.grpo_tasks import check_curriculum, curriculum_of, fresh_tasks_of, tasks_of_all_steps
from rlvr.pipeline.processes import by_first, rank
from rlvr.pipeline.sampling import SamplingConfig, check_sampling
from rlvr.pipeline.trained_weights import starts_from_adapter
from rlvr.pipeline.training import TrainingConfig, batch_arguments, check_share
from rlvr.pipeline.training_stage import Start, TrainingStage
from rlvr_rewards.errors import UserError, unknown_name

if TYPE_CHECKING:
    from transformers import Trainer

    from rlvr.engine.samplers import SamplerSource
    from rlvr.pipeline.run import Run


class GRPOStageConfig(SamplingConfig, TrainingConfig):
    """Settings of `grpo`.

    Attributes:
        algorithm: A preset of TRL's settings; see `rlvr.engine.algorithms`. Without one: TRL's own defaults.
        prompts_per_step: Groups sampled for one optimizer step.
        group_size: Completions a prompt.
        temperature: Of sampling.
        extra_groups: Groups that a step samples beyond its own at most, in place of those without variance; by default
            the algorithm's.
        curriculum: Draws each step's tasks by difficulty, so that the pass rate stays in a band; off unless given.
        share_prompts, trim_padding, skip_zero_variance, keep_products, prefill_once, shared_decoding, prepack_weights,
            drop_finished, cache_room: What update and torch sampler leave out; see `rlvr.engine.savings.Savings`.
        score_beside: Whether rewards are computed in a thread while a reference or old model's log-probs are.
    """

    trl_class: ClassVar[str] = "GRPOConfig"
    without_effect: ClassVar[frozenset[str]] = frozenset(each.name for each in fields(Savings))
    ours: ClassVar[dict[str, str]] = {
        **TrainingConfig.ours,
        "num_generations": "group_size",
        "max_completion_length": "max_new_tokens",
        "temperature": "temperature",
        "generation_batch_size": "prompts_per_step and group_size",
        "reward_weights": "weights in [reward] expression",
        "use_vllm": 'sampler = "vllm"',
        "vllm_mode": 'sampler = "vllm" or "vllm-server"',
        "vllm_server_base_url": "servers",
        "vllm_server_host": "servers",
        "vllm_server_port": "servers",
    }

    steps: int = Field(default=200, ge=1)
    learning_rate: float = Field(default=2e-4, gt=0)
    prompts_per_step: int = Field(default=16, ge=1)
    group_size: int = Field(default=8, ge=2)
    temperature: float = Field(default=1.0, gt=0)
    algorithm: str | None = None
    extra_groups: int | None = Field(default=None, ge=0)
    curriculum: CurriculumSettings | None = None
    share_prompts: bool = True
    trim_padding: bool = True
    skip_zero_variance: bool = True
    keep_products: bool = True
    prefill_once: bool = True
    shared_decoding: bool = True
    prepack_weights: bool = True
    drop_finished: bool = True
    cache_room: bool = True
    score_beside: bool = False

    @property
    def rows_per_step(self) -> int:
        return self.prompts_per_step * self.group_size

    @property
    def prompts_per_sampling(self) -> int:
        """Groups sampled at once: those of one step, or of as many as `trl.steps_per_generation` says."""
        passes = batch_arguments(self)["gradient_accumulation_steps"]
        return self.prompts_per_step * self.trl.get("steps_per_generation", passes) // passes

    @property
    def portion(self) -> tuple[str, int]:
        return "prompts_per_step", self.group_size

    @property
    def savings(self) -> Savings:
        return Savings(**{each.name: getattr(self, each.name) for each in fields(Savings)})

    @property
    def preset(self) -> Algorithm:
        """The algorithm's settings, none without a name."""
        return ALGORITHMS[self.algorithm] if self.algorithm else Algorithm("")

    @property
    def max_extra_groups(self) -> int:
        """Groups that dynamic sampling may take in a step; 0: it is off."""
        return self.preset.extra_groups * self.prompts_per_step if self.extra_groups is None else self.extra_groups

    @property
    def chosen(self) -> dict[str, Any]:
        """TRL's settings of the algorithm, and over them those of the config."""
        return {**self.preset.trl, **self.trl}

    def trl_defaults(self) -> dict[str, Any]:
        return {
            **self.preset.trl,
            "num_generations": self.group_size,
            "max_completion_length": self.max_new_tokens,
            "temperature": self.temperature,
            "lr_scheduler_type": "constant_with_warmup",
            "warmup_steps": 5,
        }

    def sampling_params(self, args: Any) -> SamplingParams:
        """How completions are drawn; top-p, top-k and min-p are TRL's settings."""
        return SamplingParams(
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            top_p=args.top_p,
            top_k=args.top_k or 0,
            min_p=args.min_p or 0.0,
            min_new_tokens=self.min_new_tokens,
            stop=self.stop,
            alternatives=self.record_alternatives,
            max_turns=self.max_turns,
        )

    @property
    def keeps_reference(self) -> bool:
        """Whether the KL to the model that it starts from is part of the loss."""
        return bool(self.chosen.get("beta"))


class GRPOStage(TrainingStage):
    """TRL's `GRPOTrainer` with our reward."""

    kind = "grpo"
    Config = GRPOStageConfig
    rows = "completions"
    shown: ClassVar[dict[str, str]] = {
        "reward": "reward",
        "reward/*": "reward ",
        "parts/*": "",
        "curriculum/*": "",
        "frac_reward_zero_std": "zero-variance",
        "completions/mean_length": "tokens",
    }

    @classmethod
    def check(cls, config: GRPOStageConfig, run: RunConfig) -> None:
        if config.algorithm not in (None, *ALGORITHMS):
            raise unknown_name(f"algorithm of stage {config.name}", config.algorithm, ALGORITHMS)
        super().check(config, run)
        _check_savings(config)
        check_sampling(config)
        check_share(config, "extra_groups", config.max_extra_groups)
        check_trls_settings(config)
        check_budget(config.name, config.max_new_tokens, run.model)
        check_curriculum(config, run)
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
        by = f" by {config.algorithm}" if config.algorithm else ""
        extra = f", up to {config.max_extra_groups} groups more" if config.max_extra_groups else ""
        extra += ", curriculum" if config.curriculum else ""
        return f"{config.steps} steps{by} of {config.prompts_per_step} prompts x {config.group_size} completions{extra}"

    @classmethod
    def workload(cls, config: GRPOStageConfig) -> Workload:
        from rlvr.engine.sampling import MAX_ROWS

        passes, savings = batch_arguments(config), config.savings
        rows = passes["per_device_train_batch_size"] * passes["gradient_accumulation_steps"]
        whole = not (config.trl.get("bf16") or config.trl.get("fp16")) and passes["per_device_train_batch_size"] > 1
        keeps = whole and savings.keeps_for_update and config.sampler in (None, "torch", "auto")
        return replace(
            super().workload(config),
            sampled_rows=min(rows, MAX_ROWS),
            max_new_tokens=config.max_new_tokens,
            reference=config.keeps_reference,
            kept_prompts=(rows // config.group_size if savings.prefill_once else rows) if keeps else 0,
            kept_rows=rows if keeps else 0,
        )

    @classmethod
    def rehearse(cls, config: GRPOStageConfig, run: "Run") -> None:
        from rlvr.engine.objectives import objectives_of

        super().rehearse(config, run)
        objectives_of(run.in_stage(config).reward, config.chosen.get("multi_objective_aggregation", ""))

    @classmethod
    def trainer(cls, config: GRPOStageConfig, run: "Run", start: Start) -> "Trainer":
        from rlvr.engine.rollout import Origin
        from rlvr.engine.samplers import biases
        from rlvr.engine.trainer import GroupTrainer
        from rlvr.models.room import check_prompts, fits
        from rlvr.traces.store import TraceWriter

        tasks = tasks_of_all_steps(config, run)
        check_prompts(f"stage {config.name}", start.tokenizer, start.model, tasks["prompt"], config.max_new_tokens)
        params = config.sampling_params(start.args)
        if found := biases(params):
            run.warn(
                f"{config.name}: {', '.join(found)} restricts what is sampled, while the update takes it for "
                "samples of the whole distribution: its gradient is biased"
            )
        if config.lora and config.lora.dropout:
            run.warn(
                f"{config.name}: lora.dropout {config.lora.dropout:g} is off in sampling and on in "
                "the update, which then learns for another policy than it sampled from: leave it at 0"
            )
        traces = TraceWriter(run.folder.traces, config.name, "train", rank())
        by_first(lambda: traces.drop_after(start.step))
        curriculum = curriculum_of(config, run, tasks)

        def has_room(example: Example) -> bool:
            return fits(start.tokenizer, start.model, example["prompt"], config.max_new_tokens)

        return GroupTrainer(
            env=run.env,
            reward=run.reward,
            make_sampler=_sampler_source(config, run, start).holding,
            params=params,
            traces=traces,
            origin=Origin(run.folder.path.name, config.name, run.config.seed),
            savings=config.savings,
            score_beside=config.score_beside,
            warn=lambda line: run.warn(f"{config.name}: {line}"),
            fresh_tasks=fresh_tasks_of(config, run, curriculum, has_room),
            curriculum=curriculum,
            **start.arguments(config, tasks),
        )


def _check_savings(config: GRPOStageConfig) -> None:
    off = [name for name in OF_TORCH_SAMPLER if not getattr(config, name)]
    if off and resolve(config.sampler or "torch") != "torch":
        raise UserError(
            f'stage {config.name}: {off[0]} is of the torch sampler: drop it, or set sampler = "torch" in place of '
            f'"{config.sampler}"'
        )


def _sampler_source(config: GRPOStageConfig, run: "Run", start: Start) -> "SamplerSource":
    from rich.markup import escape

    from rlvr.engine.samplers import sampler_source

    def say(line: str) -> None:
        run.console.print(f"[dim]{config.name}: {escape(line)}[/]")

    settings = replace(
        config.sampler_settings(run.config.model.trust_remote_code),
        patience_s=start.args.vllm_server_timeout,
        group_port=start.args.vllm_group_port,
        max_length=start.args.vllm_max_model_length,
        gpu_memory_share=start.args.vllm_gpu_memory_utilization,
        sleeps=start.args.vllm_enable_sleep_mode,
        savings=config.savings,
        by_first=by_first,
    )
    if settings.sleeps and start.args.use_cpu:
        raise UserError(f"stage {config.name}: trl.vllm_enable_sleep_mode gives GPU memory back, and here is no GPU")
    source = sampler_source(settings, start.path, start.model, start.tokenizer, say)
    start.at_end.callback(source.close)
    return source
