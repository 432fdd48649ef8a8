"""The tasks that GRPO learns from: those of all steps, what a curriculum makes of them, and fresh ones in a step."""

from itertools import islice
from typing import TYPE_CHECKING, Any

from rlvr.config.schema import RunConfig
from rlvr.engine.curriculum import Curriculum, says_difficulty
from rlvr.pipeline.processes import num_processes, rank
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
    if (config.curriculum.num_tasks or config.prompts_per_step) < config.prompts_per_step:
        raise UserError(
            f"stage {config.name}: curriculum.num_tasks {config.curriculum.num_tasks} is below the prompts_per_step "
            f"{config.prompts_per_step} of one step: raise it"
        )


def training_tasks(config: Any, run: "Run") -> "Dataset":
    """The training tasks of all steps, or all that a curriculum draws from; fewer where there are fewer."""
    from datasets import Dataset

    from rlvr.engine.examples import examples

    num_tasks = config.steps * config.prompts_per_step
    if config.curriculum and config.curriculum.num_tasks:
        num_tasks = config.curriculum.num_tasks
    found = list(islice(examples(run.env, run.seed(stage=config.name)), num_tasks))
    if len(found) < config.prompts_per_step:  # TRL would go through no batch at all, and call that trained
        raise UserError(
            f"stage {config.name}: {run.env.name} has {len(found)} training tasks, fewer than the prompts_per_step "
            f"{config.prompts_per_step} of one step: lower it, or give more tasks"
        )
    return Dataset.from_list(found)


def curriculum_of(config: Any, run: "Run", tasks: "Dataset") -> Curriculum | None:
    """The curriculum of a stage over its training tasks; `None` where it has none."""
    if config.curriculum is None:
        return None
    rows = (dict(row) for row in tasks)  # pyright: ignore[reportArgumentType]
    return Curriculum(config.curriculum, rows, run.env, run.seed(stage=config.name, purpose="curriculum"))


def fresh_tasks_of(config: Any, run: "Run", curriculum: Curriculum | None) -> "FreshTasks | None":
    """Tasks for dynamic sampling: the curriculum's next ones, or the environment's own drawn anew."""
    from rlvr.engine.dynamic_sampling import FreshTasks, fresh_tasks

    num_groups, share = config.max_extra_groups, (rank(), num_processes())
    if curriculum is None:
        return fresh_tasks(run.env, run.seed(stage=config.name, purpose="fresh tasks"), num_groups, share)
    return FreshTasks(lambda step: curriculum.beyond(), num_groups, share) if num_groups else None
