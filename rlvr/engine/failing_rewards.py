"""What is done about rewards that fail: a run in which all of them do stops, and one in which many do says so."""

from collections.abc import Callable

from accelerate.utils import gather_object

from rlvr.engine.rollout import Rollout
from rlvr_rewards import UserError

_MANY = 0.1
"""The share of a step that is worth a warning."""


def refuse_reward_that_always_fails(rollout: Rollout, failed_before: bool, num_processes: int) -> bool:
    """Whether all of a step failed; of a step of one task that is let pass once.

    Args:
        rollout: The completions of this process.
        failed_before: Whether all of the step before failed.
        num_processes: Of the run.

    Raises:
        UserError: The run is to stop.
    """
    fails = all(gather_object([all(score.errors for score in rollout.scores)]))
    if fails and (failed_before or num_processes > 1 or len(set(rollout.task_ids)) > 1):
        raise reward_always_failed(rollout, f"step {rollout.step}")
    return fails


def reward_always_failed(rollout: Rollout, of: str) -> UserError:
    """What to raise where no completion of `of` could be scored."""
    name, error = next(iter(rollout.scores[0].errors.items()))
    return UserError(f"the reward failed for every completion of {of}; the first error is of its part {name}: {error}")


def warn_of_failures(rollout: Rollout, warn: Callable[[str], None]) -> bool:
    """Whether a tenth of a step failed, which is then said: the means that are logged leave those completions out."""
    failed = [score.errors for score in rollout.scores if score.errors]
    if len(failed) < _MANY * len(rollout):
        return False
    name, error = next(iter(failed[0].items()))
    warn(
        f"step {rollout.step}: {len(failed)} of {len(rollout)} completions could not be scored, and no mean "
        f"counts them; the first error is of the part {name}: {error}"
    )
    return True
