"""TRL's `GRPOTrainer` with our sampler, our rewards and a trace of every completion.

Losses, advantages, KL, adapters and distribution stay TRL's. What is overridden are private methods of TRL 1.16; they
stand in this module alone, and `tests/rlvr/engine/test_trl_seams.py` fails when TRL changes one of them.

    _generate_single_turn            groups come from our `Sampler`
    _calculate_rewards               scores with named parts, recorded errors and the policy for them
    _generate_and_score_completions  the trace, once the advantages are known
"""

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from trl.models import unwrap_model_for_generation
from trl.trainer.grpo_trainer import GRPOTrainer

from rlvr.engine.sampling import Completion, Request, Sampler, SamplingParams
from rlvr.traces.schema import TraceRow
from rlvr.traces.store import TraceWriter
from rlvr_envs import Environment, Task
from rlvr_envs.seeds import derive_seed
from rlvr_rewards import Reward, Score, UserError
from rlvr_rewards.batch import part_means
from rlvr_rewards.row import completion_text


@dataclass(frozen=True)
class Origin:
    """Where the completions of a trainer belong: what its traces and seeds are labelled with."""

    run: str
    stage: str
    seed: int


@dataclass
class Rollout:
    """The completions of one generation batch on this process, while they are scored.

    N rows; row `n` is sample `samples[n]` of group `groups[n]`.
    """

    tasks: list[Task]
    task_ids: list[str]
    groups: list[int]
    samples: list[int]
    seeds: list[int]
    prompt_tokens: list[int] = field(default_factory=list)
    completions: list[Completion] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    reward_s: float = 0.0


