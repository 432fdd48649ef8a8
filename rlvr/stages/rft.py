"""`rft`: rejection sampling fine-tuning (Yuan et al. 2023, arXiv 2308.01825) on the model's own verified completions.

Each round samples from the model of the round before, and trains the model that the stage starts from, as ReST-EM does
(Singh et al. 2023, arXiv 2312.06585), on what was kept in all rounds so far. Departures: a completion is learned once
however often it was sampled; of a task only a few are; and tasks that the evaluation asks are left out.
"""

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from pydantic import Field

from rlvr.config.schema import RunConfig
from rlvr.data.forms import Example
from rlvr.data.samples import Asked, Sample, Verdict, verified, words_of
from rlvr.models.chat import reads_back
from rlvr.models.memory import Workload
from rlvr.pipeline.imitation import Examples, ImitationConfig, ImitationStage
from rlvr.pipeline.own_data import record, with_own_data
from rlvr.pipeline.own_groups import (
    GroupsConfig,
    begin_groups,
    check_groups,
    groups_plan,
    rows_at_once,
    sampled_groups,
)
from rlvr.pipeline.processes import by_first, is_first
from rlvr.pipeline.repeated import say_repeated
from rlvr.pipeline.sampling import refuse_vllm_of_one
from rlvr.pipeline.stage import StageResult
from rlvr.pipeline.training_stage import Start
from rlvr_rewards.errors import UserError

if TYPE_CHECKING:
    from rlvr.engine.group_samples import Sampled
    from rlvr.pipeline.run import Run

_FEWEST_ASKED = 1000


class RFTStageConfig(GroupsConfig, ImitationConfig):
    """Settings of `rft`.

    Attributes:
        rounds: How often is sampled and trained; `steps` are those of one round.
        min_reward: What a completion must earn to be learned; by default it must solve its task.
        max_per_task: Completions of one task that are learned, at most.
    """

    steps: int = Field(default=100, ge=1)
    learning_rate: float = Field(default=3e-4, gt=0)
    rounds: int = Field(default=1, ge=1)
    min_reward: float | None = None
    max_per_task: int = Field(default=4, ge=1)


class Round(RFTStageConfig):
    """One round, as a stage of its own.

    Attributes:
        of: The name of the stage.
        number: From 1.
    """

    of: str
    number: int


class RFTStage(ImitationStage):
    """Samples, verifies, and trains TRL's `SFTTrainer`, in rounds."""

    kind = "rft"
    Config = RFTStageConfig
    uses_reward = True

    @classmethod
    def check(cls, config: RFTStageConfig, run: RunConfig) -> None:
        super().check(config, run)
        check_groups(config, run)
        if config.learn == "assistant":
            raise UserError(f'stage {config.name}: a sample is one turn: write learn = "completion" (or "all")')
        _check_reachable(config, run)

    @classmethod
    def check_processes(cls, config: RFTStageConfig) -> None:
        refuse_vllm_of_one(config)

    @classmethod
    def work(cls, config: RFTStageConfig) -> str:
        rounds = f"{config.rounds} x " if config.rounds > 1 else ""
        own = f"{config.num_tasks} x {config.group_size} samples"
        return f"{rounds}{config.steps} steps of {config.batch_size} verified of {own}"

    @classmethod
    def workload(cls, config: RFTStageConfig) -> Workload:
        found = super().workload(config)
        return replace(found, sampled_rows=rows_at_once(config), max_new_tokens=config.max_new_tokens)

    @classmethod
    def run(cls, config: RFTStageConfig, run: "Run") -> StageResult:
        from rlvr.pipeline.run import start_of

        if begin_groups(config, run, config.name) and is_first():
            shutil.rmtree(run.folder.models / config.name, ignore_errors=True)  # rounds under other settings
        start, settings = start_of(config, run.config), config.model_dump()
        result = StageResult()
        for number in range(1, config.rounds + 1):
            name = config.name if number == config.rounds else _name(config.name, number)
            this = Round(**{**settings, "start": start, "of": config.name, "number": number}).model_copy(
                update={"name": name}
            )
            if number == config.rounds or not by_first((run.folder.models / name).exists):
                result = super().run(this, run)
        return with_own_data(result, run, config.name)

    @classmethod
    def examples(cls, config: Round, run: "Run", start: Start) -> Examples:
        label = f"{config.of} round {config.number} of {config.rounds}" if config.rounds > 1 else config.of
        samples: list[Sample] = []
        for number in range(1, config.number + 1):
            plan = groups_plan(config, run, config.of, number - 1)
            opened = partial(_sampling_start, config, run, start, number)
            samples += [_sample(row) for rows in sampled_groups(plan, config, run, opened, label) for row in rows]
        kept, counts = verified(samples, _asked(run), config.max_per_task, config.min_reward)
        read = [s for s in kept if reads_back(start.tokenizer, [*s.prompt, s.said[0]])]
        counts[Verdict.MERGED], counts[Verdict.KEPT], kept = len(kept) - len(read), len(read), read
        said = ", ".join(f"{verdict.replace('_', ' ')} {counts[verdict]}" for verdict in Verdict if counts[verdict])
        run.console.print(f"[dim]{label}: {said}[/]")
        if not kept:
            change = "set" if config.min_reward is None else "lower"
            raise UserError(
                f"stage {config.of}: none of {len(samples)} completions can be learned ({said}): train longer before, "
                f"give easier tasks, a larger group_size or max_new_tokens, or {change} min_reward"
            )
        say_repeated(run.console, label, len(kept), "sample", config.steps * config.batch_size)
        _record(run, config, kept, counts)
        examples = [Example(f"task {s.task_id}", (*s.prompt, *s.said), len(s.prompt)) for s in kept]
        return Examples([examples], [None], len(examples))


