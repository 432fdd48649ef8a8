"""What is scored again: which completions of a run, by which reward in the place of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvr.rescore.advantages import Scaling, scaling_of
from rlvr.traces.foreign import source_of
from rlvr.traces.index import TraceIndex
from rlvr.traces.plan import manifest_entries
from rlvr.traces.shards import Shard
from rlvr.traces.stage_order import StageOrder
from rlvr.traces.store import shards
from rlvr_envs import Environment, make
from rlvr_rewards import Reward, UserError, parse_reward
from rlvr_rewards.catalogue import REWARDS

if TYPE_CHECKING:
    from rlvr.config.schema import RunConfig


@dataclass(frozen=True)
class Source:
    """The traces of a run, or of another tool.

    Attributes:
        path: As it was named.
        traces: The folder with its shards.
        run: The run's folder; `None` where there is none, and so no config.
    """

    path: Path
    traces: Path
    run: Path | None

    @classmethod
    def open(cls, path: Path | str) -> "Source":
        """A run's folder, a folder of traces, or another tool's file.

        Raises:
            UserError: There is no such file or folder, or it is nothing that can be read.
        """
        path = Path(path)
        if not path.exists():
            raise UserError(f"{path}: no such file or folder")
        if path.is_file() or source_of(path):
            return cls(path, TraceIndex.open(path).folder, None)
        traces = path / "traces" if (path / "traces").is_dir() else path
        run = traces.parent if traces.name == "traces" else path
        return cls(path, traces, run if (run / "config.toml").is_file() else None)

    def shards(self, stage: str | None, split: str | None, step: int | None) -> list[Shard]:
        """Those asked for, in the order of training.

        Raises:
            UserError: There is none.
        """
        everything = shards(self.traces)
        if not everything:
            raise UserError(f"{self.traces} holds no traces (yet): they appear once a stage has sampled its first step")
        wanted = {"stage": stage, "split": split, "step": step}
        asked = {name: value for name, value in wanted.items() if value is not None}
        found = [shard for shard in everything if all(getattr(shard, name) == asked[name] for name in asked)]
        if not found:
            there = ", ".join(dict.fromkeys(f"{shard.stage} {shard.split}" for shard in everything))
            words = " ".join(f"--{name} {value}" for name, value in asked.items())
            raise UserError(f"{self.traces} has no traces of {words}; it has: {there}")
        order = StageOrder(self.run)
        order.learn(found)
        return sorted(found, key=lambda shard: (order.place(shard.stage, shard.split), shard))

    def scalings(self) -> dict[str, Scaling]:
        """How each stage scales its advantages: by what it was run with, else by its config."""
        if self.run is None:
            return {}
        planned = {stage.name: stage.model_dump() for stage in self._stages()}
        done = {entry["name"]: entry.get("config") or {} for entry in manifest_entries(self.run)}
        return {name: scaling_of(_settings(settings)) for name, settings in {**planned, **done}.items()}

    def key(self, stage: str, split: str) -> str | None:
        """The stage whose own reward (`[stage.reward]`) its completions are paid by in training; else `None`."""
        if self.run is None or split != "train":
            return None
        found = [each for each in self._stages() if each.name == stage and getattr(each, "reward", None)]
        return stage if found else None

    def rewards(self, expression: str | None, env: str | None, key: str | None = None) -> dict[str | None, Reward]:
        """A reward in the place of the run's own, or that one, for each of its environments by its label.

        Args:
            expression: As `[reward]` of a config has it; `None`: as the run's has.
            env: In the place of the run's, as on a command line.
            key: The stage whose own reward is meant; `None`: the run's.

        Raises:
            UserError: It names what there is not, or the run's environment is needed and cannot be made.
        """
        if env is not None:
            made = make(env)
            return {None: parse_reward(expression, made.part) if expression else made.reward}
        if self.run is None:
            return {None: self._without_environment(expression)}
        return self._of_run(expression, key)

    def _without_environment(self, expression: str | None) -> Reward:
        if expression is None:
            raise UserError(f"{self.path} does not say what its reward was: give --reward, or --env")
        try:
            return parse_reward(expression)
        except UserError as error:
            if not str(error).startswith("unknown reward"):
                raise
            raise UserError(f"{error}; {self.path} does not say its environment: give --env for its parts") from None

    def _of_run(self, expression: str | None, key: str | None) -> dict[str | None, Reward]:
        from rlvr.pipeline.run import environment_of, reward_of

        assert self.run is not None
        config: RunConfig | None = None
        try:
            config = _paid_by(self._config(), expression, key)
            env = environment_of(config)
        except UserError as error:
            if expression is None:
                raise
            return {None: _in_library(expression, config, error)}
        return {label: reward_of(config, each, self.run / "models") for label, each in _by_label(env).items()}

    def _stages(self) -> Sequence[Any]:
        """The stages of the run's config; none where it cannot be read any more."""
        try:
            return self._config().stage
        except UserError:
            return ()

    def _config(self) -> "RunConfig":
        assert self.run is not None
        file = self.run / "config.toml"
        return _loaded(file, file.stat().st_mtime_ns)


def _paid_by(config: "RunConfig", expression: str | None, key: str | None) -> "RunConfig":
    """The config with the reward that is meant."""
    from rlvr.pipeline.stage_reward import in_stage

    if key is not None:
        config = in_stage(next(stage for stage in config.stage if stage.name == key), config)
    if expression is None:
        return config
    return config.model_copy(update={"reward": config.reward.model_copy(update={"expression": expression})})


@lru_cache(maxsize=4)
def _loaded(file: Path, changed_ns: int) -> "RunConfig":
    from rlvr.config.load import load_config

    return load_config(str(file))


def _by_label(env: Environment) -> dict[str | None, Environment]:
    members: Any = getattr(env, "members", ())
    return {member.label: member.env for member in members} or {None: env}


def _in_library(expression: str, config: "RunConfig | None", why: UserError) -> Reward:
    """A reward that names nothing of an environment which cannot be made here; another is refused, with the reason."""
    try:
        reward = parse_reward(expression, REWARDS.get)
    except UserError as error:
        raise UserError(f"{error}; the run's environment, whose parts it may name, cannot be made: {why}") from None
    policy = config.reward.on_error if config else None
    return reward if policy is None else reward.on_error(policy)


def _settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {"algorithm": settings.get("algorithm"), "trl": settings.get("trl")}
