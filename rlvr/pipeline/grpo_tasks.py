"""The tasks that GRPO learns from: those of all steps, what a curriculum makes of them, and fresh ones in a step."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from rlvr.config.schema import RunConfig
from rlvr.engine.curriculum import Curriculum, says_difficulty
from rlvr.engine.examples import Example, examples
from rlvr.pipeline.processes import num_processes, rank
from rlvr_envs.seeds import derive_seed
from rlvr_rewards.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

    from rlvr.engine.dynamic_sampling import FreshTasks
    from rlvr.pipeline.run import Run


def check_curriculum(config: Any, run: RunConfig) -> None:
    """Refuses a curriculum over tasks of which nobody says how hard they are, or over fewer than a step takes."""
    from rlvr.pipeline.run import environment_of

    if config.curriculum is None:
        return
    if not says_difficulty(env := environment_of(run)):
        raise UserError(
            f"stage {config.name}: a curriculum needs to know how hard a task is, and {env.name} does not say: give it "
            "a method difficulty(task), or drop [stage.curriculum]"
        )
    if (config.curriculum.num_tasks or config.prompts_per_sampling) < config.prompts_per_sampling:
        raise UserError(
            f"stage {config.name}: curriculum.num_tasks {config.curriculum.num_tasks} is below the "
            f"{config.prompts_per_sampling} prompts that are sampled at once: raise it"
        )


def tasks_of_all_steps(config: Any, run: "Run") -> "Dataset":
    """The training tasks of all steps, or all that a curriculum draws from; fewer where there are fewer."""
    from datasets import Dataset

    num_tasks = max(config.steps * config.prompts_per_step, config.prompts_per_sampling)
    if config.curriculum and config.curriculum.num_tasks:
        num_tasks = config.curriculum.num_tasks
    found = list(islice(examples(run.env, run.seed(stage=config.name)), num_tasks))
    if len(found) < config.prompts_per_sampling:  # TRL would go through no batch at all, and call that trained
        setting = "prompts_per_step"
        if config.prompts_per_sampling > config.prompts_per_step:
            setting += " or trl.steps_per_generation"
        raise UserError(
            f"stage {config.name}: {run.env.name} has {len(found)} training tasks, fewer than the "
            f"{config.prompts_per_sampling} that are sampled at once: lower {setting}, or give more tasks"
        )
    return Dataset.from_list(found)


def curriculum_of(config: Any, run: "Run", tasks: "Dataset") -> Curriculum | None:
    """The curriculum of a stage over its training tasks; `None` where it has none."""
    if config.curriculum is None:
        return None
    rows = (dict(row) for row in tasks)  # pyright: ignore[reportArgumentType]
    return Curriculum(config.curriculum, rows, run.env, run.seed(stage=config.name, purpose="curriculum"))


def fresh_tasks_of(
    config: Any, run: "Run", curriculum: Curriculum | None, fits: Callable[[Example], bool]
) -> "FreshTasks | None":
    """Tasks for dynamic sampling: the curriculum's next ones, or the environment's own drawn anew, of those that fit.

    Args:
        config: The stage.
        run: The run.
        curriculum: Of the stage.
        fits: Whether a task has room in the model's context.
    """
    from rlvr.engine.dynamic_sampling import FreshTasks

    seed = run.seed(stage=config.name, purpose="fresh tasks")

    def stream(step: int) -> Iterator[Example]:
        return curriculum.beyond() if curriculum else filter(fits, examples(run.env, derive_seed(seed, step=step)))

    num_groups = config.max_extra_groups
    return FreshTasks(stream, num_groups, (rank(), num_processes())) if num_groups else None
