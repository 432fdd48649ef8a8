"""What DPO and ORPO share: preferences, given or from sampled groups of the model itself, as TRL's dataset."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from rlvr.config.schema import RunConfig
from rlvr.data.mixing import mixed
from rlvr.data.pairs import Candidate, Group, Pair, Pairing, pairs_of
from rlvr.data.preferences import Preference, read_preferences
from rlvr.data.sources import GOLDS, DataSources, check_weights, describe
from rlvr.models.memory import Workload
from rlvr.pipeline.own_data import record, with_own_data
from rlvr.pipeline.own_groups import (
    GroupsConfig,
    begin_groups,
    check_groups,
    groups_plan,
    rows_at_once,
    sampled_groups,
)
from rlvr.pipeline.repeated import say_repeated
from rlvr.pipeline.sampling import refuse_vllm_of_one
from rlvr.pipeline.stage import StageResult
from rlvr.pipeline.training import TrainingConfig
from rlvr.pipeline.training_stage import Start, TrainingStage
from rlvr_rewards.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import Trainer

    from rlvr.engine.group_samples import Sampled
    from rlvr.pipeline.run import Run

_CHECKED_PAIRS = 10


class PreferenceConfig(GroupsConfig, TrainingConfig):
    """Settings of stages that learn from preferences.

    Attributes:
        batch_size: Pairs a step.
        data: Sets of preferences instead of pairs from sampled groups; see `rlvr.data.preferences`.
        num_pairs: Pairs learned from at most, of a mix of sets in all; they repeat where steps need more.
        margin: What the better one of a pair must have earned more, at least; 0: anything more.
        length_gap: How much longer one of a pair may be than the other, as a share of the longer; 1: any length.
    """

    steps: int = Field(default=100, ge=1)
    learning_rate: float = Field(default=1e-4, gt=0)
    batch_size: int = Field(default=32, ge=1)
    data: DataSources = ()
    num_pairs: int = Field(default=100_000, ge=1)
    margin: float = Field(default=0.0, ge=0)
    length_gap: float = Field(default=0.2, ge=0, le=1)

    @property
    def rows_per_step(self) -> int:
        return self.batch_size

    def trl_defaults(self) -> dict[str, Any]:
        return {"max_length": None, "lr_scheduler_type": "cosine", "warmup_steps": max(1, self.steps // 10)}


class PreferenceStage(TrainingStage):
    """A stage that trains one of TRL's trainers on preferences."""

    rows = "pairs"
    shown: ClassVar[dict[str, str]] = {
        "loss": "loss",
        "rewards/accuracies": "preferred",
        "rewards/margins": "margin",
        "logps/chosen": "chosen",
    }

    @classmethod
    @abstractmethod
    def preference_trainer(cls, config: Any, run: "Run", start: Start, dataset: "Dataset") -> "Trainer":
        """TRL's trainer on `prompt`, `chosen` and `rejected`, each a list of messages."""

    @classmethod
    def check(cls, config: Any, run: RunConfig) -> None:
        super().check(config, run)
        if config.data:
            _check_data(config)
        else:
            check_groups(config, run)
            _refuse_turns(config, run)

    @classmethod
    def check_processes(cls, config: PreferenceConfig) -> None:
        if not config.data:
            refuse_vllm_of_one(config)

    @classmethod
    def rehearse(cls, config: PreferenceConfig, run: "Run") -> None:
        super().rehearse(config, run)
        for source in config.data:
            if not source.file:  # of the hub, which a check does not ask
                next(read_preferences(source))

    @classmethod
    def work(cls, config: PreferenceConfig) -> str:
        own = f"{config.num_tasks} x {config.group_size} samples"
        return f"{config.steps} steps of {config.batch_size} pairs of {describe(config.data) if config.data else own}"

    @classmethod
    def workload(cls, config: Any) -> Workload:
        found = super().workload(config)
        if config.data:
            return replace(found, rows=2 * found.rows)
        budget = config.max_new_tokens
        return replace(found, rows=2 * found.rows, sampled_rows=rows_at_once(config), max_new_tokens=budget)

    @classmethod
    def trainer(cls, config: PreferenceConfig, run: "Run", start: Start) -> "Trainer":
        from datasets import Dataset

        from rlvr.models.chat import check_template
        from rlvr.models.room import check_prompts

        found = _given(config) if config.data else _from_groups(config, run, start)
        examples = [[*pair.prompt, *side] for pair in found for side in (pair.chosen, pair.rejected)]
        check_prompts(f"stage {config.name}", start.tokenizer, start.model, examples, max_new_tokens=0)
        check_template(start.path, start.tokenizer, examples[: 2 * _CHECKED_PAIRS])
        say_repeated(run.console, config.name, len(found), "pair", config.steps * config.batch_size)
        return cls.preference_trainer(config, run, start, Dataset.from_list([_columns(pair) for pair in found]))

    @classmethod
    def run(cls, config: Any, run: "Run") -> StageResult:
        result = super().run(config, run)
        return result if config.data else with_own_data(result, run, config.name)


