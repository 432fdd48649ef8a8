"""A portion of a run's steps, scored and compared: the same in this process and in another."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from rlvr.rescore.advantages import Scaling
from rlvr.rescore.comparison import Change, Compared, compare
from rlvr.rescore.disagreement import Place, furthest, the_most
from rlvr.rescore.output import rows_of
from rlvr.rescore.rows import chunks, step_of
from rlvr.rescore.scoring import Rewards, Scorer
from rlvr.rescore.source import Source
from rlvr.traces.shards import Shard
from rlvr_rewards import Reward

StepKey = tuple[str, str, int]


@dataclass(frozen=True)
class Job:
    """All that it takes to score a portion of a run, also in another process.

    Attributes:
        source: The run.
        reward: As text; `None`: its own.
        env: In the place of its environment; `None`: its own.
        scalings: Of the advantages of its stages.
        top: How many disagreements to keep.
        wants_rows: Whether the new scores of every completion are wanted.
    """

    source: Source
    reward: str | None
    env: str | None
    scalings: dict[str, Scaling]
    top: int
    wants_rows: bool

    def scaling(self, stage: str) -> Scaling:
        return self.scalings.get(stage, Scaling.GROUP)


class Scorers:
    """The scorer of each stage: stages may have a reward of their own.

    Args:
        job: Says which.
        given: A reward that is no text, for all stages.
    """

    def __init__(self, job: Job, given: Reward | None = None) -> None:
        self._job, self._given = job, given
        self._made: dict[tuple[str | None, bool], Scorer] = {}

    def of(self, stage: str, split: str) -> Scorer:
        """Reads the reward where it was not read yet; another process does so for itself.

        Raises:
            UserError: It cannot be read, asks for what traces do not have, or does not fit the stage's advantages.
        """
        job = self._job
        key, parts_apart = job.source.key(stage, split), job.scaling(stage) is Scaling.WHITEN
        if (key, parts_apart) not in self._made:
            recorded = job.source.rewards(None, job.env, key) if parts_apart else None
            given: Rewards | None = {None: self._given} if self._given else None
            self._made[key, parts_apart] = Scorer(given or job.source.rewards(job.reward, job.env, key), recorded)
        return self._made[key, parts_apart]


@dataclass
class Portion:
    """What some steps came to.

    Attributes:
        changes: Of each step.
        places: Where the rewards disagree the most.
        tables: The new scores, where they are wanted.
        problems: Files that could not be read, a line each.
    """

    changes: dict[StepKey, Change] = field(default_factory=dict)
    places: list[Place] = field(default_factory=list)
    tables: list[pa.Table] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def add(self, compared: Compared, job: Job) -> None:
        chunk = compared.scored.chunk
        key = (chunk.stage, chunk.split, chunk.step)
        self.changes[key] = self.changes.get(key, Change()) + compared.change
        self.places = the_most([*self.places, *furthest(compared, job.top)], job.top)
        if job.wants_rows:
            self.tables.append(rows_of(compared))


def score_portion(shards: Sequence[Shard], job: Job, scorers: Scorers) -> Portion:
    """Scores and compares all completions of some shards.

    Raises:
        UserError: The reward does not fit them.
    """
    found = Portion(changes={step_of(shard): Change() for shard in shards})
    needed = [scorers.of(shard.stage, shard.split).columns for shard in shards]
    columns = list(dict.fromkeys(itertools.chain(*needed, ("task_id",) if job.wants_rows else ())))

    def is_whole(shard: Shard) -> bool:
        return job.scaling(shard.stage).needs_step

    for chunk in chunks(shards, columns, is_whole, found.problems.append):
        scored = scorers.of(chunk.stage, chunk.split)(chunk)
        found.add(compare(scored, job.scaling(chunk.stage)), job)
    return found
