"""TRL's `GRPOTrainer` with our sampler, our rewards and a trace of every completion.

Losses, advantages, KL, adapters and distribution stay TRL's. What is overridden are private methods of TRL 1.16; they
stand in this module alone, and `tests/rlvr/engine/test_trl_seams.py` fails when TRL changes one of them.

    _generate_single_turn            groups come from our `Sampler`
    _calculate_rewards               scores with named parts, recorded errors and the policy for them
    _generate_and_score_completions  the trace, once the advantages are known
    _get_per_token_logps_and_entropies  the prompt of a group computed once
"""

import time
from collections.abc import Callable
from typing import Any

import torch
from trl.models import unwrap_model_for_generation
from trl.trainer.grpo_trainer import GRPOTrainer

from rlvr.engine.rollout import Origin, Rollout, new_rollout
from rlvr.engine.sampling import Sampler, SamplingParams
from rlvr.engine.shared_prompt import can_share, shared_log_probs
from rlvr.traces.store import TraceWriter
from rlvr_envs import Environment
from rlvr_rewards import Reward, UserError
from rlvr_rewards.batch import part_means
from rlvr_rewards.row import completion_text


class GroupTrainer(GRPOTrainer):
    """GRPO on an environment.

    The dataset has the columns `prompt` (messages), `task` (the environment's row as JSON text) and `task_id`.

    Args:
        env: The environment that the tasks are of.
        reward: What completions earn.
        make_sampler: Makes the sampler from the model that is trained.
        params: How completions are drawn.
        traces: Where a row for every completion goes.
        origin: The run, stage and seed.
        share_prompts: Whether the update computes the prompt of a group once, where the model allows it.
        **kwargs: Of `trl.GRPOTrainer`, without `reward_funcs`.
    """

    def __init__(
        self,
        *,
        env: Environment,
        reward: Reward,
        make_sampler: Callable[[Any], Sampler],
        params: SamplingParams,
        traces: TraceWriter,
        origin: Origin,
        share_prompts: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(reward_funcs=reward, **kwargs)
        self.env, self.reward, self.traces, self.origin = env, reward, traces, origin
        self.make_sampler, self.params, self.share_prompts = make_sampler, params, share_prompts
        self._rollout: Rollout | None = None
        self._failed_before = False

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        first_row = self.accelerator.process_index * len(inputs)
        step = self.state.global_step + 1
        self._rollout = new_rollout(inputs, first_row, int(self.num_generations or 0), self.origin, step)
        output = super()._generate_and_score_completions(inputs)
        self.traces.write(step, self._rollout.trace_rows(self.env, output["advantages"].tolist()))
        return output

    def _generate_single_turn(
        self, prompt_ids: list[list[int]], images: Any, multimodal_fields: Any, num_generations: int, *_: Any, **__: Any
    ) -> tuple[list[list[int]], None]:
        rollout = self._require_rollout()
        with unwrap_model_for_generation(self.model_wrapped, self.accelerator) as model:
            sampler = self.make_sampler(model)
            groups = sampler.sample(rollout.requests(prompt_ids), self.params)
        for name, value in getattr(sampler, "metrics", {}).items():
            self._log_metric(name, value)
        rollout.prompt_tokens = [len(ids) for ids in prompt_ids]
        rollout.completions = [completion for group in groups for completion in group]
        return [completion.token_ids for completion in rollout.completions], None

    def _calculate_rewards(
        self, inputs: list[dict[str, Any]], prompts: list[Any], completions: list[Any], completion_ids_list: list[Any]
    ) -> torch.Tensor:
        rollout = self._require_rollout()
        started = time.perf_counter()
        rollout.scores = self.reward.score_batch(
            completions,
            {**rollout.columns(), "prompt": prompts, "completion_ids": completion_ids_list},
            shared={
                "trainer_state": self.state,
                "log_extra": self._log_completion_extra,
                "log_metric": self._log_metric,
            },
            groups=rollout.groups,
        )
        rollout.reward_s = (time.perf_counter() - started) / len(completions)
        rollout.texts = [completion_text(completion) for completion in completions]
        rollout.judge(self.env)
        self._refuse_reward_that_always_fails(rollout)
        self._log_scores(rollout)
        rewards_N = torch.tensor(
            [torch.nan if score.reward is None else score.reward for score in rollout.scores],
            device=self.accelerator.device,
        )
        gathered: Any = self.accelerator.gather(rewards_N[:, None])
        return gathered

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        **multimodal: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        whole = compute_aux_loss or any(value is not None for value in multimodal.values())
        if self.share_prompts and not whole and can_share(self.accelerator.unwrap_model(model)):
            with self.accelerator.autocast():
                found = shared_log_probs(model, input_ids, attention_mask, logits_to_keep, batch_size)
            if found is not None:
                return *found, None
        return super()._get_per_token_logps_and_entropies(
            model,
            input_ids,
            attention_mask,
            logits_to_keep,
            batch_size,
            compute_entropy,
            compute_aux_loss,
            **multimodal,
        )

    def _require_rollout(self) -> Rollout:
        assert self._rollout is not None, "TRL generated outside of _generate_and_score_completions"
        return self._rollout

    def _refuse_reward_that_always_fails(self, rollout: Rollout) -> None:
        """Stops where all of a step failed; of a step of one task, where all of the step before failed too."""
        fails = all(score.errors for score in rollout.scores)
        failed_before, self._failed_before = self._failed_before, fails
        if fails and (failed_before or len(set(rollout.task_ids)) > 1):
            name, error = next(iter(rollout.scores[0].errors.items()))
            raise UserError(
                f"the reward failed for every completion of step {rollout.step}; "
                f"the first error is of its part {name}: {error}"
            )

    def _log_scores(self, rollout: Rollout) -> None:
        for name, mean in part_means(rollout.scores).items():
            self._log_metric(f"parts/{name}", mean)
        if known := [solved for solved in rollout.solved if solved is not None]:
            self._log_metric("success", sum(known) / len(known))
        self._log_metric("reward_errors", sum(bool(score.errors) for score in rollout.scores) / len(rollout.scores))
