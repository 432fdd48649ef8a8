"""The settings that every stage has that samples: how completions are drawn, and what draws them."""

from typing import Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field

from rlvr.config.schema import RewardConfig, StageConfig
from rlvr.engine.samplers import SamplerName, SamplerSettings, resolve
from rlvr.engine.sampling import MOST_ALTERNATIVES
from rlvr.installed import require_vllm
from rlvr.pipeline.processes import num_processes
from rlvr_rewards.errors import UserError


class SamplingConfig(StageConfig):
    """What every stage has that samples.

    Attributes:
        max_new_tokens: The token budget of one completion; of an episode of several turns of all of it, replies too.
        max_turns: Turns of an episode at most, where the environment allows more.
        min_new_tokens: Tokens before which a completion does not end.
        stop: Strings that end a completion, and stay in it.
        sampler: What samples: `torch` (the default), `vllm`, `vllm-server`, or `auto`.
        servers: URLs of the servers of `vllm-server`.
        server_timeout_s: How long a server may take for one completion, or to take the weights.
        reward: What completions earn in this stage, where that is not the run's; see `rlvr.pipeline.stage_reward`.
        record_alternatives: Of each token, so many of the likeliest others stand in the traces, and the entropy of what
            it was drawn from (vLLM tells no entropy); 0 records neither.
    """

    without_effect: ClassVar[frozenset[str]] = frozenset({"servers", "server_timeout_s", "record_alternatives"})

    max_new_tokens: int = Field(default=64, ge=1)
    max_turns: int | None = Field(default=None, ge=1)
    min_new_tokens: int = Field(default=0, ge=0)
    stop: tuple[str, ...] = ()
    sampler: SamplerName | None = None
    servers: tuple[str, ...] = ()
    server_timeout_s: float = Field(default=600.0, gt=0)
    reward: RewardConfig | None = None
    record_alternatives: int = Field(default=0, ge=0, le=MOST_ALTERNATIVES)

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """A stage that samples and trains has what is without effect in either."""
        cls.without_effect = frozenset().union(*(vars(base).get("without_effect", ()) for base in cls.__mro__))

    def sampler_settings(self, trust_remote_code: bool) -> SamplerSettings:
        """Which sampler, and what it is set up with."""
        return SamplerSettings(
            name=self.sampler or "torch",
            servers=self.servers,
            answer_s=self.server_timeout_s,
            trust_remote_code=trust_remote_code,
        )


def check_sampling(config: SamplingConfig) -> None:
    """Refuses settings of sampling that do not fit together, and vLLM where it is not installed."""
    where = f"stage {config.name}"
    if config.min_new_tokens > config.max_new_tokens:
        raise UserError(
            f"{where}: min_new_tokens {config.min_new_tokens} is above max_new_tokens {config.max_new_tokens}"
        )
    if "" in config.stop:
        raise UserError(f"{where}: a stop string is empty")
    check_sampler(where, config.sampler, config.servers)


def refuse_vllm_of_one(config: SamplingConfig) -> None:
    """Refuses vLLM in the process where not all of several processes sample: it starts in all or in none.

    Raises:
        UserError: There are several, and it is asked for.
    """
    if num_processes() > 1 and resolve(config.sampler or "torch") == "vllm":
        raise UserError(
            f"stage {config.name}: of several processes not all sample here, and vLLM starts in all of them or in "
            'none: set sampler = "torch" or "vllm-server", or run this stage in one process'
        )


def check_sampler(where: str, sampler: SamplerName | None, servers: tuple[str, ...]) -> None:
    """Refuses a sampler that this machine lacks, and servers that are missing, odd, or not asked for.

    Args:
        where: What has them, for the message.
        sampler: Which.
        servers: URLs.
    """
    if sampler == "vllm":
        require_vllm()
    if sampler == "vllm-server" and not servers:
        raise UserError(f'{where}: sampler "vllm-server" needs servers = ["http://HOST:PORT"]; rlvr serve starts one')
    if servers and sampler != "vllm-server":
        raise UserError(f'{where}: servers are only for sampler = "vllm-server"')
    for url in servers:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UserError(f"{where}: server {url!r} is no URL such as http://localhost:8000")
    if len(set(servers)) < len(servers):
        raise UserError(f"{where}: a server is named twice")