def _check_data(config: PreferenceConfig) -> None:
    """Refuses sets that cannot be read, and settings of sampling beside them, which would do nothing."""
    check_weights(config.name, config.data)
    of_sampling = {*GroupsConfig.model_fields, "margin", "length_gap"} - {*TrainingConfig.model_fields}
    for name in sorted(config.model_fields_set & of_sampling):
        raise UserError(f"stage {config.name}: with data nothing is sampled, so {name} does nothing: drop it, or data")
    for source in config.data:
        if source.path == GOLDS:
            raise UserError(f"stage {config.name}: golds are no preferences: without data, pairs are sampled")
        if source.file:
            next(read_preferences(source))


def _given(config: PreferenceConfig) -> Sequence[Preference]:
    sets = [list(islice(read_preferences(source), config.num_pairs)) for source in config.data]
    return mixed(sets, [source.weight for source in config.data], config.num_pairs)


def _from_groups(config: PreferenceConfig, run: "Run", start: Start) -> Sequence[Preference]:
    """Pairs of groups that the model samples, or has sampled before it was interrupted.

    Raises:
        UserError: No group gives one.
    """
    begin_groups(config, run, config.name)
    plan = groups_plan(config, run, config.name)
    found = _paired(config, sampled_groups(plan, config, run, lambda: start, config.name))
    counted = ", ".join(f"{why.replace('_', ' ')} {number}" for why, number in sorted(found.dropped.items()))
    without = f"; groups without one: {counted}" if counted else ""
    if not found.pairs:
        raise UserError(
            f"stage {config.name}: no pair in {len(plan.tasks)} groups of {config.group_size}{without}: raise "
            "group_size, temperature or length_gap, lower margin, or train longer before"
        )
    from rlvr.models.chat import reads_back

    preferences = [_preference(pair) for pair in found.pairs]
    kept = [
        pair
        for pair in preferences
        if all(reads_back(start.tokenizer, [*pair.prompt, *side]) for side in (pair.chosen, pair.rejected))
    ]
    numbers = found.numbers() | {"pairs": len(kept), "dropped/merged_with_prompt": len(preferences) - len(kept)}
    if not kept:
        raise UserError(f"stage {config.name}: every pair merges with its prompt in tokens: train longer before")
    learned = kept[: config.num_pairs]
    record(run, config.name, map(_columns, learned), numbers)
    run.console.print(
        f"[dim]{config.name}: {len(kept)} pairs from {len(plan.tasks)} groups, "
        f"margin {numbers['reward_margin']:.2f}, "
        f"the better {numbers['chosen_longer_tokens']:+.1f} tokens longer on average{without}[/]"
    )
    return learned


def _paired(config: PreferenceConfig, groups: "Iterable[list[Sampled]]") -> Pairing:
    return pairs_of(map(_group, groups), config.margin, config.length_gap if config.length_gap < 1 else None)


def _group(rows: "list[Sampled]") -> Group:
    candidates = [Candidate(row.completion, row.reward, row.completion_tokens, row.finished) for row in rows]
    return Group(rows[0].task_id, rows[0].messages, candidates)


def _preference(pair: Pair) -> Preference:
    def turn(candidate: Candidate) -> tuple[dict[str, str]]:
        return ({"role": "assistant", "content": candidate.text},)

    return Preference(f"task {pair.task_id}", tuple(pair.prompt), turn(pair.chosen), turn(pair.rejected))


def _columns(preference: Preference) -> dict[str, Any]:
    return {name: list(getattr(preference, name)) for name in ("prompt", "chosen", "rejected")}


def _refuse_turns(config: PreferenceConfig, run: RunConfig) -> None:
    """Refuses pairs of episodes: the losses of preferences would learn what the environment replies too."""
    from rlvr.pipeline.run import environment_of

    env = environment_of(run)
    if env.max_turns > 1:
        raise UserError(
            f"stage {config.name}: {env.name} has several turns, and pairs are of one: take sft, rft or grpo, or give "
            "pairs of one turn (data)"
        )
