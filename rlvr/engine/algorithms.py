"""Algorithms by name: the settings of TRL's `GRPOTrainer` that make up each, as its paper has them.

All learn from groups and differ in the loss, the clipping, and how advantages are scaled. Where a step takes one
update from fresh samples (the default), the ratio to the old policy is 1 and clipping does nothing: some coincide then.
"""

from dataclasses import dataclass, field
from typing import Any

_PAPER = "https://arxiv.org/abs/"


@dataclass(frozen=True)
class Algorithm:
    """A preset.

    Attributes:
        paper: Where it stands.
        trl: Its settings under TRL's names.
        extra_groups: Groups that dynamic sampling may take more, as a multiple of a step's; see `dynamic_sampling`.
        differs: Where it departs from the paper, in a clause; empty: nowhere.
    """

    paper: str
    trl: dict[str, Any] = field(default_factory=dict)
    extra_groups: int = 0
    differs: str = ""


ALGORITHMS = {
    "grpo": Algorithm(
        _PAPER + "2402.03300",
        {"loss_type": "grpo", "scale_rewards": "group", "epsilon": 0.2, "beta": 0.04},
    ),
    "dr_grpo": Algorithm(
        _PAPER + "2503.20783",
        {"loss_type": "dr_grpo", "scale_rewards": "none", "epsilon": 0.2, "beta": 0.0},
    ),
    "dapo": Algorithm(
        _PAPER + "2503.14476",
        {
            "loss_type": "dapo",
            "scale_rewards": "group",
            "epsilon": 0.2,
            "epsilon_high": 0.28,
            "beta": 0.0,
            "mask_truncated_completions": True,
        },
        extra_groups=2,
        differs="completions cut short are left out of the loss (its overlong filtering), not punished softly",
    ),
    "bnpo": Algorithm(
        _PAPER + "2506.02864",
        {"loss_type": "bnpo", "scale_rewards": "group", "epsilon": 0.2, "beta": 0.0},
        differs="the normalization of TRL's loss of that name, over a pass's tokens; rewards are not fitted by a Beta",
    ),
    "gspo": Algorithm(
        _PAPER + "2507.18071",
        {
            "loss_type": "grpo",
            "importance_sampling_level": "sequence",
            "scale_rewards": "group",
            "epsilon": 3e-4,
            "epsilon_high": 4e-4,
            "beta": 0.0,
        },
        differs="one update a step, where the paper takes four: trl.steps_per_generation",
    ),
    "cispo": Algorithm(
        _PAPER + "2506.13585",
        {"loss_type": "cispo", "scale_rewards": "group", "epsilon_high": 5.0, "beta": 0.0},
    ),
    "sapo": Algorithm(
        _PAPER + "2511.20347",
        {
            "loss_type": "sapo",
            "scale_rewards": "group",
            "sapo_temperature_pos": 1.0,
            "sapo_temperature_neg": 1.05,
            "beta": 0.0,
        },
    ),
    "luspo": Algorithm(
        _PAPER + "2602.05261",
        {
            "loss_type": "luspo",
            "importance_sampling_level": "sequence",
            "scale_rewards": "group",
            "epsilon": 2e-3,
            "epsilon_high": 2.5e-3,
            "beta": 0.0,
        },
    ),
    "vespo": Algorithm(_PAPER + "2602.10693", {"loss_type": "vespo", "scale_rewards": "group", "beta": 0.0}),
    "gdpo": Algorithm(
        _PAPER + "2601.05242",
        {"multi_objective_aggregation": "normalize_then_sum", "loss_type": "grpo", "epsilon": 0.2, "beta": 0.0},
        differs="no KL; its reward of parts that count only with others is written in the reward: a & b",
    ),
    "rloo": Algorithm(
        _PAPER + "2402.14740",
        {"loss_type": "luspo", "importance_sampling_level": "token", "scale_rewards": "none", "beta": 0.0},
        differs="advantages are (G - 1) / G of the paper's, which Adam cancels but for clipping; KL is in the loss",
    ),
}
"""Every algorithm by its name."""
