"""What is logged of a step's scores: means over its completions, of several environments for each of them apart."""

from rlvr.engine.rollout import Rollout
from rlvr_envs import Environment
from rlvr_rewards.batch import part_means


def score_means(rollout: Rollout, env: Environment) -> dict[str, float]:
    """The means of a step's completions on this process, by the names under which they are logged.

    `parts/NAME`, `success`, `reward_errors`; of several environments `parts/ENV/NAME`, and beside the `success` of all
    `success/ENV` and `reward/ENV`. What has no value, such as a part that applied to nothing, is left out.
    """
    found = {"reward_errors": sum(bool(score.errors) for score in rollout.scores) / len(rollout)}
    found |= _mean("success", rollout.solved)
    rows: dict[str, list[int]] = {}
    for row, task in enumerate(rollout.tasks):
        rows.setdefault(env.traced(task)[0], []).append(row)
    for label, of_env in rows.items():
        scores = [rollout.scores[row] for row in of_env]
        prefix = "parts/" if label == env.name else f"parts/{label}/"
        found |= {f"{prefix}{name}": mean for name, mean in part_means(scores).items()}
        if label != env.name:
            found |= _mean(f"success/{label}", [rollout.solved[row] for row in of_env])
            found |= _mean(f"reward/{label}", [score.reward for score in scores])
    return found


def _mean(name: str, values: list[bool | None] | list[float | None]) -> dict[str, float]:
    known = [value for value in values if value is not None]
    return {name: sum(known) / len(known)} if known else {}
