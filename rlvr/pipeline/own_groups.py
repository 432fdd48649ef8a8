"""Groups that a stage samples from a model of its own before it learns: their settings, and how they come to be.

Several processes deal the batches out among them, and all of them read what all have sampled.

Not here: what is learned from them (`preference`, `rlvr.stages.rft`).
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from rlvr.config.schema import RunConfig
from rlvr.models.room import check_budget
from rlvr.pipeline.processes import by_first, num_processes, rank, wait
from rlvr.pipeline.sampling import SamplingConfig, check_sampling

if TYPE_CHECKING:
    from rlvr.engine.group_samples import GroupPlan, Sampled
    from rlvr.pipeline.run import Run
    from rlvr.pipeline.training_stage import Start


class GroupsConfig(SamplingConfig):
    """Settings of stages that sample groups before they learn.

    Attributes:
        num_tasks: Training tasks of which a group is sampled.
        group_size: Completions a task.
        temperature: Of sampling.
    """

    num_tasks: int = Field(default=1000, ge=1)
    group_size: int = Field(default=8, ge=2)
    temperature: float = Field(default=1.0, gt=0)


def check_groups(config: GroupsConfig, run: RunConfig) -> None:
    """Refuses settings of sampling that cannot work here, and a budget that leaves no room for a prompt."""
    check_sampling(config)
    check_budget(config.name, config.max_new_tokens, run.model)


def rows_at_once(config: GroupsConfig) -> int:
    """Completions under way at once."""
    from rlvr.engine.sampling import MAX_ROWS

    return min(config.num_tasks * config.group_size, MAX_ROWS)


def groups_plan(config: GroupsConfig, run: "Run", stage: str, round_number: int = 0) -> "GroupPlan":
    """Which groups a stage samples in a round, and where they are written.

    The tasks of a round are drawn anew; its batches follow those of the rounds before.
    """
    from rlvr.engine.group_samples import GroupPlan, training_tasks
    from rlvr.engine.rollout import Origin
    from rlvr.engine.sampling import SamplingParams

    seed = run.seed(stage=stage, purpose="tasks", round=round_number)
    params = SamplingParams(
        config.max_new_tokens,
        config.temperature,
        min_new_tokens=config.min_new_tokens,
        stop=config.stop,
        alternatives=config.record_alternatives,
        max_turns=config.max_turns,
    )
    batches = -(-config.num_tasks // max(1, rows_at_once(config) // config.group_size))
    return GroupPlan(
        env=run.env,
        reward=run.reward,
        tasks=training_tasks(run.env, config.num_tasks, seed),
        group_size=config.group_size,
        params=params,
        origin=Origin(run.folder.path.name, stage, run.config.seed),
        first_step=round_number * batches,
        policy_version=round_number,
        traces=run.folder.traces,
        state=run.folder.checkpoints / stage,
    )


def begin_groups(config: GroupsConfig, run: "Run", stage: str) -> bool:
    """Keeps what the stage has sampled before, unless it was under other settings; says whether it begins anew.

    Of several processes the first one sees to it.
    """
    from rlvr.engine.group_samples import begin

    shared = run.config.model_dump(mode="json", include={"seed", "env", "reward", "model"})
    made_from = [config.model_dump(mode="json", exclude=set(config.without_effect)), shared]
    return by_first(lambda: begin(run.folder.checkpoints / stage, run.folder.traces, stage, made_from))


def sampled_groups(
    plan: "GroupPlan", config: GroupsConfig, run: "Run", opened: "Callable[[], Start]", label: str
) -> "Iterator[list[Sampled]]":
    """All groups of a plan; those that are not in the traces yet are sampled first.

    Args:
        plan: Which groups.
        config: How they are sampled.
        run: The run.
        opened: Gives the model that samples, asked only where there is something to sample.
        label: What the stage is called on the screen.
    """
    from rlvr.engine.group_samples import not_sampled, read_groups

    if left := by_first(lambda: not_sampled(plan)):
        _sample(plan, left, config, run, opened(), label)
        wait()
    return read_groups(plan)


def _sample(plan: "GroupPlan", steps: list[int], config: GroupsConfig, run: "Run", start: "Start", label: str) -> None:
    """This process's share of the batches; from servers, whose weights one process sends, the first samples all."""
    import torch

    from rlvr.engine.group_samples import sample_groups
    from rlvr.engine.samplers import sampler_source
    from rlvr.models.room import check_prompts

    prompts = [plan.env.messages(task) for task in plan.tasks]
    check_prompts(f"stage {plan.origin.stage}", start.tokenizer, start.model, prompts, config.max_new_tokens)
    if before := len(plan.tasks) - sum(len(plan.batch(step)) for step in steps):
        run.warn(f"{label}: {before} of {len(plan.tasks)} groups were sampled before")
    if torch.cuda.is_available():
        start.model.to("cuda")  # pyright: ignore[reportArgumentType]
    settings = config.sampler_settings(run.config.model.trust_remote_code)
    source = sampler_source(
        settings,
        start.path,
        start.model,
        start.tokenizer,
        lambda line: run.console.print(f"{label}: {line}", style="dim", markup=False),
    )
    was_training, sharing = start.model.training, 1 if config.servers else num_processes()
    share = steps[rank() :: sharing] if rank() < sharing else []
    with closing(source), _saying_what_is_kept(run, label):
        sample_groups(plan, share, source.holding(start.model.eval()), start.tokenizer, run.console, label)
    start.model.train(was_training)


@contextmanager
def _saying_what_is_kept(run: "Run", label: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        run.warn(f"{label}: what was sampled in whole batches is kept; the same command goes on")
        raise


def data_file(run: "Run", stage: str) -> Path:
    """Where a stage writes what it learned from, in a form that `data` of another run reads."""
    folder = run.folder.path / "data"
    folder.mkdir(exist_ok=True)
    return folder / f"{stage}.jsonl"