class GroupTrainer(GRPOTrainer):
    """GRPO on an environment.

    The dataset has the columns `prompt` (messages), `task` (the environment's row as JSON text) and `task_id`.

    Args:
        env: The environment that the tasks are of.
        reward: What completions earn.
        make_sampler: Makes the sampler from the model that is trained.
        traces: Where a row for every completion goes.
        origin: The run, stage and seed.
        **kwargs: Of `trl.GRPOTrainer`, without `reward_funcs`.
    """

    def __init__(
        self,
        *,
        env: Environment,
        reward: Reward,
        make_sampler: Callable[[Any], Sampler],
        traces: TraceWriter,
        origin: Origin,
        **kwargs: Any,
    ) -> None:
        super().__init__(reward_funcs=reward, **kwargs)
        self.env, self.reward, self.traces, self.origin = env, reward, traces, origin
        self.make_sampler = make_sampler
        self._rollout: Rollout | None = None

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self._rollout = self._new_rollout(inputs)
        output = super()._generate_and_score_completions(inputs)
        self.traces.write(self._step_sampled_for, self._trace_rows(self._rollout, output["advantages"].tolist()))
        return output

    def _generate_single_turn(
        self, prompt_ids: list[list[int]], images: Any, multimodal_fields: Any, num_generations: int, *_: Any, **__: Any
    ) -> tuple[list[list[int]], None]:
        rollout = self._require_rollout()
        with unwrap_model_for_generation(self.model_wrapped, self.accelerator) as model:
            groups = self.make_sampler(model).sample(_requests(prompt_ids, rollout), self._sampling_params())
        rollout.prompt_tokens = [len(ids) for ids in prompt_ids]
        rollout.completions = [completion for group in groups for completion in group]
        return [completion.token_ids for completion in rollout.completions], None

    def _calculate_rewards(
        self, inputs: list[dict[str, Any]], prompts: list[Any], completions: list[Any], completion_ids_list: list[Any]
    ) -> torch.Tensor:
        rollout = self._require_rollout()
        started = time.perf_counter()
        columns = {name: [task[name] for task in rollout.tasks] for name in _common_columns(rollout.tasks)}
        rollout.scores = self.reward.score_batch(
            completions,
            {**columns, "prompt": prompts, "completion_ids": completion_ids_list},
            shared={"trainer_state": self.state},
            groups=rollout.groups,
        )
        rollout.reward_s = (time.perf_counter() - started) / len(completions)
        rollout.texts = [completion_text(completion) for completion in completions]
        self._refuse_reward_that_always_fails(rollout.scores)
        self._log_scores(rollout)
        rewards_N = torch.tensor(
            [torch.nan if score.reward is None else score.reward for score in rollout.scores],
            device=self.accelerator.device,
        )
        gathered: Any = self.accelerator.gather(rewards_N[:, None])
        return gathered

    @property
    def _step_sampled_for(self) -> int:
        return self.state.global_step + 1

    def _require_rollout(self) -> Rollout:
        assert self._rollout is not None, "TRL generated outside of _generate_and_score_completions"
        return self._rollout

    def _new_rollout(self, inputs: list[dict[str, Any]]) -> Rollout:
        group_size = self.num_generations
        first_row = self.accelerator.process_index * len(inputs)
        groups, samples = zip(*(divmod(first_row + row, group_size) for row in range(len(inputs))), strict=True)
        task_ids = [example["task_id"] for example in inputs]
        rollout = Rollout(
            [json.loads(example["task"]) for example in inputs], task_ids, list(groups), list(samples), seeds=[]
        )
        occurrences = _occurrences(rollout)
        rollout.seeds = [
            derive_seed(
                self.origin.seed,
                stage=self.origin.stage,
                split="train",
                step=self._step_sampled_for,
                task_id=task_id,
                occurrence=occurrences[group],
                attempt=0,
                turn=0,
                sample=sample,
            )
            for task_id, group, sample in zip(task_ids, groups, samples, strict=True)
        ]
        return rollout

    def _sampling_params(self) -> SamplingParams:
        return SamplingParams(
            max_new_tokens=int(self.max_completion_length or 0),
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k or 0,
            min_p=self.min_p or 0.0,
        )

    def _refuse_reward_that_always_fails(self, scores: list[Score]) -> None:
        if all(score.errors for score in scores):
            name, error = next(iter(scores[0].errors.items()))
            raise UserError(
                f"the reward failed for every completion of step {self._step_sampled_for}; "
                f"the first error is of its part {name}: {error}"
            )

    def _log_scores(self, rollout: Rollout) -> None:
        for name, mean in part_means(rollout.scores).items():
            self._log_metric(f"parts/{name}", mean)
        solved = [self.env.success(task, text) for task, text in zip(rollout.tasks, rollout.texts, strict=True)]
        self._log_metric("success", sum(solved) / len(solved))
        self._log_metric("reward_errors", sum(bool(score.errors) for score in rollout.scores) / len(rollout.scores))

    def _trace_rows(self, rollout: Rollout, advantages: list[float]) -> list[TraceRow]:
        now = time.time()
        return [
            TraceRow(
                run=self.origin.run,
                stage=self.origin.stage,
                split="train",
                env=self.env.name,
                step=self._step_sampled_for,
                group=rollout.groups[n],
                sample=rollout.samples[n],
                task_id=rollout.task_ids[n],
                task=rollout.tasks[n],
                messages=self.env.messages(rollout.tasks[n]),
                gold=self.env.gold(rollout.tasks[n]),
                completion=rollout.texts[n],
                token_ids=completion.token_ids,
                logprobs=completion.logprobs,
                finish_reason=completion.finish_reason,
                parts=score.parts,
                errors=score.errors,
                info=self.env.info(rollout.tasks[n], rollout.texts[n]),
                reward=score.reward,
                success=self.env.success(rollout.tasks[n], rollout.texts[n]),
                advantage=advantages[n],
                kept=score.reward is not None,
                why_not_kept="the reward failed or did not apply" if score.reward is None else None,
                seed=rollout.seeds[n],
                policy_version=self.state.global_step,
                prompt_tokens=rollout.prompt_tokens[n],
                sample_s=completion.seconds,
                reward_s=rollout.reward_s,
                time=now,
            )
            for n, (completion, score) in enumerate(zip(rollout.completions, rollout.scores, strict=True))
        ]


def _requests(prompt_ids: list[list[int]], rollout: Rollout) -> list[Request]:
    """One request a group; rows of a group stand next to each other."""
    requests: list[Request] = []
    for row, (ids, group) in enumerate(zip(prompt_ids, rollout.groups, strict=True)):
        if row == 0 or group != rollout.groups[row - 1]:
            requests.append(Request(ids, []))
        requests[-1] = Request(ids, [*requests[-1].seeds, rollout.seeds[row]])
    return requests


def _occurrences(rollout: Rollout) -> dict[int, int]:
    """For each group, how many groups before it in this batch are of the same task."""
    seen: Counter[str] = Counter()
    found: dict[int, int] = {}
    for group, task_id in zip(rollout.groups, rollout.task_ids, strict=True):
        if group not in found:
            found[group] = seen[task_id]
            seen[task_id] += 1
    return found


def _common_columns(tasks: list[Task]) -> list[str]:
    return [name for name in tasks[0] if all(name in task for task in tasks)]
