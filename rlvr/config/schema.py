"""The sections of a run's config, checked by pydantic; an unknown key is an error.

A stage's own keys are checked by its kind (`rlvr.stages`), so that a new kind brings its settings with it.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from rlvr_rewards.score import OnError


class Section(BaseModel):
    """A part of the config: frozen, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ScratchConfig(Section):
    """The shape of a model made from nothing (Qwen3 architecture, byte-level BPE tokenizer).

    Sizes divisible by 256 allow K-quants later, else they must be divisible by 32.
    """

    hidden_size: int = Field(default=128, ge=32, multiple_of=32)
    intermediate_size: int = Field(default=512, ge=32, multiple_of=32)
    num_layers: int = Field(default=4, ge=1)
    num_heads: int = Field(default=4, ge=1)
    num_kv_heads: int = Field(default=4, ge=1)
    vocab_size: int = Field(default=512, ge=320, description="tokens, of which 256 are bytes")
    context_length: int = Field(default=512, ge=32, description="tokens")


class ModelConfig(Section):
    """The model that the first stage starts from.

    Attributes:
        path: A hub id, a local folder, or `scratch`.
        dtype: Of the weights: `auto` (as saved), `float32` or `bfloat16`.
        trust_remote_code: Whether code that comes with a model may run; off unless said.
    """

    path: str = "scratch"
    dtype: str = Field(default="auto", pattern="^(auto|float32|bfloat16|float16)$")
    trust_remote_code: bool = False
    scratch: ScratchConfig = ScratchConfig()


class EnvConfig(BaseModel):
    """The tasks: an environment's name (or `file.py:Name`) and its own options beside it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class RewardConfig(Section):
    """What replaces the environment's own reward.

    Attributes:
        expression: Such as `2.0*exact_number + 0.5*think_format`; without it the environment's reward is used.
        on_error: What becomes of a completion one of whose parts raised.
    """

    expression: str | None = None
    on_error: OnError = OnError.DROP_COMPLETION


class StageConfig(Section):
    """What every stage has; each kind adds its own keys.

    Attributes:
        kind: `sft`, `grpo`, `evaluate`, …
        name: Unique in the run, by default the kind.
        start: The stage whose model it starts from (`base`: the run's own); by default the last one that made a model.
    """

    kind: str
    name: str = ""
    start: str | None = None

    def model_post_init(self, _context: Any) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.kind)


class RunConfig(Section):
    """A whole run: the model, the tasks, the reward, and the stages in order."""

    seed: int = Field(default=0, ge=0)
    threads: int | None = Field(default=None, ge=1, description="CPU threads of torch; by default all cores")
    model: ModelConfig = ModelConfig()
    env: EnvConfig
    reward: RewardConfig = RewardConfig()
    stage: tuple[Any, ...] = Field(min_length=1)
