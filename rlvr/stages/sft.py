"""`sft`: supervised fine-tuning on golds or on given demonstrations, by default the loss on the completion only."""

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from pydantic import Field

from rlvr.config.schema import RunConfig
from rlvr.data.forms import CHANNEL, Example, read_examples
from rlvr.data.sources import GOLDS, DataSource, DataSources, check_weights, describe
from rlvr.pipeline.imitation import Examples, ImitationConfig, ImitationStage
from rlvr.pipeline.training_stage import Start
from rlvr_rewards.errors import UserError
from rlvr_rewards.row import turns_of

if TYPE_CHECKING:
    from rlvr.pipeline.run import Run


class SFTStageConfig(ImitationConfig):
    """Settings of `sft`.

    Attributes:
        num_examples: Examples learned from at most, of a mix of sets in all; they repeat where steps need more.
        data: Sets of demonstrations instead of the environment's golds; see `rlvr.data`.
    """

    steps: int = Field(default=300, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    num_examples: int = Field(default=5000, ge=1)
    data: DataSources = ()


class SFTStage(ImitationStage):
    """TRL's `SFTTrainer` on golds or demonstrations."""

    kind = "sft"
    Config = SFTStageConfig

    @classmethod
    def check(cls, config: SFTStageConfig, run: RunConfig) -> None:
        super().check(config, run)
        check_weights(config.name, config.data)
        for source in config.data:
            if source.file:
                _refuse_plain_text(config, next(read_examples(source)))

    @classmethod
    def rehearse(cls, config: SFTStageConfig, run: "Run") -> None:
        super().rehearse(config, run)
        for source in config.data:
            if source.path != GOLDS and not source.file:  # of the hub, which a check does not ask
                _refuse_plain_text(config, next(read_examples(source)))

    @classmethod
    def work(cls, config: SFTStageConfig) -> str:
        what = f"examples of {describe(config.data)}" if config.data else "golds"
        return f"{config.steps} steps of {config.batch_size} {what}"

    @classmethod
    def examples(cls, config: SFTStageConfig, run: "Run", start: Start) -> Examples:
        sources = config.data or (DataSource(path=GOLDS),)
        sets = [list(islice(_of(source, config, run), config.num_examples)) for source in sources]
        for each in sets:
            for example in each:
                _refuse_plain_text(config, example)
        return Examples(sets, [source.weight for source in sources], config.num_examples)


def _of(source: DataSource, config: SFTStageConfig, run: "Run") -> Iterator[Example]:
    return _golds(source, config, run) if source.path == GOLDS else read_examples(source)


def _golds(source: DataSource, config: SFTStageConfig, run: "Run") -> Iterator[Example]:
    for number, task in enumerate(run.env.rows("train", run.seed(stage=config.name)), start=1):
        prompt = run.env.messages(task)
        said = [{"role": str(turn["role"]), "content": str(turn["content"])} for turn in turns_of(run.env.gold(task))]
        env, row = run.env.traced(task)
        channel = str(row.get(CHANNEL, source.channel or (env if env != run.env.name else "")))
        yield Example(f"gold {number} of {run.env.name}", (*prompt, *said), len(prompt), channel=channel)


def _refuse_plain_text(config: SFTStageConfig, example: Example) -> None:
    if example.text and config.learn == "assistant":
        raise UserError(
            f'{example.where}: a plain text has no turns, and the stage {config.name} has learn = "assistant": '
            'give conversations, or learn = "completion", under which of a text all is learned'
        )
