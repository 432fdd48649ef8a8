"""What a stage is: settings of its own, a check before anything loads, and a run that leaves a result.

Adding a kind of stage touches one file: a module of `rlvr.stages`, or one behind the entry point `rlvr.stages`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rlvr.config.schema import RunConfig, StageConfig
from rlvr.models.memory import Workload

if TYPE_CHECKING:
    from rlvr.pipeline.run import Run
    from rlvr_rewards import Reward


@dataclass(frozen=True)
class StageResult:
    """What a finished stage leaves behind.

    Attributes:
        model: The folder of the model that it made, or `None` where it made none.
        metrics: Numbers for the manifest, by name.
        files: What else it made in the run's folder, files or folders.
        tokens: How many it learned from or sampled; `None` where it has to do with none.
    """

    model: Path | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    tokens: int | None = None


class Stage(ABC):
    """One step of a pipeline.

    Attributes:
        kind: How a config calls it.
        Config: Its settings; keys that it does not know are refused.
        makes_model: Whether the stages after it start from a model that it makes.
        uses_reward: Whether it scores completions, so that another reward makes another result.
        together: Whether all processes of a run do it together; otherwise the first one does, and the others wait.
    """

    kind: ClassVar[str]
    Config: ClassVar[type[StageConfig]]
    makes_model: ClassVar[bool] = True
    uses_reward: ClassVar[bool] = True
    together: ClassVar[bool] = False

    @classmethod
    def check(cls, config: Any, run: RunConfig) -> None:
        """Refuses settings that cannot work together, before anything loads; by default accepts all."""
        return

    @classmethod
    def check_processes(cls, config: Any) -> None:
        """Refuses what several processes cannot do, where it is still to be done; by default accepts all."""
        return

    @classmethod
    @abstractmethod
    def plan(cls, config: Any) -> str:
        """What it will do, in one line of at most 80 characters."""

    @classmethod
    def workload(cls, config: Any) -> Workload | None:
        """What it holds in memory while it trains; by default it does not train."""
        return None

    @classmethod
    def depends_on(cls, config: Any, run: RunConfig) -> tuple[str, ...]:
        """The stages whose models it takes, or `base`; by default the one that it starts from."""
        from rlvr.pipeline.run import start_of

        return (start_of(config, run),)

    @classmethod
    def traced(cls, config: Any, run: RunConfig) -> list[tuple[str, str]]:
        """The policies and splits whose traces and results it writes; by default its own, while it trains."""
        return [(config.name, "train")]

    @classmethod
    def reward(cls, config: Any, models: Path | None) -> "Reward | None":
        """The reward that it makes, which stages after it name by its name; by default it makes none.

        Args:
            config: The stage.
            models: The folder of the run's models; `None` where only the reward's name and bounds are asked for.
        """
        return None

    @classmethod
    def rehearse(cls, config: Any, run: "Run") -> None:
        """Refuses what only its libraries know to be wrong, before the first stage runs; by default accepts all."""
        return

    @classmethod
    def recall(cls, config: Any, run: "Run") -> None:
        """Shows again what it found, when it was finished before; by default it has nothing to show."""
        return

    @classmethod
    @abstractmethod
    def run(cls, config: Any, run: "Run") -> StageResult:
        """Does its work, or goes on where it was interrupted."""
