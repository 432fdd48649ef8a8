"""The sections of a run's config, checked by pydantic; an unknown key is an error.

A stage's own keys are checked by its kind (`rlvr.stages`), so that a new kind brings its settings with it.
"""

from typing import Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from rlvr_rewards.score import OnError

BASE = "base"
"""The name under which the model that the run starts from stands among the stages."""
SCRATCH = "scratch"
"""The `model.path` that means: make one."""


class Section(BaseModel):
    """A part of the config: frozen, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ScratchConfig(Section):
    """The shape of a model made from nothing (Qwen3 architecture, byte-level BPE tokenizer).

    Sizes divisible by 256 allow K-quants later, else they must be divisible by 32.

    Attributes:
        vocab_size: Tokens at most, of which 256 are bytes; fewer where the texts have fewer merges to learn.
        context_length: Tokens of prompt and completion together.
    """

    hidden_size: int = Field(default=128, ge=32, multiple_of=32)
    intermediate_size: int = Field(default=512, ge=32, multiple_of=32)
    num_layers: int = Field(default=4, ge=1)
    num_heads: int = Field(default=4, ge=1)
    num_kv_heads: int = Field(default=4, ge=1)
    vocab_size: int = Field(default=512, ge=320)
    context_length: int = Field(default=512, ge=32)

    @model_validator(mode="after")
    def _heads_divide(self) -> "ScratchConfig":
        if self.hidden_size % (2 * self.num_heads):
            raise ValueError(f"hidden_size {self.hidden_size} must be a multiple of 2 x num_heads {self.num_heads}")
        if self.num_heads % self.num_kv_heads:
            raise ValueError(f"num_heads {self.num_heads} must be a multiple of num_kv_heads {self.num_kv_heads}")
        return self


class ModelConfig(Section):
    """The model that the first stage starts from.

    Attributes:
        path: A hub id, a local folder, or `scratch`.
        dtype: Of the weights: `float32`, `bfloat16`, `float16`, or `auto`, which is float32 where all weights are
            trained (a step of 1e-6 is lost in bfloat16) and as saved elsewhere.
        trust_remote_code: Whether code that comes with a model may run; off unless said.
        scratch: The shape of the model that is made where `path` is `scratch`.
    """

    path: str = Field(default=SCRATCH, min_length=1)
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    trust_remote_code: bool = False
    scratch: ScratchConfig = ScratchConfig()


class EnvConfig(BaseModel):
    """The tasks: an environment's name (or `file.py:Name`) and its own options beside it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})

    @property
    def spec(self) -> str:
        """As it is written on a command line: `NAME`, or `NAME?tier=hard&path=…`."""
        options = "&".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.name}{'&' if '?' in self.name else '?'}{options}" if options else self.name


class WeightedEnvConfig(EnvConfig):
    """One of several environments.

    Attributes:
        weight: Its share of the training tasks, beside the weights of the others.
    """

    weight: float = Field(default=1.0, gt=0)


class RewardConfig(Section):
    """What replaces the environment's own reward.

    Attributes:
        expression: Such as `2.0*exact_number + 0.5*think_format`; without it the environment's reward is used. With
            several environments it is read over each one's parts.
        divide_by_max: Whether it is divided by the most that it can give, so that each environment's is 1 at most.
        on_error: What becomes of a completion one of whose parts raised; by default what the reward itself says.
    """

    expression: str | None = None
    divide_by_max: bool = False
    on_error: OnError | None = None

    @model_serializer(mode="wrap")
    def _as_before_it_could_be_divided(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without `divide_by_max` where it is off, so that runs from before that key are of the same reward."""
        return {name: value for name, value in dump(self).items() if name != "divide_by_max" or value}


class StageConfig(Section):
    """What every stage has; each kind adds its own keys.

    Attributes:
        kind: `sft`, `grpo`, `evaluate`, …
        name: Unique in the run, by default the kind.
        start: The stage whose model it starts from (`base`: the run's own); by default the last one that made a model.
    """

    without_effect: ClassVar[frozenset[str]] = frozenset()
    """Settings that do not change what a stage makes: it need not run again for another value."""

    kind: str
    name: str = Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9_-]*)?$")
    start: str | None = None

    @field_validator("name")
    @classmethod
    def _name_is_free(cls, name: str) -> str:
        if name == BASE:
            raise ValueError(f"{BASE!r} is the model that the run starts from: choose another name")
        return name

    def model_post_init(self, _context: Any) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.kind)

    @classmethod
    def advice(cls, key: str, stage: str) -> str | None:
        """What to write instead of a key that this kind does not know, in the stage of that name."""
        return None


class RunConfig(Section):
    """A whole run: the model, the tasks, the reward, and the stages in order.

    Attributes:
        seed: What every random choice of the run derives from.
        threads: Of torch on the CPU; by default all cores.
        env: The tasks, of one environment or of several.
    """

    seed: int = Field(default=0, ge=0)
    threads: int | None = Field(default=None, ge=1)
    model: ModelConfig = ModelConfig()
    env: EnvConfig | tuple[WeightedEnvConfig, ...]
    reward: RewardConfig = RewardConfig()
    stage: tuple[Any, ...] = Field(min_length=1)

    @property
    def envs(self) -> tuple[EnvConfig, ...]:
        """The environments, where there is one too."""
        return (self.env,) if isinstance(self.env, EnvConfig) else self.env
