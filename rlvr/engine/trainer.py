"""TRL's `GRPOTrainer` with our sampler, our rewards and a trace of every completion.

Losses, advantages, KL, adapters and distribution stay TRL's. What is overridden are private methods of TRL 1.16; they
stand in this module alone, and `tests/rlvr/engine/test_trl_seams.py` fails when TRL changes one of them.

    _prepare_inputs                     groups stay together in a step's passes
    _generate_and_score_completions     curriculum and dynamic sampling before, trace once the advantages are known
    _generate_single_turn               groups come from our `Sampler`; rewards may begin beside what TRL does next
    _calculate_rewards                  scores with named parts, recorded errors and the policy for them
    _compute_loss                       rows without an advantage do not go through the model
    _get_per_token_logps_and_entropies  prompts computed once a group, passes with little padding

Where the environment replies, TRL's `rollout_func` takes the place of its own generation, for it alone takes a mask of
the tokens that the model did not say: they are read, and nothing is learned from them.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import torch
from accelerate.utils import gather_object
from trl.models import unwrap_model_for_generation
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.utils import split_tensor_dict

from rlvr.engine.beside import in_thread
from rlvr.engine.curriculum import Curriculum
from rlvr.engine.dynamic_sampling import Example, FreshTasks, Refilled, refill
from rlvr.engine.failing_rewards import refuse_reward_that_always_fails, warn_of_failures
from rlvr.engine.kept_products import KeptProducts, can_keep_products
from rlvr.engine.left_out import why_left_out, why_replaced
from rlvr.engine.new_rollout import new_rollout
from rlvr.engine.objectives import objectives_of
from rlvr.engine.rollout import Origin, Rollout
from rlvr.engine.sampling import Sampler, SamplingParams
from rlvr.engine.savings import Savings
from rlvr.engine.score_values import score_values
from rlvr.engine.sharded import held_whole, is_sharded
from rlvr.engine.torch_sampler import TorchSampler
from rlvr.engine.traces_beside import TracesBeside
from rlvr.engine.turns import sample_episodes
from rlvr.engine.update import put_back, rows_that_teach, saving_log_probs
from rlvr.traces.store import TraceWriter
from rlvr_envs import Environment
from rlvr_rewards import Reward


class GroupTrainer(GRPOTrainer):
    """GRPO on an environment.

    The dataset has the columns `prompt` (messages), `task` (the environment's row as JSON text) and `task_id`.

    Args:
        env: The environment that the tasks are of.
        reward: What completions earn.
        make_sampler: Makes the sampler from the model that is trained.
        params: How completions are drawn.
        traces: Where a row for every completion goes, written beside the update.
        origin: The run, stage and seed.
        savings: What the update leaves out; the sampler has its own.
        fresh_tasks: Tasks for dynamic sampling; `None`: groups without variance stay.
        curriculum: Draws the tasks of each step from the dataset; `None`: they come in its order.
        score_beside: Whether rewards are computed in a thread beside the log-probs of a reference or old model. Signals
            (a reward's own alarm) work in the main thread alone. Dynamic sampling needs the rewards first.
        warn: Shows a line to the user.
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
        savings: Savings = Savings(),  # noqa: B008 (frozen)
        fresh_tasks: FreshTasks | None = None,
        curriculum: Curriculum | None = None,
        score_beside: bool = False,
        warn: Callable[[str], None] = lambda line: None,
        **kwargs: Any,
    ) -> None:
        self.objectives = objectives_of(reward, kwargs["args"].multi_objective_aggregation)
        super().__init__(reward_funcs=self.objectives.columns(reward), **kwargs)
        self.score_beside, self.warn = score_beside, warn
        self.env, self.reward, self.traces, self.origin = env, reward, TracesBeside(traces), origin
        self.add_callback(self.traces)
        self.make_sampler, self.params, self.savings, self.fresh_tasks = make_sampler, params, savings, fresh_tasks
        self.curriculum = curriculum
        self._rollout: Rollout | None = None
        self._scoring: Future[None] | None = None
        self._teaching: tuple[torch.Tensor, torch.Tensor, torch.Tensor | None] | None = None
        if env.max_turns > 1:
            self.rollout_func = self._episodes
        keeps = savings.keeps_for_update and env.max_turns == 1 and self.accelerator.mixed_precision == "no"
        self._products = KeptProducts(self.model) if keeps and can_keep_products(self.model, self.args) else None
        if self._products:
            self.add_callback(self._products)
        self._failed_before = self._warned = False

    def train(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().train(*args, **kwargs)
        finally:
            self.traces.wait()  # those of a step that was broken off

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        args: Any = self.args
        model: Any = self.model
        every = args.steps_per_generation * self.num_iterations
        sums_rows = self.loss_type != "bnpo" and not self._loss_has_entropies()
        if not model.training or not sums_rows or args.gradient_accumulation_steps % every:
            return super()._prepare_inputs(generation_batch)
        # All of it goes into one optimizer step, as a sum over rows, whose order does not count: groups stay together.
        if self._step % every == 0 or self._buffered_inputs is None:
            whole = self._generate_and_score_completions(generation_batch)
            self._buffered_inputs = split_tensor_dict(whole, args.steps_per_generation)
        return self._buffered_inputs[self._step % args.steps_per_generation]

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        first_row, group_size = self.accelerator.process_index * len(inputs), int(self.num_generations or 0)
        groups = [(first_row + row) // group_size for row in range(len(inputs))]
        step = self.state.global_step + 1
        batch = gather_object([example["task_id"] for example in inputs])
        if self.curriculum is not None:
            places = self.curriculum.of_step(step, batch[::group_size])
            inputs = [places[group] or example for group, example in zip(groups, inputs, strict=True)]
            batch = gather_object([example["task_id"] for example in inputs])
        before = batch[:first_row:group_size]
        rollout = new_rollout(inputs, groups, self.origin, step, before=before)
        rollout.objectives = self.objectives
        found = Refilled(inputs, rollout)
        if self.fresh_tasks is not None:
            found = self._refilled(found, self.fresh_tasks.of_step(step))
        self._rollout = found.rollout
        self.reward_weights = self.objectives.weights(self.state.global_step)
        output = super()._generate_and_score_completions(found.inputs)
        self._write_traces(found, output)
        if self.curriculum is not None:
            of_all = gather_object([group for each in (found.rollout, *found.replaced) for group in each.passed()])
            for name, value in self.curriculum.observe(of_all).items():
                self._metrics["train"][name].append(value)
        return output

    @property
    def curriculum_state(self) -> dict[str, Any]:
        """What a checkpoint keeps of the curriculum; nothing without one."""
        return self.curriculum.state() if self.curriculum else {}

    @curriculum_state.setter
    def curriculum_state(self, state: dict[str, Any]) -> None:
        if self.curriculum:
            self.curriculum.load(state)

    def _refilled(self, found: Refilled, fresh: Iterator[Example]) -> Refilled:
        with self._sampler() as sampler:  # one for all rounds, which sample from the same weights

            def sample_and_score(rollout: Rollout, inputs: Sequence[Example]) -> None:
                prompt_ids, _, _ = self._tokenize_prompts([example["prompt"] for example in inputs])
                self._sample(sampler, rollout, prompt_ids)
                rollout.score(self.env, self.reward, self._shared())

            sample_and_score(found.rollout, found.inputs)
            rewards = [score.reward for score in found.rollout.scores if score.reward is not None]
            found = refill(found.inputs, found.rollout, fresh, sample_and_score)
        self._pending_extra_logs.clear()  # TRL wants a value for each row that is left
        extra = found.num_extra * self.accelerator.num_processes  # of which the mean over processes is taken: the sum
        self._log_metric("dynamic_sampling/extra_groups", extra)
        self._log_metric("dynamic_sampling/replaced", found.share_replaced)
        self._log_values({"dynamic_sampling/first_reward": rewards} if rewards else {})
        return found

    def _write_traces(self, found: Refilled, output: dict[str, Any]) -> None:
        """The trace; groups without variance have advantages of exactly 0, and count, where rounding leaves a rest."""
        rollout, advantages_B = found.rollout, output["advantages"]
        same = rollout.without_variance()
        of_all = gather_object([group in same for group in dict.fromkeys(rollout.groups)])
        self._metrics["train"]["frac_reward_zero_std"][-1] = sum(of_all) / len(of_all)
        same = same if self._loss_is_of_advantages_alone() else set()
        flat = [group in same for group in rollout.groups]
        advantages_B[torch.tensor(flat, device=advantages_B.device)] = 0.0
        why = why_left_out(rollout, flat, output["completion_mask"].any(-1).tolist())
        rows = rollout.trace_rows(self.env, advantages_B.tolist(), why)
        for replaced in found.replaced:
            rows += replaced.trace_rows(self.env, [None] * len(replaced), why_replaced(replaced))
        self.traces.write(rollout.step, rows)

    @contextmanager
    def _sampler(self) -> Iterator[Sampler]:
        with unwrap_model_for_generation(self.model_wrapped, self.accelerator) as model, held_whole(model):
            sampler = self.make_sampler(model)
            if isinstance(sampler, TorchSampler) and not is_sharded(model):
                sampler.products = self._products
            yield sampler

    def _sample(self, sampler: Sampler, rollout: Rollout, prompt_ids: Sequence[Sequence[int]]) -> None:
        requests, tasks = rollout.requests(prompt_ids), rollout.asked()
        groups = sample_episodes(sampler, requests, self.params, self.env, tasks, self.processing_class)
        rollout.take(groups, prompt_ids, self.processing_class)
        for name, value in getattr(sampler, "metrics", {}).items():
            self._log_metric(name, value)
        self._log_values(rollout.turn_values())

    def _episodes(self, prompts: list[Any], _: Any) -> dict[str, Any]:
        """TRL's `rollout_func`: episodes, with a mask of the model's own tokens (1) and of replies (0)."""
        prompt_ids, _, _ = self._tokenize_prompts(prompts)
        completion_ids, logprobs = self._generate_single_turn(prompt_ids, None, {}, int(self.num_generations or 0))
        own = [list(map(int, completion.own)) for completion in self._require_rollout().completions]
        return {"prompt_ids": prompt_ids, "completion_ids": completion_ids, "logprobs": logprobs, "env_mask": own}

    def _log_values(self, values: dict[str, list[float]]) -> None:
        """Logs means over the values of all processes, which need not have as many."""
        for name, each in values.items():
            self._pending_metrics[name].extend(each)

    def _shared(self) -> dict[str, Any]:
        """What TRL gives its reward functions beside the columns."""
        return {"trainer_state": self.state, "log_extra": self._log_completion_extra, "log_metric": self._log_metric}

    def _generate_single_turn(
        self, prompt_ids: list[list[int]], images: Any, multimodal_fields: Any, num_generations: int, *_: Any, **__: Any
    ) -> tuple[list[list[int]], None]:
        rollout = self._require_rollout()
        if not rollout.completions:
            with self._sampler() as sampler:
                self._sample(sampler, rollout, prompt_ids)
            if self.score_beside:
                self._scoring = in_thread(lambda: rollout.score(self.env, self.reward, self._shared()))
        return [completion.token_ids for completion in rollout.completions], None

    def _calculate_rewards(
        self, inputs: list[dict[str, Any]], prompts: list[Any], completions: list[Any], completion_ids_list: list[Any]
    ) -> torch.Tensor:
        rollout = self._require_rollout()
        if self._scoring is not None:
            self._scoring.result()
            self._scoring = None
        elif not rollout.scores:
            rollout.score(self.env, self.reward, self._shared())
        processes = self.accelerator.num_processes
        self._failed_before = refuse_reward_that_always_fails(rollout, self._failed_before, processes)
        self._warned = self._warned or warn_of_failures(rollout, self.warn)
        self._log_values(score_values(rollout, self.env))
        rewards_NK = torch.tensor(
            [[torch.nan if value is None else value for value in earned] for earned in rollout.earned()],
            device=self.accelerator.device,
        )
        gathered: Any = self.accelerator.gather(rewards_NK)
        return gathered

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        if self.savings.skip_zero_variance and self._loss_is_of_advantages_alone():
            counts_BT = inputs["completion_mask"] * inputs.get("tool_mask", 1)
            teaching_B = rows_that_teach(inputs["advantages"], counts_BT)
            if teaching_B is not None:
                self._teaching = teaching_B, counts_BT, inputs.get("old_per_token_logps")
        try:
            return super()._compute_loss(model, inputs)
        finally:
            self._teaching = None

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
        options = (logits_to_keep, batch_size, compute_entropy, compute_aux_loss)
        if compute_aux_loss or any(value is not None for value in multimodal.values()):
            return super()._get_per_token_logps_and_entropies(model, input_ids, attention_mask, *options, **multimodal)
        teaching, rows = self._teaching, (input_ids, attention_mask)
        if teaching is not None:
            rows = (input_ids[teaching[0]], attention_mask[teaching[0]])
        unwrapped = self.accelerator.unwrap_model(model)
        with self.accelerator.autocast():
            found = None
            if not is_sharded(unwrapped):  # whose processes must make as many passes as each other
                found = saving_log_probs(model, unwrapped, rows, *options[:2], self.savings, self._products)
        if found is None:
            log_probs, entropies, _ = super()._get_per_token_logps_and_entropies(model, *rows, *options)
            found = log_probs, entropies
        if teaching is not None:
            found = put_back(found, *teaching)
        return found[0], found[1], None

    def _loss_is_of_advantages_alone(self) -> bool:
        """Whether a row without an advantage adds nothing to the loss: no KL, no bonus on entropy, no router's loss."""
        return self.beta == 0.0 and not self.aux_loss_enabled and not self._loss_has_entropies()

    def _loss_has_entropies(self) -> bool:
        """Whether entropies take part, by a bonus or by choosing tokens: terms of a whole pass, not of a row."""
        return self._entropy_bonus_enabled or self.top_entropy_quantile < 1.0

    def _require_rollout(self) -> Rollout:
        assert self._rollout is not None, "TRL generated outside of _generate_and_score_completions"
        return self._rollout
