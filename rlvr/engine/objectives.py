"""What of a completion's score the advantages are made of: its total, or each part of the sum by itself.

GDPO (Liu et al. 2026, arXiv 2601.05242) normalizes each part within its group, adds them up by their weights, and
normalizes that over the batch; for a completion i of a group, with r_k its value of part k:

    A_i = Σ_k w_k (r_ik - mean_k) / (std_k + 1e-4)      mean and std over the group
    Â_i = (A_i - mean(A)) / (std(A) + 1e-4)             over the batch

The numbers are TRL's (`multi_objective_aggregation = "normalize_then_sum"`), which takes a column for each part and
their weights: those are made here. A part that does not apply has no value, and adds nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlvr_envs import Task
from rlvr_envs.mixed import MixedReward
from rlvr_rewards import Reward, Score
from rlvr_rewards.terms import Term, terms_of

if TYPE_CHECKING:
    import torch

EARNED = tuple[float | None, ...]
"""A completion's value of each objective."""


@dataclass(frozen=True)
class Objectives:
    """The columns of which TRL makes advantages.

    Attributes:
        terms: The parts of the sum, each with the label of the environment whose reward has it (`None`: there is one
            environment); empty: the total is the one objective.
    """

    terms: tuple[tuple[str | None, Term], ...] = ()

    def columns(self, reward: Reward) -> list[Any]:
        """A function for each, as TRL wants them: it takes their number and names, and calls none of them here."""
        names = [term.part if label is None else f"{label}/{term.part}" for label, term in self.terms]
        return [_named(name) for name in names] or [reward]

    def earned(self, score: Score, task: Task) -> EARNED:
        """A completion's value of each; `None` of those of another environment than its task's."""
        if not self.terms:
            return (score.reward,)
        return tuple(term.value(score) if of is None or of == task["env"] else None for of, term in self.terms)

    def weights(self, step: int) -> "torch.Tensor":
        """The weight of each at an optimizer step, from 0."""
        import torch  # here, since what is checked before a run imports this module, and loads no torch

        return torch.tensor([term.weight(step) for _, term in self.terms] or [1.0], dtype=torch.float32)


def _named(name: str) -> Callable[..., Any]:
    def column(**_: Any) -> list[float | None]:
        raise AssertionError("completions are scored by GroupTrainer._calculate_rewards")

    column.__name__ = name
    return column


def objectives_of(reward: Reward, aggregation: str) -> Objectives:
    """The objectives that TRL's setting `multi_objective_aggregation` asks for.

    Raises:
        UserError: It asks for each part, and the reward is no sum of named parts.
    """
    if aggregation != "normalize_then_sum":
        return Objectives()
    if isinstance(reward, MixedReward):
        of_all = [(label, term) for label, each in reward.rewards.items() for term in terms_of(each)]
        return Objectives(tuple(of_all))
    return Objectives(tuple((None, term) for term in terms_of(reward)))
