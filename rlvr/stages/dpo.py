"""`dpo`: direct preference optimization (Rafailov et al. 2023, arXiv 2305.18290) and its kin, as TRL has them.

Learned are given preferences, or pairs from groups that the model samples: best against worst, of about one length.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BeforeValidator

from rlvr.config.schema import RunConfig
from rlvr.models.memory import Workload
from rlvr.pipeline.preference import PreferenceConfig, PreferenceStage
from rlvr.pipeline.training import TrainingConfig
from rlvr.pipeline.training_stage import Start
from rlvr_rewards.errors import UserError, unknown_name

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import Trainer

    from rlvr.pipeline.run import Run

LOSSES = (
    "sigmoid",
    "hinge",
    "ipo",
    "exo_pair",
    "nca_pair",
    "robust",
    "bco_pair",
    "sppo_hard",
    "aot",
    "aot_unpaired",
    "apo_zero",
    "apo_down",
    "discopop",
    "sft",
    "sigmoid_norm",
)
"""The losses of TRL 1.16, whose names TRL itself looks at only once it trains."""
_DIVERGENCES = ("reverse_kl", "forward_kl", "js_divergence", "alpha_divergence")
_WITH_OTHER_DIVERGENCES = {"sigmoid", "sigmoid_norm", "hinge", "ipo", "exo_pair", "robust", "discopop", "sft"}


def _as_names(value: Any) -> Any:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


LossTypes = Annotated[tuple[str, ...], BeforeValidator(_as_names)]


class DPOStageConfig(PreferenceConfig):
    """Settings of `dpo`.

    Attributes:
        loss_type: One of TRL's losses, or several that add up, weighted by `trl.loss_weights`.
    """

    trl_class: ClassVar[str] = "DPOConfig"
    ours: ClassVar[dict[str, str]] = {**TrainingConfig.ours, "loss_type": "loss_type"}

    loss_type: LossTypes = ("sigmoid",)

    def trl_defaults(self) -> dict[str, Any]:
        return {**super().trl_defaults(), "loss_type": list(self.loss_type)}


class DPOStage(PreferenceStage):
    """TRL's `DPOTrainer`."""

    kind = "dpo"
    Config = DPOStageConfig

    @classmethod
    def check(cls, config: Any, run: RunConfig) -> None:
        super().check(config, run)
        for name in config.loss_type:
            if name not in LOSSES:
                raise unknown_name(f"loss_type in stage {config.name}", name, LOSSES)
        _check_together(config)

    @classmethod
    def workload(cls, config: Any) -> Workload:
        return replace(super().workload(config), reference=config.lora is None and not _precomputes(config))

    @classmethod
    def preference_trainer(cls, config: DPOStageConfig, run: "Run", start: Start, dataset: "Dataset") -> "Trainer":
        from trl import DPOTrainer

        # TRL would open it by its path, which an adapter's is not; with an adapter of its own it is the model without
        needs_reference = config.lora is None and not _precomputes(config)
        reference = cls.open_model(start.path, config, run) if needs_reference else None
        return DPOTrainer(ref_model=reference, **start.arguments(config, dataset))


def _precomputes(config: DPOStageConfig) -> bool:
    return bool(config.trl.get("precompute_ref_log_probs"))


def _check_together(config: DPOStageConfig) -> None:
    """Refuses what TRL would refuse only after groups were sampled."""
    losses, trl, where = set(config.loss_type), config.trl, f"stage {config.name}"
    divergence = trl.get("f_divergence_type", "reverse_kl")
    if divergence not in _DIVERGENCES:
        raise unknown_name(f"trl.f_divergence_type in {where}", str(divergence), _DIVERGENCES)
    if divergence != "reverse_kl" and (without := sorted(losses - _WITH_OTHER_DIVERGENCES)):
        raise UserError(f"{where}: loss {without[0]} knows no trl.f_divergence_type {divergence}: drop one of the two")
    if "exo_pair" in losses and not trl.get("label_smoothing"):
        raise UserError(f"{where}: loss exo_pair needs trl.label_smoothing above 0, such as 1e-3")
    if "robust" in losses and not 0 <= trl.get("label_smoothing", 0) < 0.5:
        raise UserError(f"{where}: with loss robust, trl.label_smoothing lies in [0, 0.5)")
    if trl.get("use_weighting") and losses & {"aot", "aot_unpaired"}:
        raise UserError(f"{where}: trl.use_weighting does not go with aot, which sorts the pairs: drop one of the two")
    if trl.get("sync_ref_model") and (config.lora or _precomputes(config)):
        other = "[stage.lora]" if config.lora else "trl.precompute_ref_log_probs"
        raise UserError(
            f"{where}: trl.sync_ref_model moves a reference that {other} does not keep: drop one of the two"
        )
