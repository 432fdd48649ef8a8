"""The completions of one step on this process: whose they are, their seeds, their scores, and their trace rows.

Not here: where their seeds come from (`new_rollout`), how they are sampled (`Sampler`) and what is learned from them
(`GroupTrainer`).
"""

import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, fields, replace
from typing import Any

from numpy import float32

from rlvr.engine.objectives import EARNED, Objectives
from rlvr.engine.sampling import Completion, FinishReason, Request
from rlvr.models.chat import completion_of
from rlvr.score_stream import judge
from rlvr.traces.schema import TraceRow
from rlvr_envs import Environment, Task
from rlvr_rewards import Reward, Score
from rlvr_rewards.row import ABSENT, completion_text, turns_of


@dataclass(frozen=True)
class Origin:
    """Where the completions of a trainer belong: what its traces and seeds are labelled with."""

    run: str
    stage: str
    seed: int


@dataclass
class Rollout:
    """N completions of whole or parts of groups; row `n` is sample `samples[n]` of group `groups[n]`.

    Attributes:
        origin: The run and stage.
        step: The optimizer step that they are sampled for, from 1.
        attempts: How many groups were sampled before in the place of each completion's group.
        seeds: Of each completion, all different.
        solved: Whether each completion solves its task; `None` where the environment failed to say.
        infos: What else the environment says of each completion.
        reward_s: Seconds that scoring took of each completion's share.
        objectives: What of the scores the advantages are made of.
    """

    origin: Origin
    step: int
    tasks: list[Task]
    task_ids: list[str]
    groups: list[int]
    samples: list[int]
    attempts: list[int]
    seeds: list[int]
    prompt_tokens: list[int] = field(default_factory=list)
    completions: list[Completion] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    solved: list[bool | None] = field(default_factory=list)
    infos: list[dict[str, Any]] = field(default_factory=list)
    reward_s: list[float] = field(default_factory=list)
    objectives: Objectives = field(default_factory=Objectives)

    def __len__(self) -> int:
        return len(self.tasks)

    def requests(self, prompt_ids: Sequence[Sequence[int]]) -> list[Request]:
        """One request a group; the rows of a group stand next to each other."""
        prompts: dict[int, Sequence[int]] = {}
        seeds: dict[int, list[int]] = {}
        for group, ids, seed in zip(self.groups, prompt_ids, self.seeds, strict=True):
            prompts.setdefault(group, ids)
            seeds.setdefault(group, []).append(seed)
        return [Request(ids, seeds[group]) for group, ids in prompts.items()]

    def asked(self) -> list[Task]:
        """The task of each request."""
        return [*dict(zip(self.groups, self.tasks, strict=True)).values()]

    def columns(self) -> dict[str, list[Any]]:
        """The columns that tasks have, as rewards ask for them: each task keeps its own, whatever stands beside it."""
        names = dict.fromkeys(name for task in self.tasks for name in task)
        return {name: [task.get(name, ABSENT) for task in self.tasks] for name in names}

    def take(self, groups: Sequence[Sequence[Completion]], prompt_ids: Sequence[Sequence[int]], tokenizer: Any) -> None:
        """Keeps what a sampler drew for the requests of `prompt_ids`, one prompt a row."""
        self.prompt_tokens = [len(ids) for ids in prompt_ids]
        self.completions = [completion for group in groups for completion in group]
        self.texts = [
            completion_text(completion.messages) if completion.turns else completion_of(tokenizer, completion.token_ids)
            for completion in self.completions
        ]

    def score(self, env: Environment, reward: Reward, shared: Mapping[str, Any] | None = None) -> None:
        """Scores every completion, and asks the environment what it says of each; its failures are errors too.

        Args:
            env: Of the tasks.
            reward: What completions earn.
            shared: What TRL gives its reward functions beside the columns.
        """
        started = time.perf_counter()
        said = [completion.messages or text for completion, text in zip(self.completions, self.texts, strict=True)]
        self.scores = reward.score_batch(
            [turns_of(each) for each in said],
            {
                **self.columns(),
                "prompt": self._of_each_group(env.messages),
                "completion_ids": [completion.own_ids for completion in self.completions],
            },
            shared=shared,
            groups=self.groups,
        )
        self.reward_s = [(time.perf_counter() - started) / len(self)] * len(self)
        for n, (task, each) in enumerate(zip(self.tasks, said, strict=True)):
            success, info, errors = judge(task, each, env)
            if failed := self.completions[n].error:
                success, errors = None, {**errors, "reply": failed}
                self.scores[n] = replace(self.scores[n], reward=None)
            self.solved.append(success)
            self.infos.append(info)
            self.scores[n].errors.update(errors)

    def _of_each_group(self, function: Callable[[Task], Any]) -> list[Any]:
        """What a function makes of each completion's task, called once for those of a group."""
        found = {group: function(task) for group, task in dict(zip(self.groups, self.tasks, strict=True)).items()}
        return [found[group] for group in self.groups]

    def turn_values(self) -> dict[str, list[float]]:
        """What is logged of each episode: the model's turns, and whether turns or tokens ended before it did."""
        episodes = [completion for completion in self.completions if completion.turns]
        if not episodes:
            return {}
        cut_short = (FinishReason.TURNS, FinishReason.LENGTH)
        return {
            "turns": [sum(turn.is_own for turn in episode.turns) for episode in episodes],
            "turns/cut_short": [episode.finish_reason in cut_short for episode in episodes],
        }

    def without_variance(self) -> set[int]:
        """The groups whose scored completions all earned the same, in TRL's float32: each has an advantage of 0.

        Where each part is normalized by itself, those in which no part differs.
        """
        found: dict[int, list[EARNED]] = {group: [] for group in self.groups}
        for group, score, earned in zip(self.groups, self.scores, self.earned(), strict=True):
            found[group] += [] if score.reward is None else [earned]
        return {group for group, rows in found.items() if not any(map(_differ, zip(*rows, strict=True)))}

    def earned(self) -> list[EARNED]:
        """Each completion's value of each objective."""
        return [self.objectives.earned(score, task) for score, task in zip(self.scores, self.tasks, strict=True)]

    def passed(self) -> list[tuple[str, int, int]]:
        """Of each group the id of its task, how many of its completions solve it, and of how many that is known."""
        found: dict[int, tuple[str, int, int]] = {}
        for group, task_id, solved in zip(self.groups, self.task_ids, self.solved, strict=True):
            _, count, known = found.get(group, (task_id, 0, 0))
            found[group] = (task_id, count + bool(solved), known + (solved is not None))
        return [*found.values()]

    def unscored(self) -> list[str | None]:
        """Why each completion cannot teach: it has no reward; `None` where it has one."""
        return ["the reward failed or did not apply" if score.reward is None else None for score in self.scores]

    def of_groups(self, groups: Set[int]) -> "Rollout":
        """The completions of some groups."""
        rows = [row for row, group in enumerate(self.groups) if group in groups]
        return replace(self, **{name: [values[row] for row in rows] for name, values in self._lists().items()})

    def replacing(self, other: "Rollout") -> "Rollout":
        """These completions, with those of another in the places of theirs."""
        places = {place: row for row, place in enumerate(zip(other.groups, other.samples, strict=True))}
        from_other = [places.get(place) for place in zip(self.groups, self.samples, strict=True)]
        theirs = other._lists()
        chosen = {
            name: [own if row is None else theirs[name][row] for own, row in zip(values, from_other, strict=True)]
            for name, values in self._lists().items()
        }
        return replace(self, **chosen)

    def _lists(self) -> dict[str, list[Any]]:
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: values for name, values in found.items() if isinstance(values, list)}

    def trace_rows(
        self, env: Environment, advantages: Sequence[float | None], why_not_kept: Sequence[str | None]
    ) -> list[TraceRow]:
        """One row a completion, once all of it is known."""
        messages, traced = self._of_each_group(env.messages), self._of_each_group(env.traced)
        golds = self._of_each_group(lambda task: completion_text(env.gold(task)))
        now = time.time()
        return [
            TraceRow(
                run=self.origin.run,
                stage=self.origin.stage,
                split="train",
                env=traced[n][0],
                step=self.step,
                group=self.groups[n],
                sample=self.samples[n],
                attempt=self.attempts[n],
                task_id=self.task_ids[n],
                task=traced[n][1],
                messages=messages[n],
                gold=golds[n],
                completion=self.texts[n],
                turns=traced_turns(completion),
                token_ids=completion.token_ids,
                logprobs=completion.logprobs,
                entropies=completion.entropies,
                alternatives=completion.alternatives,
                finish_reason=completion.finish_reason,
                parts=score.parts,
                errors=score.errors,
                info=self.infos[n],
                reward=score.reward,
                success=self.solved[n],
                advantage=advantages[n],
                kept=why_not_kept[n] is None,
                why_not_kept=why_not_kept[n],
                seed=self.seeds[n],
                policy_version=self.step - 1,
                prompt_tokens=self.prompt_tokens[n],
                sample_s=completion.seconds,
                reward_s=self.reward_s[n],
                time=now,
            )
            for n, (completion, score) in enumerate(zip(self.completions, self.scores, strict=True))
        ]


def traced_turns(completion: Completion) -> list[dict[str, Any]] | None:
    """The turns of an episode as a trace has them: messages, each with the span of its tokens; `None` of one turn."""
    turns = completion.turns
    return [{"role": t.role, "content": t.content, "tokens": [t.start, t.end]} for t in turns] if turns else None


def _differ(values: Sequence[float | None]) -> bool:
    return len({float(float32(value)) for value in values if value is not None}) > 1
