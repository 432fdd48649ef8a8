"""What is logged of a step's scores: a value for each completion, of several environments for each of them apart."""

from rlvr.engine.rollout import Rollout
from rlvr_envs import Environment


def score_values(rollout: Rollout, env: Environment) -> dict[str, list[float]]:
    """The values of which a mean over all processes is logged, by its name.

    `parts/NAME`, `success`, `reward_errors`; of several environments `parts/ENV/NAME`, and beside the `success` of all
    `success/ENV` and `reward/ENV`. What a completion has no value of, such as a part that did not apply, is left out.
    """
    found: dict[str, list[float]] = {}
    for task, score, solved in zip(rollout.tasks, rollout.scores, rollout.solved, strict=True):
        label = env.traced(task)[0]
        of_one = label == env.name
        values = {"reward_errors": bool(score.errors), "success": solved}
        values |= {f"parts/{name}" if of_one else f"parts/{label}/{name}": each for name, each in score.parts.items()}
        if not of_one:
            values |= {f"success/{label}": solved, f"reward/{label}": score.reward}
        for name, value in values.items():
            if value is not None:
                found.setdefault(name, []).append(value)
    return found
