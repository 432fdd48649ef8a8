"""`orpo`: odds ratio preference optimization (Hong et al. 2024, arXiv 2403.07691), which imitates the better.

It keeps no reference model. TRL has it among its experimental trainers. Learned is what `dpo` learns.
"""

from typing import TYPE_CHECKING, ClassVar

from rlvr.pipeline.preference import PreferenceConfig, PreferenceStage
from rlvr.pipeline.training_stage import Start

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import Trainer

    from rlvr.pipeline.run import Run


class ORPOStageConfig(PreferenceConfig):
    """Settings of `orpo`."""

    trl_class: ClassVar[str] = "ORPOConfig"
    trl_module: ClassVar[str] = "trl.experimental.orpo"


class ORPOStage(PreferenceStage):
    """TRL's `ORPOTrainer`."""

    kind = "orpo"
    Config = ORPOStageConfig

    @classmethod
    def preference_trainer(cls, config: ORPOStageConfig, run: "Run", start: Start, dataset: "Dataset") -> "Trainer":
        from trl.experimental.orpo import ORPOTrainer

        # unset, it would cut at 512 tokens
        context = getattr(start.model.config.get_text_config(), "max_position_embeddings", None)
        start.args.max_length = start.args.max_length or context or 2**20
        return ORPOTrainer(**start.arguments(config, dataset))
