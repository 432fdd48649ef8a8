"""`reward_model`: a model that learns which of two completions is preferred, and is a reward from then on.

TRL's `RewardTrainer` on given preferences, or on pairs from groups that the model before it samples: the layers of that
model under a new head of one number, trained with the loss of Bradley and Terry, -log sigmoid(chosen - rejected). The
stages after it name it in their reward by its name; none starts from it. A tenth of the pairs is not learned: the
finished model is opened again and asked about those, and how often it prefers the chosen one is its accuracy.

TRL offers PPO no more; a reward model with GRPO or RLOO (`algorithm = "rloo"`) takes its place.
"""

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from rlvr.config.schema import RunConfig
from rlvr.pipeline.preference import PreferenceConfig, PreferenceStage
from rlvr.pipeline.processes import by_first
from rlvr.pipeline.stage import StageResult
from rlvr.pipeline.training_stage import Start
from rlvr.replacing import write_json
from rlvr_rewards.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import Trainer

    from rlvr.pipeline.run import Run
    from rlvr_rewards import Reward

_HELD_OUT_FILE = "held_out.json"
_HARDLY_LEARNED = 0.6


class RewardModelStageConfig(PreferenceConfig):
    """Settings of `reward_model`.

    Attributes:
        held_out: The share of the pairs that is not learned, but asked about at the end; at least one pair.
    """

    trl_class: ClassVar[str] = "RewardConfig"

    held_out: float = Field(default=0.1, gt=0, le=0.5)

    def trl_defaults(self) -> dict[str, Any]:
        return {**super().trl_defaults(), "center_rewards_coefficient": 0.01}


class RewardModelStage(PreferenceStage):
    """TRL's `RewardTrainer`."""

    kind = "reward_model"
    Config = RewardModelStageConfig
    makes_model = False
    shown: ClassVar[dict[str, str]] = {"loss": "loss", "accuracy": "preferred", "margin": "margin"}

    @classmethod
    def check(cls, config: Any, run: RunConfig) -> None:
        super().check(config, run)
        if config.spectrum:
            raise UserError(
                f"stage {config.name}: [stage.spectrum] would freeze the new head: train all weights, or [stage.lora]"
            )
        if config.lora and config.lora.qlora:
            raise UserError(f"stage {config.name}: a reward model is trained in 16 or 32 bits so far: drop qlora")

    @classmethod
    def reward(cls, config: Any, models: Path | None) -> "Reward | None":
        from rlvr.rewards.reward_model import reward_model

        return reward_model.using(path=str(models / config.name) if models else "").named(config.name)

    @classmethod
    def preference_trainer(
        cls, config: RewardModelStageConfig, run: "Run", start: Start, dataset: "Dataset"
    ) -> "Trainer":
        from trl import RewardTrainer

        from rlvr.models.reward_model import as_reward_model

        learned, asked = _split(config, run, dataset)
        by_first(lambda: _keep(asked, _held_out_file(config, run)))
        seed = run.seed(stage=config.name, purpose="head")
        arguments = start.arguments(config, learned)
        arguments["model"] = as_reward_model(start.model, start.tokenizer, seed)
        if lora := arguments["peft_config"]:
            lora.task_type, lora.modules_to_save = "SEQ_CLS", ["score"]
        return RewardTrainer(**arguments)

    @classmethod
    def run(cls, config: Any, run: "Run") -> StageResult:
        result = super().run(config, run)
        assert result.model is not None, "a training stage leaves a model"
        numbers = _asked(config, run, result.model)
        known = f"it prefers the chosen one of {numbers['accuracy']:.1%} of {numbers['num_held_out']:.0f} pairs"
        weak = numbers["accuracy"] < _HARDLY_LEARNED
        advice = " that it did not learn: hardly better than chance" if weak else " that it did not learn"
        run.console.print(f"{config.name}: {known}{advice}", style="yellow" if weak else "dim", highlight=False)
        return replace(result, metrics={**result.metrics, **numbers})


def _held_out_file(config: RewardModelStageConfig, run: "Run") -> Path:
    return run.folder.checkpoints / config.name / _HELD_OUT_FILE


def _keep(pairs: "Dataset", file: Path) -> None:
    """Keeps pairs beside the checkpoints, as long as those stay."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, list(pairs))


def _split(config: RewardModelStageConfig, run: "Run", dataset: "Dataset") -> tuple["Dataset", "Dataset"]:
    """The pairs to learn, and those to ask about; a pair that a mix repeats is on one side alone.

    Raises:
        UserError: There are too few.
    """
    keys = [repr(row) for row in dataset]
    distinct = list(dict.fromkeys(keys))
    if len(distinct) < 2:
        raise UserError(f"stage {config.name}: one pair alone cannot be learned and asked about: give more")
    Random(run.seed(stage=config.name, purpose="held_out")).shuffle(distinct)
    asked = set(distinct[: max(1, round(config.held_out * len(distinct)))])
    rows = {side: [row for row, key in enumerate(keys) if (key in asked) == side] for side in (False, True)}
    first = {keys[row]: row for row in reversed(rows[True])}
    return dataset.select(rows[False]), dataset.select(sorted(first.values()))


def _asked(config: RewardModelStageConfig, run: "Run", model: Path) -> dict[str, float]:
    """What the finished model, opened again, says of the pairs that it did not learn; written beside its weights."""
    from rlvr.models.reward_model import NUMBERS_FILE, open_reward_model

    def measured() -> dict[str, float]:
        pairs = json.loads(_held_out_file(config, run).read_text(encoding="utf-8"))
        opened = open_reward_model(str(model))
        sides = [opened.logits([[*pair["prompt"], *pair[side]] for pair in pairs]) for side in ("chosen", "rejected")]
        chosen, rejected = ([each for each in side if isinstance(each, float)] for side in sides)
        better = sum((a > b) + 0.5 * (a == b) for a, b in zip(chosen, rejected, strict=True))
        numbers = {
            "accuracy": better / len(pairs),
            "num_held_out": float(len(pairs)),
            "reference": (sum(chosen) + sum(rejected)) / (2 * len(pairs)),
            "held_out_margin": (sum(chosen) - sum(rejected)) / len(pairs),
        }
        write_json(model / NUMBERS_FILE, numbers)
        return numbers

    return by_first(measured)
