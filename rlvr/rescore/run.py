"""Rescoring a run: its completions portion by portion, in this process or in several, and what they add up to."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from rlvr.rescore.comparison import Change
from rlvr.rescore.disagreement import Place, opened, the_most
from rlvr.rescore.output import Output
from rlvr.rescore.portion import Job, Portion, Scorers, StepKey, score_portion
from rlvr.rescore.result import Rescored, Stretch
from rlvr.rescore.rows import work_of
from rlvr.rescore.source import Source
from rlvr.rescore.workers import in_order
from rlvr.traces.shards import Shard
from rlvr_rewards.algebra import RewardLike, lift

_STRETCHES = 24
"""A stage's steps are told apart in so many stretches at most."""
_PORTIONS_EACH = 8
"""A process of its own pays from so many portions on: to start one takes about a second."""


def rescore(
    run: Path | str,
    reward: str | RewardLike | None = None,
    *,
    env: str | None = None,
    stage: str | None = None,
    split: str | None = None,
    step: int | None = None,
    top: int = 10,
    workers: int = 1,
    output: BinaryIO | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Rescored:
    """Scores the completions of a run with another reward, beside what is recorded. Nothing of the run is written.

    Args:
        run: Its folder, a folder of traces, or a file of another tool's completions.
        reward: An expression as in `[reward]` of a config, `FILE.py:NAME`, or a reward itself; by default the run's
            own, as it is now: what a change of its code would have done.
        env: In the place of the run's environment, whose parts an expression may name; as on a command line.
        stage, split, step: Only these completions.
        top: How many disagreements to keep.
        workers: Processes that score beside each other, at most: fewer where there is little to score, and one where
            the reward is no text or brings processes of its own.
        output: Where the new scores of every completion go, as parquet.
        progress: Told how many shards are done, and of how many.

    Raises:
        UserError: There are no such completions, or the reward cannot be read or asks for what traces do not have.
        WorkError: A worker died.
    """
    source = Source.open(run)
    shards = source.shards(stage, split, step)
    text = reward if isinstance(reward, str) else None
    job = Job(source, text, env, source.scalings(), top, output is not None)
    is_text = reward is None or text is not None
    scorers = Scorers(job, None if is_text else lift(reward))
    waits = any(scorers.of(stage, split).waits for stage, split in dict.fromkeys((s.stage, s.split) for s in shards))
    stretch_of = _stretches(shards)
    progress(0, len(shards))
    changes: dict[Stretch, Change] = {}
    places: list[Place] = []
    problems: list[str] = []
    with ExitStack() as stack:
        rows = stack.enter_context(Output(output)) if output else None
        beside = workers if is_text and not waits else 1
        for done, portion in _scored(job, scorers, shards, beside, stack):
            for key, change in portion.changes.items():
                changes[stretch_of[key]] = changes.get(stretch_of[key], Change()) + change
            places = the_most([*places, *portion.places], top)
            problems += portion.problems
            if rows:
                rows.add(portion.tables)
            progress(done, len(shards))
    called = text if is_text else getattr(reward, "__name__", "reward")
    return Rescored(str(run), called, changes, job.scalings, opened(places), problems)


def _scored(
    job: Job, scorers: Scorers, shards: Sequence[Shard], workers: int, stack: ExitStack
) -> Iterator[tuple[int, Portion]]:
    """What each portion comes to, with how many shards are done by then."""
    portions = list(work_of(shards))
    count = min(workers, len(portions) // _PORTIONS_EACH)
    if count > 1:
        found = stack.enter_context(in_order(job, portions, count))
    else:
        found = (score_portion(portion, job, scorers) for portion in portions)
    done = 0
    for portion, result in zip(portions, found, strict=True):
        done += len(portion)
        yield done, result


def _stretches(shards: Sequence[Shard]) -> dict[StepKey, Stretch]:
    """Which stretch each step belongs to: of a stage and split even numbers of steps, in order."""
    found: dict[StepKey, Stretch] = {}
    for (stage, split), same in groupby(shards, key=lambda shard: (shard.stage, shard.split)):
        steps = list(dict.fromkeys(shard.step for shard in same))
        count = min(_STRETCHES, len(steps))
        for number in range(count):
            inside = steps[number * len(steps) // count : (number + 1) * len(steps) // count]
            stretch = Stretch(stage, split, inside[0], inside[-1])
            found |= {(stage, split, step): stretch for step in inside}
    return found
