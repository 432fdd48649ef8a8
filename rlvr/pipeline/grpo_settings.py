"""Settings of TRL's GRPO that would do nothing here, or that TRL itself would look at only once it trains."""

from typing import Any

from rlvr.engine.vllm_weights import MAX_RANK
from rlvr.pipeline.training import batch_arguments
from rlvr_rewards.errors import UserError, unknown_name

_CHOICES = {
    "loss_type": ("grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo"),
    "scale_rewards": ("group", "batch", "none", True, False),
    "importance_sampling_level": ("token", "sequence"),
    "multi_objective_aggregation": ("sum_then_normalize", "normalize_then_sum"),
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
    "vllm_importance_sampling_correction",
    "vllm_importance_sampling_mode",
    "vllm_importance_sampling_clip_max",
    "vllm_importance_sampling_clip_min",
    "vllm_model_impl",
    "vllm_structured_outputs_regex",
    "vllm_tensor_parallel_size",
)

_OF_TRLS_EVALUATION = ("eval_strategy", "do_eval", "eval_on_start", "num_generations_eval")


def check_trls_settings(config: Any) -> None:
    """Refuses settings that would do nothing here, and sampling for part of a step, whose trace is one shard."""
    for name in _OF_TRLS_SAMPLING:
        if name in config.trl:
            raise UserError(f"stage {config.name}: trl.{name} is of TRL's own sampling, not used here: drop it")
    for name in _OF_TRLS_EVALUATION:
        if config.trl.get(name) not in (None, False, "no"):
            raise UserError(
                f"stage {config.name}: trl.{name} is of TRL's own evaluation, not used here: add a stage evaluate"
            )
    if config.trl.get("use_liger_kernel"):
        raise UserError(f"stage {config.name}: trl.use_liger_kernel passes by what leaves work out here: drop it")
    if config.stop and config.chosen.get("mask_truncated_completions"):
        raise UserError(
            f"stage {config.name}: trl.mask_truncated_completions takes what a stop string ended as cut short: "
            "set it to false, or drop stop"
        )
    if config.lora and config.sampler == "vllm" and config.lora.r > MAX_RANK:
        raise UserError(
            f"stage {config.name}: lora.r {config.lora.r} is above vLLM's limit of {MAX_RANK}: lower it, or set "
            'sampler = "torch"'
        )
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