def _check_reachable(config: RFTStageConfig, run: RunConfig) -> None:
    from rlvr.pipeline.run import environment_of, reward_of
    from rlvr.pipeline.stage_reward import in_stage

    if config.min_reward is None:
        return
    most = reward_of(in_stage(config, run), environment_of(run)).max
    if config.min_reward > most:
        raise UserError(
            f"stage {config.name}: min_reward {config.min_reward:g} is above {most:g}, the most that a completion can "
            "earn: lower it"
        )


def _name(stage: str, number: int) -> str:
    """What a round that is not the last is called: its model and checkpoints lie in those of the stage."""
    return f"{stage}/round-{number}"


def _sampling_start(config: Round, run: "Run", start: Start, number: int) -> Start:
    """The model that a round samples from: that of the round before, and first the one that the stage starts from."""
    if number == 1:
        return start
    from rlvr.models.load import load_model

    path = str(run.folder.models / _name(config.of, number - 1))
    return replace(start, path=path, model=load_model(path, run.config.model))


def _sample(row: "Sampled") -> Sample:
    return Sample(
        task_id=row.task_id,
        prompt=row.messages,
        text=row.completion,
        tokens=row.completion_tokens,
        reward=row.reward,
        success=row.success,
        finished=row.finished,
        turns=[{"role": turn["role"], "content": turn["content"]} for turn in row.turns or ()],
    )


def _asked(run: "Run") -> Asked:
    """The first 1,000 tasks or more of every split but the training one, and of those that the run evaluates."""
    from rlvr.stages.evaluate import EvaluateStageConfig

    counts = {split: _FEWEST_ASKED for split in run.env.splits if split != "train"}
    for stage in run.config.stage:
        if isinstance(stage, EvaluateStageConfig):
            counts[stage.split] = max(counts.get(stage.split, 0), stage.num_tasks)
    tasks = [
        task
        for split, count in counts.items()
        for rows in run.env.streams(split, run.config.seed).values()
        for task in islice(rows, count)
    ]
    # of several turns, a prompt may be that of many tasks: what it hides is what is asked
    words = (words_of(run.env.messages(task)) for task in tasks if run.env.max_turns == 1)
    return Asked(frozenset(run.env.task_id(task) for task in tasks), frozenset(words))


def _record(run: "Run", config: Round, kept: Sequence[Sample], counts: Counter[Verdict]) -> None:
    """Keeps what is learned, and how much was dropped for what."""
    rows = ({"prompt": s.prompt, "completion": list(s.said), "task_id": s.task_id} for s in kept)
    dropped = {f"dropped/{verdict}": counts[verdict] for verdict in Verdict if verdict is not Verdict.KEPT}
    record(run, config.of, rows, {"sampled": counts.total(), "kept": counts[Verdict.KEPT], **dropped})
