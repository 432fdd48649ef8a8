"""A portion of a run's steps, scored and compared: the same in this process and in another."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from rlvr.rescore.advantages import Scaling
from rlvr.rescore.comparison import Change, Compared, compare
from rlvr.rescore.disagreement import Place, furthest, the_most
from rlvr.rescore.output import rows_of
from rlvr.rescore.rows import chunks, step_of
from rlvr.rescore.scoring import Scorer
from rlvr.rescore.source import Source
from rlvr.traces.shards import Shard

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

    def scorer(self) -> Scorer:
        """Reads the reward; another process does so for itself.

        Raises:
            UserError: It cannot be read, or asks for what traces do not have.
        """
        return Scorer(self.source.rewards(self.reward, self.env))

    def scaling(self, stage: str) -> Scaling:
        return self.scalings.get(stage, Scaling.GROUP)


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


def score_portion(shards: Sequence[Shard], job: Job, scorer: Scorer) -> Portion:
    """Scores and compares all completions of some shards.

    Raises:
        UserError: No task of a step has a column that the reward needs.
    """
    found = Portion(changes={step_of(shard): Change() for shard in shards})
    columns = (*scorer.columns, "task_id") if job.wants_rows else scorer.columns

    def is_whole(shard: Shard) -> bool:
        return job.scaling(shard.stage).needs_step

    for chunk in chunks(shards, columns, is_whole, found.problems.append):
        found.add(compare(scorer(chunk), job.scaling(chunk.stage)), job)
    return found
