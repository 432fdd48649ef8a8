"""What SFT and rejection sampling share: examples become tokens, TRL learns them, and the loss curve is read."""

import json
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from rlvr.data.forms import Example
from rlvr.data.loss_curve import Curve, read_curve
from rlvr.data.mixing import mixed
from rlvr.data.tokens import Learned, Tokens
from rlvr.pipeline.stage import StageResult
from rlvr.pipeline.training import TrainingConfig
from rlvr.pipeline.training_stage import Start, TrainingStage
from rlvr_rewards.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import Trainer

    from rlvr.pipeline.run import Run

_CHECKED_EXAMPLES = 10
_TIMES_HELD_OUT = 10


class ImitationConfig(TrainingConfig):
    """Settings of stages that imitate examples.

    Attributes:
        batch_size: Examples a step; packed, rows of several.
        learn: What is learned of a conversation: its end, each of the assistant's turns, or all of it.
        held_out: The share of the examples that is not learned, but measured ten times on the way.
    """

    trl_class: ClassVar[str] = "SFTConfig"
    ours: ClassVar[dict[str, str]] = {
        **TrainingConfig.ours,
        "completion_only_loss": 'learn = "completion"',
        "assistant_only_loss": 'learn = "assistant"',
        "dataset_text_field": "columns of the data",
        "remove_unused_columns": "columns of the data",
    }

    batch_size: int = Field(default=64, ge=1)
    learn: Learned = "completion"
    held_out: float = Field(default=0.0, ge=0, le=0.5)

    @property
    def rows_per_step(self) -> int:
        return self.batch_size

    def trl_defaults(self) -> dict[str, Any]:
        measured = {"eval_strategy": "steps", "eval_steps": max(1, self.steps // _TIMES_HELD_OUT)}
        return {
            "max_length": None,
            "remove_unused_columns": False,  # ours are tokens, labels and channels, and no others
            "lr_scheduler_type": "cosine",
            "warmup_steps": max(1, self.steps // 20),
            "per_device_eval_batch_size": self.micro_batch_size or self.rows_per_step,
            **(measured if self.held_out else {}),
        }


@dataclass(frozen=True)
class Examples:
    """What is learned, in sets with a weight each, and a limit of the mix."""

    sets: Sequence[Sequence[Example]]
    weights: Sequence[float | None]
    limit: int


class ImitationStage(TrainingStage):
    """A stage that trains TRL's `SFTTrainer` on examples."""

    uses_reward = False
    shown: ClassVar[dict[str, str]] = {"loss": "loss", "mean_token_accuracy": "token accuracy", "loss/*": ""}

    @classmethod
    @abstractmethod
    def examples(cls, config: Any, run: "Run", start: Start) -> Examples:
        """What is learned."""

    @classmethod
    def trainer(cls, config: Any, run: "Run", start: Start) -> "Trainer":
        from rlvr.data.dataset import channels_of, without_held_out
        from rlvr.data.tokens import special_ids
        from rlvr.engine.imitation import ChannelTrainer

        found = cls.examples(config, run, start)
        seed = run.seed(stage=config.name, purpose="held_out")
        split = [without_held_out(each, config.held_out, seed) for each in found.sets]
        learned = mixed([kept for kept, _ in split], found.weights, found.limit)
        measured = [example for _, held in split for example in held]
        channels = channels_of([*learned, *measured])
        encoder = _Encoder(config, start, channels)
        for examples in found.sets:
            encoder.check(examples)
        dataset, held_out = encoder.dataset(learned), encoder.dataset(measured) if measured else None
        start.args.padding_free = start.args.padding_free or encoder.flattens
        start.args.packing, start.args.max_length = False, None  # both are done
        return ChannelTrainer(
            channels=channels,
            special_ids=special_ids(start.tokenizer),
            eval_dataset=held_out,
            **start.arguments(config, dataset),
        )

    @classmethod
    def run(cls, config: Any, run: "Run") -> StageResult:
        result = super().run(config, run)
        losses, held_out = _logged(run.folder.path / "metrics.jsonl", config.name)
        finding = read_curve(losses, held_out)
        style = "dim" if finding.curve in (Curve.SETTLED, Curve.FALLING, Curve.SHORT) else "yellow"
        run.console.print(f"{config.name}: {finding.says}", style=style, markup=False, highlight=False)
        numbers = {"curve": str(finding.curve), "curve_says": finding.says}
        numbers |= {"loss_first": losses[0], "loss_last": losses[-1]} if losses else {}
        numbers |= {"loss_held_out": held_out[-1]} if held_out else {}
        return replace(result, metrics={**result.metrics, **numbers})


class _Encoder:
    """Makes datasets of examples, with the template and the lengths of one stage."""

    def __init__(self, config: ImitationConfig, start: Start, channels: Sequence[str]) -> None:
        from rlvr.data.dataset import Packing
        from rlvr.data.tokens import assistant_template

        self.config, self.start, self.channels = config, start, channels
        self.context: int | None = getattr(start.model.config.get_text_config(), "max_position_embeddings", None)
        self.template = assistant_template(start.path, start.tokenizer) if config.learn == "assistant" else None
        length = start.args.max_length or self.context
        self.packing = None
        if start.args.packing:
            if length is None:
                raise UserError(f"stage {config.name}: packing needs to know how long a row is: set trl.max_length")
            self.packing = Packing(length, start.args.packing_strategy)

    @property
    def flattens(self) -> bool:
        """Whether packed rows are told apart by their positions, which TRL does in one flat row."""
        return self.packing is not None and self.packing.strategy != "wrapped"

    def check(self, examples: Sequence[Example]) -> None:
        """Refuses a chat template that would teach something else; the first examples of a set are looked at."""
        from rlvr.data.tokens import check_rendering
        from rlvr.models.chat import check_template

        for example in examples[:_CHECKED_EXAMPLES]:
            check_rendering(self.start.path, self.start.tokenizer, example)
        first = [example for example in examples[:_CHECKED_EXAMPLES] if example.messages]
        conversations = [
            example.messages[: example.num_prompt + 1] for example in first
        ]  # the first turn that is learned
        check_template(self.start.path, self.start.tokenizer, conversations)

    def dataset(self, examples: Sequence[Example]) -> "Dataset":
        from rlvr.data.dataset import cut, token_dataset
        from rlvr.data.tokens import encode

        seen: dict[int, Tokens] = {}  # an example that a mix repeats is made into tokens once
        for example in examples:
            if id(example) not in seen:
                seen[id(example)] = encode(example, self.start.tokenizer, self.config.learn, self.template)
        limit = self.start.args.max_length if self.packing is None else None
        found = [(kept, example) for example in examples if (kept := cut(seen[id(example)], limit))]
        if not found:
            raise UserError(f"stage {self.config.name}: trl.max_length {limit} leaves nothing to learn: raise it")
        self._refuse_too_long([tokens for tokens, _ in found], examples)
        return token_dataset([t for t, _ in found], [e for _, e in found], self.channels, self.packing)

    def _refuse_too_long(self, tokens: Sequence[Tokens], examples: Sequence[Example]) -> None:
        longest = max(range(len(tokens)), key=lambda number: len(tokens[number].ids))
        num_tokens, room = len(tokens[longest].ids), self.packing.length if self.packing else self.context
        if room is not None and num_tokens > room:
            what = f"rows of {room} tokens" if self.packing else f"the model's context of {room} tokens"
            raise UserError(
                f"stage {self.config.name}: an example of {num_tokens} tokens does not fit into {what}: shorten "
                f"{examples[longest].where}, cut all with trl.max_length, or take a model with a longer context (of a "
                "scratch model, model.scratch.context_length)"
            )


def _logged(path: Path, stage: str) -> tuple[list[float], list[float]]:
    """What a stage logged of its loss, and of that of the examples held out, in order."""
    lines = [line for line in _lines(path) if line.get("stage") == stage]
    return [line["loss"] for line in lines if "loss" in line], [x["eval_loss"] for x in lines if "eval_loss" in x]


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        yield from map(json.loads, path.read_text(encoding="utf-8").splitlines())
